"""What commands that work tickets stand on: servers, journal, locks, a model; one run or many; what is printed."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from agent import approval
from agent.account import this_process
from agent.assembly import Assembly
from agent.commands.frame import Frame
from agent.commands.runs import pause_json
from agent.errors import JournalError, Paused
from agent.intake import Intake
from agent.journal import Journal, Pause, open_journal
from agent.locks import Locks
from agent.models import load_model
from agent.planning import Plan, plan_of
from agent.protocols import Approver, Operator
from agent.records import JsonObject, OutcomeKind, RunMode, RunReport
from agent.render import LiveView, PlainView, QueueRow, QueueView, SilentView, show_notice, show_plan, show_queue
from agent.render.desk import Desk, Pausable
from agent.render.figures import count
from agent.render.plans import PlanRow, show_plans
from agent.render.questions import DecliningOperator, TerminalApprover, TerminalOperator
from agent.run import Run
from agent.session import open_session
from agent.settings import Settings
from agent.tickets import QueueItem
from agent.triage import Triage, triage


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """How tickets are worked, once it is known what the command line and the files say."""

    settings: Settings
    model: str
    mode: RunMode
    approve: str | None  # ask, never, always; None: ask where a person is


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A ticket that waits to be worked, and how its run is had."""

    item: QueueItem
    prepare: Callable[[], Awaitable[Run]]


async def one_run(frame: Frame, staging: Staging, prepare: Callable[[Intake], Awaitable[Run]]) -> int:
    """Work the run that `prepare` gives, show it as it happens, and return the exit code."""
    with view_of(frame) as view:
        async with opened_intake(frame, staging, view) as intake:
            run = await prepare(intake)
            finished = await intake.work(run)
            intake.release(run)
            plans = {} if frame.is_json else await _plans(intake, [finished.report])
            pause = None if finished.failure is None else await _paused(intake)
    show_run(frame, finished.report, plans)
    if frame.is_json and pause is not None and not isinstance(finished.failure, Paused):
        show_notice(frame.err, pause.sentence)  # a view says it at once
    if finished.failure is not None:
        raise finished.failure
    return 0 if _has_outcome(finished.report) else 1


async def many_runs(
    frame: Frame,
    staging: Staging,
    waiting: Callable[[Intake], Awaitable[Sequence[Waiting]]],
    *,
    concurrency: int,
    budget_usd: float | None = None,
) -> int:
    """Work the tickets that `waiting` gives, show a table of what came of them, and return the exit code."""
    began = time.monotonic()
    queue_view = QueueView(frame.out)
    view = SilentView() if frame.is_json else queue_view
    with view:
        async with opened_intake(frame, staging, view) as intake:
            await intake.journal.check_going()
            queue = {one.item.ticket_id: one for one in await waiting(intake)}
            queue_view.expect(len(queue))
            state = Triage(
                prepare=lambda item: queue[item.ticket_id].prepare(),
                work=intake.work,
                release=intake.release,
                mode=staging.mode,
                model_name=intake.assembly.model.name,
                concurrency=concurrency,
                budget_usd=budget_usd,
                on_report=lambda item, report: (
                    None if frame.is_json else queue_view.finished(report, requester=item.requester)
                ),
                on_skip=lambda _, because: None if frame.is_json else queue_view.skipped(because),
            )
            reports = await triage([one.item for one in queue.values()], state)
            plans = {} if frame.is_json else await _plans(intake, reports)
            pause = await _paused(intake)
    duration_s = time.monotonic() - began
    if frame.is_json:
        frame.print_json({**_queue_json(reports, state, duration_s), "paused": pause_json(pause)})
    else:
        place = {report.ticket_id: number for number, report in enumerate(reports)}
        rows = sorted(queue_view.rows, key=lambda row: place[row.report.ticket_id])
        _show_rows(frame, staging, rows, plans, duration_s=duration_s, skipped=len(state.skipped))
    failure = None if any(_has_outcome(report) for report in reports) else state.failure
    if pause is not None and not frame.is_json and not isinstance(failure, Paused):
        show_notice(frame.out, f"{pause.sentence} Then the same command goes on with what is left.")
    if failure is not None:
        raise failure
    return 0 if all(_has_outcome(report) for report in reports) else 1


def _has_outcome(report: RunReport) -> bool:
    return report.outcome.kind is not OutcomeKind.UNRESOLVED


async def _paused(intake: Intake) -> Pause | None:
    try:
        return await intake.journal.paused()
    except JournalError:
        return None  # it is what the runs have failed of, and is told as such


def view_of(frame: Frame) -> SilentView | LiveView | PlainView:
    """Return the view of one run, as the terminal, the pipe or the JSON reader wants it."""
    if frame.is_json:
        return SilentView()
    # Frames and moving rows would tear each other.
    return LiveView(frame.out) if frame.out.is_terminal and frame.trace is None else PlainView(frame.out)


def show_run(frame: Frame, report: RunReport, plans: Mapping[str, Plan]) -> None:
    """Print what is to be printed when a run is over, beside what its view has shown; `plans` are by run id."""
    if frame.is_json:
        frame.print_json(report.as_json())
    elif plan := plans.get(report.run_id):
        show_plan(frame.out, plan)


def _show_rows(
    frame: Frame,
    staging: Staging,
    rows: Sequence[QueueRow],
    plans: Mapping[str, Plan],
    *,
    duration_s: float,
    skipped: int,
) -> None:
    if staging.mode is RunMode.DRY_RUN:
        planned = [_plan_row(row, plans.get(row.report.run_id)) for row in rows]
        show_plans(frame.out, planned, duration_s=duration_s, skipped=skipped)
    else:
        show_queue(frame.out, rows, duration_s=duration_s, skipped=skipped)


async def _plans(intake: Intake, reports: Sequence[RunReport]) -> dict[str, Plan]:
    """Return the plans of those runs that only plan, by run id."""
    planning = [report.run_id for report in reports if report.mode.is_planning and report.run_id]
    recorded = {run_id: await intake.journal.entries(run_id) for run_id in planning}
    return {run_id: plan_of(entries) for run_id, entries in recorded.items() if entries}


def _plan_row(row: QueueRow, plan: Plan | None) -> PlanRow:
    """Return a ticket's plan as a row; of one for which no run was begun, why not."""
    if plan is not None and plan.outcome is not None:
        return PlanRow.of(plan)
    report = row.report
    return PlanRow(
        ticket_id=report.ticket_id,
        run_id=report.run_id,
        cost_usd=report.cost_usd,
        subject=row.subject,
        would_end=report.outcome.kind.value,
        remark=report.outcome.reason,
    )


@asynccontextmanager
async def opened_intake(
    frame: Frame, staging: Staging, view: SilentView | LiveView | PlainView | QueueView
) -> AsyncGenerator[Intake]:
    """Start the servers, open the journal and load the model, all at once; yield the intake over them."""
    # The longest imports, the model's SDK, the journal's and the policy's, happen in threads while the servers start.
    loading = asyncio.create_task(asyncio.to_thread(load_model, staging.model, staging.settings))
    opening = asyncio.create_task(asyncio.to_thread(_opened, staging.settings))
    try:
        async with open_session(staging.settings, view, is_strict=not frame.has_person, trace=frame.trace) as session:
            journal, locks = await opening
            try:
                approver, operator = _person(frame, staging.approve, view)
                # Before the first ticket is touched: a policy with a mistake in it is none.
                await asyncio.to_thread(lambda: session.policies)
                assembly = Assembly(
                    session=session,
                    model=await loading,
                    approver=approver,
                    operator=operator,
                    owner=this_process(locks.place_id),
                )
                async with _watched_for_interruption(frame, assembly, journal, locks, staging.mode) as intake:
                    yield intake
                await assembly.model.aclose()
            finally:
                await journal.aclose()
    finally:
        loading.cancel()
        opening.cancel()


@asynccontextmanager
async def _watched_for_interruption(
    frame: Frame, assembly: Assembly, journal: Journal, locks: Locks, mode: RunMode
) -> AsyncGenerator[Intake]:
    intake = Intake(assembly=assembly, journal=journal, locks=locks, mode=mode)
    # What start-up made stays: from here on the collector looks only at what runs make.
    gc.freeze()
    gc.enable()
    try:
        yield intake
    except asyncio.CancelledError:
        frame.interrupted(_left_behind(intake))
        raise


def _opened(settings: Settings) -> tuple[Journal, Locks]:
    import_module("agent.policies.engine")  # needed as soon as the servers have said what they offer
    return open_journal(settings), Locks(settings.home / "locks")


def _person(frame: Frame, approve: str | None, view: Pausable) -> tuple[Approver, Operator]:
    """Return who answers for the person: the terminal where there is one, else the standing answers."""
    desk = Desk(frame.out, view) if frame.has_person else None
    operator = DecliningOperator() if desk is None else TerminalOperator(desk)
    if approve == "always":
        show_notice(frame.err, "Every call that needs a person's approval gets it (--approve always).")
        return approval.always(), operator
    if approve == "never":
        return approval.never("approvals are switched off"), operator
    return approval.never() if desk is None else TerminalApprover(desk), operator


def _queue_json(reports: list[RunReport], state: Triage, duration_s: float) -> JsonObject:
    counts = {kind.value: sum(report.outcome.kind is kind for report in reports) for kind in OutcomeKind}
    return {
        "runs": [report.as_json() for report in reports],
        "skipped": [{"ticket_id": ticket_id, "reason": reason} for ticket_id, reason in state.skipped.items()],
        "totals": {**counts, "cost_usd": state.cost_usd, "duration_s": round(duration_s, 3)},
    }


def _left_behind(intake: Intake) -> Iterator[str]:
    # What has no message yet has no record either: there is nothing to go on with.
    for run in (run for run in intake.active.values() if run.messages):
        in_flight = ", ".join(sorted(run.ledger.in_flight.values()))
        told = f" In flight: {in_flight}." if in_flight else ""
        yield (
            f"Ticket {run.case.ticket.id} was left after {count(run.ledger.turns, 'turn')}.{told} "
            f"`support-agent runs resume {run.recorder.run_id}` goes on from there."
        )
