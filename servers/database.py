"""One database per server: its engine, its transactions, its schema's version.

SQLite in a file is the default and any SQLAlchemy URL the alternative; what only SQLite needs stands here alone.
"""

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError
from typing import ParamSpec, TypeAlias, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

P = ParamSpec("P")
T = TypeVar("T")
Fill: TypeAlias = Callable[[Connection], None]
"""Inserts the first rows into tables that were just created."""

BUSY_TIMEOUT_S = 30.0
"""How long a transaction waits for another process before it fails."""

CONNECTIONS = 8
"""Transactions that run at once; more would only wait for the interpreter."""

_shared = MetaData()
_versions = Table(
    "schema_versions",
    _shared,
    Column("component", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("is_demo", Boolean, nullable=False),
)


class Unusable(Exception):  # noqa: N818 - reads as the sentence it is
    """A server cannot be started on what it was given; the message is one sentence for the operator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """The tables of one server, under a name and a version of their own."""

    component: str
    version: int
    metadata: MetaData


class Database:
    """Transactions on one server's tables.

    Reads run a few at a time on worker threads. Writes of this process take turns before they reach SQLite,
    where a waiting writer polls: a queue costs nothing, a poll up to 100 ms.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(is_write=True)
        self._readers = anyio.CapacityLimiter(CONNECTIONS - 1)
        self._writers = anyio.CapacityLimiter(1 if engine.dialect.name == "sqlite" else CONNECTIONS - 1)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """One consistent view of the data."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """One transaction: all of it is durable when the block ends, or none of it ever happened."""
        with self._writer.begin() as connection:
            yield connection

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking read on a worker thread."""
        return await anyio.to_thread.run_sync(partial(query, *args, **kwargs), limiter=self._readers)

    async def write(self, effect: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking write on a worker thread when its turn comes; it ends even if the caller is cancelled."""
        return await anyio.to_thread.run_sync(partial(effect, *args, **kwargs), limiter=self._writers)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def open_database(url: str, schema: Schema, fill: Fill | None = None) -> Database:
    """Return the database at `url`; one that has no tables yet gets them, with `fill`'s rows.

    Any number of processes may do this at once: one creates, the others find it done.

    Raises:
        Unusable: the URL, folder, file or database cannot be used, or belongs to another version of the program.
    """
    engine = _engine(url)
    with _in_a_sentence(engine):
        with engine.begin() as connection:
            found = _version(connection, schema)
        if found is None:
            with engine.execution_options(is_write=True).begin() as connection:
                # Another process may have created them between the two transactions.
                if _version(connection, schema) is None:
                    _create(connection, schema, fill)
        else:
            _check_version(engine, schema, found)
    return Database(engine)


def reset_demo(url: str, schema: Schema, fill: Fill) -> None:
    """Replace all rows by `fill`'s in one transaction, provided that the database was created for the demo.

    Raises:
        Unusable: as `open_database`, or the database holds anything else than the demo, and is left as it is.
    """
    engine = _engine(url)
    with _in_a_sentence(engine), engine.execution_options(is_write=True).begin() as connection:
        found = _version(connection, schema)
        if found is not None:
            _check_version(engine, schema, found)
            mine = _versions.c.component == schema.component
            if not connection.execute(select(_versions.c.is_demo).where(mine)).scalar_one():
                raise Unusable(
                    f"{_place(engine.url)} was not created by --demo and may hold real data, so it was left as it is: "
                    "set another SUPPORT_AGENT_HOME for the demo."
                )
            schema.metadata.drop_all(connection)
            connection.execute(_versions.delete().where(mine))
        _create(connection, schema, fill)
    engine.dispose()


def _version(connection: Connection, schema: Schema) -> int | None:
    if not inspect(connection).has_table(_versions.name):
        return None
    query = select(_versions.c.version).where(_versions.c.component == schema.component)
    return connection.execute(query).scalar_one_or_none()


def _create(connection: Connection, schema: Schema, fill: Fill | None) -> None:
    _shared.create_all(connection)
    # Without looking first: a foreign table of the same name must fail here, not at the first ticket.
    schema.metadata.create_all(connection, checkfirst=False)
    row = {"component": schema.component, "version": schema.version, "is_demo": fill is not None}
    connection.execute(insert(_versions).values(row))
    if fill is not None:
        fill(connection)


def _check_version(engine: Engine, schema: Schema, found: int) -> None:
    if found != schema.version:
        age = "newer" if found > schema.version else "older"
        raise Unusable(
            f"{_place(engine.url)} is {age} than this program (schema {found} there, {schema.version} here): "
            "use the support-agent version that wrote it, or set another SUPPORT_AGENT_HOME."
        )


@contextmanager
def _in_a_sentence(engine: Engine) -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        engine.dispose()
        raise Unusable(f"{_place(engine.url)} cannot be used as a database: {error.orig}.") from error
    except Unusable:
        engine.dispose()
        raise


def _place(url: URL) -> str:
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
        if place.get_backend_name() == "sqlite":
            return _sqlite_engine(place)
        return create_engine(place, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Unusable(f"DATABASE_URL cannot be used: {error}.") from error


def _sqlite_engine(url: URL) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise Unusable("DATABASE_URL names no file: write sqlite:////folder/file.sqlite.")
    _secure_file(Path(str(url.database)))
    engine = create_engine(
        url, pool_size=CONNECTIONS, max_overflow=0, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _secure_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise Unusable(f"{path} cannot be opened for writing: {error.strerror}.") from error
    if not os.access(path.parent, os.W_OK):
        raise Unusable(f"{path.parent} cannot be written to, and SQLite keeps its log beside {path.name}.")


def _configure(connection: SqliteConnection, _: object) -> None:
    # SQLAlchemy's begin event says BEGIN; the driver would say it too late, and never IMMEDIATE.
    connection.isolation_level = None
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_write_ahead_log(connection: SqliteConnection) -> None:
    # The mode is kept in the file. Switching to it does not wait for other processes, so this does.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("is_write", False)
    # A transaction that reads first and writes later fails when another wrote between: take the lock at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
