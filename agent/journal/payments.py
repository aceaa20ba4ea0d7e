"""The table of payments: a line for each, and the totals of a day."""

import hashlib
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import BigInteger, Connection, case, func, insert, literal, select, update

from agent.journal.chain import moment
from agent.journal.tables import payments
from agent.journal.values import Payment
from agent.protocols import SpentMeanwhile
from agent.records import Spent


def spent(connection: Connection, *, customer: str, since: datetime) -> Spent:
    """Return what counts since then, to this customer and to all."""
    to_customer = case((payments.c.customer == customer, payments.c.cents), else_=0)
    counted = (payments.c.at >= moment(since), payments.c.is_counted)
    to_all, to_one = connection.execute(select(func.sum(payments.c.cents), func.sum(to_customer)).where(*counted)).one()
    return Spent(since=since, customer_cents=int(to_one or 0), all_cents=int(to_all or 0))


def enter(connection: Connection, payment: Payment, expected: Spent | None) -> None:
    """Insert a payment, if these are still the totals before it.

    Raises:
        SpentMeanwhile: they are not.
    """
    if expected is not None:
        _take_turns(connection)
        if spent(connection, customer=payment.customer, since=expected.since) != expected:
            raise SpentMeanwhile
    connection.execute(insert(payments), {**asdict(payment), "is_counted": True})


def strike(connection: Connection, run_id: str, call: str) -> None:
    """Let the payment of this call, if there is one, count no more."""
    of_the_call = (payments.c.run_id == run_id, payments.c.call == call)
    connection.execute(update(payments).where(*of_the_call).values(is_counted=False))


def stored(connection: Connection, run_id: str) -> dict[str, tuple[Payment, bool]]:
    """Return a run's payments by call, and whether each of them counts."""
    found: dict[str, tuple[Payment, bool]] = {}
    for row in connection.execute(select(payments).where(payments.c.run_id == run_id)):
        payment = Payment(run_id=row.run_id, call=row.call, customer=row.customer, at=row.at, cents=row.cents)
        found[payment.call] = (payment, row.is_counted)
    return found


def _take_turns(connection: Connection) -> None:
    """Exclude all others who would move money, until this transaction ends."""
    if connection.dialect.name == "sqlite":
        return  # a transaction that writes excludes all others there
    number = int.from_bytes(hashlib.sha256(b"support-agent payments").digest()[:8], signed=True)
    connection.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))
