"""The tables of the customer records, and the values that their rows become."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Integer, MetaData, RowMapping, Table

from servers.database import Schema, Words
from servers.effects import Event, events_table, keys_table

Tier: TypeAlias = Literal["free", "pro", "enterprise"]
InvoiceStatus: TypeAlias = Literal["open", "paid", "refunded"]

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", Words, primary_key=True),
    Column("email", Words, nullable=False),
    Column("email_key", Words, nullable=False, unique=True),  # the address without upper case
    Column("name", Words, nullable=False),
    Column("account_tier", Words, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("plan", Words, nullable=False),
    Column("contact_email", Words, nullable=False),
    Column("marketing_opt_in", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

invoices = Table(
    "invoices",
    metadata,
    Column("id", Words, primary_key=True),
    Column("customer", Words, ForeignKey("customers.id"), nullable=False, index=True),
    Column("amount_cents", BigInteger, nullable=False),  # the currency's smallest unit
    Column("currency", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("issued_at", Words, nullable=False),
    Column("description", Words, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Words, primary_key=True),
    Column("customer", Words, ForeignKey("customers.id"), nullable=False, index=True),
    Column("device", Words, nullable=False),
    Column("location", Words, nullable=False),
    Column("last_seen_at", Words, nullable=False),
    Column("revoked_at", Words),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", Words, primary_key=True),
    Column("customer", Words, ForeignKey("customers.id"), nullable=False, index=True),
    Column("invoice", Words, ForeignKey("invoices.id"), nullable=False, unique=True),  # no invoice is paid back twice
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", Words, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("customer", Words, ForeignKey("customers.id"), nullable=False, index=True),
    Column("template", Words, nullable=False),  # which mail the mail system sends
    Column("recipient", Words, nullable=False),
    Column("values", JSON, nullable=False),
    Column("at", Words, nullable=False),
)

events = events_table(
    "customer_events", metadata, Column("customer", Words, ForeignKey("customers.id"), nullable=False, index=True)
)
keys = keys_table("customer_keys", metadata)

SCHEMA = Schema(component="customers", metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """An account's fields, as they stand at `version`."""

    id: str
    email: str
    name: str
    account_tier: Tier
    verified: bool
    plan: str
    contact_email: str
    marketing_opt_in: bool
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoice:
    """What a customer was charged: `amount_cents` of the currency's smallest unit."""

    id: str
    amount_cents: int
    currency: str
    status: InvoiceStatus
    issued_at: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A device that is signed in."""

    id: str
    device: str
    location: str
    last_seen_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refund:
    """Money that went back for an invoice."""

    id: str
    invoice_id: str
    amount_cents: int
    currency: str
    reason: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A customer with everything that belongs to the account, oldest first."""

    customer: Customer
    invoices: tuple[Invoice, ...]
    sessions: tuple[Session, ...]  # active ones
    refunds: tuple[Refund, ...]
    events: tuple[Event, ...]


def customer_of(row: RowMapping) -> Customer:
    """Return the customer that a row of `customers` holds."""
    return Customer(**{name: value for name, value in row.items() if name != "email_key"})


def invoice_of(row: RowMapping) -> Invoice:
    """Return the invoice that a row of `invoices` holds."""
    return Invoice(**{name: value for name, value in row.items() if name != "customer"})


def session_of(row: RowMapping) -> Session:
    """Return the session that a row of `sessions` holds."""
    return Session(id=row["id"], device=row["device"], location=row["location"], last_seen_at=row["last_seen_at"])


def refund_of(row: RowMapping) -> Refund:
    """Return the refund that a row of `refunds` holds."""
    fields = {name: value for name, value in row.items() if name not in {"customer", "invoice"}}
    return Refund(invoice_id=row["invoice"], **fields)


def event_of(row: RowMapping) -> Event:
    """Return the change that a row of `events` holds."""
    return Event(**{name: value for name, value in row.items() if name not in {"id", "customer"}})
