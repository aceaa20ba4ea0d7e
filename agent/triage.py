"""The queue: many tickets over one set of servers, bounded, one run per customer at a time."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import anyio

from agent.errors import (
    InfrastructureError,
    JournalError,
    ModelError,
    Paused,
    RunNotFound,
    SupportAgentError,
    TicketNotWorkable,
    TicketTaken,
)
from agent.records import Outcome, OutcomeKind, RunMode, RunReport, Usage
from agent.run import Finished, Run
from agent.tickets import QueueItem

PREPARED_AHEAD = 4
"""Cases read while all slots are taken, so that a free slot never waits for a server."""

_FAILURES_IN_A_ROW = 3

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Triage:
    """One pass over the queue: what it may use, and what has come of it so far."""

    prepare: Callable[[QueueItem], Awaitable[Run]]  # takes the ticket; nothing is asked of the model
    work: Callable[[Run], Awaitable[Finished]]
    release: Callable[[Run], None]  # lets others have the ticket, once for every prepared run
    mode: RunMode
    model_name: str
    concurrency: int
    budget_usd: float | None = None
    on_report: Callable[[QueueItem, RunReport], None]
    on_skip: Callable[[QueueItem, str], None]
    skipped: dict[str, str] = field(default_factory=dict[str, str])  # ticket id → why it is not this queue's to work
    finished: list[Finished] = field(default_factory=list[Finished])
    stopped: str | None = None  # why no further ticket is started
    failure: InfrastructureError | None = None  # the failure that stopped it
    _failures: int = 0

    @property
    def cost_usd(self) -> float | None:
        """Dollars used so far; None as soon as one price is unknown."""
        costs = [done.report.cost_usd for done in self.finished]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def skip(self, item: QueueItem, because: str) -> None:
        """Leave a ticket to whoever has it, or has had it since the queue was read."""
        self.skipped[item.ticket_id] = because
        self.on_skip(item, because)

    def count(self, done: Finished) -> None:
        """Add a finished run, and stop starting others when that has become pointless or too expensive."""
        self.finished.append(done)
        self._failures = self._failures + 1 if done.failure is not None else 0
        if isinstance(done.failure, Paused):
            self.stopped = self.stopped or f"not started: {done.failure}"
            self.failure = self.failure or done.failure
        elif isinstance(done.failure, ModelError | JournalError) or self._failures >= _FAILURES_IN_A_ROW:
            self.stopped = self.stopped or f"not started, because of an earlier failure: {done.failure}"
            self.failure = self.failure or done.failure
        if self.budget_usd is not None and (self.cost_usd is None or self.cost_usd >= self.budget_usd):
            why = "cannot be kept: what this model costs is not known" if self.cost_usd is None else "is used"
            self.stopped = self.stopped or f"not started: the budget of ${self.budget_usd:.2f} {why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    """How many tickets are worked at once, and how many are open at all."""

    slots: anyio.CapacityLimiter
    entrances: anyio.CapacityLimiter


class _Place:
    """One of a limited number of places, held inside the context, except while it is lent."""

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._is_held = False

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lend()

    async def take(self) -> None:
        """Wait for a place, unless it is held."""
        if not self._is_held:
            await self._limiter.acquire_on_behalf_of(self)
            self._is_held = True

    def lend(self) -> None:
        """Let others have it, unless they do."""
        if self._is_held:
            self._is_held = False
            self._limiter.release_on_behalf_of(self)


class _Aside:
    """A run's places, which others have while a person is asked: no answer that takes long holds the queue up."""

    def __init__(self, entrance: _Place, slot: _Place) -> None:
        self._entrance = entrance
        self._slot = slot
        self._questions = 0
        self._taking = anyio.Lock()

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None]:
        """Lend the places until the last of the questions that overlap has its answer."""
        self._questions += 1
        self._lend()
        try:
            yield
        finally:
            self._questions -= 1
        # Not in the `finally`: a run that is cut short takes nothing more.
        async with self._taking:
            if self._questions == 0:
                # In the order of those who come in: who waits for an entrance must not hold a slot.
                await self._entrance.take()
                await self._slot.take()
            if self._questions > 0:  # the next one was asked meanwhile
                self._lend()

    def _lend(self) -> None:
        self._slot.lend()
        self._entrance.lend()


async def triage(queue: Sequence[QueueItem], state: Triage) -> list[RunReport]:
    """Work every ticket of the queue that nobody else has, and return one report each, in the queue's order.

    A slot is for the model's conversation; cases are read while others hold it. What another process has is tried
    again when everything else is done, as long as that one lets go of something, and is skipped then.
    """
    reports: dict[str, RunReport] = {}
    waiting, taken = queue, await _pass_over(queue, state, reports)
    while 0 < len(taken) < len(waiting) and state.stopped is None:
        waiting = [item for item, _ in taken]
        taken = await _pass_over(waiting, state, reports)
    for item, because in taken:
        state.skip(item, because)
    return [reports[item.ticket_id] for item in queue if item.ticket_id in reports]


async def _pass_over(
    queue: Sequence[QueueItem], state: Triage, reports: dict[str, RunReport]
) -> list[tuple[QueueItem, str]]:
    """Work these tickets, add their reports, and return those that another process has, and which."""
    room = _Room(
        slots=anyio.CapacityLimiter(state.concurrency),
        entrances=anyio.CapacityLimiter(state.concurrency + PREPARED_AHEAD),
    )
    customers: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
    taken: list[tuple[QueueItem, str]] = []

    async def one(item: QueueItem) -> None:
        # The customer first: a second ticket of the same customer must not hold a place while it waits.
        async with customers[item.requester.casefold() or item.ticket_id], _Place(room.entrances) as entrance:
            done = await _guarded(item, state, room, entrance)
        match done:
            case TicketTaken():
                taken.append((item, str(done)))
            case TicketNotWorkable() | RunNotFound():
                state.skip(item, str(done))
            case _:
                if done is not None:
                    state.count(done)
                report = done.report if done else _unresolved(item, state, None, state.stopped or "not started")
                reports[item.ticket_id] = report
                state.on_report(item, report)

    async with anyio.create_task_group() as tickets:
        for item in queue:
            tickets.start_soon(one, item)
    return taken


async def _guarded(
    item: QueueItem, state: Triage, room: _Room, entrance: _Place
) -> Finished | TicketTaken | TicketNotWorkable | RunNotFound | None:
    """Work one ticket so that nothing it meets can end the others; None when it was not started."""
    if state.stopped is not None:
        return None
    run: Run | None = None
    reading = asyncio.ensure_future(state.prepare(item))
    try:
        # Asked for at once, so that slots are given in the queue's order, however long a case takes to read.
        async with _Place(room.slots) as slot:
            run = await reading
            if state.stopped is not None:
                return None
            run.ledger.aside = _Aside(entrance, slot).lent
            return await state.work(run)
    except (TicketTaken, TicketNotWorkable, RunNotFound) as others:
        return others
    except SupportAgentError as error:
        failure = error if isinstance(error, InfrastructureError) else None
        return Finished(report=_unresolved(item, state, run, str(error)), failure=failure)
    except Exception as defect:  # noqa: BLE001 - the boundary: one ticket's defect is recorded, the others go on
        _log.exception("ticket %s", item.ticket_id)
        reason = f"an internal error ({type(defect).__name__}: {defect})"
        return Finished(report=_unresolved(item, state, run, reason))
    finally:
        _let_go(reading, state)


def _let_go(reading: "asyncio.Future[Run]", state: Triage) -> None:
    if not reading.done():
        reading.cancel()
    elif not reading.cancelled() and reading.exception() is None:
        state.release(reading.result())


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
