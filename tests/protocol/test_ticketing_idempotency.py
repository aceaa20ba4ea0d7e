"""One key, one effect: whatever is sent again, by whom and in which era."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from servers.calls import VOIDED
from servers.database import open_database
from servers.ticketing.server import create_server
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA
from tests.databases import NewDatabase
from tests.fakes.helpdesk import ERAS, TicketDesk, call, read, refusal_of, ticket_desk

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("set_priority", {"ticket_id": "42", "priority": "low"}),
    (
        "classify_ticket",
        {"ticket_id": "42", "type": "task", "category": "a", "language": "en", "sentiment": "neutral"},
    ),
    ("add_internal_note", {"ticket_id": "42", "body": "x"}),
    ("reply_to_customer", {"ticket_id": "42", "body": "x"}),
    ("close_ticket", {"ticket_id": "42", "resolution": "x"}),
    ("escalate_ticket", {"ticket_id": "42", "reason": "x"}),
    ("receive_customer_reply", {"ticket_id": "42", "body": "x"}),
    ("import_tickets", {"tickets": [{"subject": "s", "body": "b", "requester": "c@example.com"}]}),
]


@pytest.fixture
def desk(tmp_path: Path, new_database: NewDatabase) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path, url=new_database(SCHEMA)) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


async def everything(client: Client) -> list[Any]:
    listed = await call(client, "list_tickets")
    ids = [ticket["id"] for ticket in listed.structured_content["tickets"]]
    return [json.loads(await read(client, f"ticket://{ticket_id}/record")) for ticket_id in ids]


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
async def test_the_same_call_again_returns_the_first_result_and_changes_nothing(
    desk: TicketDesk, era: str, tool: str, arguments: dict[str, Any]
):
    async with Client(desk.server, mode=era) as client:
        first = await call(client, tool, key="k", **arguments)
        after = await everything(client)
        again = await call(client, tool, key="k", **arguments)
        assert await everything(client) == after
    assert not first.is_error
    assert (again.structured_content, again.content) == (first.structured_content, first.content)


async def test_a_key_still_answers_when_the_ticket_has_long_moved_on(desk: TicketDesk):
    async with Client(desk.server) as client:
        first = await call(client, "add_internal_note", key="k", ticket_id="42", body="x", expected_version=1)
        await call(client, "close_ticket", ticket_id="42", resolution="Hi.")
        again = await call(client, "add_internal_note", key="k", ticket_id="42", body="x", expected_version=1)
    assert again.structured_content == first.structured_content


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("close_ticket", {"ticket_id": "42", "resolution": "other"}),
        ("close_ticket", {"ticket_id": "43", "resolution": "x"}),
        ("close_ticket", {"ticket_id": "42", "resolution": "x", "expected_version": 1}),
        ("reply_to_customer", {"ticket_id": "42", "body": "x"}),
    ],
)
async def test_a_key_of_another_call_is_refused(desk: TicketDesk, era: str, tool: str, arguments: dict[str, Any]):
    async with Client(desk.server, mode=era) as client:
        await call(client, "close_ticket", key="k", ticket_id="42", resolution="x")
        after = await everything(client)
        assert "used for another call" in refusal_of(await call(client, tool, key="k", **arguments))
        assert await everything(client) == after


async def test_without_a_key_a_call_acts_every_time(desk: TicketDesk):
    async with Client(desk.server) as client:
        for _ in range(2):
            await call(client, "add_internal_note", ticket_id="42", body="x")
        record = json.loads(await read(client, "ticket://42/record"))
    assert [message["body"] for message in record["messages"][1:]] == ["x", "x"]


async def test_a_refused_call_leaves_its_key_unused(desk: TicketDesk):
    async with Client(desk.server) as client:
        refused = await call(client, "close_ticket", key="k", ticket_id="42", resolution=" ")
        done = await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
    assert refused.is_error
    assert not done.is_error


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
async def test_a_voided_key_never_acts(desk: TicketDesk, era: str, tool: str, arguments: dict[str, Any]):
    async with Client(desk.server, mode=era) as client:
        before = await everything(client)
        voided = await call(client, tool, key="k", is_void=True, **arguments)
        once_more = await call(client, tool, key="k", is_void=True, **arguments)
        late = await call(client, tool, key="k", **arguments)
        assert await everything(client) == before
    for result in (voided, once_more):
        assert "is cancelled" in refusal_of(result)
        assert result.meta is not None
        assert result.meta[VOIDED] is True
    assert "cancelled before it was made" in refusal_of(late)


async def test_voiding_a_used_key_returns_the_first_result(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        first = await call(client, "close_ticket", key="k", ticket_id="42", resolution="x")
        voided = await call(client, "close_ticket", key="k", is_void=True, ticket_id="42", resolution="x")
    assert voided.structured_content == first.structured_content
    assert not voided.is_error


async def test_void_without_a_key_is_refused(desk: TicketDesk):
    async with Client(desk.server) as client:
        result = await call(client, "close_ticket", is_void=True, ticket_id="42", resolution="x")
        assert "send its key too" in refusal_of(result)
        assert json.loads(await read(client, "ticket://42/record"))["status"] == "new"


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 256, 7, ["k"]])
async def test_a_key_that_is_no_key_is_refused_before_anything_happens(desk: TicketDesk, key: object):
    async with Client(desk.server) as client:
        result = await call(client, "close_ticket", key=key, ticket_id="42", resolution="x")
        assert "1 to 255 characters" in refusal_of(result)
        assert json.loads(await read(client, "ticket://42/record"))["status"] == "new"


async def test_the_same_key_sent_twenty_times_at_once_acts_once(desk: TicketDesk, era: str):
    versions: list[int] = []

    async with Client(desk.server, mode=era) as client:

        async def note() -> None:
            result = await call(client, "add_internal_note", key="k", ticket_id="42", body="x")
            versions.append(result.structured_content["version"])

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(note)
        record = json.loads(await read(client, "ticket://42/record"))
    assert versions == [2] * 20
    assert len(record["messages"]) == 2


async def test_two_servers_on_one_database_honour_each_others_keys(desk: TicketDesk):
    other = TicketStore(open_database(desk.url, SCHEMA))
    async with Client(desk.server) as one, Client(create_server(other, desk.folder)) as two:
        first = await call(one, "close_ticket", key="k", ticket_id="42", resolution="x")
        again = await call(two, "close_ticket", key="k", ticket_id="42", resolution="x")
    other.database.close()
    assert again.structured_content == first.structured_content


async def test_no_schema_that_the_model_sees_mentions_keys(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        tools = (await client.list_tools()).tools
    assert len(tools) == 12
    for tool in tools:
        shown = json.dumps([tool.description, tool.input_schema, tool.output_schema]).lower()
        assert "idempot" not in shown
        assert "void" not in shown
