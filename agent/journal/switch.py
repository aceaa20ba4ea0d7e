"""The switch: whether runs may start and write, and who has seen to it that they may not."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from agent.errors import Paused
from agent.journal.bodies import dumps
from agent.journal.chain import moment
from agent.journal.reading import text_of
from agent.journal.tables import switch
from agent.journal.values import Failure, Pause

BREAKER = "the failure breaker"
"""Who has paused all runs when nobody did."""

_GOING = {"failures": 0, "paused_at": None, "paused_by": None, "reason": None, "is_by_breaker": None}


def paused(connection: Connection) -> Pause | None:
    """Return the pause that holds, if there is one."""
    return _pause(connection.execute(select(switch)).one())


def check_going(connection: Connection) -> None:
    """Check that runs may start and write.

    Raises:
        Paused: they may not.
    """
    if pause := paused(connection):
        raise Paused(pause.sentence)


def pause(connection: Connection, *, by: str, reason: str | None, at: datetime) -> Pause:
    """Pause all runs, or keep them paused since they were; whoever gives a reason then has the pause."""
    values: dict[str, Any] = {"paused_at": func.coalesce(switch.c.paused_at, moment(at))}
    if reason is None:
        values["paused_by"] = func.coalesce(switch.c.paused_by, by)
        values["is_by_breaker"] = func.coalesce(switch.c.is_by_breaker, False)
    else:
        values |= {"paused_by": by, "reason": dumps(reason), "is_by_breaker": False}
    found = _pause(connection.execute(update(switch).values(**values).returning(switch)).one())
    assert found is not None  # noqa: S101 - it was just set
    return found


def unpause(connection: Connection) -> Pause | None:
    """Let runs go on, count their failures anew, and return the pause that was ended, if there was one."""
    ended = _pause(connection.execute(select(switch).with_for_update()).one())
    connection.execute(update(switch).values(**_GOING))
    return ended


def count(connection: Connection, failure: Failure, *, at: datetime) -> Pause | None:
    """Count a run that infrastructure has stopped; return the pause that this sets off, if it does."""
    more = update(switch).values(failures=switch.c.failures + 1).returning(switch.c.failures, switch.c.paused_at)
    row = connection.execute(more).one()
    if row.paused_at is not None or row.failures < failure.most:
        return None
    values = {"paused_at": moment(at), "paused_by": BREAKER, "reason": dumps(failure.told(row.failures))}
    tripped = update(switch).values(**values, is_by_breaker=True).returning(switch)
    return _pause(connection.execute(tripped).one())


def forgive(connection: Connection) -> None:
    """Count failures anew: a run has come to its end."""
    # Nothing is written where nothing is to be forgotten: all runs share this row.
    connection.execute(update(switch).where(switch.c.failures != 0).values(failures=0))


def _pause(row: Row[Any]) -> Pause | None:
    if row.paused_at is None:
        return None
    return Pause(
        since=datetime.fromisoformat(row.paused_at),
        by=row.paused_by,
        reason=text_of(row.reason),
        is_by_breaker=row.is_by_breaker,
    )
