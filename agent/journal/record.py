"""One run's record: its only appender, and the fence around it."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.errors import JournalError, RunLost
from agent.journal import bodies
from agent.journal.chain import Line, follow
from agent.journal.hiding import Secrets
from agent.journal.key import Key
from agent.journal.money import failed_call_of, payment_of
from agent.journal.reading import entry_of
from agent.journal.stopping import failure_of, is_held
from agent.journal.summaries import columns
from agent.journal.threads import Threads
from agent.journal.values import Beside, Pause
from agent.records import Entry, EntryKind, JsonObject, Owner, Spent

if TYPE_CHECKING:
    # It needs SQLAlchemy, which is loaded by whoever opens a journal.
    from agent.journal.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What all records of one journal share."""

    store: "Store"
    key: Key
    secrets: Secrets
    threads: Threads
    most_failures: int  # runs in a row that infrastructure may stop before all are paused


class RunRecord:
    """The Recorder of one run, made by `Journal.record` and `Journal.claim`.

    An entry is durable when `append` returns. Whoever cannot append has lost the run, and must stop.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        run_id: str,
        customer: str = "",  # of a new run; the others' stands in their CASE
        on_entry: Callable[[Entry], None],
        lines: Sequence[Line] = (),
        entries: Sequence[Entry] = (),
        writer: str | None = None,
    ) -> None:
        self._desk = desk
        self._run_id = run_id
        self._customer: str = json.loads(lines[0].kept)["customer"] if lines else customer
        self._on_entry = on_entry
        self._writer = writer or new_writer()
        self._entries = list(entries)
        self._totals: Spent | None = None  # as they were read last, and since when nothing of this run has changed them
        self._spent = [(line.kind, line.kept) for line in lines]
        self._last = lines[-1] if lines else None
        self._unsure: list[Line] = []  # given up on during an outage, each in its time the next one
        self._lost: str | None = None
        self._tripped: Pause | None = None
        self._turn = asyncio.Lock()

    @property
    def run_id(self) -> str:
        """The run that these entries belong to."""
        return self._run_id

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything recorded so far, in order."""
        return tuple(self._entries)

    @property
    def tripped(self) -> Pause | None:
        """The pause of all runs that this run's failure has set off, if it was one too many."""
        return self._tripped

    async def spent(self, since: datetime, *, is_fresh: bool = True) -> Spent:
        """Return the money that all runs have moved since then, or may have: to this run's customer, and to all.

        `is_fresh`: what other runs have moved since this one looked last must be in it.

        Raises:
            JournalError: it cannot be read.
        """
        if is_fresh or self._totals is None or self._totals.since != since:
            work = partial(self._desk.store.spent, customer=self._customer, since=since)
            self._totals = await self._desk.threads.run(work)
        return self._totals

    async def append(self, kind: EntryKind, body: JsonObject, *, spent: Spent | None = None) -> Entry:
        """Append one entry with the next number and return it as it can be read back.

        `spent`: this is an attempt to move money, decided about by these totals.

        Raises:
            SpentMeanwhile: the totals are others by now; nothing was appended.
            Paused: all runs are paused, and with this entry the run would start, or be about to write; nothing was
                appended, and the run is as it was.
            RunLost: another process has taken the run over; so does every later call.
            JournalError: it could not be recorded, or the run has ended.
        """
        # Written at once: what the body holds may change while other entries are being appended.
        also_kept = {"customer": self._customer} if kind is EntryKind.CASE else {}
        written = bodies.written(kind, self._desk.secrets.hidden(body), **also_kept)
        return await self._desk.threads.to_the_end(self._append(kind, written, spent))

    async def _append(self, kind: EntryKind, written: bodies.Written, spent: Spent | None) -> Entry:
        async with self._turn:
            first_new = len(self._entries)
            try:
                await self._desk.threads.run(partial(self._commit, kind, written, spent))
            finally:
                for entry in self._entries[first_new:]:
                    self._on_entry(entry)
            return self._entries[-1]

    def _commit(self, kind: EntryKind, written: bodies.Written, spent: Spent | None) -> None:
        at = datetime.now(UTC)
        while True:
            self._check(kind)
            line = follow(self._last, run_id=self._run_id, kind=kind, written=written, writer=self._writer, at=at)
            beside = self._beside(line, written, spent)
            if beside.payment is not None or beside.failed_call is not None:
                self._totals = None
            try:
                appended = self._desk.store.append(line, beside)
            except JournalError:
                self._unsure.append(line)
                raise
            standing, self._tripped = appended.standing, appended.tripped
            if standing is None or standing.is_own(line):
                return self._took_place(line, written.documents)
            if not any(standing.is_own(earlier) for earlier in self._unsure):
                raise RunLost(self._lose())
            # What was given up on had been committed after all: it stands, and this one comes after it.
            self._took_place(standing, self._desk.store.documents_of(standing))

    def _took_place(self, line: Line, documents: Mapping[str, str]) -> None:
        self._last = line
        self._spent.append((line.kind, line.kept))
        self._unsure.clear()
        self._entries.append(entry_of(line, documents))

    def _check(self, kind: EntryKind) -> None:
        if self._lost is not None:
            raise RunLost(self._lost)
        if self._last is not None and self._last.kind == EntryKind.OUTCOME:
            raise JournalError(f"Run {self._run_id} has ended: nothing more is recorded of it.")
        if (self._last is None) != (kind is EntryKind.CASE):
            raise ValueError("a run's first entry is its CASE, and no other is")

    def _lose(self) -> str:
        owner = self._desk.store.owner(self._run_id)
        taker = _described(owner) if owner else "another process"
        self._lost = f"Run {self._run_id} was taken over by {taker}: this process does nothing more for it."
        return self._lost

    def _beside(self, line: Line, written: bodies.Written, spent: Spent | None) -> Beside:
        run = columns(line, self._spent)
        if line.kind == EntryKind.OUTCOME:
            run["seal"] = self._desk.key.seal(line.run_id, line.digest)
        return Beside(
            run=run,
            documents=written.documents,
            payment=payment_of(line, customer=self._customer),
            spent=spent,
            failed_call=failed_call_of(line),
            is_held=is_held(line),
            failure=failure_of(line, most=self._desk.most_failures),
        )


def new_writer() -> str:
    """Return the nonce of a record or a claim: what it has appended can be told from what others have."""
    return secrets.token_hex(8)


def _described(owner: Owner) -> str:
    """Return who an owner is, in words."""
    return f"process {owner.pid} on {owner.machine} (user {owner.user})"
