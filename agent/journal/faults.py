"""What a database says when it fails, as one sentence for the operator; and what is worth trying again."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from agent.errors import JournalError
from agent.journal.places import shown

T = TypeVar("T")

OUTAGE_DELAYS_S = (0.1, 0.4, 1.0, 2.0, 4.0)
"""Before a lost or refused connection is tried again: PostgreSQL restarts within a few seconds."""

_BY_CODE = {
    sqlite3.SQLITE_BUSY: "is locked by another process, and stayed locked for as long as was waited ({why}): nothing "
    "was written. Look for the process that holds it, then run the command again",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full ({why}): what was recorded before is kept. Make room, then run "
    "the command again",
    sqlite3.SQLITE_READONLY: "is read-only ({why}): give this user the right to write the file and its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written ({why}): what was recorded before is kept. Look at the disk and "
    "the room on it, then run the command again",
    sqlite3.SQLITE_CORRUPT: "is damaged ({why}): restore it from a backup, or save what can be read with "
    "`sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "is no journal ({why}): move the file away, or let SUPPORT_AGENT_JOURNAL name another place",
}
_BY_STATE = {
    "55P03": _BY_CODE[sqlite3.SQLITE_BUSY],  # lock not available
    "53100": _BY_CODE[sqlite3.SQLITE_FULL],  # disk full
    "25006": "is read-only ({why}): let SUPPORT_AGENT_JOURNAL name the primary",
}
_OTHERWISE = "cannot be used as the journal: {why}"
_PRIMARY = 0xFF  # the rest of SQLite's code says where it happened


@contextmanager
def told(engine: Engine) -> Generator[None]:
    """Turn what the database says into one sentence.

    Raises:
        JournalError: the database failed.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise JournalError(f"{shown(engine.url)} {_sentence(error)}.") from error


def check_pages(engine: Engine, connection: Connection) -> None:
    """Check that a SQLite file is whole, the pages included that no query needs.

    Raises:
        JournalError: it is damaged.
    """
    if engine.dialect.name == "sqlite":
        answer = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
        if answer != "ok":
            why = " ".join(answer.split())
            raise JournalError(f"{shown(engine.url)} {_BY_CODE[sqlite3.SQLITE_CORRUPT].format(why=why)}.")


def again(attempt: Callable[[], T]) -> T:
    """Return what the attempt returns; one that fails for want of a connection is made again, a few times.

    The lost one may have been committed: the attempt must find that out by itself.
    """
    for delay_s in OUTAGE_DELAYS_S:
        try:
            return attempt()
        except DBAPIError as error:
            if not _is_outage(error):
                raise
        time.sleep(delay_s)
    return attempt()


def _is_outage(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return False
    # What PostgreSQL itself says has a state; without one, it could not be reached.
    is_unreachable = isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") is None
    # Starting, stopping, or out of connections for now.
    is_closed = str(getattr(error.orig, "sqlstate", "")) in {"57P01", "57P02", "57P03", "53300"}
    return error.connection_invalidated or is_unreachable or is_closed


def _sentence(error: DBAPIError | PoolTimeout) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", 0) & _PRIMARY
    template = _BY_CODE.get(code) or _BY_STATE.get(getattr(original, "sqlstate", None) or "") or _OTHERWISE
    return template.format(why=_reason(original))


def _reason(original: BaseException | None) -> str:
    # Without PostgreSQL's position, detail and hint; a failed connection has none of them, but several lines.
    message = getattr(getattr(original, "diag", None), "message_primary", None) or str(original)
    sentence = " ".join(message.split()).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return sentence.rstrip(".")
