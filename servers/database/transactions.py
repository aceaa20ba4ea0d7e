"""Transactions on one server's tables: reading, writing, and what is done again when the database could not."""

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import BigInteger, Connection, Engine, func, literal, select
from sqlalchemy.exc import DBAPIError, OperationalError

from servers.database.engines import CONNECTIONS

P = ParamSpec("P")
T = TypeVar("T")

CONFLICT_DELAYS_S = (0.01, 0.05, 0.25, 1.0)
"""Before a transaction that PostgreSQL gave up in favour of another one is tried again."""

OUTAGE_DELAYS_S = (0.1, 0.4, 1.0, 2.0, 4.0)
"""Before a lost or refused connection is tried again: PostgreSQL restarts within a few seconds."""

_CONFLICTS = {"40001", "40P01"}  # serialization failure, deadlock


class Database:
    """Transactions on one server's tables.

    Reads run a few at a time on worker threads. Writes of this process take turns before they reach SQLite,
    where a waiting writer polls: a queue costs nothing, a poll up to 100 ms.
    """

    def __init__(self, engine: Engine) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        self._engine = engine
        self._reader = engine if is_sqlite else _snapshots_of(engine)
        self._writer = writer_of(engine)
        self._readers = anyio.CapacityLimiter(CONNECTIONS - 1)
        self._writers = anyio.CapacityLimiter(1 if is_sqlite else CONNECTIONS - 1)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """One consistent view of the data."""
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """One transaction: all of it is durable when the block ends, or none of it ever happened."""
        with self._writer.begin() as connection:
            yield connection

    def transact(self, effect: Callable[[Connection], T], *, is_repeatable: bool) -> T:
        """Run `effect` in one transaction and return what it returns; a transaction that failed is tried again.

        A connection that is lost during the commit leaves open whether the effect happened: only an effect that
        `is_repeatable`, because it looks first whether it has happened, is tried again then.
        """
        is_committing = False

        def attempt() -> T:
            nonlocal is_committing
            is_committing = False
            with self.writing() as connection:
                result = effect(connection)
                is_committing = True
            return result

        def is_unknown(error: DBAPIError) -> bool:
            return is_committing and not is_repeatable and not _is_conflict(error)

        return again(attempt, unless=is_unknown)

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking read on a worker thread; one that failed is tried again."""
        work = partial(query, *args, **kwargs)
        return await anyio.to_thread.run_sync(partial(again, work), limiter=self._readers)

    async def write(self, effect: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking write on a worker thread when its turn comes; it ends even if the caller is cancelled."""
        return await anyio.to_thread.run_sync(partial(effect, *args, **kwargs), limiter=self._writers)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def writer_of(engine: Engine) -> Engine:
    """Return the engine for transactions that write.

    On PostgreSQL each statement sees what was committed before it, so that whoever waited for a lock sees what
    the one before has done; the database's own default may be another.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(is_write=True)
    return engine.execution_options(isolation_level="READ COMMITTED")


def take_turns(connection: Connection, name: str) -> None:
    """Wait until nobody else's transaction has taken this name, and keep it until this one ends."""
    if connection.dialect.name == "sqlite":
        return  # a transaction that writes excludes all others there
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    connection.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))


def _snapshots_of(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def again(attempt: Callable[[], T], *, unless: Callable[[DBAPIError], bool] | None = None) -> T:
    """Return what a transaction returns; one that failed is tried again, `unless` that could do something twice."""
    tried = 0
    while True:
        try:
            return attempt()
        except DBAPIError as error:
            delays = _delays_s(error)
            if tried >= len(delays) or (unless is not None and unless(error)):
                raise
        time.sleep(delays[tried])
        tried += 1


def _delays_s(error: DBAPIError) -> tuple[float, ...]:
    if _is_conflict(error):
        return CONFLICT_DELAYS_S
    # What PostgreSQL itself says has a state; without one, it could not be reached.
    is_unreachable = isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") is None
    return OUTAGE_DELAYS_S if error.connection_invalidated or is_unreachable else ()


def _is_conflict(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _CONFLICTS
