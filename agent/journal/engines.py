"""How each of the two databases is connected to, so that what is committed stays, and stays private."""

import os
import time
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from agent.errors import JournalError
from agent.journal.places import is_sqlite

CONNECTIONS = 4
"""Transactions of this process that run at once on PostgreSQL; on SQLite they take turns."""

WORKS = "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=10000"
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

_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


def engine_for(place: URL, *, busy_timeout_s: float, is_upgrade: bool = False) -> Engine:
    """Return the way to the journal; a SQLite file is made if there is none, PostgreSQL is not yet spoken to.

    Transactions of an engine with the execution option `is_write` exclude all other writers of a SQLite file.

    Raises:
        JournalError: the file or folder cannot be made or written to, or PostgreSQL's driver is not installed.
    """
    if is_sqlite(place):
        return _sqlite_engine(place, busy_timeout_s)
    return _postgresql_engine(place, UPGRADES if is_upgrade else WORKS)


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner only, unless it is there.

    Raises:
        JournalError: it cannot be made.
    """
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=_PRIVATE_FOLDER)
            folder.chmod(_PRIVATE_FOLDER)  # whatever the umask
    except FileExistsError:
        if not folder.is_dir():
            raise JournalError(f"The journal's folder {folder} cannot be made: a file is in its place.") from None
    except OSError as error:
        raise JournalError(f"The journal's folder {folder} cannot be made: {error.strerror}.") from error


def _postgresql_engine(place: URL, settings: str) -> Engine:
    own = place.query.get("options", ())
    options = " ".join([settings, *([own] if isinstance(own, str) else own)])
    url = place.set(query={**_DEFAULTS, **place.query, "options": options})
    try:
        # Each statement sees what was committed before it; the database's own default may be another.
        return create_engine(
            url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True, isolation_level="READ COMMITTED"
        )
    except ImportError as error:  # also when psycopg is there, and PostgreSQL's client library is not
        raise JournalError('PostgreSQL needs the package psycopg: pip install "support-agent[postgres]".') from error


def _sqlite_engine(place: URL, busy_timeout_s: float) -> Engine:
    path = Path(str(place.database))
    make_private_folder(path.parent)
    _make_private_file(path)
    engine = create_engine(
        place, pool_size=CONNECTIONS, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}
    )

    def configure(connection: SqliteConnection, _: object) -> None:
        # SQLAlchemy's begin event says BEGIN; the driver would say it too late, and never IMMEDIATE.
        connection.isolation_level = None
        _use_write_ahead_log(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous=FULL")
        # What is deleted is overwritten: a forgotten text is not left in free pages.
        connection.execute("PRAGMA secure_delete=ON")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private_file(path: Path) -> None:
    # SQLite gives its log and index beside the file the file's own mode.
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE_FILE)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.fchmod(descriptor, _PRIVATE_FILE)  # whatever the umask, and whoever touched it
        finally:
            os.close(descriptor)
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be opened for writing: {error.strerror}.") from error
    if not os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise JournalError(f"{path.parent} cannot be written to, and SQLite keeps its log beside {path.name}.")


def _use_write_ahead_log(connection: SqliteConnection, busy_timeout_s: float) -> None:
    # The mode is kept in the file. Switching to it does not wait for other processes, so this does.
    deadline = time.monotonic() + busy_timeout_s
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
