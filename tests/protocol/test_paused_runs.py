"""Runs while all are paused: none begins, those under way stop before their next write, and go on later."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.errors import ModelUnavailable, Paused
from agent.models.scripted import Call, ScriptedModel, Turn
from agent.records import EntryKind, OutcomeKind, RunMode
from agent.replay import replay
from tests.fakes.runs import CLOSE, NOTE, RESOLUTION, Bench, Person, Worked, bench, closes, does, says

NOTED = does((NOTE, {"body": "Looked at it."}))
READ_AND_CLOSED = does(
    Call(name="ticketing__search_knowledge_base", arguments={"query": "log in"}),
    Call(name=CLOSE, arguments={"resolution": RESOLUTION}),
)
CHANGED = does(("customers__update_account", {"plan": "free"}))
DOWN = says(unavailable="The model is down.")


def pausing(desk: Bench) -> Callable[[], Awaitable[object]]:
    """Return what pauses all runs when it is awaited."""
    return lambda: desk.journal.pause(by="dana", reason="maintenance")


async def stopped_between_two_writes(desk: Bench) -> Worked:
    """A run that has written a note when all are paused, and that then reads something and wants to close."""
    return await desk.play(NOTED, after(pausing(desk), READ_AND_CLOSED))


def after(gate: Callable[[], Awaitable[object]], turn: Turn) -> Turn:
    """The same turn, once that has happened."""
    return does(*turn.calls, gate=gate)


# ── none begins ──


@pytest.mark.parametrize("mode", RunMode)
async def test_no_run_begins_whatever_its_mode_and_nothing_is_read(home: Path, mode: RunMode):
    async with bench(home) as desk:
        await desk.journal.pause(by="dana", reason="maintenance")
        for ticket_id in ("42", "no such ticket"):
            with pytest.raises(Paused, match=r"^All runs are paused since .* UTC by dana: maintenance\. "):
                await desk.prepare(ticket_id, model=ScriptedModel([]), mode=mode)
        assert await desk.journal.runs() == []
        await desk.journal.unpause()
        assert (await desk.play(closes(), says())).report.outcome.kind is OutcomeKind.CLOSED


async def test_a_run_that_has_read_its_case_and_recorded_nothing_is_none(home: Path):
    async with bench(home) as desk:
        run = await desk.prepare(model=ScriptedModel([]))
        await desk.journal.pause(by="dana")
        with pytest.raises(Paused):
            await desk.finish(run)
        assert await desk.journal.runs() == []
        await desk.journal.unpause()
        assert (await desk.play(closes(), says())).report.outcome.kind is OutcomeKind.CLOSED


async def test_an_unfinished_run_is_not_gone_on_with_and_can_be_cancelled(home: Path):
    async with bench(home) as desk:
        worked = await stopped_between_two_writes(desk)
        run_id, intake = worked.report.run_id, desk.intake(model=ScriptedModel([]))
        for again in (intake.resume(run_id), intake.resume(run_id, is_taken_over=True), intake.prepare("42")):
            with pytest.raises(Paused):
                await again
        report = await intake.cancel(run_id, because="wrong customer")
        assert report.outcome.kind is OutcomeKind.UNRESOLVED
        assert report.outcome.reason.endswith(": wrong customer.")
        assert await desk.journal.paused() is not None


# ── those under way ──


async def test_a_run_stops_before_its_next_write_and_goes_on_from_there(home: Path):
    async with bench(home) as desk:
        worked = await stopped_between_two_writes(desk)
        pause = await desk.journal.paused()
        assert pause is not None
        assert isinstance(worked.finished.failure, Paused)
        assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
        assert worked.report.outcome.reason == pause.sentence
        assert worked.bodies(EntryKind.STOPPED) == [{"reason": pause.sentence, "is_failure": False}]
        assert worked.about("ticketing.search_knowledge_base")[-1] is EntryKind.RESULT
        assert EntryKind.ATTEMPT not in worked.about("ticketing.close_ticket")
        assert worked.run.ledger.in_flight == {}
        assert desk.changes() == ["note_added"]

        await desk.journal.unpause()
        went_on = await desk.play(NOTED, READ_AND_CLOSED, says())
        assert went_on.report.run_id == worked.report.run_id
        assert went_on.report.outcome.kind is OutcomeKind.CLOSED
        assert desk.changes() == ["note_added", "closed"]
        assert [verified.is_sound for verified in await desk.journal.verify()] == [True]
        assert (await replay(went_on.entries, desk.session.settings)).is_same


async def test_a_run_that_has_ended_its_ticket_before_the_pause_has_its_outcome(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(), after(pausing(desk), NOTED))
        assert worked.report.outcome.kind is OutcomeKind.CLOSED
        assert worked.finished.failure is None
        assert desk.changes() == ["closed"]


async def test_a_yes_that_comes_during_the_pause_is_good_for_the_call_after_it(home: Path):
    async with bench(home) as desk:
        asked, nobody = Person(meanwhile=pausing(desk)), Person(grants=False)
        worked = await desk.play(CHANGED, approver=asked)
        assert isinstance(worked.finished.failure, Paused)
        assert len(asked.proposals) == 1
        assert worked.report.effects == ()

        await desk.journal.unpause()
        went_on = await desk.play(CHANGED, closes(), says(), approver=nobody)
        assert nobody.proposals == []
        assert [(effect.tool, effect.status.value) for effect in went_on.report.effects] == [
            ("update_account", "done"),
            ("close_ticket", "done"),
        ]


async def test_a_dry_run_that_is_under_way_comes_to_its_plan(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(NOTED, after(pausing(desk), READ_AND_CLOSED), says(), mode=RunMode.DRY_RUN)
        assert worked.report.outcome.kind is OutcomeKind.PLANNED
        assert desk.changes() == []


# ── the breaker ──


async def test_the_breaker_says_at_once_that_it_has_paused_all_runs(home: Path):
    async with bench(home, limits={"failures_in_a_row": 2}) as desk:
        for ticket_id in ("42", "43"):
            assert desk.observer.notices == []
            worked = await desk.play(DOWN, ticket_id=ticket_id)
            assert isinstance(worked.finished.failure, ModelUnavailable)
            assert worked.bodies(EntryKind.STOPPED) == [{"reason": "The model is down.", "is_failure": True}]
        pause = await desk.journal.paused()
        assert pause is not None
        assert pause.is_by_breaker
        assert "2 runs in a row were stopped by infrastructure, the last by: The model is down." in pause.sentence
        assert desk.observer.notices == [pause.sentence]
        with pytest.raises(Paused, match="The failure breaker"):
            await desk.prepare("42", model=ScriptedModel([]))


async def test_a_run_that_comes_to_its_outcome_between_failures_keeps_the_breaker_still(home: Path):
    async with bench(home, limits={"failures_in_a_row": 2}) as desk:
        await desk.play(DOWN)
        await desk.play(closes(), says(), ticket_id="43")
        await desk.play(DOWN)
        assert await desk.journal.paused() is None
