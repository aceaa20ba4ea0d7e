"""A third-party server that knows no keys: what it is told twice, it does twice. Its log is a file of lines."""

import json
import os
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer

from tests.kill.points import Points, open_for_appending


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return all that the server has done, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def create_server(path: Path, points: Points) -> MCPServer[Any]:
    """Return the server whose log is at this path."""
    server = MCPServer("courier")
    log = open_for_appending(path)

    def do(tool: str, ticket_id: str, text: str) -> None:
        points.passes(f"effect {tool} before")
        os.write(log, json.dumps({"tool": tool, "ticket": ticket_id, "text": text}).encode() + b"\n")
        points.passes(f"effect {tool} after")

    def find_parcels(ticket_id: str) -> str:
        """Which parcels were sent for a ticket."""
        points.passes("served find_parcels before")
        mine = [line["text"] for line in read_log(path) if (line["tool"], line["ticket"]) == ("send_parcel", ticket_id)]
        points.passes("served find_parcels after")
        return "\n".join(f"sent: {text}" for text in mine) or "nothing was sent"

    def send_parcel(ticket_id: str, label: str) -> str:
        """Send a parcel for a ticket."""
        do("send_parcel", ticket_id, label)
        return f"sent: {label}"

    def credit(ticket_id: str, reason: str) -> str:
        """Credit ten dollars to whoever wrote a ticket."""
        do("credit", ticket_id, reason)
        return "credited"

    for tool in (find_parcels, send_parcel, credit):
        server.tool()(tool)
    return server
