"""`support-agent servers` and `serve`: what is connected, and one server alone for another MCP host."""

import json
import re

import anyio
import mcp_types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.cli.conftest import Once
from tests.cli.shell import DEADLINE_S, PROGRAM, Ended, Shell, bad

LONE = """
[tickets]
server = "lone"
record = "note://{ticket_id}"
context = "note://{ticket_id}"
fields = { requester = "/requester", status = "/status" }
outcome = { closed = { status = ["closed"] } }
"""


def listed(shell: Shell) -> tuple[Ended, list[list[str]]]:
    """List the built-in servers, one of the handshake era and one that does not start; return the cells, too."""
    shell.servers(broken=bad("exit"), old=bad("--era", "legacy"))
    ended = shell.run("servers", "list")
    return ended, [re.split(r" {2,}", row) for row in ended.out.splitlines()]


def test_every_server_is_listed_with_what_it_offers(shell: Shell, once: Once):
    ended, rows = once("list", lambda: listed(shell))
    assert rows[0] == ["server", "transport", "state", "protocol", "tools", "resources", "prompts"]
    assert ["customers", "stdio", "ready", "2026-07-28", "9", "2", "0"] in rows
    assert ["ticketing", "stdio", "ready", "2026-07-28", "12", "4", "1"] in rows
    assert ended.err == ""


def test_a_server_that_does_not_start_says_why_and_hides_none_of_the_others(shell: Shell, once: Once):
    ended, rows = once("list", lambda: listed(shell))
    assert ["broken", "stdio", "failed"] in [row[:3] for row in rows]
    assert "broken did not start: it exited with status 3.\n" in ended.out
    assert "ConfigError: \\x1b[31mno token" in ended.out
    assert ended.code == 3


def test_a_server_of_the_handshake_era_is_spoken_to_in_its_own_version(shell: Shell, once: Once):
    _, rows = once("list", lambda: listed(shell))
    assert ["old", "stdio", "ready", "2025-11-25"] in [row[:4] for row in rows]


def test_the_list_is_one_json_document_too(bare: Shell):
    bare.write("support-agent.toml", LONE)
    bare.servers(broken=bad("exit"), lone=bad())
    ended = bare.run("servers", "list", "--json")
    broken, lone = ended.document["servers"]
    assert (ended.code, broken["name"], broken["is_running"], lone["is_running"]) == (3, "broken", False, True)
    assert broken["failure"].startswith("broken did not start: it exited with status 3.\n")
    assert (lone["failure"], lone["protocol_version"], lone["prompts"]) == (None, "2026-07-28", 1)


def test_one_server_is_shown_with_the_effects_of_its_tools(shell: Shell):
    ended = shell.run("servers", "show", "ticketing")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("ticketing · ticketing ")
    assert re.search(r"^  close_ticket  close\n.*\n    resolution  ticket_id=ticket.id  ", ended.out, re.MULTILINE)
    assert "  list_tickets  read  not offered to the model\n" in ended.out
    assert "  kb://{slug}\n" in ended.out
    assert "  resolution_prompt\n" in ended.out
    assert not (shell.data / "logs" / "customers.log").exists()


def test_one_server_is_described_in_json(bare: Shell):
    bare.servers(mine=bad())
    ended = bare.run("servers", "show", "mine", "--json")
    sheet = ended.document
    assert (ended.code, sheet["name"], sheet["transport"], sheet["is_running"]) == (0, "mine", "stdio", True)
    [echo] = [tool for tool in sheet["tools"] if tool["name"] == "echo"]
    assert (echo["effect"], echo["is_offered"], echo["bound"]) == ("unnamed", True, {})
    assert sheet["templates"] == [{"uri_template": "note://{name}", "description": ""}]


def test_a_server_that_is_not_configured_is_not_shown(bare: Shell):
    ended = bare.run("servers", "show", "nope", "--json")
    sentence = "There is no server 'nope'. Configured are: customers, ticketing."
    assert (ended.code, ended.document) == (2, {"error": sentence})


async def test_a_served_server_speaks_mcp_on_stdio(shell: Shell):
    parameters = StdioServerParameters(
        command=str(PROGRAM), args=["serve", "ticketing"], cwd=shell.work, env=dict(shell.environment)
    )
    with (shell.work / "stderr").open("w") as stderr, anyio.fail_after(DEADLINE_S):
        async with Client(stdio_client(parameters, errlog=stderr)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            read = await client.read_resource("ticket://42/record")
            closed = await client.call_tool(
                "close_ticket", {"ticket_id": "42", "resolution": "Hi, done. — Support Team"}
            )
    assert {"close_ticket", "list_tickets", "search_knowledge_base"} <= tools
    [contents] = read.contents
    assert isinstance(contents, mcp_types.TextResourceContents)
    assert json.loads(contents.text)["requester"] == "alice@example.com"
    assert closed.structured_content is not None
    assert (closed.structured_content["success"], closed.structured_content["closed_ticket_id"]) == (True, "42")
    shell.check_traces((shell.work / "stderr").read_text())


def test_a_server_that_is_not_configured_is_not_served(bare: Shell):
    ended = bare.run("serve", "nope")
    sentence = "There is no server 'nope'. Configured are: customers, ticketing."
    assert ended == Ended(code=2, out="", err=f"error: {sentence}\n")


def test_a_server_whose_command_is_missing_is_not_served(bare: Shell):
    bare.servers(mine={"command": "/nowhere/server"})
    ended = bare.run("serve", "mine")
    sentence = "mine cannot be started: /nowhere/server: no such file or directory."
    assert ended == Ended(code=2, out="", err=f"error: {sentence}\n")


def test_a_server_that_runs_elsewhere_is_not_served(bare: Shell):
    bare.servers(far={"type": "http", "url": "http://127.0.0.1:9/mcp"})
    ended = bare.run("serve", "far")
    sentence = "far runs elsewhere, at http://127.0.0.1:9/mcp: connect to it there."
    assert ended == Ended(code=2, out="", err=f"error: {sentence}\n")
