"""How each of the two databases is connected to."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from servers.database.places import Unusable, is_sqlite, shown

CONNECTIONS = 8
"""Transactions that run at once; more would only wait for the interpreter."""

BUSY_TIMEOUT_S = 30.0
"""How long a SQLite transaction waits for another process before it fails."""

SERVES = "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=10000"
"""Milliseconds: a process that freezes inside a transaction loses it and its locks, and every wait for a lock ends."""

UPGRADES = "-c idle_in_transaction_session_timeout=60000 -c lock_timeout=60000"
"""A migration may compute between its statements, and wait for another one that runs."""

_DEFAULTS = {
    "application_name": "support-agent",
    "connect_timeout": "10",
    # A machine that is gone is noticed within a minute: by default it takes hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""libpq's parameters, unless the URL says otherwise."""


def create_engine_for(place: URL, *, is_upgrade: bool = False) -> Engine:
    """Return the way to a database; a SQLite file is made if there is none, PostgreSQL is not yet spoken to.

    Raises:
        Unusable: the file or folder cannot be written to, or PostgreSQL's driver is not installed.
    """
    if is_sqlite(place):
        return _sqlite_engine(place)
    return _postgresql_engine(place, UPGRADES if is_upgrade else SERVES)


@contextmanager
def in_a_sentence(engine: Engine) -> Generator[None]:
    """Turn what the database says into one sentence, and leave no connection open on any error.

    Raises:
        Unusable: the database failed.
    """
    try:
        yield
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DBAPIError):
            raise Unusable(f"{shown(engine.url)} cannot be used as a database: {_reason(error)}.") from error
        raise


def _reason(error: DBAPIError) -> str:
    # Without PostgreSQL's position, detail and hint; a failed connection has none of them, but several lines.
    message = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    sentence = " ".join(message.split()).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return sentence.rstrip(".")


def _postgresql_engine(place: URL, settings: str) -> Engine:
    own = place.query.get("options", ())
    options = " ".join([settings, *([own] if isinstance(own, str) else own)])
    url = place.set(query={**_DEFAULTS, **place.query, "options": options})
    try:
        return create_engine(url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True)
    except ImportError as error:  # also when psycopg is there, and PostgreSQL's client library is not
        raise Unusable('PostgreSQL needs the package psycopg: pip install "support-agent[postgres]".') from error


def _sqlite_engine(place: URL) -> Engine:
    _secure_file(Path(str(place.database)))
    engine = create_engine(
        place,
        pool_size=CONNECTIONS,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
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
