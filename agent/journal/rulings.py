"""The table of rulings: plans that a person has rejected."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text

from agent.journal.bodies import dumps
from agent.journal.chain import moment
from agent.journal.reading import text_of
from agent.journal.tables import rulings
from agent.journal.values import Ruling

_ENTER = text(
    'INSERT INTO rulings (run_id, at, "by", because) VALUES (:run_id, :at, :by, :because) '
    "ON CONFLICT (run_id) DO NOTHING"
)


def enter(connection: Connection, ruling: Ruling) -> Ruling:
    """Insert a ruling, and return the one that stands of its run then: this one, or an earlier one."""
    row = {"run_id": ruling.run_id, "at": moment(ruling.at), "by": ruling.by, "because": dumps(ruling.because)}
    connection.execute(_ENTER, row)
    return _ruling(connection.execute(select(rulings).where(rulings.c.run_id == ruling.run_id)).one())


def stored(connection: Connection, run_ids: Sequence[str] | None) -> dict[str, Ruling]:
    """Return the rulings on these runs, or all there are, by run."""
    wanted = select(rulings) if run_ids is None else select(rulings).where(rulings.c.run_id.in_(run_ids))
    return {row.run_id: _ruling(row) for row in connection.execute(wanted)}


def _ruling(row: Row[Any]) -> Ruling:
    return Ruling(run_id=row.run_id, at=datetime.fromisoformat(row.at), by=row.by, because=text_of(row.because))
