"""What each write does to a ticket, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import Implementation

from servers.ticketing.tables import SCHEMA
from tests.databases import NewDatabase
from tests.fakes.helpdesk import ERAS, TicketDesk, call, read, refusal_of, ticket, ticket_desk


@pytest.fixture
def desk(tmp_path: Path, new_database: NewDatabase) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path, url=new_database(SCHEMA)) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


async def record(client: Client, ticket_id: str = "42") -> dict[str, Any]:
    return json.loads(await read(client, f"ticket://{ticket_id}/record"))


CLASSES: dict[str, Any] = {
    "type": "incident",
    "category": "login",
    "language": "en",
    "sentiment": "negative",
    "tags": ["Login", "mac"],
    "confidence": 0.9,
}


async def test_closing_a_ticket_stores_the_resolution_and_returns_the_new_version(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "close_ticket", ticket_id="42", resolution="  Hi, done.  ")
        after = await record(client)
    assert result.structured_content == {
        "success": True,
        "closed_ticket_id": "42",
        "status": "closed",
        "version": 2,
    }
    assert (after["status"], after["resolution"], after["version"]) == ("closed", "Hi, done.", 2)


async def test_closing_a_closed_ticket_says_that_it_is_closed(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "close_ticket", ticket_id="44", resolution="Hi.")
    assert refusal_of(result).startswith("Ticket 44 is already closed")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_priority", {"priority": "low"}),
        ("classify_ticket", CLASSES),
        ("add_internal_note", {"body": "x"}),
        ("reply_to_customer", {"body": "x"}),
        ("escalate_ticket", {"reason": "x"}),
        ("receive_customer_reply", {"body": "x"}),
    ],
)
async def test_no_write_changes_a_closed_ticket(desk: TicketDesk, tool: str, arguments: dict[str, Any]):
    async with Client(desk.server) as client:
        before = await record(client, "44")
        refusal = refusal_of(await call(client, tool, ticket_id="44", **arguments))
        assert refusal.startswith("Ticket 44 is closed")
        assert await record(client, "44") == before


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_priority", {"priority": "low"}),
        ("classify_ticket", CLASSES),
        ("add_internal_note", {"body": "x"}),
        ("reply_to_customer", {"body": "x"}),
        ("close_ticket", {"resolution": "x"}),
        ("escalate_ticket", {"reason": "x"}),
    ],
)
async def test_a_stale_version_is_refused_with_the_current_one_and_a_way_on(
    desk: TicketDesk, tool: str, arguments: dict[str, Any]
):
    async with Client(desk.server) as client:
        await call(client, "add_internal_note", ticket_id="42", body="first", expected_version=1)
        before = await record(client)
        refusal = refusal_of(await call(client, tool, ticket_id="42", expected_version=1, **arguments))
        assert "version 2" in refusal
        assert "read the ticket again" in refusal
        assert await record(client) == before
        accepted = await call(client, tool, ticket_id="42", expected_version=2, **arguments)
        assert accepted.structured_content["version"] == 3


@pytest.mark.parametrize("ticket_id", ["999", "", "042", "-1", "4 2", "٤٢", "42; drop", "9" * 40, "x" * 5000])
async def test_an_unknown_id_is_refused(desk: TicketDesk, ticket_id: str):
    async with Client(desk.server) as client:
        refusal = refusal_of(await call(client, "close_ticket", ticket_id=ticket_id, resolution="x"))
    assert refusal.startswith("There is no ticket")
    assert len(refusal) < 300


@pytest.mark.parametrize(
    ("tool", "argument", "longest"),
    [
        ("close_ticket", "resolution", 5_000),
        ("reply_to_customer", "body", 10_000),
        ("add_internal_note", "body", 10_000),
        ("escalate_ticket", "reason", 10_000),
        ("receive_customer_reply", "body", 10_000),
    ],
)
async def test_a_text_is_bounded_after_its_space_is_gone(desk: TicketDesk, tool: str, argument: str, longest: int):
    async with Client(desk.server) as client:
        for bad, word in (("", "empty"), (" \n\t ", "empty"), ("x" * (longest + 1), "shorten"), ("a\0b", "NUL")):
            arguments: dict[str, Any] = {"ticket_id": "42", argument: bad}
            assert word in refusal_of(await call(client, tool, **arguments))
        assert (await record(client))["version"] == 1
        padded: dict[str, Any] = {"ticket_id": "42", argument: f"  {'x' * longest}\n"}
        assert not (await call(client, tool, **padded)).is_error


async def test_a_wrong_word_is_refused_with_the_right_ones(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        refusal = refusal_of(await call(client, "set_priority", ticket_id="42", priority="asap"))
    assert "'low', 'normal', 'high' or 'urgent'" in refusal
    assert "pydantic" not in refusal


async def test_an_argument_that_the_tool_does_not_have_is_refused_by_name(desk: TicketDesk):
    async with Client(desk.server) as client:
        refusal = refusal_of(await call(client, "close_ticket", ticket_id="42", resolution="x", force=True))
        assert "no argument force" in refusal
        assert (await record(client))["status"] == "new"


async def test_a_missing_argument_is_refused_by_name(desk: TicketDesk):
    async with Client(desk.server) as client:
        refusal = refusal_of(await call(client, "close_ticket", ticket_id="42"))
    assert "resolution: Field required" in refusal


async def test_a_reply_makes_the_ticket_pending_and_joins_the_conversation(desk: TicketDesk):
    async with Client(desk.server) as client:
        result = await call(client, "reply_to_customer", ticket_id="42", body="Which device?")
        after = await record(client)
    assert result.structured_content == {"ticket_id": "42", "status": "pending", "version": 2}
    assert (after["messages"][-1]["kind"], after["messages"][-1]["body"]) == ("public_reply", "Which device?")


@pytest.mark.parametrize(
    ("before", "after"), [("new", "new"), ("open", "open"), ("pending", "open"), ("hold", "open"), ("solved", "open")]
)
async def test_what_the_customer_writes_opens_a_ticket_that_waited(
    tmp_path: Path, new_database: NewDatabase, before: str, after: str
):
    with ticket_desk(tmp_path, [ticket(42, "alice@example.com", status=before)], url=new_database(SCHEMA)) as desk:
        async with Client(desk.server) as client:
            result = await call(client, "receive_customer_reply", ticket_id="42", body="The Mac.")
            message = (await record(client))["messages"][-1]
    assert result.structured_content == {"ticket_id": "42", "status": after, "version": 2}
    assert (message["author"], message["kind"]) == ("alice@example.com", "customer")


async def test_a_reply_to_a_closed_ticket_says_what_to_do_with_it(desk: TicketDesk):
    async with Client(desk.server) as client:
        refusal = refusal_of(await call(client, "receive_customer_reply", ticket_id="44", body="Still broken"))
    assert "import the customer's text as a new ticket" in refusal


async def test_escalating_hands_the_ticket_to_people_with_the_reason_as_a_note(desk: TicketDesk):
    async with Client(desk.server) as client:
        result = await call(client, "escalate_ticket", ticket_id="43", reason="A lawyer.", priority="urgent")
        after = await record(client, "43")
    assert result.structured_content == {
        "ticket_id": "43",
        "status": "open",
        "group": "people",
        "priority": "urgent",
        "version": 2,
    }
    assert (after["group"], after["status"], after["priority"]) == ("people", "open", "urgent")
    assert (after["messages"][-1]["kind"], after["messages"][-1]["body"]) == ("internal_note", "A lawyer.")


async def test_escalating_without_a_priority_keeps_the_old_one(desk: TicketDesk):
    async with Client(desk.server) as client:
        await call(client, "escalate_ticket", ticket_id="42", reason="x")
        assert (await record(client))["priority"] == "high"


async def test_a_classification_is_recorded_and_its_tags_replace_the_old_ones(desk: TicketDesk):
    async with Client(desk.server) as client:
        result = await call(client, "classify_ticket", ticket_id="42", **CLASSES)
        after = await record(client)
    assert result.structured_content == {**CLASSES, "tags": ["login", "mac"], "ticket_id": "42", "version": 2}
    assert {name: after[name] for name in CLASSES} == {**CLASSES, "tags": ["login", "mac"]}


async def test_a_classification_without_tags_keeps_them(desk: TicketDesk):
    without = {name: value for name, value in CLASSES.items() if name != "tags"}
    async with Client(desk.server) as client:
        await call(client, "classify_ticket", ticket_id="42", **without)
        assert (await record(client))["tags"] == ["login"]


@pytest.mark.parametrize("confidence", [-0.1, 1.1])
async def test_a_confidence_outside_0_to_1_is_refused(desk: TicketDesk, confidence: float):
    async with Client(desk.server) as client:
        result = await call(client, "classify_ticket", ticket_id="42", **{**CLASSES, "confidence": confidence})
    assert "confidence" in refusal_of(result)


async def test_a_note_with_the_same_marker_is_replaced_and_others_stay(desk: TicketDesk):
    async with Client(desk.server) as client:
        await call(client, "add_internal_note", ticket_id="42", body="plain")
        first = await call(client, "add_internal_note", ticket_id="42", body="draft 1", marker="draft")
        await call(client, "add_internal_note", ticket_id="42", body="other", marker="other")
        second = await call(client, "add_internal_note", ticket_id="42", body="draft 2", marker="draft")
        after = await record(client)
    assert [first.structured_content["replaced"], second.structured_content["replaced"]] == [False, True]
    assert [message["body"] for message in after["messages"][1:]] == ["plain", "other", "draft 2"]
    assert after["events"][-1]["before"] == {"note": "draft 1"}


async def test_every_change_leaves_an_event_that_says_who_when_and_what(desk: TicketDesk, era: str):
    who = Implementation(name="support-agent", version="1")
    async with Client(desk.server, mode=era, client_info=who) as client:
        await call(client, "set_priority", key="run/1/a", ticket_id="42", priority="urgent")
        await call(client, "close_ticket", ticket_id="42", resolution="Hi.")
        after = await record(client)
    created, urgent, closed = after["events"]
    assert created["kind"] == "created"
    assert urgent == {
        "at": urgent["at"],
        "actor": "support-agent",
        "kind": "priority_set",
        "before": {"priority": "high"},
        "after": {"priority": "urgent"},
        "key": "run/1/a",
    }
    assert closed["before"] == {"status": "new", "resolution": None}
    assert created["at"] <= urgent["at"] <= closed["at"] == after["updated_at"]


async def test_of_twenty_concurrent_closes_one_wins(desk: TicketDesk, era: str):
    results: list[bool] = []

    async with Client(desk.server, mode=era) as client:

        async def close(number: int) -> None:
            result = await call(client, "close_ticket", ticket_id="42", resolution=f"Hi, {number}.")
            results.append(not result.is_error)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(close, number)
        after = await record(client)
    assert results.count(True) == 1
    assert len(results) == 20
    assert after["version"] == 2


async def test_64_concurrent_writes_and_reads_are_all_served(desk: TicketDesk):
    async with Client(desk.server) as client:

        async def note(number: int) -> None:
            await call(client, "add_internal_note", ticket_id="42", body=f"note {number}")
            await read(client, "ticket://43")

        with anyio.fail_after(600):
            async with anyio.create_task_group() as group:
                for number in range(64):
                    group.start_soon(note, number)
        after = await record(client)
    assert after["version"] == 65
    assert {message["body"] for message in after["messages"][1:]} == {f"note {number}" for number in range(64)}


async def test_imported_tickets_get_ids_in_order_and_stand_in_the_queue(desk: TicketDesk, era: str):
    arrivals = [
        {"subject": "One", "body": "First.", "requester": "carol@example.com"},
        {
            "subject": "Two",
            "body": "Second.",
            "requester": "dave@example.com",
            "priority": "urgent",
            "created_at": "2026-01-02T10:00:00+02:00",
            "tags": ["VIP"],
        },
    ]
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "import_tickets", tickets=arrivals)
        two = await record(client, "46")
    assert result.structured_content == {"ids": ["45", "46"], "version": 1}
    assert two["created_at"] == "2026-01-02T08:00:00.000Z"
    assert (two["status"], two["priority"], two["tags"], two["group"]) == ("new", "urgent", ["vip"], "support")
    assert [message["body"] for message in two["messages"]] == ["Second."]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"requester": "nobody"}, "e-mail address"),
        ({"body": " "}, "body is empty"),
        ({"created_at": "yesterday"}, "no time"),
        ({"priority": "asap"}, "priority"),
        ({"id": "7"}, "id"),
    ],
)
async def test_one_bad_ticket_keeps_all_of_an_import_out(desk: TicketDesk, change: dict[str, Any], word: str):
    good = {"subject": "One", "body": "First.", "requester": "carol@example.com"}
    async with Client(desk.server) as client:
        assert word in refusal_of(await call(client, "import_tickets", tickets=[good, {**good, **change}]))
        listed = await call(client, "list_tickets", requester="carol@example.com")
    assert listed.structured_content["tickets"] == []
