"""The queue: many tickets over one set of servers, bounded, one run per customer at a time."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from agent.errors import InfrastructureError, ModelError, SupportAgentError
from agent.loop import Finished, Run
from agent.records import Outcome, OutcomeKind, RunMode, RunReport, Usage
from agent.tickets import QueueItem

PREPARED_AHEAD = 4
"""Cases read while all slots are taken, so that a free slot never waits for a server."""

_FAILURES_IN_A_ROW = 3

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Triage:
    """One pass over the queue: what it may use, and what has come of it so far."""

    prepare: Callable[[str], Awaitable[Run]]  # reads the case; nothing is asked of the model
    work: Callable[[Run], Awaitable[Finished]]
    mode: RunMode
    model_name: str
    concurrency: int
    budget_usd: float | None = None
    on_report: Callable[[QueueItem, RunReport], None]
    finished: list[Finished] = field(default_factory=list[Finished])
    stopped: str | None = None  # why no further ticket is started
    failure: InfrastructureError | None = None  # the failure that stopped it
    _failures: int = 0

    @property
    def cost_usd(self) -> float | None:
        """Dollars used so far; None as soon as one price is unknown."""
        costs = [done.report.cost_usd for done in self.finished]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def count(self, done: Finished) -> None:
        """Add a finished run, and stop starting others when that has become pointless or too expensive."""
        self.finished.append(done)
        self._failures = self._failures + 1 if done.failure is not None else 0
        if isinstance(done.failure, ModelError) or self._failures >= _FAILURES_IN_A_ROW:
            self.stopped = self.stopped or f"not started, because of an earlier failure: {done.failure}"
            self.failure = self.failure or done.failure
        if self.budget_usd is not None and (self.cost_usd is None or self.cost_usd >= self.budget_usd):
            why = "cannot be kept: what this model costs is not known" if self.cost_usd is None else "is used"
            self.stopped = self.stopped or f"not started: the budget of ${self.budget_usd:.2f} {why}"


async def triage(queue: Sequence[QueueItem], state: Triage) -> list[RunReport]:
    """Work every ticket of the queue and return one report each, in the queue's order.

    A slot is for the model's conversation; cases are read while others hold it.
    """
    slots = anyio.CapacityLimiter(state.concurrency)
    entrances = anyio.CapacityLimiter(state.concurrency + PREPARED_AHEAD)
    customers: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
    reports: dict[str, RunReport] = {}

    async def one(item: QueueItem) -> None:
        # The customer first: a second ticket of the same customer must not hold a place while it waits.
        async with customers[item.requester.casefold() or item.ticket_id], entrances:
            done = await _guarded(item, state, slots)
        if done is not None:
            state.count(done)
        stopped = state.stopped or "not started"
        reports[item.ticket_id] = done.report if done else _unresolved(item, state, None, stopped)
        state.on_report(item, reports[item.ticket_id])

    async with anyio.create_task_group() as tickets:
        for item in queue:
            tickets.start_soon(one, item)
    return [reports[item.ticket_id] for item in queue]


async def _guarded(item: QueueItem, state: Triage, slots: anyio.CapacityLimiter) -> Finished | None:
    """Work one ticket so that nothing it meets can end the others; None when it was not started."""
    if state.stopped is not None:
        return None
    run: Run | None = None
    reading = asyncio.ensure_future(state.prepare(item.ticket_id))
    try:
        # Asked for at once, so that slots are given in the queue's order, however long a case takes to read.
        async with slots:
            run = await reading
            return None if state.stopped is not None else await state.work(run)
    except SupportAgentError as error:
        failure = error if isinstance(error, InfrastructureError) else None
        return Finished(report=_unresolved(item, state, run, str(error)), failure=failure)
    except Exception as defect:  # noqa: BLE001 - the boundary: one ticket's defect is recorded, the others go on
        _log.exception("ticket %s", item.ticket_id)
        reason = f"an internal error ({type(defect).__name__}: {defect})"
        return Finished(report=_unresolved(item, state, run, reason))
    finally:
        reading.cancel()


def _unresolved(item: QueueItem, state: Triage, run: Run | None, reason: str) -> RunReport:
    """Report a ticket that came to no outcome; a run that had begun says what it has done and used."""
    outcome = Outcome(kind=OutcomeKind.UNRESOLVED, reason=reason)
    if run is not None:
        return run.report(outcome)
    return RunReport(
        run_id="",
        ticket_id=item.ticket_id,
        mode=state.mode,
        model=state.model_name,
        outcome=outcome,
        turns=0,
        effects=(),
        usage=Usage(),
        cost_usd=0.0,
        duration_s=0.0,
    )
