"""`servers` and `serve`: what is connected, and one server alone."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, Trace, Trust

app = typer.Typer(help="The MCP servers that are connected.", no_args_is_help=True)


@app.command("list")
def list_servers(json: Json = False, trace: Trace = False, trust: Trust = False) -> None:
    """Start every configured server and show what it offers, or why it does not start."""
    execute(lambda frame: commands.servers.list_servers(frame), json=json, trace=trace, trust=trust)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The server's name.")],
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Show one server: protocol version, tools with their effects, resources, prompts."""
    execute(lambda frame: commands.servers.show(frame, name), json=json, trace=trace, trust=trust)


@app.command("approve")
def approve(
    name: Annotated[str, typer.Argument(help="The server's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Show what of a server is not as it was approved, line by line, and approve it as it is now."""
    execute(lambda frame: commands.approving.approve(frame, name, is_sure=yes), json=json, trace=trace, trust=trust)


def serve(
    name: Annotated[str, typer.Argument(help="The server's name.")],
    http: Annotated[
        int | None,
        typer.Option(
            "--http", metavar="PORT", min=0, max=65_535, help="Over HTTP, on this port of 127.0.0.1; 0 is a free one."
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Run one server alone over stdio or HTTP, for another MCP host or the MCP Inspector."""
    execute(lambda frame: commands.servers.serve(frame, name, http=http), trust=trust)
