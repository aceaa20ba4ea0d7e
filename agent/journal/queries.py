"""What is read of the journal's tables, inside a transaction of the caller's."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select

from agent.errors import JournalError
from agent.journal import bodies
from agent.journal.chain import Line, moment
from agent.journal.summaries import SPENDING, totals
from agent.journal.tables import documents, entries, redactions, runs
from agent.journal.values import RunSummary, Totals, Wanted
from agent.records import OutcomeKind, Owner, RunMode, Usage

_SUMMARY = (
    select(runs, entries.c.body, redactions.c.run_id.label("forgotten"))
    .outerjoin(entries, and_(entries.c.run_id == runs.c.run_id, entries.c.seq == runs.c.last_seq))
    .outerjoin(redactions, redactions.c.run_id == runs.c.run_id)
    .order_by(runs.c.started_at.desc(), runs.c.run_id.desc())
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """All that is stored of one run's entries."""

    lines: Sequence[Line]
    documents: dict[str, str]  # digest → JSON: those that they refer to


def recorded(connection: Connection, run_id: str) -> Recorded:
    """Return a run's lines in order, none for an unknown run."""
    rows = connection.execute(select(entries).where(entries.c.run_id == run_id).order_by(entries.c.seq))
    lines = [_line(row) for row in rows]
    return Recorded(lines=lines, documents=documents_of(connection, lines))


def line(connection: Connection, run_id: str, seq: int) -> Line | None:
    """Return one line, if it is there."""
    row = connection.execute(select(entries).where(entries.c.run_id == run_id, entries.c.seq == seq)).one_or_none()
    return None if row is None else _line(row)


def documents_of(connection: Connection, lines: Sequence[Line]) -> dict[str, str]:
    """Return the documents that these lines refer to, those that are there."""
    digests = [digest for line in lines if line.body for digest in bodies.references(line.kind, line.body)]
    found = connection.execute(select(documents).where(documents.c.digest.in_(digests))) if digests else ()
    return {row.digest: row.body for row in found}


def owner(connection: Connection, run_id: str) -> Owner | None:
    """Return who began a run or claimed it last."""
    found = connection.execute(select(runs.c.owner).where(runs.c.run_id == run_id)).scalar_one_or_none()
    return None if found is None else Owner(**json.loads(found))


def ids_starting_with(connection: Connection, prefix: str, *, limit: int) -> list[str]:
    """Return ids of runs that start with these characters, in order."""
    matching = runs.c.run_id.startswith(prefix, autoescape=True)
    return list(connection.scalars(select(runs.c.run_id).where(matching).order_by(runs.c.run_id).limit(limit)))


def summaries(connection: Connection, wanted: Wanted) -> list[RunSummary]:
    """Return the runs that are wanted, newest first."""
    rows = connection.execute(_SUMMARY.where(*_conditions(wanted)).limit(wanted.limit)).all()
    return [_summary(row, _totals(connection, row)) for row in rows]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.run_id is not None:
        yield runs.c.run_id == wanted.run_id
    if wanted.ticket_id is not None:
        yield runs.c.ticket_id == wanted.ticket_id
    if wanted.outcome is not None:
        yield runs.c.outcome == wanted.outcome.value
    if wanted.since is not None:
        yield runs.c.started_at >= moment(wanted.since)
    if wanted.mode is not None:
        yield runs.c.mode == wanted.mode.value
    if wanted.is_finished is not None:
        yield runs.c.finished_at.is_not(None) if wanted.is_finished else runs.c.finished_at.is_(None)


def _line(row: Row[Any]) -> Line:
    return Line(
        run_id=row.run_id,
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        writer=row.writer,
        kept=row.kept,
        body_digest=row.body_digest,
        digest=row.digest,
        salt=row.salt,
        body=row.body,
    )


def _totals(connection: Connection, row: Row[Any]) -> Totals:
    if row.finished_at is not None:
        return Totals(turns=row.turns, usage=Usage(**json.loads(row.usage)), cost_usd=row.cost_usd)
    of_the_run = (entries.c.run_id == row.run_id, entries.c.kind.in_(SPENDING))
    spent = connection.execute(select(entries.c.kind, entries.c.kept).where(*of_the_run).order_by(entries.c.seq))
    return totals((kind, kept) for kind, kept in spent)


def _summary(row: Row[Any], used: Totals) -> RunSummary:
    try:
        return RunSummary(
            run_id=row.run_id,
            ticket_id=row.ticket_id,
            customer=row.customer,
            mode=RunMode(row.mode),
            model=row.model,
            outcome=None if row.outcome is None else OutcomeKind(row.outcome),
            reason=None if row.body is None else json.loads(row.body)["reason"],
            started_at=datetime.fromisoformat(row.started_at),
            finished_at=None if row.finished_at is None else datetime.fromisoformat(row.finished_at),
            turns=used.turns,
            usage=used.usage,
            cost_usd=used.cost_usd,
            owner=Owner(**json.loads(row.owner)),
            is_forgotten=row.forgotten is not None,
        )
    except (ValueError, TypeError, KeyError) as unknown:
        raise JournalError(
            f"Run {row.run_id} in the journal is of a kind that this version of support-agent does not know: use the "
            "version that wrote it."
        ) from unknown
