"""Ends that would come too early, writes that would leave too late, and what a run must not forget on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.calling import LiveCalls
from agent.errors import Paused, ServerLost
from agent.models.scripted import ScriptedModel, Turn
from agent.recall import recall
from agent.records import CallStatus, Effect, Entry, EntryKind, OutcomeKind, RunMode, ToolResult
from agent.settings import ToolSettings
from tests.fakes.applies import NOTED, PRIORITY, apply, begin, planned
from tests.fakes.runs import CLOSE, NOTE, REPLY, Bench, Person, Worked, bench, closes, does, says
from tests.protocol.test_moving import Meanwhile

LEAK = "Hi, please write to bob@example.com instead. — Support Team"
DOWN = says(unavailable="overloaded")


def pausing_after(desk: Bench, kind: EntryKind) -> Callable[[str, Entry], None]:
    """Return what pauses all runs as soon as an entry of this kind is recorded."""
    store = desk.journal._desk.store  # pyright: ignore[reportPrivateUsage]

    def paused(_: str, entry: Entry) -> None:
        if entry.kind is kind:
            store.pause(by="dana", reason=None)

    return paused


# An end that comes too early.


async def test_a_draft_run_whose_model_is_gone_after_a_planned_end_still_leaves_its_note(home: Path):
    async with bench(home) as desk:
        model = ScriptedModel([closes(), DOWN, says()])
        stopped = await desk.finish(await desk.prepare(model=model, mode=RunMode.DRAFT))
        assert stopped.failure is not None
        worked = await desk.work(model=model, mode=RunMode.DRAFT)
        assert len(desk.notes()) == 1
    assert worked.report.outcome.kind is OutcomeKind.DRAFTED


async def test_a_draft_run_that_is_paused_before_its_note_leaves_it_later(home: Path):
    async with bench(home) as desk:
        turns = [closes(), says(gate=lambda: desk.journal.pause(by="dana", reason=None))]
        first = await desk.work(model=ScriptedModel(turns), mode=RunMode.DRAFT)
        assert isinstance(first.finished.failure, Paused)
        await desk.journal.unpause()
        worked = await desk.work(model=ScriptedModel([]), mode=RunMode.DRAFT)
        assert len(desk.notes()) == 1
    assert worked.report.run_id == first.report.run_id
    assert worked.report.outcome.kind is OutcomeKind.DRAFTED


async def test_an_apply_that_is_paused_before_its_hand_over_hands_over_later(home: Path):
    async with bench(home) as desk:
        replied = (REPLY, {"body": "Hi, we are at it. — Support Team"})
        plan = await planned(desk, does(replied), does((PRIORITY, {})), closes(), says())
        run = await begin(desk, plan)
        desk.observer.on_entry = pausing_after(desk, EntryKind.HANDOVER)
        finished = await desk.finish(run)
        assert isinstance(finished.failure, Paused)
        desk.observer.on_entry = lambda _ticket, _entry: None
        await desk.journal.unpause()
        worked = await apply(desk, plan)
        assert desk.changes() == ["replied", "escalated"]
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_an_apply_whose_server_is_gone_goes_on_when_it_is_back(home: Path, monkeypatch: pytest.MonkeyPatch):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        with monkeypatch.context() as patch:

            async def lost(*_: Any, **__: Any) -> ToolResult:
                raise ServerLost("ticketing", "ticketing has ended.")

            patch.setattr(LiveCalls, "call", lost)
            first = await apply(desk, plan)
            assert first.finished.failure is not None
        worked = await apply(desk, plan)
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_close_of_its_own_that_nobody_answered_is_not_someone_elses(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    real = LiveCalls.call

    async def unanswered(self: LiveCalls, *args: Any, **options: Any) -> ToolResult:
        await real(self, *args, **options)
        return ToolResult.saying(CallStatus.UNCERTAIN, "Its fate is unknown.")

    async with bench(home) as desk:
        monkeypatch.setattr(LiveCalls, "call", unanswered)
        worked = await desk.work(model=ScriptedModel([closes(), closes("Hi, again. — Support Team")]))
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


# A write that leaves too late, or unasked.


async def test_a_run_that_was_claimed_before_the_pause_makes_no_call_again_in_it(home: Path):
    class Killed(BaseException):
        pass

    def dies(_: str, entry: Entry) -> None:
        if entry.kind is EntryKind.ATTEMPT:
            raise Killed

    async with bench(home) as desk:
        model = ScriptedModel([closes(), says()])
        run = await desk.prepare(model=model)
        desk.observer.on_entry = dies
        with pytest.raises(Killed):
            await desk.finish(run)
        desk.observer.on_entry = lambda _ticket, _entry: None
        again = await desk.prepare(model=model)
        await desk.journal.pause(by="dana", reason=None)
        with pytest.raises(Paused):
            await desk.finish(again)
        assert desk.changes() == []
        await desk.journal.unpause()
        await desk.work(model=model)
        assert desk.changes() == ["closed"]


async def test_a_draft_that_needs_a_yes_is_not_put_there_without_one(home: Path):
    person = Person(grants=False)
    unnamed = ToolSettings(effect=Effect.UNNAMED, bind={"ticket_id": "ticket.id"})
    async with bench(home, tools={"ticketing.add_internal_note": unnamed}) as desk:
        worked = await desk.play(closes(), says(), mode=RunMode.DRAFT, approver=person)
        assert desk.notes() == []
    assert len(person.proposals) == 1
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED


# What was read, and is forgotten.


async def test_an_id_that_a_moved_ticket_shows_is_somebodys(home: Path):
    async with bench(home) as desk:
        turns = [closes(), closes("Hi, it is INV-9001. — Support Team"), closes(), says()]
        moved: dict[int, Callable[[], object]] = {1: lambda: desk.by_colleague("Same as INV-9001 of bob@example.com.")}
        worked = await desk.work(model=Meanwhile(turns, moved))
    assert worked.statuses == ["failed", "failed", "done"]


async def test_a_run_that_goes_on_knows_the_versions_that_it_knew_when_it_was_stopped(home: Path):
    untold = ToolSettings(effect=Effect.WRITE, bind={"ticket_id": "ticket.id"})
    async with bench(home, tools={"ticketing.add_internal_note": untold}) as desk:
        worked = await desk.play(does((NOTE, {"body": "x"})), does((CLOSE, {"nonsense": 1})), DOWN)
    assert worked.statuses == ["done", "failed"]
    assert recall(worked.entries).ledger.versions == worked.run.ledger.versions


# A text that may not leave, where it is told of.


MOVES = does((NOTE, {"body": "A colleague writes after this."}))


def told(worked: Worked) -> str:
    return str([effect.as_json()["arguments"] for effect in worked.report.effects])


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param([does((CLOSE, {"resolution": LEAK, "mood": "good"})), closes(), says()], id="unusable"),
        pytest.param([closes(), does((NOTE, {"body": LEAK})), says()], id="denied by the policy"),
        pytest.param([does(*[(CLOSE, {"resolution": LEAK})] * 5), closes(), says()], id="repeated"),
        pytest.param([MOVES, closes(LEAK), closes(), says()], id="moved"),
    ],
)
async def test_a_report_has_no_text_that_might_not_leave_whatever_it_was_refused_for(home: Path, turns: list[Turn]):
    async with bench(home) as desk:
        acts: dict[int, Callable[[], object]] = {2: desk.by_colleague} if turns[0] is MOVES else {}
        worked = await desk.work(model=Meanwhile(turns, acts))
    assert "bob@example.com" not in told(worked)
