"""What can be asked of the helpdesk's tables, and the changes that they allow."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Text, cast, func, insert, select, tuple_, update

from servers.checks import Refused, checked_tags, checked_text
from servers.database import Database, Words, take_turns
from servers.effects import Call, Done, JsonObject, now, perform, would_act
from servers.ticketing.arrivals import insert_ticket, row_of
from servers.ticketing.tables import event_of, events, keys, message_of, messages, ticket_of, tickets, urgency
from servers.ticketing.words import (
    FINISHED,
    PEOPLE,
    PRIORITIES,
    Author,
    Filters,
    Kind,
    NewTicket,
    Page,
    Priority,
    Record,
    Sentiment,
    Ticket,
)

LONGEST_TEXT = 10_000
LONGEST_RESOLUTION = 5_000


class TicketStore:
    """Blocking reads and writes; each write is one transaction and answers a used key with its first result."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # ── reads ──

    def ticket(self, ticket_id: str) -> Ticket:
        """Return one ticket's fields.

        Raises:
            Refused: there is no such ticket.
        """
        with self.database.reading() as connection:
            return _ticket(connection, ticket_id)

    def record(self, ticket_id: str) -> Record:
        """Return one ticket with its conversation and history.

        Raises:
            Refused: there is no such ticket.
        """
        with self.database.reading() as connection:
            ticket = _ticket(connection, ticket_id)
            number = int(ticket.id)
            said = connection.execute(select(messages).where(messages.c.ticket == number).order_by(messages.c.id))
            changed = connection.execute(select(events).where(events.c.ticket == number).order_by(events.c.id))
            return Record(
                ticket=ticket,
                messages=tuple(map(message_of, said.mappings())),
                events=tuple(map(event_of, changed.mappings())),
            )

    def page(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """Return tickets by priority, urgent first, then by age, oldest first.

        A ticket that stays as it is appears on exactly one page, however many are added meanwhile.

        Raises:
            Refused: the cursor is none that this method returned.
        """
        order = (-urgency, tickets.c.created_at, tickets.c.number)
        query = select(tickets).where(*_conditions(filters)).order_by(*order).limit(limit + 1)
        if cursor is not None:
            position = tuple_(*_position(cursor), types=(Integer, Words, BigInteger))
            query = query.where(tuple_(*order) > position)
        with self.database.reading() as connection:
            found = [ticket_of(row) for row in connection.execute(query).mappings()]
        shown = tuple(found[:limit])
        return Page(tickets=shown, next_cursor=_cursor(shown[-1]) if len(found) > limit else None)

    def search(self, requester: str, query: str, limit: int) -> tuple[Ticket, ...]:
        """Return the requester's own tickets that share words with `query`, most words first, then newest first.

        A query without words finds all of them. Internal notes are not searched.
        """
        words = {word for word in query.casefold().split() if word}
        mine = tickets.c.requester_key == requester.strip().lower()
        with self.database.reading() as connection:
            newest = (tickets.c.created_at.desc(), tickets.c.number.desc())
            found = connection.execute(select(tickets).where(mine).order_by(*newest).limit(200))
            candidates = [ticket_of(row) for row in found.mappings()]
            numbers = [int(ticket.id) for ticket in candidates]
            public = messages.c.kind != "internal_note"
            said = connection.execute(
                select(messages.c.ticket, messages.c.body).where(messages.c.ticket.in_(numbers), public)
            ).all()
        texts = {ticket.id: f"{ticket.subject} {ticket.resolution or ''}" for ticket in candidates}
        for row in said:
            texts[str(row.ticket)] += f" {row.body}"
        scores = {id_: sum(word in text.casefold() for word in words) for id_, text in texts.items()}
        hits = [ticket for ticket in candidates if scores[ticket.id] or not words]
        return tuple(sorted(hits, key=lambda ticket: scores[ticket.id], reverse=True)[:limit])

    def open_ids(self, prefix: str, limit: int) -> list[str]:
        """Return the ids of unfinished tickets that start with `prefix`, lowest first."""
        as_text = cast(tickets.c.number, Words)
        query = select(tickets.c.number).where(
            tickets.c.status.not_in(FINISHED), as_text.startswith(prefix, autoescape=True)
        )
        with self.database.reading() as connection:
            return [str(number) for number in connection.scalars(query.order_by(tickets.c.number).limit(limit))]

    def would_act(self, call: Call) -> bool:
        """Return whether the call would do something new; see `effects.would_act`."""
        return would_act(self.database, keys, call)

    def changeable(self, ticket_id: str, expected_version: int | None) -> Ticket:
        """Return a ticket that a write would accept now.

        Raises:
            Refused: there is no such ticket, it is closed, or it has changed since `expected_version`.
        """
        with self.database.reading() as connection:
            ticket = _ticket(connection, ticket_id)
            _check_changeable(ticket, expected_version)
            return ticket

    # ── writes ──

    def keep_summary(self, call: Call, ticket_id: str, summary: str) -> Done:
        """Keep a summary under the call's key, so that no model is asked twice; the ticket stays as it is."""
        return perform(self.database, keys, call, lambda _: {"ticket_id": ticket_id, "summary": summary})

    def set_priority(self, call: Call, ticket_id: str, priority: Priority | None, expected_version: int | None) -> Done:
        """Give a ticket another priority; None is for calls whose key already has its answer."""

        def effect(connection: Connection) -> JsonObject:
            if priority is None:
                raise Refused("No priority was given, so nothing was changed: give one.")
            ticket = _changeable(connection, ticket_id, expected_version)
            version = _change(connection, call, ticket, "priority_set", {"priority": priority})
            return {"ticket_id": ticket.id, "priority": priority, "version": version}

        return perform(self.database, keys, call, effect)

    def classify(
        self,
        call: Call,
        ticket_id: str,
        *,
        type: Kind,  # noqa: A002 - the helpdesk's word
        category: str,
        language: str,
        sentiment: Sentiment,
        tags: Sequence[str] | None,
        confidence: float | None,
        expected_version: int | None,
    ) -> Done:
        """Say what a ticket is about; `tags` replace the ticket's own, None leaves them."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _changeable(connection, ticket_id, expected_version)
            values: JsonObject = {
                "type": type,
                "category": checked_text(category, "category", longest=100),
                "language": checked_text(language, "language", longest=35),
                "sentiment": sentiment,
                "tags": list(ticket.tags if tags is None else checked_tags(tags)),
                "confidence": confidence,
            }
            version = _change(connection, call, ticket, "classified", values)
            return {"ticket_id": ticket.id, **values, "version": version}

        return perform(self.database, keys, call, effect)

    def add_note(self, call: Call, ticket_id: str, body: str, marker: str | None, expected_version: int | None) -> Done:
        """Add a note that only colleagues read; one with the same marker is replaced."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _changeable(connection, ticket_id, expected_version)
            text = checked_text(body, "note", longest=LONGEST_TEXT)
            name = None if marker is None else checked_text(marker, "marker", longest=100)
            before = None if name is None else _take_note(connection, ticket, name)
            _say(connection, ticket, author=call.actor, kind="internal_note", body=text, marker=name)
            version = _change(connection, call, ticket, "note_added", {}, unsaid={"note": before}, said={"note": text})
            return {"ticket_id": ticket.id, "replaced": before is not None, "version": version}

        return perform(self.database, keys, call, effect)

    def reply(self, call: Call, ticket_id: str, body: str, expected_version: int | None) -> Done:
        """Send a text to the customer; the ticket then waits for the answer."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _changeable(connection, ticket_id, expected_version)
            text = checked_text(body, "reply", longest=LONGEST_TEXT)
            _say(connection, ticket, author=call.actor, kind="public_reply", body=text)
            version = _change(connection, call, ticket, "replied", {"status": "pending"}, said={"reply": text})
            return {"ticket_id": ticket.id, "status": "pending", "version": version}

        return perform(self.database, keys, call, effect)

    def close(self, call: Call, ticket_id: str, resolution: str, expected_version: int | None) -> Done:
        """End a ticket for good."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _ticket(connection, ticket_id, is_locked=True)
            if ticket.status == "closed":
                raise Refused(f"Ticket {ticket.id} is already closed, so nothing was changed: nothing is left to do.")
            _check_version(ticket, expected_version)
            text = checked_text(resolution, "resolution", longest=LONGEST_RESOLUTION)
            version = _change(connection, call, ticket, "closed", {"status": "closed", "resolution": text})
            return {"success": True, "closed_ticket_id": ticket.id, "status": "closed", "version": version}

        return perform(self.database, keys, call, effect)

    def escalate(
        self, call: Call, ticket_id: str, reason: str, priority: Priority | None, expected_version: int | None
    ) -> Done:
        """Hand a ticket to people, with the reason as an internal note."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _changeable(connection, ticket_id, expected_version)
            text = checked_text(reason, "reason", longest=LONGEST_TEXT)
            _say(connection, ticket, author=call.actor, kind="internal_note", body=text)
            values = {"status": "open", "group": PEOPLE, "priority": priority or ticket.priority}
            version = _change(connection, call, ticket, "escalated", values, said={"reason": text})
            return {"ticket_id": ticket.id, **values, "version": version}

        return perform(self.database, keys, call, effect)

    def hear_customer(self, call: Call, ticket_id: str, body: str) -> Done:
        """Take in what the customer answers; a ticket that waited or was solved is open again."""

        def effect(connection: Connection) -> JsonObject:
            ticket = _ticket(connection, ticket_id, is_locked=True)
            if ticket.status == "closed":
                raise Refused(
                    f"Ticket {ticket.id} is closed and takes no more replies: "
                    "import the customer's text as a new ticket that mentions this one."
                )
            text = checked_text(body, "reply", longest=LONGEST_TEXT)
            _say(connection, ticket, author=ticket.requester, kind="customer", body=text)
            status = ticket.status if ticket.status == "new" else "open"
            values: JsonObject = {"status": status}
            version = _change(connection, call, ticket, "customer_replied", values, said={"reply": text})
            return {"ticket_id": ticket.id, "status": status, "version": version}

        return perform(self.database, keys, call, effect)

    def import_tickets(self, call: Call, arrivals: Sequence[NewTicket]) -> Done:
        """Take in tickets from elsewhere, all or none of them."""

        def effect(connection: Connection) -> JsonObject:
            # Nobody else may take the number after the last one.
            take_turns(connection, tickets.name)
            last = connection.scalar(select(func.coalesce(func.max(tickets.c.number), 0)).select_from(tickets)) or 0
            rows = [row_of(arrival, number=number) for number, arrival in enumerate(arrivals, last + 1)]
            for row in rows:
                insert_ticket(connection, row, actor=call.actor, key=call.key)
            return {"ids": [str(row.number) for row in rows], "version": 1}

        return perform(self.database, keys, call, effect)


def _ticket(connection: Connection, ticket_id: str, *, is_locked: bool = False) -> Ticket:
    is_number = ticket_id.isascii() and ticket_id.isdigit() and len(ticket_id) <= 15 and ticket_id[0] != "0"
    if is_number:
        query = select(tickets).where(tickets.c.number == int(ticket_id))
        row = connection.execute(query.with_for_update() if is_locked else query).mappings().one_or_none()
        if row is not None:
            return ticket_of(row)
    raise Refused(f"There is no ticket {ticket_id[:50]!r}: search_tickets and list_tickets name the ones that exist.")


def _changeable(connection: Connection, ticket_id: str, expected_version: int | None) -> Ticket:
    ticket = _ticket(connection, ticket_id, is_locked=True)
    _check_changeable(ticket, expected_version)
    return ticket


def _check_changeable(ticket: Ticket, expected_version: int | None) -> None:
    if ticket.status == "closed":
        raise Refused(f"Ticket {ticket.id} is closed and can no longer be changed, so nothing was done: leave it.")
    _check_version(ticket, expected_version)


def _check_version(ticket: Ticket, expected: int | None) -> None:
    if expected is not None and expected != ticket.version:
        raise Refused(
            f"Ticket {ticket.id} has changed: it is at version {ticket.version}, and version {expected} was expected. "
            "Nothing was done: read the ticket again, then decide anew."
        )


def _change(
    connection: Connection,
    call: Call,
    ticket: Ticket,
    kind: str,
    values: JsonObject,
    *,
    unsaid: JsonObject | None = None,
    said: JsonObject | None = None,
) -> int:
    """Write the values, the event and the next version, which is returned; texts go into the event only."""
    at = now()
    version = ticket.version + 1
    query = update(tickets).where(tickets.c.number == int(ticket.id))
    connection.execute(query.values({**values, "version": version, "updated_at": at}))
    before: dict[str, Any] = {name: getattr(ticket, name) for name in values}
    row = {
        "ticket": int(ticket.id),
        "at": at,
        "actor": call.actor,
        "kind": kind,
        "before": {**before, **(unsaid or {})},
        "after": {**values, **(said or {})},
        "key": call.key,
    }
    connection.execute(insert(events).values(row))
    return version


def _say(
    connection: Connection, ticket: Ticket, *, author: str, kind: Author, body: str, marker: str | None = None
) -> None:
    row = {"ticket": int(ticket.id), "author": author, "kind": kind, "body": body, "marker": marker, "at": now()}
    connection.execute(insert(messages).values(row))


def _take_note(connection: Connection, ticket: Ticket, marker: str) -> str | None:
    """Remove the note with this marker and return its text; the new one belongs at the conversation's end."""
    mine = (messages.c.ticket == int(ticket.id)) & (messages.c.marker == marker)
    body = connection.scalar(select(messages.c.body).where(mine))
    connection.execute(messages.delete().where(mine))
    return body


def _conditions(filters: Filters) -> list[Any]:
    conditions: list[Any] = []
    if filters.status is not None:
        conditions.append(tickets.c.status.in_(filters.status))
    if filters.priority is not None:
        conditions.append(tickets.c.priority == filters.priority)
    if filters.assignee is not None:
        nobody = filters.assignee == "none"
        conditions.append(tickets.c.assignee.is_(None) if nobody else tickets.c.assignee == filters.assignee)
    if filters.group is not None:
        conditions.append(tickets.c.group == filters.group)
    if filters.requester is not None:
        conditions.append(tickets.c.requester_key == filters.requester.strip().lower())
    if filters.tag is not None:
        # Both databases keep the list as its JSON text, where a whole element is quoted.
        element = json.dumps(filters.tag.strip().lower())
        conditions.append(cast(tickets.c.tags, Text).contains(element, autoescape=True))
    return conditions


def _cursor(ticket: Ticket) -> str:
    position = (-PRIORITIES.index(ticket.priority), ticket.created_at, int(ticket.id))
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(cursor: str) -> tuple[int, str, int]:
    try:
        match json.loads(base64.urlsafe_b64decode(cursor.encode("ascii"))):
            case [int(rank), str(created_at), int(number)] if -len(PRIORITIES) < rank <= 0 < number < 2**63:
                return int(rank), created_at, int(number)  # true and false are numbers too, for Python
            case _:
                pass
    except (binascii.Error, ValueError, RecursionError):  # RecursionError: lists in lists in lists
        pass
    raise Refused("This cursor is none that list_tickets returned: leave it out to start from the first ticket.")
