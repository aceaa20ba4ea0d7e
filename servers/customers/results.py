"""What the tools return, as their output schemas say it."""

from pydantic import BaseModel, Field

from servers.customers.tables import InvoiceStatus, Tier


class Account(BaseModel):
    """A customer's account."""

    id: str
    email: str
    name: str
    account_tier: Tier
    verified: bool = Field(description="Whether the customer has proved that the address is theirs.")
    plan: str
    contact_email: str
    marketing_opt_in: bool
    version: int


class InvoiceOut(BaseModel):
    """An invoice."""

    id: str
    amount_cents: int = Field(description="In the currency's smallest unit.")
    currency: str
    status: InvoiceStatus
    issued_at: str
    description: str


class InvoiceList(BaseModel):
    """The customer's invoices, oldest first."""

    invoices: list[InvoiceOut]


class SessionOut(BaseModel):
    """A device that is signed in."""

    id: str
    device: str
    location: str
    last_seen_at: str


class SessionList(BaseModel):
    """The customer's active sessions, the one seen last first."""

    sessions: list[SessionOut]


class Changed(BaseModel):
    """A write that was made; `version` is the record's new version."""

    customer_id: str
    version: int


class ResetSent(Changed):
    """A reset link is on its way."""

    sent_to: str


class SessionsRevoked(Changed):
    """These sessions are signed out."""

    revoked: list[str]


class InvoiceSent(Changed):
    """The invoice is on its way."""

    invoice_id: str
    sent_to: str


class Refunded(Changed):
    """The invoice is paid back."""

    refund_id: str
    invoice_id: str
    amount_cents: int
    currency: str


class ChangedFields(BaseModel):
    """The fields that were given."""

    plan: str | None = None
    contact_email: str | None = None
    marketing_opt_in: bool | None = None


class AccountUpdated(Changed):
    """The account has these values now."""

    changed: ChangedFields
