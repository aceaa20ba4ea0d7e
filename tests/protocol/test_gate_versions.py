"""Writes against a ticket that others write to as well: versions, rereading, and what a run may read at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.models.scripted import Call, ScriptedModel, Turn
from agent.records import EntryKind, ModelRequest, OutcomeKind, Reply, RunMode
from servers.ticketing.tables import SCHEMA
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, NOTE, RESOLUTION, bench, closes, does, says

REREAD = ("read_resource", {"uri": "ticket://42"})
PRIORITY = ("ticketing__set_priority", {"priority": "low"})


def before_reply(number: int, act: Callable[[], None], turns: list[Turn]) -> ScriptedModel:
    """A model during whose n-th reply somebody does something."""
    asked = 0

    class Interrupted(ScriptedModel):
        async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
            nonlocal asked
            asked += 1
            if asked == number:
                act()
            return await super().reply(request, on_text)

    return Interrupted(turns)


async def test_a_run_knows_the_version_that_each_of_its_writes_left(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(
            does((NOTE, {"body": "one"}), PRIORITY), does((NOTE, {"body": "two"})), closes(), says()
        )
        assert desk.ticket().version == 5
    versions = [body["arguments"]["expected_version"] for body in worked.bodies(EntryKind.ATTEMPT)]
    assert versions == [1, 2, 3, 4]
    assert worked.statuses == ["done"] * 4


async def test_a_write_over_somebody_elses_is_not_made_and_shows_how_the_ticket_reads_now(home: Path):
    async with bench(home) as desk:
        worked = await desk.work(model=before_reply(1, desk.by_colleague, [closes(), closes(), says()]))
        assert desk.changes() == ["note_added", "closed"]
    assert worked.statuses == ["failed", "done"]
    assert worked.told(0).startswith("Not done: ticket 42 has changed since you read it.")
    assert "I am on it." in worked.told(0)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_writes_that_were_asked_for_together_are_all_held_back_when_the_ticket_has_moved(home: Path):
    async with bench(home) as desk:
        turns = [does((NOTE, {"body": "x"}), PRIORITY), closes(), says()]
        worked = await desk.work(model=before_reply(1, desk.by_colleague, turns))
        assert desk.changes() == ["note_added", "closed"]
    assert worked.statuses == ["failed", "failed", "done"]


async def test_reading_something_else_does_not_count_as_reading_the_ticket_again(home: Path):
    other = ("read_resource", {"uri": "kb://login"})
    async with bench(home) as desk:
        turns = [does(other), closes(), does(REREAD), closes(), says()]
        worked = await desk.work(model=before_reply(1, desk.by_colleague, turns))
    assert worked.statuses == ["done", "failed", "done", "done"]


async def test_a_write_asked_for_together_with_the_reading_was_decided_without_it(home: Path):
    async with bench(home) as desk:
        turns = [does(REREAD, (CLOSE, {"resolution": RESOLUTION})), closes(), says()]
        worked = await desk.work(model=before_reply(1, desk.by_colleague, turns))
        assert desk.changes() == ["note_added", "closed"]
    assert worked.statuses == ["done", "failed", "done"]


async def test_a_reading_before_ones_own_write_does_not_make_the_run_forget_its_version(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(REREAD, (NOTE, {"body": "x"})), closes(), says())
    assert worked.statuses == ["done", "done", "done"]
    assert [body["arguments"]["expected_version"] for body in worked.bodies(EntryKind.ATTEMPT)] == [1, 2]


async def test_a_ticket_that_is_gone_in_the_middle_of_a_run_leaves_it_unresolved_with_what_it_did(home: Path):
    async with bench(home) as desk:

        def vanish() -> None:
            with desk.tickets.database.writing() as connection:
                for table in reversed(SCHEMA.metadata.sorted_tables):
                    connection.execute(table.delete())

        worked = await desk.work(model=before_reply(2, vanish, [does((NOTE, {"body": "x"})), does(REREAD)]))
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason == "Ticket 42 is gone since this run began."
    assert [effect.status.value for effect in worked.report.effects] == ["done"]
    assert worked.finished.failure is not None


# What may be read.


@pytest.mark.parametrize(
    "uri",
    ["ticket://42", "ticket://%34%32", "customer://alice@example.com", "customer://alice%40example.com", "kb://login"],
)
async def test_the_runs_own_and_the_public_resources_can_be_read(home: Path, uri: str):
    async with bench(home) as desk:
        worked = await desk.play(does(("read_resource", {"uri": uri})), closes(), says())
    assert worked.statuses == ["done", "done"]
    assert worked.told(0).startswith("# ")


@pytest.mark.parametrize(
    "uri",
    [
        "ticket://43",
        "ticket://%34%33",
        "ticket://42%2F..%2F43",
        "ticket://42/../43",
        "ticket://42/record",
        "ticket://42?x=43",
        "ticket://42#43",
        "ticket://list",
        "ticket://LIST",
        "TICKET://42",
        "ticket://",
        "ticket://42\x00",
        " ticket://42",
        "ticket://\uff14\uff12",
        "customer://bob@example.com",
        "customer://bob%40example.com",
        "customer://alice@example.com/record",
        "file:///etc/passwd",
        "kb://..",
        "kb://%2e%2e",
        "",
    ],
)
async def test_nothing_else_can_be_read_however_it_is_written(home: Path, uri: str):
    rows = [ticket(42, "alice@example.com"), ticket(43, "bob@example.com", body="The secret of Bob.")]
    async with bench(home, rows=rows) as desk:
        worked = await desk.play(does(("read_resource", {"uri": uri})), closes(), says())
    assert worked.statuses == ["denied", "done"]
    assert "Only this run's own ticket and customer" in worked.told(0)
    assert "Bob" not in worked.told(0)


async def test_an_article_that_does_not_exist_is_a_result(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(("read_resource", {"uri": "kb://nowhere"})), closes(), says())
    assert worked.statuses == ["failed", "done"]
    assert "There is no article kb://nowhere" in worked.told(0)


async def test_reads_of_a_dry_run_are_real(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(REREAD), closes(), says(), mode=RunMode.DRY_RUN)
    assert "The text of ticket 42." in worked.told(0)


async def test_a_reread_of_the_requesters_other_ticket_is_for_the_search_not_for_the_uri(home: Path):
    calls: list[Any] = [
        Call(name="read_resource", arguments={"uri": "ticket://44"}),
        Call(name="ticketing__search_tickets", arguments={"query": "old question"}),
    ]
    async with bench(home) as desk:
        worked = await desk.play(does(*calls), closes(), says())
    by_status = dict(zip(worked.statuses, [worked.told(0), worked.told(1)], strict=False))
    assert set(by_status) == {"denied", "done"}
    assert "Old question" in by_status["done"]
