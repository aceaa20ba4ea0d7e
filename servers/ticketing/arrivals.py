"""How tickets come into the tables: imported ones and the demo's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from servers.checks import Refused, checked_address, checked_tags, checked_text
from servers.effects import JsonObject, now, stamp
from servers.ticketing.tables import events, messages, tickets
from servers.ticketing.words import NewTicket


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A ticket that is about to be inserted: its row, and the rows of its conversation."""

    number: int
    ticket: JsonObject
    messages: tuple[JsonObject, ...]


def row_of(arrival: NewTicket, *, number: int) -> Arrival:
    """Return what an imported ticket will be.

    Raises:
        Refused: a text, an address or a time cannot be taken; the message names the subject.
    """
    try:
        requester = checked_address(arrival.requester, "requester")
        at = now() if arrival.created_at is None else _time(arrival.created_at, "created_at")
        ticket: JsonObject = {
            **arrival.model_dump(include={"channel", "priority", "type", "language"}),
            "subject": checked_text(arrival.subject, "subject", longest=300),
            "requester": requester,
            "tags": list(checked_tags(arrival.tags)),
            "group": checked_text(arrival.group, "group", longest=100),
            "assignee": None if arrival.assignee is None else checked_text(arrival.assignee, "assignee", longest=254),
            "due_at": None if arrival.due_at is None else _time(arrival.due_at, "due_at"),
            "status": "new",
            "created_at": at,
        }
        body = checked_text(arrival.body, "body", longest=10_000)
    except Refused as refusal:
        raise Refused(f"Ticket {arrival.subject[:60]!r} was not imported, nor was any other. {refusal}") from refusal
    message = {"author": requester, "kind": "customer", "body": body, "at": at}
    return Arrival(number=number, ticket=ticket, messages=(message,))


def insert_demo(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert the demo's tickets, with their ids and whole conversations."""
    for row in rows:
        texts = tuple({**text, "at": _time(text["at"], "at")} for text in row["messages"])
        plain = {name: value for name, value in row.items() if name not in {"id", "messages"}}
        ticket = {
            **plain,
            "group": row.get("group", "support"),
            "tags": list(checked_tags(row["tags"])),
            "created_at": _time(row["created_at"], "created_at"),
        }
        arrival = Arrival(number=int(row["id"]), ticket=ticket, messages=texts)
        insert_ticket(connection, arrival, actor="demo", key=None)


def insert_ticket(connection: Connection, arrival: Arrival, *, actor: str, key: str | None) -> None:
    """Insert a ticket at version 1, its conversation and the event of its arrival."""
    last = max(text["at"] for text in arrival.messages)
    row = {
        **arrival.ticket,
        "number": arrival.number,
        "requester_key": arrival.ticket["requester"].lower(),
        "version": 1,
        "updated_at": last,
    }
    connection.execute(insert(tickets).values(row))
    connection.execute(insert(messages), [{"ticket": arrival.number, **text} for text in arrival.messages])
    event = {"at": now(), "actor": actor, "kind": "created", "before": {}, "after": arrival.ticket, "key": key}
    connection.execute(insert(events).values({"ticket": arrival.number, **event}))


def _time(text: str, name: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:  # OverflowError: in UTC it lies before the year 1 or after 9999
        raise Refused(f"The {name} {text[:40]!r} is no time: write it as 2026-11-02T09:30:00Z.") from error
