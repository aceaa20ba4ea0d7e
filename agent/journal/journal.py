"""The journal of all runs: begins records, takes runs over, finds, reads, verifies and forgets them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from agent.errors import JournalError, Paused, RunNotFound, UsageError
from agent.journal import bodies
from agent.journal.chain import Line, first_fault, follow
from agent.journal.hiding import Secrets
from agent.journal.key import Key
from agent.journal.reading import entries_of, entry_of
from agent.journal.record import Desk, RunRecord, new_writer
from agent.journal.stopping import in_one_line
from agent.journal.summaries import columns
from agent.journal.threads import Threads
from agent.journal.values import Beside, Forgotten, Pause, Ruling, RunSummary, Verified, Wanted
from agent.records import Entry, EntryKind, OutcomeKind, Owner, RunMode, Spent

if TYPE_CHECKING:
    # It needs SQLAlchemy, which is loaded by whoever opens a journal.
    from agent.journal.store import Store

P = ParamSpec("P")
T = TypeVar("T")

_CANDIDATES = 5
"""Runs that are named when several were meant."""


class Journal:
    """The record of all runs, in a database; `open_journal` makes it. All its work is done on worker threads."""

    def __init__(self, store: "Store", key: Key, secrets: Secrets, *, most_failures: int) -> None:
        threads = Threads(store.most_at_once)
        self._desk = Desk(store=store, key=key, secrets=secrets, threads=threads, most_failures=most_failures)

    @property
    def place(self) -> str:
        """Where it is: a file's path, or a URL without its password."""
        return self._desk.store.place

    @property
    def is_shared(self) -> bool:
        """Whether other machines can use it too."""
        return self._desk.store.is_shared

    def customer_hash(self, address: str) -> str:
        """Return what stands for a customer in the journal: keyed, so that no address can be looked up by guessing."""
        return self._desk.key.customer(address)

    def record(self, *, run_id: str, customer: str, on_entry: Callable[[Entry], None]) -> RunRecord:
        """Return the appender of a new run; nothing is written before its first entry, the CASE.

        `customer` is a `customer_hash`. `on_entry` is called on the event loop after each commit.
        """
        return RunRecord(self._desk, run_id=run_id, customer=customer, on_entry=on_entry)

    async def claim(
        self,
        run_id: str,
        *,
        owner: Owner,
        is_taken_over: bool,
        on_entry: Callable[[Entry], None],
        is_to_end: bool = False,
    ) -> RunRecord:
        """Take an unfinished run: append a CLAIM, and return its appender, whose `entries` are all there are.

        The newest claim wins, whoever else is at work on the run. `on_entry` sees the CLAIM and what follows it.
        `is_to_end`: the run is taken to be cancelled, which it can be while all runs are paused.

        Raises:
            Paused: all runs are paused.
            RunNotFound: there is no such run, or it has ended.
            JournalError: a newer version wrote it, or it is damaged.
        """
        body = {"owner": owner.as_json(), "is_taken_over": is_taken_over}
        writer = new_writer()
        written = bodies.written(EntryKind.CLAIM, body)
        lines, entries = await self._run(self._claim, run_id, written, writer, is_held=not is_to_end)
        record = RunRecord(self._desk, run_id=run_id, on_entry=on_entry, lines=lines, entries=entries, writer=writer)
        on_entry(entries[-1])
        return record

    async def find(self, run_id_or_prefix: str) -> RunSummary:
        """Return the one run whose id this is, or starts with this.

        Raises:
            RunNotFound: there is none, or there are several; some of them are named.
        """
        if summary := await self.run(run_id_or_prefix):
            return summary
        ids = await self._run(self._desk.store.ids_starting_with, run_id_or_prefix, limit=_CANDIDATES + 1)
        summary = await self.run(ids[0]) if len(ids) == 1 else None
        if summary is None:
            raise RunNotFound(_not_found(run_id_or_prefix, ids))
        return summary

    async def run(self, run_id: str) -> RunSummary | None:
        """Return one run, or None if there is none of this id."""
        found = await self._run(self._desk.store.summaries, Wanted(run_id=run_id))
        return found[0] if found else None

    async def runs(
        self,
        *,
        ticket_id: str | None = None,
        outcome: OutcomeKind | None = None,
        since: datetime | None = None,
        mode: RunMode | None = None,
        is_finished: bool | None = None,
        limit: int | None = None,
    ) -> list[RunSummary]:
        """Return the runs to which all of this applies, newest first; `since` is about their start."""
        wanted = Wanted(
            ticket_id=ticket_id, outcome=outcome, since=since, mode=mode, is_finished=is_finished, limit=limit
        )
        return await self._run(self._desk.store.summaries, wanted)

    async def entries(self, run_id: str) -> tuple[Entry, ...]:
        """Return a run's entries, none for an unknown one; the bodies of a forgotten run are what was kept of them.

        Raises:
            JournalError: a newer version wrote the run, or it is damaged.
        """

        def read() -> tuple[Entry, ...]:
            recorded = self._desk.store.recorded(run_id)
            return tuple(entries_of(recorded.lines, recorded.documents))

        return await self._run(read)

    async def spent(self, *, customer: str, since: datetime) -> Spent:
        """Return the money that runs have moved since then, or may have: to this customer (a hash), and to all.

        An attempt counts until it has surely failed; what a dry run plans is none.
        """
        return await self._run(self._desk.store.spent, customer=customer, since=since)

    async def verify(self, run_ids: Sequence[str] | None = None) -> list[Verified]:
        """Return whether these runs' records are as they were written, or all runs', oldest first.

        Raises:
            RunNotFound: nothing is stored of one of them.
            JournalError: the database cannot be read, or its file is damaged.
        """
        if run_ids is None:
            await self._run(self._desk.store.check)
            run_ids = await self._run(self._desk.store.known_ids)
        return [await self._verified(run_id) for run_id in run_ids]

    async def forget(self, *, customer: str | None = None, before: datetime | None = None, by: str) -> Forgotten:
        """Take the texts out of the finished runs to which all of this applies; totals and verdicts stay.

        `customer` is an address, `before` a time that the run's end came before, `by` who wants it. Each run is one
        transaction: what is interrupted can be done again.

        Raises:
            ValueError: neither a customer nor a time is given.
        """
        if customer is None and before is None:
            raise ValueError("forgetting everything must be said: give a customer or a time")
        hashed = None if customer is None else self.customer_hash(customer)
        ids, left_out = await self._run(self._desk.store.concerned, customer=hashed, before=before)
        counts = [await self._run(self._desk.store.redact, self._desk.key, run_id, by=by) for run_id in ids]
        await self._run(self._desk.store.clear_log)
        return Forgotten(runs=sum(count > 0 for count in counts), entries=sum(counts), left_out=left_out)

    async def paused(self) -> Pause | None:
        """Return the pause of all runs that holds, or None."""
        return await self._run(self._desk.store.paused)

    async def check_going(self) -> None:
        """Check that runs may start and write.

        Raises:
            Paused: they may not; the sentence says since when, by whom and why.
        """
        if pause := await self.paused():
            raise Paused(pause.sentence)

    async def pause(self, *, by: str, reason: str | None = None) -> Pause:
        """Pause all runs of this journal, and return the pause that holds then.

        No entry is appended any more with which a run starts, or is about to write. Where there is a pause already, it
        holds since it did; whoever gives a reason has it from then on, also from the failure breaker.
        """
        reason = self._hidden(in_one_line(reason or ""))
        return await self._run(self._desk.store.pause, by=by, reason=reason or None)

    async def unpause(self) -> Pause | None:
        """Let all runs go on, count their failures anew, and return the pause that this has ended, if there was one."""
        return await self._run(self._desk.store.unpause)

    async def reject(self, run_id: str, *, by: str, because: str) -> Ruling:
        """Rule that the plan of this run is not to be applied.

        Raises:
            RunNotFound: there is no such run.
            UsageError: it was rejected before, or its texts were forgotten.
        """
        run = await self.run(run_id)
        if run is None:
            raise RunNotFound(f"There is no run {run_id}.")
        if run.is_forgotten:
            raise UsageError(f"The texts of run {run_id} were deleted: there is no plan any more to reject.")
        ruling = Ruling(run_id=run_id, at=datetime.now(UTC), by=by, because=self._hidden(because))
        standing = await self._run(self._desk.store.rule, ruling)
        if standing != ruling:
            raise UsageError(f"The plan of run {run_id} is rejected already: {standing.told}.")
        return ruling

    async def rulings(self, run_ids: Sequence[str] | None = None) -> dict[str, Ruling]:
        """Return the rulings on the plans of these runs, or all there are, by run."""
        return await self._run(self._desk.store.rulings, run_ids)

    async def aclose(self) -> None:
        """Wait for what is being written, and let the database go."""
        await self._desk.threads.finish()
        await self._run(self._desk.store.close)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._desk.threads.run(partial(work, *args, **kwargs))

    async def _verified(self, run_id: str) -> Verified:
        found = await self._run(self._desk.store.verified, self._desk.key, run_id)
        if found is None:
            raise RunNotFound(f"There is no run {run_id}.")
        return found

    def _hidden(self, text: str) -> str:
        return str(self._desk.secrets.hidden({"text": text})["text"])

    def _claim(
        self, run_id: str, written: bodies.Written, writer: str, *, is_held: bool
    ) -> tuple[list[Line], list[Entry]]:
        while True:
            recorded = self._desk.store.recorded(run_id)
            _check_unfinished(run_id, recorded.lines)
            if fault := first_fault(recorded.lines, recorded.documents, is_forgotten=False):
                raise JournalError(f"Run {run_id} is damaged in the journal, at entry {fault.seq}: {fault.problem}.")
            entries = entries_of(recorded.lines, recorded.documents)
            line = follow(
                recorded.lines[-1],
                run_id=run_id,
                kind=EntryKind.CLAIM,
                written=written,
                writer=writer,
                at=datetime.now(UTC),
            )
            standing = self._desk.store.append(line, Beside(run=columns(line, ()), is_held=is_held)).standing
            if standing is None or standing.is_own(line):
                return [*recorded.lines, line], [*entries, entry_of(line, {})]
            # Someone has appended in between: the claim comes after that.


def _check_unfinished(run_id: str, lines: Sequence[Line]) -> None:
    if not lines:
        raise RunNotFound(f"There is no run {run_id}.")
    if lines[-1].kind == EntryKind.OUTCOME:
        raise RunNotFound(f"Run {run_id} has ended: there is nothing to go on with.")


def _not_found(prefix: str, ids: Sequence[str]) -> str:
    if not ids:
        return f"There is no run {prefix}."
    named = ", ".join(ids[:_CANDIDATES]) + (", …" if len(ids) > _CANDIDATES else "")
    return f"Several runs start with {prefix}: {named}."
