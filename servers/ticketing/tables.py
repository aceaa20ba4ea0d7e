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
    String,
    Table,
    Text,
    case,
)

from servers.database import Schema
from servers.effects import Event, events_table, keys_table
from servers.ticketing.words import PRIORITIES, Message, Ticket

metadata = MetaData()

tickets = Table(
    "tickets",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("requester_key", Text, nullable=False),  # the address without upper case
    Column("status", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("type", String),
    Column("category", Text),
    Column("language", String),
    Column("sentiment", String),
    Column("confidence", Float),
    Column("channel", String, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("group", String, nullable=False),
    Column("assignee", Text),
    Column("due_at", String),
    Column("resolution", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Index("tickets_by_status", "status"),
    Index("tickets_by_requester", "requester_key"),
)

messages = Table(
    "ticket_messages",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket", BigInteger, ForeignKey("tickets.number"), nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("marker", String),
    Column("at", String, nullable=False),
)

events = events_table(
    "ticket_events", metadata, Column("ticket", BigInteger, ForeignKey("tickets.number"), nullable=False, index=True)
)
keys = keys_table("ticket_keys", metadata)

SCHEMA = Schema(component="ticketing", version=1, metadata=metadata)

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
