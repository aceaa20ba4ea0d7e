"""The helpdesk's words, which are Zendesk's: what a ticket is, and what its fields may say."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

from servers.effects import Event

Status: TypeAlias = Literal["new", "open", "pending", "hold", "solved", "closed"]
Priority: TypeAlias = Literal["low", "normal", "high", "urgent"]
Kind: TypeAlias = Literal["question", "incident", "problem", "task"]
Channel: TypeAlias = Literal["email", "web", "chat", "phone"]
Sentiment: TypeAlias = Literal["negative", "neutral", "positive", "angry"]
Author: TypeAlias = Literal["customer", "public_reply", "internal_note"]

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
FINISHED: tuple[Status, ...] = ("solved", "closed")
PEOPLE = "people"
"""The group of human agents, where escalated tickets go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket's fields, as they stand at `version`. Times are ISO 8601 in UTC."""

    id: str
    subject: str
    requester: str
    status: Status
    priority: Priority
    type: Kind | None
    category: str | None
    language: str | None
    sentiment: Sentiment | None
    confidence: float | None
    channel: Channel
    tags: tuple[str, ...]
    group: str
    assignee: str | None
    due_at: str | None
    resolution: str | None
    version: int
    created_at: str
    updated_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One text of a ticket's conversation; `marker` names a note that is replaced and never repeated."""

    id: int
    author: str
    kind: Author
    body: str
    marker: str | None
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A ticket with its whole conversation and history, oldest first."""

    ticket: Ticket
    messages: tuple[Message, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some tickets of a longer list; `next_cursor` asks for the ones after them."""

    tickets: tuple[Ticket, ...]
    next_cursor: str | None


class NewTicket(BaseModel):
    """A ticket from elsewhere. Only subject, body and requester are needed."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(description="What the ticket is about, 1 to 300 characters.")
    body: str = Field(description="The customer's text, 1 to 10,000 characters.")
    requester: str = Field(description="The customer's e-mail address.")
    channel: Channel = Field(default="email", description="How it arrived.")
    priority: Priority = Field(default="normal", description="How soon it needs an answer.")
    type: Kind | None = Field(default=None, description="What kind of request it is, if that is known.")
    language: str | None = Field(default=None, description="BCP 47 tag of the text's language, such as en or de.")
    tags: list[str] = Field(default_factory=list[str], description="Labels.")
    group: str = Field(default="support", description="The group that works it.")
    assignee: str | None = Field(default=None, description="The person who works it; nobody when left out.")
    created_at: str | None = Field(default=None, description="When it was written, ISO 8601; now when left out.")
    due_at: str | None = Field(default=None, description="When it must be solved, ISO 8601.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which tickets a list shows; None leaves a field open, and the assignee "none" means nobody."""

    status: tuple[Status, ...] | None = None
    priority: Priority | None = None
    assignee: str | None = None
    group: str | None = None
    requester: str | None = None
    tag: str | None = None
