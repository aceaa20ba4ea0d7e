"""What the ticketing server offers and says unasked: its tools, its notifications, and nothing about its inside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import CallToolResult, ResourceUpdatedNotification
from sqlalchemy import text as sql

from servers.calls import HelpdeskServer, structured
from servers.ticketing.results import Closed
from tests.fakes.helpdesk import ERAS, TicketDesk, call, read, refusal_of, ticket_desk

ARGUMENTS = {
    "list_tickets": ["status", "priority", "assignee", "group", "requester", "tag", "cursor", "limit"],
    "search_tickets": ["requester", "query", "limit"],
    "search_knowledge_base": ["query", "limit"],
    "summarize_ticket": ["ticket_id"],
    "set_priority": ["ticket_id", "priority", "expected_version"],
    "classify_ticket": [
        "ticket_id", "type", "category", "language", "sentiment", "tags", "confidence", "expected_version",
    ],
    "add_internal_note": ["ticket_id", "body", "marker", "expected_version"],
    "reply_to_customer": ["ticket_id", "body", "expected_version"],
    "close_ticket": ["ticket_id", "resolution", "expected_version"],
    "escalate_ticket": ["ticket_id", "reason", "priority", "expected_version"],
    "import_tickets": ["tickets"],
    "receive_customer_reply": ["ticket_id", "body"],
}  # fmt: skip
READS = {"list_tickets", "search_tickets", "search_knowledge_base", "summarize_ticket"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_every_tool_describes_itself_its_arguments_and_its_result(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {name: list(tool.input_schema["properties"]) for name, tool in tools.items()} == ARGUMENTS
    for tool in tools.values():
        assert tool.title
        assert "Use it" in (tool.description or "")
        assert "Returns" in (tool.description or "")
        assert tool.input_schema["additionalProperties"] is False
        assert all(schema.get("description") for schema in tool.input_schema["properties"].values())
        assert tool.output_schema is not None


async def test_annotations_tell_reads_from_writes(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name in READS)
        assert tool.annotations.open_world_hint is False


async def test_the_server_introduces_itself(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        assert (client.protocol_version >= "2026-07-28") is (era == "auto")
        templates = (await client.list_resource_templates()).resource_templates
        assert client.server_info is not None
        assert (client.server_info.name, bool(client.server_info.version)) == ("ticketing", True)
        assert "close_ticket" in (client.instructions or "")
    assert {template.uri_template for template in templates} == {
        "ticket://{ticket_id}",
        "ticket://{ticket_id}/record",
        "kb://{slug}",
    }


CHANGED = ["ticket://42", "ticket://42/record", "ticket://list"]


async def test_a_listener_of_the_modern_era_hears_of_each_change_once(desk: TicketDesk):
    heard: list[str] = []
    async with Client(desk.server, mode="auto") as client:
        with anyio.fail_after(600):
            async with client.listen(resource_subscriptions=[*CHANGED, "ticket://43"]) as events:
                await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
                await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
                await call(client, "close_ticket", ticket_id="42", resolution="Hi.")
                await call(client, "set_priority", ticket_id="43", priority="low")
                async for event in events:
                    assert isinstance(event, ResourceUpdated)
                    heard.append(event.uri)
                    if event.uri == "ticket://43":
                        break
    assert heard == [*CHANGED, "ticket://43"]


async def test_a_client_of_the_legacy_era_hears_of_each_change_once(desk: TicketDesk):
    heard: list[str] = []
    last = anyio.Event()

    async def on_message(message: IncomingMessage) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))
            if len(heard) == 6:
                last.set()

    async with Client(desk.server, mode="legacy", message_handler=on_message) as client:
        await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
        await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
        await call(client, "set_priority", ticket_id="43", priority="low")
        with anyio.fail_after(600):
            await last.wait()
    assert heard == [*CHANGED, "ticket://43", "ticket://43/record", "ticket://list"]


async def test_an_import_reports_its_progress(desk: TicketDesk, era: str):
    seen: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    arrivals = [{"subject": "s", "body": "b", "requester": "c@example.com"}] * 3
    async with Client(desk.server, mode=era) as client:
        await client.call_tool("import_tickets", {"tickets": arrivals}, progress_callback=on_progress)
    assert seen == [(0, 3), (3, 3)]


async def test_a_broken_database_shows_nothing_of_its_inside(desk: TicketDesk, era: str):
    with desk.store.database.writing() as connection:
        connection.execute(sql("DROP TABLE ticket_messages"))
        connection.execute(sql("ALTER TABLE tickets RENAME TO gone"))
    said: list[str] = []
    calls: list[tuple[str, dict[str, Any]]] = [
        ("close_ticket", {"ticket_id": "42", "resolution": "x"}),
        ("list_tickets", {}),
        ("summarize_ticket", {"ticket_id": "42"}),
    ]
    async with Client(desk.server, mode=era) as client:
        for tool, arguments in calls:
            said.append(refusal_of(await call(client, tool, **arguments)))
        for uri in ("ticket://42", "ticket://42/record", "ticket://list"):
            with pytest.raises(MCPError) as caught:
                await read(client, uri)
            said.append(json.dumps([caught.value.message, caught.value.data]))
        with pytest.raises(MCPError) as caught:
            await client.get_prompt("resolution_prompt", {"ticket_id": "42"})
        said.append(json.dumps([caught.value.message, caught.value.data]))
    for sentence in said:
        for inside in ("sql", "no such table", "select", "traceback", "tickets.number", str(desk.folder.parent)):
            assert inside not in sentence.lower()


async def test_a_result_that_breaks_its_schema_is_not_blamed_on_the_arguments():
    async def odd() -> Annotated[CallToolResult, Closed]:
        """Use it never."""
        return structured({"success": "perhaps"})

    server = HelpdeskServer("odd")
    server.add_tool(odd)
    async with Client(server) as client:
        assert refusal_of(await call(client, "odd")) == "Error executing tool odd"


async def test_a_lone_surrogate_is_refused_like_any_wrong_text(desk: TicketDesk):
    async with Client(desk.server) as client:
        result = await call(client, "close_ticket", ticket_id="42", resolution="\ud83d")
        record: dict[str, Any] = json.loads(await read(client, "ticket://42/record"))
    assert "resolution" in refusal_of(result)
    assert record["status"] == "new"
