"""The tables of the helpdesk, and how their rows become values."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    case,
)

from servers.database import Schema, Words
from servers.effects import Event, events_table, keys_table
from servers.ticketing.words import PRIORITIES, Message, Ticket

metadata = MetaData()

tickets = Table(
    "tickets",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", Words, nullable=False),
    Column("requester", Words, nullable=False),
    Column("requester_key", Words, nullable=False),  # the address without upper case
    Column("status", Words, nullable=False),
    Column("priority", Words, nullable=False),
    Column("type", Words),
    Column("category", Words),
    Column("language", Words),
    Column("sentiment", Words),
    Column("confidence", Float),
    Column("channel", Words, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("group", Words, nullable=False),
    Column("assignee", Words),
    Column("due_at", Words),
    Column("resolution", Words),
    Column("version", Integer, nullable=False),
    Column("created_at", Words, nullable=False),
    Column("updated_at", Words, nullable=False),
    Index("tickets_by_status", "status"),
    Index("tickets_by_requester", "requester_key"),
)

messages = Table(
    "ticket_messages",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket", BigInteger, ForeignKey("tickets.number"), nullable=False, index=True),
    Column("author", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("body", Words, nullable=False),
    Column("marker", Words),
    Column("at", Words, nullable=False),
)

events = events_table(
    "ticket_events", metadata, Column("ticket", BigInteger, ForeignKey("tickets.number"), nullable=False, index=True)
)
keys = keys_table("ticket_keys", metadata)

SCHEMA = Schema(component="ticketing", metadata=metadata)

urgency = case({priority: rank for rank, priority in enumerate(PRIORITIES)}, value=tickets.c.priority)
"""0 for low to 3 for urgent."""


def ticket_of(row: RowMapping) -> Ticket:
    """Return the ticket that a row of `tickets` holds."""
    fields = {name: value for name, value in row.items() if name not in {"number", "requester_key", "tags"}}
    return Ticket(id=str(row["number"]), tags=tuple(row["tags"]), **fields)


def message_of(row: RowMapping) -> Message:
    """Return the text that a row of `messages` holds."""
    return Message(**{name: value for name, value in row.items() if name != "ticket"})


def event_of(row: RowMapping) -> Event:
    """Return the change that a row of `events` holds."""
    return Event(**{name: value for name, value in row.items() if name not in {"id", "ticket"}})
