"""Whether a run's record is as it was written: its chain, its seal, its summary, its redaction."""

import hmac
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, union

from agent.journal import payments, queries
from agent.journal.chain import Fault, Line, first_fault
from agent.journal.key import Key
from agent.journal.money import payments_due
from agent.journal.queries import Recorded
from agent.journal.summaries import all_columns
from agent.journal.tables import entries, redactions, runs
from agent.journal.values import Soundness, Verified


def known_ids(connection: Connection) -> list[str]:
    """Return the ids of all runs of which anything is stored, oldest first."""
    tables = (runs, entries, redactions)
    return sorted(connection.scalars(union(*(select(table.c.run_id) for table in tables))))


def verified(connection: Connection, key: Key, run_id: str) -> Verified | None:
    """Return whether one run's record is as it was written, or None if nothing is stored of it."""
    recorded = queries.recorded(connection, run_id)
    run = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
    redaction = connection.execute(select(redactions).where(redactions.c.run_id == run_id)).one_or_none()
    if run is None and redaction is None and not recorded.lines:
        return None
    fault = _fault(key, recorded, run, redaction)
    if fault is None and payments.stored(connection, run_id) != payments_due(recorded.lines):
        fault = Fault(seq=None, problem="what counts as paid by the run does not follow from its entries")
    sound = Soundness.OK if redaction is None else Soundness.REDACTED
    return Verified(
        run_id=run_id,
        soundness=sound if fault is None else Soundness.TAMPERED,
        entries=len(recorded.lines),
        is_finished=run is not None and run.outcome is not None,
        seq=fault.seq if fault else None,
        problem=fault.problem if fault else None,
    )


def _fault(key: Key, recorded: Recorded, run: Row[Any] | None, redaction: Row[Any] | None) -> Fault | None:
    lines = recorded.lines
    if run is None:
        return Fault(seq=lines[0].seq if lines else None, problem="it belongs to no run")
    if redaction is not None and not _is_signed(key, redaction, entries=len(lines)):
        return Fault(seq=None, problem="the record of its redaction is not this program's")
    if broken := first_fault(lines, recorded.documents, is_forgotten=redaction is not None):
        return broken
    return _end_fault(key, lines, run) or _summary_fault(lines, run)


def _end_fault(key: Key, lines: Sequence[Line], run: Row[Any]) -> Fault | None:
    if not lines or (run.last_seq is not None and run.last_seq > len(lines)):
        return Fault(seq=len(lines) + 1, problem="it is missing, and all after it")
    seal = key.seal(run.run_id, lines[-1].digest) if run.last_seq is not None else ""
    if not _is_same(run.seal or "", seal):
        return Fault(seq=run.last_seq, problem="the seal on the run's end does not fit it")
    return None


def _summary_fault(lines: Sequence[Line], run: Row[Any]) -> Fault | None:
    must_say = all_columns(lines)
    for column in runs.c:
        if column.name not in {"run_id", "seal"} and getattr(run, column.name) != must_say.get(column.name):
            return Fault(seq=None, problem=f"the run's summary does not follow from its entries ({column.name})")
    return None


def _is_signed(key: Key, redaction: Row[Any], *, entries: int) -> bool:
    signature = key.redaction(redaction.run_id, redaction.at, redaction.by, redaction.entries)
    return redaction.entries == entries and _is_same(redaction.signature, signature)


def _is_same(found: str, expected: str) -> bool:
    return hmac.compare_digest(found.encode(), expected.encode())
