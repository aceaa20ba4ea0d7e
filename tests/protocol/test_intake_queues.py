"""Several processes over one queue: each ticket is worked by exactly one, and what one of them meets ends no other."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.errors import JournalError, TicketTaken
from agent.journal import RunRecord
from agent.records import Entry, EntryKind, JsonObject, ModelRequest, OutcomeKind, Reply, RunMode, RunReport
from agent.run import Finished, Run
from agent.tickets import QueueItem
from agent.triage import Triage, triage
from tests.fakes.helpdesk import ticket
from tests.fakes.hosting import until
from tests.fakes.processes import AtWork, Halt, killed_at, process
from tests.fakes.runs import ESCALATE, NOTE, Bench, bench, closes, does, says

NOTED = does((NOTE, {"body": "Looked at it."}))
ESCALATED = does((ESCALATE, {"reason": "A person must look."}))


class Escalating:
    """A model that hands every ticket to people, which leaves it as workable as before, by its status."""

    def __init__(self, halts: dict[str, Halt]) -> None:
        self._halts = halts

    @property
    def name(self) -> str:
        return "escalating"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        if len(request.messages) > 1:
            return Reply(content=[{"type": "text", "text": "So."}], stop_reason="end_turn", model="m", cost_usd=0.0)
        if halt := self._halts.get(about(request)):
            await halt()
        call = {"type": "tool_use", "id": "e", "name": ESCALATE, "input": {"reason": "A person must look."}}
        return Reply(content=[call], stop_reason="tool_use", model="m", cost_usd=0.0)

    async def aclose(self) -> None:
        pass


def about(request: ModelRequest) -> str:
    return str(request.messages[0]).split("ticket ")[1].split(".")[0]


@dataclass(kw_only=True)
class Watched:
    """Which customers are under way in any process, and whether one was ever twice."""

    at_work: Counter[str] = field(default_factory=Counter[str])
    overlaps: list[str] = field(default_factory=list[str])


class Shift:
    """A `triage-all` of one process: begins with what the queue holds at its start."""

    def __init__(
        self, desk: Bench, pid: int, *halted: str, watched: Watched | None = None, concurrency: int = 2
    ) -> None:
        self.halts = {ticket_id: Halt() for ticket_id in halted}
        self.intake = process(desk, pid, model=Escalating(self.halts))
        self.listed_at = datetime.now(UTC)
        self.reports: list[RunReport] = []
        self.finished = anyio.Event()
        self.waiting: list[QueueItem] = []
        self.refused: list[str] = []
        self._desk = desk
        self._watched = watched or Watched()
        self.state = Triage(
            prepare=self._prepare,
            work=self._work,
            release=self.intake.release,
            mode=RunMode.LIVE,
            model_name="escalating",
            concurrency=concurrency,
            on_report=lambda *_: None,
            on_skip=lambda *_: None,
        )

    @property
    def worked(self) -> list[str]:
        return [report.ticket_id for report in self.reports]

    async def read_queue(self) -> None:
        self.waiting = await self._desk.session.helpdesk.queue()

    async def run(self) -> None:
        self.reports = await triage(self.waiting, self.state)
        self.finished.set()

    async def _prepare(self, item: QueueItem) -> Run:
        try:
            return await self.intake.prepare(item.ticket_id, requester=item.requester, listed_at=self.listed_at)
        except TicketTaken:
            self.refused.append(item.ticket_id)
            raise

    async def _work(self, run: Run) -> Finished:
        customer, watched = run.case.ticket.requester, self._watched
        watched.at_work[customer] += 1
        watched.overlaps += [customer] if watched.at_work[customer] > 1 else []
        try:
            return await self.intake.work(run)
        finally:
            watched.at_work[customer] -= 1


def rows(*requesters: str) -> list[dict[str, Any]]:
    return [ticket(number, f"{name}@example.com") for number, name in enumerate(requesters, start=1)]


def acts(desk: Bench, count: int) -> list[list[str]]:
    return [desk.changes(str(number)) for number in range(1, count + 1)]


async def test_two_processes_share_a_queue_and_each_ticket_is_worked_once(home: Path):
    watched = Watched()
    names = ["ann", "bob", "ann", "cyd", "ann", "bob", "dan", "eve", "fay"]
    async with bench(home, rows=rows(*names)) as desk:
        shifts = [Shift(desk, pid, watched=watched) for pid in (11, 22)]
        for shift in shifts:
            await shift.read_queue()
        with anyio.fail_after(600):
            async with anyio.create_task_group() as both:
                for shift in shifts:
                    both.start_soon(shift.run)
        assert acts(desk, len(names)) == [["escalated"]] * len(names)
    assert sorted(shifts[0].worked + shifts[1].worked) == [str(number) for number in range(1, len(names) + 1)]
    assert watched.overlaps == []
    for shift in shifts:
        assert sorted([*shift.worked, *shift.state.skipped]) == [str(number) for number in range(1, len(names) + 1)]
        assert {report.outcome.kind for report in shift.reports} <= {OutcomeKind.ESCALATED}


async def test_a_customers_tickets_that_two_processes_reach_are_all_worked_one_after_another(home: Path):
    watched = Watched()
    async with bench(home, rows=rows("ann", "ann", "ann", "bob")) as desk:
        first, second = Shift(desk, 11, "1", "2", watched=watched), Shift(desk, 22, "4", watched=watched)
        await second.read_queue()
        first.waiting = second.waiting[:3]
        with anyio.fail_after(600):
            async with anyio.create_task_group() as both:
                both.start_soon(first.run)
                await first.halts["1"].reached.wait()
                both.start_soon(second.run)
                await second.halts["4"].reached.wait()
                await until(lambda: second.refused == ["1", "2", "3"])
                first.halts["1"].go_on.set()
                await first.halts["2"].reached.wait()
                second.halts["4"].go_on.set()
                await second.finished.wait()  # it has tried the rest again, in vain, and leaves it to the other
                first.halts["2"].go_on.set()
        assert acts(desk, 4) == [["escalated"]] * 4
    assert (first.worked, second.worked) == (["1", "2", "3"], ["4"])
    assert set(second.state.skipped) == {"1", "2", "3"}
    assert second.state.skipped["1"].startswith(
        "Ticket 1 was worked meanwhile by process 11 of ann on desk-1: escalated"
    )
    assert second.state.skipped["3"].startswith("Ticket 3 has to wait: ticket 2 of its customer is being worked by")
    assert first.state.skipped == {}
    assert watched.overlaps == []


async def test_what_the_other_process_has_left_open_is_worked_in_the_end(home: Path):
    async with bench(home, rows=rows("ann", "ann", "bob")) as desk:
        halt = Halt()
        intake = process(desk, 11, NOTED, closes(gate=halt))
        other = AtWork(intake, await intake.prepare("1"))
        await halt.reached.wait()
        shift = Shift(desk, 22, "3")
        await shift.read_queue()
        with anyio.fail_after(600):
            async with anyio.create_task_group() as both:
                both.start_soon(shift.run)
                await shift.halts["3"].reached.wait()
                await other.kill()
                shift.halts["3"].go_on.set()
        assert acts(desk, 3) == [["note_added", "escalated"], ["escalated"], ["escalated"]]
    assert shift.worked == ["1", "2", "3"]
    assert shift.state.skipped == {}


async def test_a_queue_that_others_have_whole_is_skipped_whole(home: Path):
    async with bench(home, rows=rows("ann", "ann")) as desk:
        halt = Halt()
        intake = process(desk, 11, NOTED, closes(gate=halt))
        other = AtWork(intake, await intake.prepare("1"))
        await halt.reached.wait()
        shift = Shift(desk, 22)
        await shift.read_queue()
        with anyio.fail_after(600):
            await shift.run()
        await other.kill()
    assert shift.reports == []
    assert set(shift.state.skipped) == {"1", "2"}
    assert "--take-over" not in "".join(shift.state.skipped.values())


async def test_a_run_of_the_queue_that_is_taken_over_ends_alone(home: Path):
    async with bench(home, rows=rows("ann", "bob", "cyd")) as desk:
        shift = Shift(desk, 11, "1")
        await shift.read_queue()
        with anyio.fail_after(600):
            async with anyio.create_task_group() as both:
                both.start_soon(shift.run)
                await shift.halts["1"].reached.wait()
                [run] = [run for run in await shift.intake.backlog() if run.ticket_id == "1"]
                taker = process(desk, 22, closes(), says())
                await AtWork(taker, await taker.resume(run.run_id, is_taken_over=True)).end()
                shift.halts["1"].go_on.set()
        assert acts(desk, 3) == [["closed"], ["escalated"], ["escalated"]]
    assert [report.outcome.kind.value for report in shift.reports] == ["unresolved", "escalated", "escalated"]
    run_id = shift.reports[0].run_id
    assert shift.reports[0].outcome.reason == (
        f"Run {run_id} was taken over by process 22 on desk-1 (user ann): this process does nothing more for it."
    )
    assert (shift.state.failure, shift.state.stopped) == (None, None)


async def test_when_nothing_can_be_recorded_nothing_further_is_started(home: Path, monkeypatch: pytest.MonkeyPatch):
    append = RunRecord.append

    async def full(record: RunRecord, kind: EntryKind, body: JsonObject, **more: Any) -> Entry:
        if kind is EntryKind.ATTEMPT:
            raise JournalError("The disk is full.")
        return await append(record, kind, body, **more)

    async with bench(home, rows=rows("ann", "bob", "cyd")) as desk:
        shift = Shift(desk, 11, concurrency=1)
        await shift.read_queue()
        monkeypatch.setattr(RunRecord, "append", full)
        with anyio.fail_after(600):
            await shift.run()
        assert acts(desk, 3) == [[], [], []]
        assert [run.ticket_id for run in await shift.intake.backlog()] == ["1"]
        for name in ("ann", "bob", "cyd"):
            customer = desk.journal.customer_hash(f"{name}@example.com")
            desk.locks.hold(customer=customer, ticket_id=name).release()
    assert [report.outcome.reason for report in shift.reports] == [
        "The disk is full.",
        "not started, because of an earlier failure: The disk is full.",
        "not started, because of an earlier failure: The disk is full.",
    ]
    assert isinstance(shift.state.failure, JournalError)


async def test_an_unfinished_run_that_another_process_finishes_meanwhile_is_skipped(home: Path):
    halt = Halt()
    async with bench(home, rows=rows("ann")) as desk:
        run_id = await killed_at(process(desk, 11, NOTED, ESCALATED, says(gate=halt)), halt, "1")
        shift = Shift(desk, 22)
        shift.waiting = [QueueItem(ticket_id="1", requester="", summary={})]
        shift.state.prepare = lambda _: shift.intake.resume(run_id)
        other = process(desk, 33, NOTED, ESCALATED, says())
        await AtWork(other, await other.resume(run_id)).end()
        with anyio.fail_after(600):
            await shift.run()
        assert acts(desk, 1) == [["note_added", "escalated"]]
    assert shift.reports == []
    assert shift.state.skipped == {"1": f"Run {run_id} of ticket 1 has ended already: escalated."}
