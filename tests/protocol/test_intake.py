"""Who works which ticket: what is refused and why, what is gone on with, and what becomes of whoever loses a run."""

import re
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from agent.errors import RunLost, RunNotFound, TicketNotWorkable, TicketTaken
from agent.intake import Intake
from agent.locks import Locks
from agent.records import OutcomeKind, RunMode
from agent.run import Run
from agent.settings import Settings
from tests.fakes.helpdesk import ticket
from tests.fakes.processes import AtWork, Halt, at_work, killed_at, process
from tests.fakes.runs import ESCALATE, NOTE, REPLY, Bench, bench, closes, does, says

ROWS = [
    ticket(42, "alice@example.com"),
    ticket(43, "bob@example.com"),
    ticket(45, "Alice@Example.com"),
]

NOTED = does((NOTE, {"body": "Looked at it."}))
REPLIED = does((REPLY, {"body": "Hi, which browser is it? — Support Team"}))
ESCALATED = does((ESCALATE, {"reason": "A person must look."}))


async def finished(intake: Intake, run: Run) -> OutcomeKind:
    return (await AtWork(intake, run).end()).report.outcome.kind


async def refused(intake: Intake, ticket_id: str = "42", *, is_fresh: bool = False) -> str:
    with pytest.raises(TicketTaken) as taken:
        await intake.prepare(ticket_id, is_fresh=is_fresh)
    return str(taken.value)


async def status_of(desk: Bench, run_id: str) -> OutcomeKind | None:
    return (await desk.journal.find(run_id)).outcome


# Another process is at it.


async def test_who_comes_second_is_told_who_has_the_ticket_and_how_to_take_it(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=halt), says()), halt)
        second = process(desk, 22)
        told = await refused(second)
        assert await refused(second, is_fresh=True) == told
        assert re.fullmatch(
            rf"Ticket 42 is being worked by process 11 of ann on desk-1 \(run {first.run_id}, "
            r"since \d{4}-\d\d-\d\d \d\d:\d\d UTC\)\. "
            rf"If it is gone or hangs: `support-agent runs resume {first.run_id} --take-over`\.",
            told,
        )
        with pytest.raises(TicketTaken) as taken:
            await second.resume(first.run_id)
        assert str(taken.value) == told
        halt.go_on.set()
        assert (await first.end()).report.outcome.kind is OutcomeKind.CLOSED
        assert desk.changes() == ["note_added", "closed"]


async def test_another_ticket_of_the_same_customer_has_to_wait(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=halt), says()), halt)
        second = process(desk, 22, closes(), says())
        told = await refused(second, "45")
        assert told.startswith("Ticket 45 has to wait: ticket 42 of its customer is being worked by process 11 of ann")
        assert "--take-over" not in told
        assert await finished(second, await second.prepare("43")) is OutcomeKind.CLOSED
        await first.kill()


async def test_who_has_only_prepared_a_ticket_is_named_too(home: Path):
    async with bench(home, rows=ROWS) as desk:
        first = process(desk, 11)
        run = await first.prepare("42")
        told = await refused(process(desk, 22))
        assert re.fullmatch(
            r"Ticket 42 is being worked by process 11 of ann on desk-1 \(since \d{4}-\d\d-\d\d \d\d:\d\d UTC\)\.", told
        )
        first.release(run)


async def test_of_two_unfinished_runs_of_a_customer_the_one_that_is_worked_is_named(home: Path):
    halts = [Halt(), Halt(), Halt()]
    async with bench(home, rows=ROWS) as desk:
        dead = await killed_at(process(desk, 11, NOTED, closes(gate=halts[0])), halts[0])
        await killed_at(process(desk, 12, NOTED, closes(gate=halts[1])), halts[1], "45")
        resumed = await at_work(process(desk, 13, NOTED, closes(gate=halts[2])), halts[2], "42")
        assert resumed.run_id == dead
        assert "ticket 42 of its customer is being worked by process 13" in await refused(process(desk, 14), "45")
        await resumed.kill()


# What was left unfinished.


async def test_an_unfinished_run_goes_on_by_itself_and_says_so(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        run_id = await killed_at(process(desk, 11, NOTED, closes(gate=halt)), halt)
        second = process(desk, 22, NOTED, closes(), says())
        run = await second.prepare("42")
        assert run.recorder.run_id == run_id
        assert desk.observer.notices == [f"resuming run {run_id}, 1 turn done"]
        assert await finished(second, run) is OutcomeKind.CLOSED
        assert desk.changes() == ["note_added", "closed"]


async def test_a_run_that_waits_for_the_customer_by_now_is_still_finished(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        run_id = await killed_at(process(desk, 11, REPLIED, says(gate=halt)), halt)
        assert desk.ticket().status == "pending"
        second = process(desk, 22, REPLIED, says())
        assert [run.run_id for run in await second.backlog()] == [run_id]
        assert await finished(second, await second.resume(run_id)) is OutcomeKind.PENDING
        assert desk.changes() == ["replied"]


async def test_a_run_that_has_ended_cannot_be_resumed(home: Path):
    async with bench(home, rows=ROWS) as desk:
        intake = process(desk, 11, closes(), says())
        run = await intake.prepare("42")
        await finished(intake, run)
        with pytest.raises(RunNotFound) as ended:
            await intake.resume(run.recorder.run_id)
        assert str(ended.value) == f"Run {run.recorder.run_id} of ticket 42 has ended already: closed."


async def test_a_dry_run_goes_on_as_a_dry_run_only(home: Path):
    halt, dry = Halt(), RunMode.DRY_RUN
    async with bench(home, rows=ROWS) as desk:
        planned = await killed_at(process(desk, 11, NOTED, closes(gate=halt), mode=dry), halt)
        live = process(desk, 12, closes(), says())
        assert await live.backlog(RunMode.LIVE) == []
        run = await live.prepare("42")
        assert run.recorder.run_id != planned
        assert await finished(live, run) is OutcomeKind.CLOSED
        assert await status_of(desk, planned) is None
        again = process(desk, 13, NOTED, closes(), says(), mode=dry)
        run = await again.prepare("42")
        assert run.recorder.run_id == planned
        assert await finished(again, run) is OutcomeKind.UNRESOLVED  # it is closed by now: its plan is of yesterday
        assert desk.changes() == ["closed"]


async def test_a_dry_run_that_is_resumed_by_its_name_stays_one(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        run_id = await killed_at(process(desk, 11, NOTED, closes(gate=halt), mode=RunMode.DRY_RUN), halt)
        intake = process(desk, 12, NOTED, closes(), says())
        run = await intake.resume(run_id)
        assert run.mode is RunMode.DRY_RUN
        assert await finished(intake, run) is OutcomeKind.PLANNED
        assert desk.changes() == []


async def test_a_live_run_leaves_no_ticket_to_a_dry_one_meanwhile(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=halt)), halt)
        told = await refused(process(desk, 22, mode=RunMode.DRY_RUN))
        assert f"(run {first.run_id}, " in told
        await first.kill()


async def test_starting_over_ends_the_unfinished_run_and_begins_another(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        old = await killed_at(process(desk, 11, NOTED, closes(gate=halt)), halt)
        second = process(desk, 22, ESCALATED, says())
        run = await second.prepare("42", is_fresh=True)
        assert run.recorder.run_id != old
        assert desk.observer.notices == [f"cancelled run {old}, 1 turn done"]
        ended = await desk.journal.find(old)
        assert (ended.outcome, ended.reason) == (OutcomeKind.UNRESOLVED, "Cancelled by ann: a new run was asked for.")
        assert await finished(second, run) is OutcomeKind.ESCALATED
        assert desk.changes() == ["note_added", "escalated"]


# Locks that cannot be seen.


async def test_a_run_of_another_lock_folder_is_taken_over_only_when_a_person_says_so(
    home: Path, tmp_path: Path, journal_settings: Settings
):
    halt, shared = Halt(), {name: getattr(journal_settings, name) for name in ("journal", "journal_key")}
    async with bench(home, rows=ROWS, settings=lambda own: own.model_copy(update=shared)) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=halt), machine="far-away"), halt)
        second = process(desk, 22, NOTED, ESCALATED, says(), locks=Locks(tmp_path / "locks"))
        assert await second.backlog() == []
        told = await refused(second)
        assert told == (
            "Ticket 42 has an unfinished run of process 11 of ann on far-away, with another data folder: whether that "
            "process still works it cannot be seen from here. "
            f"If it is gone or hangs: `support-agent runs resume {first.run_id} --take-over`."
        )
        assert await refused(second, is_fresh=True) == told
        with pytest.raises(TicketTaken, match="another data folder"):
            await second.resume(first.run_id)
        run = await second.resume(first.run_id, is_taken_over=True)
        assert await finished(second, run) is OutcomeKind.ESCALATED
        halt.go_on.set()
        with pytest.raises(RunLost):
            await first.end()
        assert desk.changes() == ["note_added", "escalated"]


# A run that is taken over.


async def test_the_newest_claim_wins_whatever_the_two_models_say(home: Path):
    frozen, halt = Halt(), Halt()
    async with bench(home, rows=ROWS) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=frozen)), frozen)
        second = process(desk, 22, NOTED, ESCALATED, says(gate=halt))
        run = await second.resume(first.run_id, is_taken_over=True)
        taking = AtWork(second, run)
        await halt.reached.wait()
        frozen.go_on.set()
        with pytest.raises(RunLost) as lost:
            await first.end()
        assert str(lost.value) == (
            f"Run {first.run_id} was taken over by process 22 on desk-1 (user ann): "
            "this process does nothing more for it."
        )
        halt.go_on.set()
        assert (await taking.end()).report.outcome.kind is OutcomeKind.ESCALATED
        assert desk.changes() == ["note_added", "escalated"]


async def test_who_has_taken_a_run_over_has_its_locks_too_when_the_other_lets_go(home: Path):
    frozen, halt = Halt(), Halt()
    async with bench(home, rows=ROWS) as desk:
        first = await at_work(process(desk, 11, NOTED, closes(gate=frozen)), frozen)
        second = process(desk, 22, NOTED, ESCALATED, says(gate=halt))
        taking = AtWork(second, await second.resume(first.run_id, is_taken_over=True))
        await halt.reached.wait()
        assert second._held == {}
        await first.kill()
        with anyio.fail_after(600):
            while first.run_id not in second._held:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.01)
        third = process(desk, 33)
        told = await refused(third)
        assert f"is being worked by process 22 of ann on desk-1 (run {first.run_id}, " in told
        assert "ticket 42 of its customer is being worked by process 22 of ann" in await refused(third, "45")
        halt.go_on.set()
        await taking.end()
        desk.locks.hold(customer=desk.journal.customer_hash("alice@example.com"), ticket_id="42").release()


async def test_a_run_is_not_taken_over_while_its_customers_other_ticket_is_worked(home: Path):
    halts = [Halt(), Halt()]
    async with bench(home, rows=ROWS) as desk:
        dead = await killed_at(process(desk, 11, NOTED, closes(gate=halts[0])), halts[0])
        other = await at_work(process(desk, 12, NOTED, closes(gate=halts[1])), halts[1], "45")
        with pytest.raises(TicketTaken, match="Ticket 42 has to wait: ticket 45 of its customer"):
            await process(desk, 13).resume(dead, is_taken_over=True)
        await other.kill()


async def test_a_run_is_not_taken_over_while_another_one_of_its_ticket_is_worked(home: Path):
    halts = [Halt(), Halt()]
    async with bench(home, rows=ROWS) as desk:
        dead = await killed_at(process(desk, 11, NOTED, closes(gate=halts[0])), halts[0])
        dry = await at_work(process(desk, 12, NOTED, closes(gate=halts[1]), mode=RunMode.DRY_RUN), halts[1])
        with pytest.raises(TicketTaken, match=rf"by process 12 of ann on desk-1 \(run {dry.run_id}, "):
            await process(desk, 13).resume(dead, is_taken_over=True)
        await dry.kill()


async def test_what_was_lost_is_no_longer_told_as_left_behind(home: Path):
    halt = Halt()
    async with bench(home, rows=ROWS) as desk:
        intake = process(desk, 11, NOTED, closes(gate=halt))
        first = await at_work(intake, halt)
        assert list(intake.active) == [first.run_id]
        second = process(desk, 22, NOTED, ESCALATED, says())
        await finished(second, await second.resume(first.run_id, is_taken_over=True))
        halt.go_on.set()
        with pytest.raises(RunLost):
            await first.end()
        assert intake.active == {}


# A ticket that was listed.


@pytest.mark.parametrize("mode", [RunMode.LIVE, RunMode.DRY_RUN])
async def test_a_listed_ticket_that_another_run_has_ended_since_waits_no_more(home: Path, mode: RunMode):
    async with bench(home, rows=ROWS) as desk:
        listed_at = datetime.now(UTC)
        first = process(desk, 11, ESCALATED, says())
        run = await first.prepare("42", listed_at=listed_at)
        await finished(first, run)
        assert desk.ticket().status == "open"  # with the people: by its status alone it could be worked again
        second = process(desk, 22, ESCALATED, says(), mode=mode)
        with pytest.raises(TicketNotWorkable) as worked:
            await second.prepare("42", listed_at=listed_at)
        assert str(worked.value) == (
            f"Ticket 42 was worked meanwhile by process 11 of ann on desk-1: escalated (run {run.recorder.run_id})."
        )
        assert (await second.prepare("42", listed_at=datetime.now(UTC))).recorder.run_id != run.recorder.run_id


async def test_a_listed_ticket_that_was_only_planned_or_cancelled_meanwhile_is_still_worked(home: Path):
    halt, listed_at = Halt(), datetime.now(UTC)
    async with bench(home, rows=ROWS) as desk:
        dry = process(desk, 11, closes(), says(), mode=RunMode.DRY_RUN)
        await finished(dry, await dry.prepare("42", listed_at=listed_at))
        live = process(desk, 12, NOTED, closes(gate=halt))
        await live.cancel(await killed_at(live, halt), because="not now")
        second = process(desk, 22, closes(), says())
        assert await finished(second, await second.prepare("42", listed_at=listed_at)) is OutcomeKind.CLOSED


async def test_a_ticket_whose_requester_changes_while_it_is_taken_is_not_worked_under_the_wrong_customer(home: Path):
    async with bench(home, rows=ROWS) as desk:
        with pytest.raises(TicketTaken, match="has just been given to another customer"):
            await process(desk, 11).prepare("42", requester="bob@example.com")
        for customer in ("alice@example.com", "bob@example.com"):
            desk.locks.hold(customer=desk.journal.customer_hash(customer), ticket_id="42").release()
