"""The journal's transactions: short ones, each a few statements, nothing awaited inside. For worker threads.

Every method raises JournalError when the database fails; an outage of PostgreSQL is waited for a few seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, insert, text, update
from sqlalchemy.exc import IntegrityError

from agent.errors import JournalError
from agent.journal import forgetting, payments, queries, rulings, switch, verifying
from agent.journal.chain import Line
from agent.journal.engines import CONNECTIONS
from agent.journal.faults import again, check_pages, told
from agent.journal.key import Key
from agent.journal.places import is_sqlite, shown
from agent.journal.queries import Recorded
from agent.journal.tables import entries, runs
from agent.journal.values import Beside, Pause, Ruling, RunSummary, Verified, Wanted
from agent.records import EntryKind, Owner, Spent

P = ParamSpec("P")
T = TypeVar("T")

_APPEND = insert(entries)
_SHARE = text("INSERT INTO documents (digest, body) VALUES (:digest, :body) ON CONFLICT (digest) DO NOTHING")


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """What an append came to."""

    standing: Line | None = None  # what stood in the line's place already; None: the line does
    tripped: Pause | None = None  # with it, the failure breaker has paused all runs


class Store:
    """One journal's rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine if is_sqlite(engine.url) else _snapshots_of(engine)
        self._writer = engine.execution_options(is_write=True)
        self.place = shown(engine.url)
        self.is_shared = not is_sqlite(engine.url)
        self.most_at_once = 1 if is_sqlite(engine.url) else CONNECTIONS

    def recorded(self, run_id: str) -> Recorded:
        """Return all that is stored of a run's entries; no lines for an unknown run."""
        return self._read(queries.recorded, run_id)

    def documents_of(self, line: Line) -> dict[str, str]:
        """Return the documents that a line refers to."""
        return self._read(queries.documents_of, [line])

    def owner(self, run_id: str) -> Owner | None:
        """Return who began a run, or claimed it last."""
        return self._read(queries.owner, run_id)

    def ids_starting_with(self, prefix: str, *, limit: int) -> list[str]:
        """Return ids of runs that start with these characters, in order."""
        return self._read(queries.ids_starting_with, prefix, limit=limit)

    def summaries(self, wanted: Wanted) -> list[RunSummary]:
        """Return the runs that are wanted, newest first."""
        return self._read(queries.summaries, wanted)

    def spent(self, *, customer: str, since: datetime) -> Spent:
        """Return the money that runs have moved since then, or may have: to this customer, and to all."""
        return self._read(payments.spent, customer=customer, since=since)

    def append(self, line: Line, beside: Beside) -> Appended:
        """Commit the line with what changes beside it, or return the line that stands in its place already.

        That may be this very line, when an earlier commit of it was not acknowledged. After a JournalError it may be
        committed or not.

        Raises:
            SpentMeanwhile: a payment was to be made only while other totals stood; nothing was committed.
            Paused: all runs are paused, and this holds the line back; nothing was committed.
        """
        with told(self._engine):
            try:
                return Appended(tripped=again(partial(self._insert, line, beside)))
            except IntegrityError as conflict:
                standing = self._read(queries.line, line.run_id, line.seq)
                if standing is None:
                    raise JournalError(
                        f"Run {line.run_id} in {self.place} is damaged: it is known, and its entries are not there."
                    ) from conflict
                return Appended(standing=standing)

    def verified(self, key: Key, run_id: str) -> Verified | None:
        """Return whether a run's record is as it was written, or None if nothing is stored of it."""
        return self._read(verifying.verified, key, run_id)

    def known_ids(self) -> list[str]:
        """Return the ids of all runs of which anything is stored, oldest first."""
        return self._read(verifying.known_ids)

    def check(self) -> None:
        """Check that the database is whole, as far as it can tell by itself."""
        self._read(partial(check_pages, self._engine))

    def concerned(self, *, customer: str | None, before: datetime | None) -> tuple[list[str], int]:
        """Return the runs whose texts `redact` can take out, and how many are left out as unfinished."""
        return self._read(forgetting.concerned, customer=customer, before=before)

    def redact(self, key: Key, run_id: str, *, by: str) -> int:
        """Take the texts out of a finished run, and return how many entries had one."""

        def attempt() -> int:
            with self._writer.begin() as connection:
                return forgetting.redact(connection, key, run_id, by=by, at=datetime.now(UTC))

        with told(self._engine):
            try:
                return again(attempt)
            except IntegrityError:  # another process has just done it
                return 0

    def paused(self) -> Pause | None:
        """Return the pause that holds, if there is one."""
        return self._read(switch.paused)

    def pause(self, *, by: str, reason: str | None) -> Pause:
        """Pause all runs, and return the pause that holds then."""
        at = datetime.now(UTC)
        return self._write(lambda connection: switch.pause(connection, by=by, reason=reason, at=at))

    def unpause(self) -> Pause | None:
        """Let runs go on, and return the pause that was ended."""
        return self._write(switch.unpause)

    def rule(self, ruling: Ruling) -> Ruling:
        """Store a ruling, and return the one that stands of its run then: this one, or an earlier one."""
        return self._write(lambda connection: rulings.enter(connection, ruling))

    def rulings(self, run_ids: Sequence[str] | None) -> dict[str, Ruling]:
        """Return the rulings on these runs, or all there are, by run."""
        return self._read(rulings.stored, run_ids)

    def clear_log(self) -> None:
        """Leave nothing in SQLite's log that was overwritten in its file, unless another process reads just now."""
        if self._engine.dialect.name != "sqlite":
            return
        with told(self._engine):
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def attempt() -> T:
            with self._reader.begin() as connection:
                return query(connection, *args, **kwargs)

        with told(self._engine):
            return again(attempt)

    def _write(self, change: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            with self._writer.begin() as connection:
                return change(connection)

        with told(self._engine):
            return again(attempt)

    def _insert(self, line: Line, beside: Beside) -> Pause | None:
        """Insert the line and change what changes with it; return the pause that this has set off."""
        with self._writer.begin() as connection:
            # In one order: two runs that begin together would otherwise wait for each other's documents.
            for digest, body in sorted(beside.documents.items()):
                connection.execute(_SHARE, {"digest": digest, "body": body})
            if line.kind == EntryKind.CASE:
                connection.execute(insert(runs), {"run_id": line.run_id, **beside.run})
            elif beside.run:
                connection.execute(update(runs).where(runs.c.run_id == line.run_id).values(**beside.run))
            connection.execute(_APPEND, _row(line))
            if beside.is_held:
                # After the line, so that one which stands there already, from a commit that was not acknowledged, is
                # found first. A pause that was committed before is seen here. One that is committed from here on is
                # not: this entry was then announced before it, and its act comes to its end.
                switch.check_going(connection)
            if beside.payment is not None:
                payments.enter(connection, beside.payment, beside.spent)
            elif beside.failed_call is not None:
                payments.strike(connection, line.run_id, beside.failed_call)
            # Last: all runs share this row, which is locked until the commit.
            if line.kind == EntryKind.OUTCOME:
                switch.forgive(connection)
            if beside.failure is not None:
                return switch.count(connection, beside.failure, at=datetime.now(UTC))
            return None


def _snapshots_of(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _row(line: Line) -> dict[str, str | int | None]:
    return {
        "run_id": line.run_id,
        "seq": line.seq,
        "kind": line.kind,
        "at": line.at,
        "writer": line.writer,
        "kept": line.kept,
        "body_digest": line.body_digest,
        "digest": line.digest,
        "salt": line.salt,
        "body": line.body,
    }
