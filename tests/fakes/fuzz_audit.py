"""Whether a database still makes sense: what must hold between its rows, whatever was called, in which order."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Mapping[str, Sequence[Row]]
"""Every row of every table, by the table's name, in the order of their primary keys."""

Audit: TypeAlias = Callable[[Rows, Rows], Iterator[str]]
"""Yields what is wrong with rows, given those at the start."""


def damage(connection: Connection) -> list[str]:
    """Return what SQLite itself finds wrong with its file and its foreign keys."""
    if connection.dialect.name != "sqlite":
        return []
    said = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    loose = [f"loose: {row}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return [line for line in said if line != "ok"] + loose


def ticket_faults(rows: Rows, start: Rows) -> Iterator[str]:
    """Yield what is wrong with the helpdesk's rows."""
    gone = {row["number"] for row in start["tickets"]} - {row["number"] for row in rows["tickets"]}
    yield from (f"ticket {number} is gone" for number in gone)
    yield from _key_faults(rows["ticket_keys"], rows["ticket_events"], "ticket", created_at=1)
    for ticket in rows["tickets"]:
        history = [event for event in rows["ticket_events"] if event["ticket"] == ticket["number"]]
        said = [message for message in rows["ticket_messages"] if message["ticket"] == ticket["number"]]
        for fault in _faults_of_ticket(ticket, history, said):
            yield f"ticket {ticket['number']}: {fault}"


def _faults_of_ticket(ticket: Row, history: Sequence[Row], said: Sequence[Row]) -> Iterator[str]:
    if [event["kind"] for event in history].count("created") != 1 or history[0]["kind"] != "created":
        yield "it must begin with its creation"
        return
    created, *changes = history
    if ticket["version"] != len(history):
        yield f"version {ticket['version']} after {len(history)} events"
    if changes and ticket["updated_at"] != changes[-1]["at"]:
        yield "it was updated at another time than its last event"
    if ticket["requester_key"] != ticket["requester"].lower():
        yield "its requester cannot be found"
    first = yield from _unwound(ticket, changes)
    for name, value in created["after"].items():
        if first[name] != value:
            yield f"{name} was {value!r} at its creation, and its history leads back to {first[name]!r}"
    closings = [place for place, event in enumerate(history) if event["after"].get("status") == "closed"]
    if closings and closings[0] != len(history) - 1:
        yield "it was changed after it was closed"
    if ticket["status"] == "closed" and not (ticket["resolution"] or "").strip():
        yield "it is closed without a resolution"
    yield from _faults_of_conversation(changes, said)


def _faults_of_conversation(changes: Sequence[Row], said: Sequence[Row]) -> Iterator[str]:
    replies = [event["after"]["reply"] for event in changes if event["kind"] == "replied"]
    if replies != [message["body"] for message in said if message["kind"] == "public_reply"]:
        yield "its replies are not those of its events"
    heard = [event["after"]["reply"] for event in changes if event["kind"] == "customer_replied"]
    first, *later = [message["body"] for message in said if message["kind"] == "customer"]
    if heard != later:
        yield f"the customer's texts after {first!r} are not those of its events"
    notes = Counter[str]()
    for event in changes:
        if event["before"].get("note") is not None:
            notes[event["before"]["note"]] -= 1
        notes.update(text for name, text in event["after"].items() if name in {"note", "reason"})
    kept = Counter(message["body"] for message in said if message["kind"] == "internal_note")
    if {text: count for text, count in notes.items() if count} != kept:
        yield "its notes are not those of its events"
    markers = [message["marker"] for message in said if message["marker"] is not None]
    if len(markers) != len(set(markers)):
        yield "two of its notes have the same marker"


def customer_faults(rows: Rows, start: Rows) -> Iterator[str]:
    """Yield what is wrong with the customer records' rows."""
    yield from _key_faults(rows["customer_keys"], rows["customer_events"], "customer", created_at=0)
    for table, changing in (("customers", None), ("invoices", "status"), ("sessions", "revoked_at")):
        before, after = (
            [{"id": row["id"]} if changing is None else {**row, changing: None} for row in found[table]]
            for found in (start, rows)
        )
        if before != after:
            yield f"{table} are not the same as at the start"
    for customer, first in zip(rows["customers"], start["customers"], strict=True):
        history = [event for event in rows["customer_events"] if event["customer"] == customer["id"]]
        for fault in _faults_of_customer(customer, first, history, rows):
            yield f"customer {customer['id']}: {fault}"
    for invoice in rows["invoices"]:
        yield from _faults_of_invoice(invoice, rows)


def _faults_of_customer(customer: Row, first: Row, history: Sequence[Row], rows: Rows) -> Iterator[str]:
    if customer["version"] != 1 + len(history):
        yield f"version {customer['version']} after {len(history)} events"
    unwound = yield from _unwound(customer, history)
    if {**unwound, "version": 1} != first:
        yield "its history does not lead back to the start"
    mine = {
        table: [row for row in rows[table] if row["customer"] == customer["id"]] for table in ("sessions", "outbox")
    }
    ended = [name for event in history if event["kind"] == "sessions_revoked" for name in event["after"]["revoked"]]
    if sorted(ended) != sorted(row["id"] for row in mine["sessions"] if row["revoked_at"] is not None):
        yield "its ended sessions are not those of its events"
    templates = {"password_reset_sent": "password_reset", "invoice_resent": "invoice"}
    told = [(templates[event["kind"]], event["after"]["sent_to"]) for event in history if event["kind"] in templates]
    if told != [(row["template"], row["recipient"]) for row in mine["outbox"]]:
        yield "its mails are not those of its events"


def _faults_of_invoice(invoice: Row, rows: Rows) -> Iterator[str]:
    paid_back = [refund for refund in rows["refunds"] if refund["invoice"] == invoice["id"]]
    told = [event for event in rows["customer_events"] if event["after"].get("refund_id") == f"ref_{invoice['id'][4:]}"]
    if len(paid_back) != (invoice["status"] == "refunded") or len(told) != len(paid_back):
        yield f"{invoice['id']} is {invoice['status']} with {len(paid_back)} refunds and {len(told)} events"
    for row in (*paid_back, *(event["after"] | {"customer": event["customer"]} for event in told)):
        for name in ("customer", "amount_cents", "currency"):
            if row[name] != invoice[name]:
                yield f"{invoice['id']}: {name} is {invoice[name]}, and {row[name]} was paid back"


def _unwound(row: Row, events: Sequence[Row]) -> Any:
    """Yield where a history contradicts its row or itself, and return the row as it was before these events."""
    state = dict(row)
    for event in reversed(events):
        for name in event["after"].keys() & state.keys():
            if state[name] != event["after"][name]:
                yield f"{event['kind']} left {name} at {event['after'][name]!r}, and {state[name]!r} was found next"
            state[name] = event["before"][name]
    return state


def _key_faults(keys: Sequence[Row], events: Sequence[Row], subject: str, *, created_at: int) -> Iterator[str]:
    """Yield where a key acted more or less often than its result says, or under another version."""
    places: Counter[Any] = Counter()
    made: dict[str, list[int]] = {}
    for event in events:
        places[event[subject]] += 1
        if event["key"] is not None:
            made.setdefault(event["key"], []).append(places[event[subject]] + 1 - created_at)
    stored = Counter(row["key"] for row in keys)
    yield from (f"key {key!r} is stored {stored[key]} times" for key in {*stored, *made} if stored[key] != 1)
    for row in keys:
        result = row["result"] or {}
        versions = [result["version"]] * len(result.get("ids", "x")) if "version" in result else []
        if made.get(row["key"], []) != versions:
            yield f"key {row['key']!r} made {made.get(row['key'])}, and its result says {json.dumps(result)[:200]}"
