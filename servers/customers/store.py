"""What can be asked of the customer records, and the changes that they allow."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, insert, select, update

from servers.checks import Refused, checked_address, checked_text
from servers.customers.tables import (
    Customer,
    Invoice,
    Record,
    Session,
    customer_of,
    customers,
    event_of,
    events,
    invoice_of,
    invoices,
    keys,
    outbox,
    refund_of,
    refunds,
    session_of,
    sessions,
)
from servers.database import Database
from servers.effects import Call, Done, JsonObject, now, perform


class CustomerStore:
    """Blocking reads and writes; each write is one transaction and answers a used key with its first result.

    Every method checks that what it touches belongs to the customer that is named; what belongs to another
    is refused in the words for what does not exist.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def record(self, email: str) -> Record:
        """Return the customer with this address, whatever its case, and all that belongs to the account.

        Raises:
            Refused: there is no such customer.
        """
        with self.database.reading() as connection:
            mine = customers.c.email_key == email.strip().lower()
            row = connection.execute(select(customers).where(mine)).mappings().one_or_none()
            if row is None:
                raise Refused(f"There is no customer with the address {email[:254]!r}.")
            customer = customer_of(row)
            return Record(
                customer=customer,
                invoices=tuple(map(invoice_of, _of(connection, invoices, customer, "issued_at"))),
                sessions=_active(connection, customer),
                refunds=tuple(map(refund_of, _of(connection, refunds, customer, "at"))),
                events=tuple(map(event_of, _of(connection, events, customer, "id"))),
            )

    def customer(self, customer_id: str) -> Customer:
        """Return one customer.

        Raises:
            Refused: there is no such customer.
        """
        with self.database.reading() as connection:
            return _customer(connection, customer_id)

    def invoices(self, customer_id: str) -> tuple[Invoice, ...]:
        """Return the customer's invoices, oldest first.

        Raises:
            Refused: there is no such customer.
        """
        with self.database.reading() as connection:
            customer = _customer(connection, customer_id)
            return tuple(map(invoice_of, _of(connection, invoices, customer, "issued_at")))

    def invoice(self, customer_id: str, invoice_id: str) -> Invoice:
        """Return one of the customer's invoices.

        Raises:
            Refused: there is no such customer, or none of the customer's invoices has this id.
        """
        with self.database.reading() as connection:
            return _invoice(connection, _customer(connection, customer_id), invoice_id)

    def sessions(self, customer_id: str) -> tuple[Session, ...]:
        """Return the customer's active sessions, the one seen last first.

        Raises:
            Refused: there is no such customer.
        """
        with self.database.reading() as connection:
            return _active(connection, _customer(connection, customer_id))

    def send_password_reset(self, call: Call, customer_id: str) -> Done:
        """Send a reset link to the account's own address, if it was ever verified."""

        def effect(connection: Connection) -> JsonObject:
            customer = _customer(connection, customer_id, is_locked=True)
            if not customer.verified:
                raise Refused(
                    f"The address of customer {customer.id} was never verified, so no reset link was sent: "
                    "a person must check who asks. Escalate the ticket."
                )
            _post(connection, customer, "password_reset", customer.email, {})
            version = _change(
                connection, call, customer, "password_reset_sent", before={}, after={"sent_to": customer.email}
            )
            return {"customer_id": customer.id, "sent_to": customer.email, "version": version}

        return perform(self.database, keys, call, effect)

    def revoke_sessions(self, call: Call, customer_id: str, session_ids: Sequence[str] | None) -> Done:
        """Sign the customer out of these sessions, or of all of them for None."""

        def effect(connection: Connection) -> JsonObject:
            customer = _customer(connection, customer_id, is_locked=True)
            active = [session.id for session in _active(connection, customer)]
            for session_id in session_ids or ():
                if session_id not in active:
                    raise Refused(
                        f"Customer {customer.id} has no active session {session_id[:50]!r}, so none was ended: "
                        "list_sessions names the ones that are."
                    )
            ended = active if session_ids is None else sorted(set(session_ids))
            connection.execute(update(sessions).where(sessions.c.id.in_(ended)).values(revoked_at=now()))
            before, after = {"active": active}, {"revoked": ended}
            version = _change(connection, call, customer, "sessions_revoked", before=before, after=after)
            return {"customer_id": customer.id, "revoked": ended, "version": version}

        return perform(self.database, keys, call, effect)

    def resend_invoice(self, call: Call, customer_id: str, invoice_id: str) -> Done:
        """Send an invoice to the customer's contact address once more."""

        def effect(connection: Connection) -> JsonObject:
            customer = _customer(connection, customer_id, is_locked=True)
            invoice = _invoice(connection, customer, invoice_id)
            sent = {"invoice_id": invoice.id, "sent_to": customer.contact_email}
            _post(connection, customer, "invoice", customer.contact_email, {"invoice_id": invoice.id})
            version = _change(connection, call, customer, "invoice_resent", before={}, after=sent)
            return {"customer_id": customer.id, **sent, "version": version}

        return perform(self.database, keys, call, effect)

    def issue_refund(
        self, call: Call, customer_id: str, invoice_id: str, reason: str, expected_amount_cents: int
    ) -> Done:
        """Pay an invoice back in full; its amount decides, and must be the one that was expected."""

        def effect(connection: Connection) -> JsonObject:
            customer = _customer(connection, customer_id, is_locked=True)
            invoice = _invoice(connection, customer, invoice_id)
            _check_refundable(invoice, expected_amount_cents)
            paid_back = {"invoice_id": invoice.id, "amount_cents": invoice.amount_cents, "currency": invoice.currency}
            refund = {
                "id": f"ref_{invoice.id.removeprefix('inv_')}",
                "customer": customer.id,
                "invoice": invoice.id,
                "amount_cents": invoice.amount_cents,
                "currency": invoice.currency,
                "reason": checked_text(reason, "reason", longest=1_000),
                "at": now(),
            }
            connection.execute(insert(refunds).values(refund))
            connection.execute(update(invoices).where(invoices.c.id == invoice.id).values(status="refunded"))
            before = {"invoice_id": invoice.id, "status": invoice.status}
            after = {**paid_back, "status": "refunded", "refund_id": refund["id"], "reason": refund["reason"]}
            version = _change(connection, call, customer, "refunded", before=before, after=after)
            return {"customer_id": customer.id, "refund_id": refund["id"], **paid_back, "version": version}

        return perform(self.database, keys, call, effect)

    def update_account(
        self,
        call: Call,
        customer_id: str,
        *,
        plan: str | None,
        contact_email: str | None,
        marketing_opt_in: bool | None,
        expected_version: int | None,
    ) -> Done:
        """Change what is given, and leave what is None."""

        def effect(connection: Connection) -> JsonObject:
            customer = _customer(connection, customer_id, is_locked=True)
            if expected_version is not None and expected_version != customer.version:
                raise Refused(
                    f"Customer {customer.id} has changed: the record is at version {customer.version}, and version "
                    f"{expected_version} was expected. Nothing was done: read the record again, then decide anew."
                )
            values: JsonObject = {}
            if plan is not None:
                values["plan"] = checked_text(plan, "plan", longest=100)
            if contact_email is not None:
                values["contact_email"] = checked_address(contact_email, "contact address")
            if marketing_opt_in is not None:
                values["marketing_opt_in"] = marketing_opt_in
            if not values:
                raise Refused("Nothing was given to change: give a plan, a contact address or a marketing preference.")
            before = {name: getattr(customer, name) for name in values}
            connection.execute(update(customers).where(customers.c.id == customer.id).values(values))
            version = _change(connection, call, customer, "account_updated", before=before, after=values)
            return {"customer_id": customer.id, "changed": values, "version": version}

        return perform(self.database, keys, call, effect)


def insert_demo(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert the demo's customers with their invoices and sessions."""
    for row in rows:
        fields = {name: value for name, value in row.items() if name not in {"invoices", "sessions"}}
        connection.execute(insert(customers).values({**fields, "email_key": row["email"].lower(), "version": 1}))
        for table in (invoices, sessions):
            for belonging in row[table.name]:
                connection.execute(insert(table).values({**belonging, "customer": row["id"]}))


def _customer(connection: Connection, customer_id: str, *, is_locked: bool = False) -> Customer:
    query = select(customers).where(customers.c.id == customer_id)
    row = connection.execute(query.with_for_update() if is_locked else query).mappings().one_or_none()
    if row is None:
        raise Refused(f"There is no customer {customer_id[:50]!r}.")
    return customer_of(row)


def _invoice(connection: Connection, customer: Customer, invoice_id: str) -> Invoice:
    mine = (invoices.c.id == invoice_id) & (invoices.c.customer == customer.id)
    row = connection.execute(select(invoices).where(mine)).mappings().one_or_none()
    if row is None:
        raise Refused(
            f"Customer {customer.id} has no invoice {invoice_id[:50]!r}: list_invoices names the ones that there are."
        )
    return invoice_of(row)


def _check_refundable(invoice: Invoice, expected_amount_cents: int) -> None:
    if invoice.status == "refunded":
        raise Refused(f"Invoice {invoice.id} was refunded already, so nothing was paid: tell the customer that it was.")
    if invoice.status != "paid":
        raise Refused(f"Invoice {invoice.id} is not paid, so there is nothing to pay back: look at its status.")
    if invoice.amount_cents != expected_amount_cents:
        raise Refused(
            f"Invoice {invoice.id} is over {invoice.amount_cents} {invoice.currency} cents, and "
            f"{expected_amount_cents} were expected. Nothing was paid: read the invoice again, then decide anew."
        )


def _active(connection: Connection, customer: Customer) -> tuple[Session, ...]:
    mine = (sessions.c.customer == customer.id) & sessions.c.revoked_at.is_(None)
    query = select(sessions).where(mine).order_by(sessions.c.last_seen_at.desc(), sessions.c.id)
    return tuple(map(session_of, connection.execute(query).mappings()))


def _of(connection: Connection, table: Table, customer: Customer, order: str) -> Iterable[RowMapping]:
    query = select(table).where(table.c.customer == customer.id).order_by(table.c[order], table.c.id)
    return connection.execute(query).mappings()


def _post(connection: Connection, customer: Customer, template: str, recipient: str, values: JsonObject) -> None:
    row = {"customer": customer.id, "template": template, "recipient": recipient, "values": values, "at": now()}
    connection.execute(insert(outbox).values(row))


def _change(
    connection: Connection, call: Call, customer: Customer, kind: str, *, before: JsonObject, after: JsonObject
) -> int:
    """Write the event and the next version, which is returned."""
    version = customer.version + 1
    connection.execute(update(customers).where(customers.c.id == customer.id).values(version=version))
    row = {
        "customer": customer.id,
        "at": now(),
        "actor": call.actor,
        "kind": kind,
        "before": before,
        "after": after,
        "key": call.key,
    }
    connection.execute(insert(events).values(row))
    return version
