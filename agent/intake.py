"""How a ticket becomes a run of this process: nobody else works it, and what was begun goes on.

The lock says who may work a ticket, and the journal what has been done for it; the journal's own fence decides
where the two are not enough.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import anyio

from agent.applying import Applied
from agent.assembly import Assembly
from agent.cancelling import cancel
from agent.errors import (
    ConfigurationError,
    PlanRefused,
    RunNotFound,
    SupportAgentError,
    TicketNotWorkable,
    TicketTaken,
)
from agent.journal import Journal, RunRecord, RunSummary, new_run_id
from agent.locks import Held, Locks, Occupied
from agent.loop import work
from agent.planning import applied_as
from agent.records import CallStatus, Entry, EntryKind, OutcomeKind, Owner, RunMode, RunReport
from agent.run import Finished, Run
from agent.staleness import changed_since
from agent.watch import watched

_RELIEF_S = 0.1
"""How often a run that was taken over tries for the locks of whoever has lost it: nothing tells when they are free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Holder:
    """Who has a customer, for which ticket, since when, and with which run, if it has begun one."""

    ticket_id: str
    owner: Owner
    since: datetime
    run_id: str | None

    def has(self, run: RunSummary) -> bool:
        """Whether it is this run that nobody else can have for now."""
        return self.ticket_id == run.ticket_id and self.run_id in {None, run.run_id}


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Takes tickets in, works their runs, and lets go of them."""

    assembly: Assembly
    journal: Journal
    locks: Locks
    mode: RunMode
    active: dict[str, Run] = field(default_factory=dict[str, Run])  # by run id; what an interruption leaves behind
    _held: dict[str, Held] = field(default_factory=dict[str, Held])

    async def prepare(
        self,
        ticket_id: str,
        *,
        requester: str | None = None,
        listed_at: datetime | None = None,
        is_fresh: bool = False,
    ) -> Run:
        """Return the ticket's unfinished run, to go on with, or a new one; the ticket is this process's until release.

        `requester` is whose ticket it is, and `listed_at` since when it waits, where a list has said so: a ticket that
        another run has ended since waits no more. `is_fresh` ends an unfinished run first.

        Raises:
            Paused: all runs are paused; nothing was read.
            TicketNotFound: there is no such ticket.
            TicketNotWorkable: it is in a state that the configuration leaves alone, or waits no more.
            TicketTaken: another process has it, or another ticket of its customer.
        """
        await self.journal.check_going()
        unfinished = await self._unfinished(ticket_id)
        if listed_at is not None:
            await self._check_waiting(ticket_id, since=listed_at)
        if unfinished is not None:
            customer = unfinished.customer
        else:
            helpdesk = self.assembly.session.helpdesk
            customer = self.journal.customer_hash(requester or await helpdesk.requester(ticket_id))
        held = await self._hold(customer, ticket_id, is_advised=listed_at is None)
        try:
            run = await self._prepared(ticket_id, customer, listed_at=listed_at, is_fresh=is_fresh)
        except BaseException:
            held.release()
            raise
        self._held[run.recorder.run_id] = held
        return run

    async def resume(self, run_id: str, *, is_taken_over: bool = False) -> Run:
        """Return this unfinished run, to go on with; `is_taken_over`: whoever works it now is to lose it.

        Raises:
            Paused: all runs are paused.
            RunNotFound: there is no such run, or it has ended.
            TicketTaken: another process has it, and it is not to be taken over.
        """
        await self.journal.check_going()
        summary = await self._open_run(run_id)
        if not is_taken_over:
            self._check_place(summary)
        held = await self._hold_to_resume(summary, is_taken_over=is_taken_over)
        try:
            run = await self._claimed(summary, is_taken_over=is_taken_over)
        except BaseException:
            if held is not None:
                held.release()
            raise
        if held is not None:
            self._held[run.recorder.run_id] = held
        return run

    async def apply(self, case: Entry, plan: Applied) -> Run:
        """Return the run that carries this plan out, begun or to be gone on with; `case` is the plan's first entry.

        Raises:
            Paused: all runs are paused.
            PlanRefused: it was applied already, or something is other than when it was made.
            TicketTaken: another process has the ticket, or another ticket of its customer.
            TicketNotFound: the ticket is gone.
        """
        if begun := await self._begun(plan):
            return await self.resume(begun.run_id)
        await self.journal.check_going()
        ticket_id: str = case.body["ticket_id"]
        customer = self.journal.customer_hash(case.body["ticket"]["fields"]["requester"])
        held = await self._hold(customer, ticket_id, is_advised=True)
        try:
            run = await self._applying(case, plan, customer)
        except BaseException:
            held.release()
            raise
        self._held[run.recorder.run_id] = held
        return run

    async def _begun(self, plan: Applied) -> RunSummary | None:
        """Return the unfinished run that carries this plan out, if there is one.

        Raises:
            PlanRefused: it has ended, or other calls were agreed to when it began.
        """
        begun = await self.journal.run(applied_as(plan.run_id))
        if begun is None:
            return None
        if begun.outcome is not None:
            raise PlanRefused(
                f"The plan of run {plan.run_id} has been applied, by run {begun.run_id}: {begun.outcome}."
            )
        agreed = Applied.from_json((await self.journal.entries(begun.run_id))[0].body["plan"])
        if set(agreed.left_out) != set(plan.left_out):
            how = f"without {', '.join(agreed.left_out)}" if agreed.left_out else "with all of its calls"
            raise PlanRefused(
                f"Run {begun.run_id} has begun to apply this plan {how}, and goes on only as it was agreed to."
            )
        return begun

    async def _applying(self, planned: Entry, plan: Applied, customer: str) -> Run:
        ticket_id: str = planned.body["ticket_id"]
        # Again, now that nobody else can begin it.
        if begun := await self._begun(plan):
            raise PlanRefused(f"Run {begun.run_id} has just begun to apply this plan: apply it again to go on with it.")
        for run in await self.journal.runs(ticket_id=ticket_id, is_finished=False):
            if not run.mode.is_planning:
                raise PlanRefused(
                    f"Ticket {ticket_id} has an unfinished run, which must end first: "
                    f"`support-agent runs resume {run.run_id}`, or `runs cancel`."
                )
        helpdesk = self.assembly.session.helpdesk
        case = await helpdesk.open(ticket_id)
        record = self.journal.record(
            run_id=applied_as(plan.run_id), customer=customer, on_entry=self._telling(ticket_id)
        )
        run = self.assembly.begin(case, record, RunMode.APPLY, plan=plan)
        now = run.case_body([await helpdesk.opening(case)])
        if changes := changed_since(planned.body, now, seen=plan.versions):
            told = " ".join(changes)
            raise PlanRefused(
                f"The plan of run {plan.run_id} does not hold any more. {told} Make it anew with --dry-run."
            )
        return run

    async def cancel(self, run_id: str, *, because: str) -> RunReport:
        """End an unfinished run, whoever works it now: its owner records and calls nothing more. A pause allows it.

        Raises:
            RunNotFound: there is no such run, or it has ended.
            ServerError: a call that is under way could not be cancelled; the run is as it was.
        """
        return await self._cancelled(await self._open_run(run_id), because=because)

    async def backlog(self, mode: RunMode | None = None) -> list[RunSummary]:
        """Return the unfinished runs that this machine has begun, of one mode or of both, oldest first."""
        runs = await self.journal.runs(is_finished=False)
        modes = _with_its_own(mode) if mode is not None else frozenset(RunMode)
        runs = [run for run in runs if run.mode in modes]
        return [run for run in reversed(runs) if run.owner.place == self.locks.place_id]

    async def work(self, run: Run) -> Finished:
        """Work the run to its report; an infrastructure failure is part of what is returned.

        Raises:
            RunLost: another process has taken it over.
        """
        run_id = run.recorder.run_id
        self.active[run_id] = run
        try:
            # It may have been claimed long ago: what was under way then must not be done again during a pause.
            await self.journal.check_going()
            async with watched(run, self.assembly.session.host), self._relieving(run):
                finished = await work(run)
        except SupportAgentError:
            del self.active[run_id]
            raise
        # Not in a `finally`: a run that is cut short stays listed, so that its interruption can be told.
        del self.active[run_id]
        if isinstance(run.recorder, RunRecord) and run.recorder.tripped is not None:
            self.assembly.session.observer.notice(run.recorder.tripped.sentence)
        return finished

    def release(self, run: Run) -> None:
        """Let others have the ticket and its customer."""
        if held := self._held.pop(run.recorder.run_id, None):
            held.release()

    async def _prepared(self, ticket_id: str, customer: str, *, listed_at: datetime | None, is_fresh: bool) -> Run:
        # Again, now that nobody else can change it: whoever had the ticket until now has left it as it is here.
        unfinished = await self._unfinished(ticket_id)
        if unfinished is not None and not is_fresh:
            return await self._claimed(unfinished)
        if unfinished is not None:
            self._tell_ended(await self._cancelled(unfinished, because="a new run was asked for"))
        if listed_at is not None:
            await self._check_waiting(ticket_id, since=listed_at)
        helpdesk, journal = self.assembly.session.helpdesk, self.journal
        case = await helpdesk.open(ticket_id)
        if journal.customer_hash(case.ticket.requester) != customer:
            raise TicketTaken(f"Ticket {ticket_id} has just been given to another customer: run it again.")
        if not helpdesk.is_workable(case.ticket):
            raise TicketNotWorkable(f"Ticket {ticket_id} is {case.ticket.status}: there is nothing to work.")
        record = journal.record(run_id=new_run_id(), customer=customer, on_entry=self._telling(ticket_id))
        return self.assembly.begin(case, record, self.mode)

    async def _claimed(self, summary: RunSummary, *, is_taken_over: bool = False) -> Run:
        observer = self.assembly.session.observer
        observer.notice(f"resuming run {summary.run_id}, {_turns(summary.turns)} done")
        for entry in await self.journal.entries(summary.run_id):
            observer.entry(summary.ticket_id, entry)
        on_entry = self._telling(summary.ticket_id)
        record = await self._claim(summary, is_taken_over=is_taken_over, on_entry=on_entry)
        return self.assembly.go_on(record.entries, record)

    async def _cancelled(self, summary: RunSummary, *, because: str) -> RunReport:
        # Nobody watches it end: what became of it is in the report.
        record = await self._claim(summary, is_taken_over=True, is_to_end=True, on_entry=lambda _: None)
        run = self.assembly.go_on(record.entries, record, is_cancelled=True)
        report = await cancel(run, by=self.assembly.owner.user, because=because)
        return replace(report, model=summary.model)

    async def _claim(
        self,
        summary: RunSummary,
        *,
        is_taken_over: bool,
        on_entry: Callable[[Entry], None],
        is_to_end: bool = False,
    ) -> RunRecord:
        return await self.journal.claim(
            summary.run_id,
            owner=self.assembly.owner,
            is_taken_over=is_taken_over,
            on_entry=on_entry,
            is_to_end=is_to_end,
        )

    async def _hold(self, customer: str, ticket_id: str, *, is_advised: bool) -> Held:
        """Take the ticket; `is_advised`: whoever cannot have it is told what can be done about it."""
        try:
            return self._taken(customer, ticket_id)
        except Occupied as occupied:
            holder = await self._holder(occupied)
            raise occupied if holder is None else _refusal(ticket_id, holder, is_advised=is_advised) from None

    async def _hold_to_resume(self, summary: RunSummary, *, is_taken_over: bool) -> Held | None:
        """Return the locks of this run, or None where it is to be taken over from whoever has them."""
        try:
            return self._taken(summary.customer, summary.ticket_id)
        except Occupied as occupied:
            holder = await self._holder(occupied)
            if is_taken_over and (holder is None or holder.has(summary)):
                return None
            raise occupied if holder is None else _refusal(summary.ticket_id, holder, is_advised=True) from None

    def _taken(self, customer: str, ticket_id: str) -> Held:
        return self.locks.hold(customer=customer, ticket_id=ticket_id, owner=self.assembly.owner)

    async def _holder(self, occupied: Occupied) -> _Holder | None:
        """Return who has what was refused: the process that holds it, or the one that has taken its run over since."""
        holding = occupied.holding
        if holding is None:
            return None
        for run in await self.journal.runs(ticket_id=holding.ticket_id, is_finished=False):
            since = _taken_up(await self.journal.entries(run.run_id))
            if run.owner == holding.owner or since >= holding.since:
                return _Holder(ticket_id=run.ticket_id, owner=run.owner, since=since, run_id=run.run_id)
        return _Holder(ticket_id=holding.ticket_id, owner=holding.owner, since=holding.since, run_id=None)

    @asynccontextmanager
    async def _relieving(self, run: Run) -> AsyncGenerator[None]:
        """Take the locks of a run that was taken over without them as soon as the process that has lost it lets go."""
        if run.recorder.run_id in self._held:
            yield
            return
        relief = asyncio.create_task(self._relieve(run), name=f"locks of {run.case.ticket.id}")
        try:
            yield
        finally:
            relief.cancel()

    async def _relieve(self, run: Run) -> None:
        customer = self.journal.customer_hash(run.case.ticket.requester)
        while True:
            try:
                self._held[run.recorder.run_id] = self._taken(customer, run.case.ticket.id)
            except TicketTaken:
                await anyio.sleep(_RELIEF_S)
            except ConfigurationError:
                return  # the journal's fence holds without them
            else:
                return

    async def _check_waiting(self, ticket_id: str, *, since: datetime) -> None:
        runs = await self.journal.runs(ticket_id=ticket_id, is_finished=True)
        for run in runs:
            counts = run.mode in {RunMode.LIVE, RunMode.APPLY, self.mode} and run.outcome is not OutcomeKind.UNRESOLVED
            if counts and run.finished_at is not None and run.finished_at >= since:
                worked = f"Ticket {ticket_id} was worked meanwhile by {_process(run.owner)}"
                raise TicketNotWorkable(f"{worked}: {run.outcome} (run {run.run_id}).")

    async def _unfinished(self, ticket_id: str) -> RunSummary | None:
        runs = await self.journal.runs(ticket_id=ticket_id, is_finished=False)
        found = next((run for run in runs if run.mode in _with_its_own(self.mode)), None)
        if found is not None:
            self._check_place(found)
        return found

    def _check_place(self, summary: RunSummary) -> None:
        # Locks of another folder are not seen here: whoever began the run there may be at it.
        if summary.owner.place != self.locks.place_id:
            raise TicketTaken(
                f"Ticket {summary.ticket_id} has an unfinished run of {_process(summary.owner)}, with another data "
                f"folder: whether that process still works it cannot be seen from here. {_take_over(summary.run_id)}"
            )

    async def _open_run(self, run_id: str) -> RunSummary:
        summary = await self.journal.find(run_id)
        if summary.outcome is not None:
            raise RunNotFound(
                f"Run {summary.run_id} of ticket {summary.ticket_id} has ended already: {summary.outcome}."
            )
        return summary

    def _tell_ended(self, report: RunReport) -> None:
        unsure = [effect.qualified for effect in report.effects if effect.status is CallStatus.UNCERTAIN]
        told = f"; whether these took effect is not known: {', '.join(unsure)}" if unsure else ""
        self.assembly.session.observer.notice(f"cancelled run {report.run_id}, {_turns(report.turns)} done{told}")

    def _telling(self, ticket_id: str) -> Callable[[Entry], None]:
        return lambda entry: self.assembly.session.observer.entry(ticket_id, entry)


def _with_its_own(mode: RunMode) -> frozenset[RunMode]:
    """Return the modes whose unfinished runs come before a new one: what an apply has begun to write must be ended."""
    return frozenset({RunMode.LIVE, RunMode.APPLY}) if mode is RunMode.LIVE else frozenset({mode})


def _taken_up(entries: Sequence[Entry]) -> datetime:
    """Return since when a run's present owner has it."""
    return max(entry.at for entry in entries if entry.kind in {EntryKind.CASE, EntryKind.CLAIM})


def _refusal(ticket_id: str, holder: _Holder, *, is_advised: bool) -> TicketTaken:
    is_same = holder.ticket_id == ticket_id
    what = f"Ticket {ticket_id}" + ("" if is_same else f" has to wait: ticket {holder.ticket_id} of its customer")
    known = [] if holder.run_id is None else [f"run {holder.run_id}"]
    known.append(f"since {holder.since:%Y-%m-%d %H:%M} UTC")
    said = f"{what} is being worked by {_process(holder.owner)} ({', '.join(known)})."
    is_advised = is_advised and is_same and holder.run_id is not None
    return TicketTaken(f"{said} {_take_over(holder.run_id)}" if is_advised else said)


def _process(owner: Owner) -> str:
    return f"process {owner.pid} of {owner.user} on {owner.machine}"


def _take_over(run_id: str | None) -> str:
    return f"If it is gone or hangs: `support-agent runs resume {run_id} --take-over`."


def _turns(number: int) -> str:
    return f"{number} turn{'' if number == 1 else 's'}"
