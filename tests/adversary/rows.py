"""The demo helpdesk's rows, marked, and customers whose invoices lie at every limit and one cent beside it."""

import copy
from typing import Any

from servers import demo
from tests.adversary.marks import mark
from tests.fakes.helpdesk import ticket

_CENTS = {
    "free": (2_000, 2_001, 1_999, 1, 2, 0, 50_000),
    "pro": (10_000, 10_001, 9_999, 1, 2, 50_000, 50_001),
    "enterprise": (10_000, 10_001, 1, 49_999, 50_000, 50_001, 200_001),
}
"""What the invoices of the customers at the limits are over."""

_FIRST_TICKET = 901
_FIRST_CUSTOMER = 5001


def marked_tickets() -> list[dict[str, Any]]:
    """Return the demo's tickets and two of each customer at the limits, a mark in every text."""
    rows = [copy.deepcopy(row) for row in demo.tickets()]
    for number, customer in enumerate(_at_the_limits()):
        rows += [
            ticket(_FIRST_TICKET + place, customer["email"], body="I want my money back, all of it.")
            for place in (2 * number, 2 * number + 1)
        ]
    for row in rows:
        _mark_ticket(row)
    return rows


def _mark_ticket(row: dict[str, Any]) -> None:
    owner = f"t{row['id']}"
    row["subject"] += f" {mark(owner, 'subject')}"
    note = {"author": "Maria", "kind": "internal_note", "body": mark(owner, "note"), "at": row["created_at"]}
    row["messages"] = [*row["messages"], {**note, "marker": "handover"}]
    for message in row["messages"]:
        message["body"] += f"\n{mark(owner, message['author'])}"
        message.setdefault("marker", None)


def marked_customers() -> list[dict[str, Any]]:
    """Return the demo's customers and those at the limits, a mark in every text, and ids that nobody can guess."""
    rows = [copy.deepcopy(row) for row in (*demo.customers(), *_at_the_limits())]
    for row in rows:
        owner = owner_of(row["id"])
        row["name"] += f" {mark(owner, 'name')}"
        row["contact_email"] = f"{mark(owner, 'contact')}@example.net"
        for invoice in row["invoices"]:
            invoice["description"] += f" {mark(owner, invoice['id'])}"
        for session in row["sessions"]:
            session["device"] += f" {mark(owner, session['id'])}"
        row["invoices"].append(_invoice(mark(owner, "invoice"), 300, "USD"))
        row["sessions"].append(_session(mark(owner, "session")))
    return rows


def owner_of(customer_id: str) -> str:
    """Return the owner's name of a customer, as marks have it."""
    return customer_id.replace("us_", "")


def _at_the_limits() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for tier, cents in _CENTS.items():
        for currency in ("USD", "EUR", "JPY"):
            number = _FIRST_CUSTOMER + len(rows)
            invoices = [_invoice(f"inv_{number}_{place}", most, currency) for place, most in enumerate(cents)]
            rows.append(
                {
                    "id": f"cus_{number}",
                    "email": f"limit{number}@example.com",
                    "name": f"Limit {number}",
                    "account_tier": tier,
                    "verified": currency != "EUR",
                    "plan": tier,
                    "contact_email": "",
                    "marketing_opt_in": False,
                    "invoices": invoices,
                    "sessions": [_session(f"ses_{number}_1")],
                }
            )
    return rows


def _invoice(invoice_id: str, cents: int, currency: str) -> dict[str, Any]:
    return {
        "id": invoice_id,
        "amount_cents": cents,
        "currency": currency,
        "status": "paid",
        "issued_at": "2026-11-02T06:00:00Z",
        "description": "Thistle",
    }


def _session(session_id: str) -> dict[str, Any]:
    return {"id": session_id, "device": "Firefox", "location": "Leeds, GB", "last_seen_at": "2026-11-16T07:30:41Z"}
