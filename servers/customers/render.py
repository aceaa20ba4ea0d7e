"""A customer as Markdown for a model and as JSON for a program."""

from dataclasses import asdict

from servers.customers.tables import Record
from servers.effects import JsonObject

RECENT = 10
"""Events that the Markdown shows."""

WITHOUT_CENTS = {"JPY", "KRW", "VND", "CLP", "ISK"}
"""Currencies whose smallest unit is the unit itself."""


def record_json(record: Record) -> JsonObject:
    """Return the whole record."""
    return {
        **asdict(record.customer),
        "invoices": [asdict(invoice) for invoice in record.invoices],
        "sessions": [asdict(session) for session in record.sessions],
        "refunds": [asdict(refund) for refund in record.refunds],
        "events": [asdict(event) for event in record.events],
    }


def customer_markdown(record: Record) -> str:
    """Return the customer as a colleague would want to read it; sessions are counted, never named."""
    customer = record.customer
    lines = [
        f"# Customer {_line(customer.name)}",
        "",
        f"- E-mail: {customer.email} ({'verified' if customer.verified else 'not verified'})",
        f"- Contact address: {customer.contact_email}",
        f"- Account tier: {customer.account_tier}",
        f"- Plan: {_line(customer.plan)}",
        f"- Marketing mail: {'yes' if customer.marketing_opt_in else 'no'}",
        f"- Signed in on: {len(record.sessions)} devices",
        "",
        "## Invoices",
        "",
    ]
    lines += [
        f"- {invoice.id}: {money(invoice.amount_cents, invoice.currency)}, {invoice.status}, "
        f"{invoice.issued_at[:10]}, {_line(invoice.description)}"
        for invoice in record.invoices
    ] or ["None."]
    lines += ["", "## Recent events", ""]
    lines += [f"- {event.at[:10]} {event.kind.replace('_', ' ')}" for event in record.events[-RECENT:]] or ["None."]
    return "\n".join(lines) + "\n"


def money(amount_cents: int, currency: str) -> str:
    """Return an amount as people write it."""
    if currency in WITHOUT_CENTS:
        return f"{currency} {amount_cents:,}"
    return f"{currency} {amount_cents // 100:,}.{amount_cents % 100:02d}"


def _line(text: str) -> str:
    return " ".join(text.split())
