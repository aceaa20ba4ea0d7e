"""Taking the texts out of runs, and the proof that it was this program that did."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from agent.journal.chain import moment
from agent.journal.key import Key
from agent.journal.tables import entries, redactions, rulings, runs


def concerned(connection: Connection, *, customer: str | None, before: datetime | None) -> tuple[list[str], int]:
    """Return the finished runs to which all of this applies and that still have texts, and how many are unfinished.

    A finished run counts by its end, an unfinished one by its last entry.
    """
    conditions = [] if customer is None else [runs.c.customer == customer]
    finished = [*conditions, runs.c.finished_at.is_not(None), *_ended_before(before)]
    has_texts = runs.c.run_id.not_in(select(redactions.c.run_id))
    ids = list(connection.scalars(select(runs.c.run_id).where(*finished, has_texts).order_by(runs.c.started_at)))
    unfinished = [*conditions, runs.c.finished_at.is_(None), *_silent_since(before)]
    return ids, connection.execute(select(func.count()).select_from(runs).where(*unfinished)).scalar_one()


def redact(connection: Connection, key: Key, run_id: str, *, by: str, at: datetime) -> int:
    """Take the texts out of a finished run, and return how many entries had one; 0 if another process has done it."""
    if connection.execute(select(redactions.c.run_id).where(redactions.c.run_id == run_id)).one_or_none():
        return 0
    emptied = update(entries).where(entries.c.run_id == run_id).values(salt=None, body=None)
    count = connection.execute(emptied).rowcount
    connection.execute(update(rulings).where(rulings.c.run_id == run_id).values(because=None))
    when = moment(at)
    signature = key.redaction(run_id, when, by, count)
    row = {"run_id": run_id, "at": when, "by": by, "entries": count, "signature": signature}
    connection.execute(insert(redactions), row)
    return count


def _ended_before(before: datetime | None) -> list[ColumnElement[bool]]:
    return [] if before is None else [runs.c.finished_at < moment(before)]


def _silent_since(before: datetime | None) -> list[ColumnElement[bool]]:
    last = select(func.max(entries.c.at)).where(entries.c.run_id == runs.c.run_id).scalar_subquery()
    return [] if before is None else [last < moment(before)]
