"""`run` and `triage-all`: tickets worked, and what is printed about it."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from agent import approval
from agent.commands.frame import Frame
from agent.configuration import load_here
from agent.loop import Finished, Run
from agent.models import OFFLINE, load_model, model_name
from agent.protocols import Approver, Model, Observer, Operator
from agent.records import JsonObject, OutcomeKind, RunMode, RunReport
from agent.render import LiveView, PlainView, QueueView, SilentView, show_notice, show_plan, show_queue
from agent.render.desk import Desk, Pausable
from agent.render.figures import count
from agent.render.questions import DecliningOperator, TerminalApprover, TerminalOperator
from agent.session import Session, open_session
from agent.settings import Settings
from agent.triage import Triage, triage


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkOptions:
    """How tickets are worked, as the command line says it."""

    is_dry_run: bool
    model: str | None
    approve: str | None  # ask, never, always; None: ask where a person is

    @property
    def mode(self) -> RunMode:
        """Whether writes are made."""
        return RunMode.DRY_RUN if self.is_dry_run else RunMode.LIVE


async def run_ticket(frame: Frame, ticket_id: str, options: WorkOptions) -> int:
    """Work one ticket, show it as it happens, and return the exit code."""
    settings = load_here(model=options.model)
    name = _announced_model(frame, settings, options)
    with _view(frame) as view:
        async with _session(frame, settings, name, view) as (session, model):
            approver, operator = _person(frame, options, view)
            run = await session.prepare(ticket_id, model=model, mode=options.mode, approver=approver, operator=operator)
            finished = await _worked(session, run)
    _show_run(frame, finished.report, settings)
    if finished.failure is not None:
        raise finished.failure
    return 1 if finished.report.outcome.kind is OutcomeKind.UNRESOLVED else 0


def _view(frame: Frame) -> SilentView | LiveView | PlainView:
    if frame.is_json:
        return SilentView()
    # Frames and moving rows would tear each other.
    return LiveView(frame.out) if frame.out.is_terminal and frame.trace is None else PlainView(frame.out)


async def run_queue(
    frame: Frame, options: WorkOptions, *, concurrency: int, limit: int | None, budget_usd: float | None
) -> int:
    """Work the waiting tickets, show a table of what came of them, and return the exit code."""
    settings = load_here(model=options.model)
    name = _announced_model(frame, settings, options)
    began = time.monotonic()
    queue_view = QueueView(frame.out)
    view = SilentView() if frame.is_json else queue_view
    with view:
        async with _session(frame, settings, name, view) as (session, model):
            approver, operator = _person(frame, options, view)
            queue = await session.helpdesk.queue(limit)
            queue_view.expect(len(queue))
            state = Triage(
                prepare=partial(session.prepare, model=model, mode=options.mode, approver=approver, operator=operator),
                work=partial(_worked, session),
                mode=options.mode,
                model_name=name,
                concurrency=concurrency,
                budget_usd=budget_usd,
                on_report=lambda item, report: (
                    None if frame.is_json else queue_view.finished(report, requester=item.requester)
                ),
            )
            reports = await triage(queue, state)
    duration_s = time.monotonic() - began
    if frame.is_json:
        frame.print_json(_queue_json(reports, state, duration_s))
    else:
        place = {report.ticket_id: number for number, report in enumerate(reports)}
        rows = sorted(queue_view.rows, key=lambda row: place[row.report.ticket_id])
        show_queue(frame.out, rows, duration_s=duration_s)
    is_any_reached = any(report.outcome.kind is not OutcomeKind.UNRESOLVED for report in reports)
    if state.failure is not None and not is_any_reached:
        raise state.failure
    return 1 if any(report.outcome.kind is OutcomeKind.UNRESOLVED for report in reports) else 0


@asynccontextmanager
async def _session(
    frame: Frame, settings: Settings, name: str, view: Observer
) -> AsyncGenerator[tuple[Session, Model]]:
    # The model's SDK is the longest import: it happens in a thread while the servers start.
    loading = asyncio.create_task(asyncio.to_thread(load_model, name, settings))
    try:
        async with open_session(settings, view, trace=frame.trace) as session:
            model = await loading
            # What start-up made stays: from here on the collector looks only at what runs make.
            gc.freeze()
            gc.enable()
            try:
                yield session, model
            except asyncio.CancelledError:
                frame.interrupted(_left_behind(session))
                raise
            await model.aclose()
    finally:
        loading.cancel()


async def _worked(session: Session, run: Run) -> Finished:
    return await session.work(run)


def _announced_model(frame: Frame, settings: Settings, options: WorkOptions) -> str:
    name = model_name(settings, is_dry_run=options.is_dry_run)
    if name == OFFLINE and settings.model is None:
        frame.say("No key and no model are configured: this dry run uses the offline model.")
    return name


def _person(frame: Frame, options: WorkOptions, view: Pausable) -> tuple[Approver, Operator]:
    """Return who answers for the person: the terminal where there is one, else the standing answers."""
    desk = Desk(frame.out, view) if frame.has_person else None
    operator = DecliningOperator() if desk is None else TerminalOperator(desk)
    if options.approve == "always":
        show_notice(frame.err, "Every call that needs a person's approval gets it (--approve always).")
        return approval.always(), operator
    if options.approve == "never":
        return approval.never("approvals are switched off"), operator
    return approval.never() if desk is None else TerminalApprover(desk), operator


def _show_run(frame: Frame, report: RunReport, settings: Settings) -> None:
    if frame.is_json:
        frame.print_json(report.as_json())
    elif report.mode is RunMode.DRY_RUN:
        show_plan(frame.out, report, changes={name: tool.changes for name, tool in settings.tools.items()})


def _queue_json(reports: list[RunReport], state: Triage, duration_s: float) -> JsonObject:
    counts = {kind.value: sum(report.outcome.kind is kind for report in reports) for kind in OutcomeKind}
    return {
        "runs": [report.as_json() for report in reports],
        "totals": {**counts, "cost_usd": state.cost_usd, "duration_s": round(duration_s, 3)},
    }


def _left_behind(session: Session) -> Iterator[str]:
    for run in session.active.values():
        in_flight = ", ".join(sorted(run.ledger.in_flight.values()))
        told = f" In flight: {in_flight}; look at the ticket before it is worked again." if in_flight else ""
        yield f"Ticket {run.case.ticket.id} was left after {count(run.ledger.turns, 'turn')}.{told}"
