"""What the tools return, as their output schemas say it."""

from pydantic import BaseModel, Field

from servers.ticketing.words import Channel, Kind, Priority, Sentiment, Status


class TicketSummary(BaseModel):
    """What a list shows of a ticket."""

    id: str
    subject: str
    requester: str
    status: Status
    priority: Priority
    type: Kind | None
    group: str
    assignee: str | None
    channel: Channel
    language: str | None
    tags: list[str]
    created_at: str
    updated_at: str
    due_at: str | None


class TicketPage(BaseModel):
    """Some tickets of the queue."""

    tickets: list[TicketSummary]
    next_cursor: str | None = Field(description="Give this as `cursor` for the tickets after these; null at the end.")


class PastTicket(TicketSummary):
    """One of the requester's tickets, with how it was solved."""

    resolution: str | None


class PastTickets(BaseModel):
    """The requester's tickets that fit a search."""

    tickets: list[PastTicket]


class FoundPassage(BaseModel):
    """A section of a knowledge-base article."""

    uri: str = Field(description="The whole article is this resource.")
    title: str
    text: str


class FoundPassages(BaseModel):
    """What the knowledge base has on a question, best first."""

    passages: list[FoundPassage]


class Summary(BaseModel):
    """A ticket in a few sentences."""

    ticket_id: str
    summary: str


class Changed(BaseModel):
    """A write that was made; `version` is the ticket's new version."""

    version: int


class PrioritySet(Changed):
    """The ticket has this priority now."""

    ticket_id: str
    priority: Priority


class Classified(Changed):
    """The ticket is classified like this now."""

    ticket_id: str
    type: Kind
    category: str
    language: str
    sentiment: Sentiment
    tags: list[str]
    confidence: float | None


class NoteAdded(Changed):
    """The note is on the ticket; `replaced` says whether it took the place of an earlier one."""

    ticket_id: str
    replaced: bool


class StatusChanged(Changed):
    """The text is part of the conversation, and the ticket has this status now."""

    ticket_id: str
    status: Status


class Closed(Changed):
    """The ticket is closed for good."""

    success: bool
    closed_ticket_id: str
    status: Status


class Escalated(Changed):
    """People have the ticket now."""

    ticket_id: str
    group: str
    status: Status
    priority: Priority


class Imported(Changed):
    """The new tickets' ids, in the order in which they were given."""

    ids: list[str]
