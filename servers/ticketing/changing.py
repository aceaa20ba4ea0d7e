"""Tools that change one ticket without asking anyone."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from servers.calls import announce, answer, call_of
from servers.ticketing.desk import Ctx, ExpectedVersion, TicketId, change_ticket, desk_of
from servers.ticketing.results import Classified, Closed, Escalated, Imported, NoteAdded, StatusChanged
from servers.ticketing.words import Kind, NewTicket, Priority, Sentiment


async def classify_ticket(
    ctx: Ctx,
    ticket_id: TicketId,
    *,
    type: Annotated[  # noqa: A002 - the helpdesk's word, and the model's
        Kind,
        Field(
            description="question: asks how; incident: something fails for one customer; "
            "problem: the cause of many incidents; task: something is to be done."
        ),
    ],
    category: Annotated[str, Field(description="The topic in one or two words, such as billing or login.")],
    language: Annotated[str, Field(description="The language of the customer's text as a BCP 47 tag, such as de.")],
    sentiment: Annotated[Sentiment, Field(description="How the customer feels.")],
    tags: Annotated[
        list[str] | None, Field(description="All tags the ticket is to have; leave it out to keep them as they are.")
    ] = None,
    confidence: Annotated[float | None, Field(ge=0, le=1, description="How sure you are, 0 to 1.")] = None,
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, Classified]:
    """Record what a ticket is about: its type, topic, language, the customer's mood, and tags.

    Use it once you have understood the ticket; the helpdesk sorts and counts by it. The customer does not see it.
    Returns what is recorded now, and the ticket's new version.
    """
    return await change_ticket(
        ctx,
        desk_of(ctx).store.classify,
        ticket_id,
        type=type,
        category=category,
        language=language,
        sentiment=sentiment,
        tags=tags,
        confidence=confidence,
        expected_version=expected_version,
    )


async def add_internal_note(
    ctx: Ctx,
    ticket_id: TicketId,
    body: Annotated[str, Field(description="The note in Markdown, 1 to 10,000 characters.")],
    marker: Annotated[
        str | None, Field(description="A name for the note: a later note of the same name replaces it.")
    ] = None,
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, NoteAdded]:
    """Add a note to a ticket that colleagues read and the customer does not.

    Use it for findings that help whoever works the ticket next. It neither answers nor ends the ticket.
    Returns whether an earlier note was replaced, and the ticket's new version.
    """
    return await change_ticket(ctx, desk_of(ctx).store.add_note, ticket_id, body, marker, expected_version)


async def reply_to_customer(
    ctx: Ctx,
    ticket_id: TicketId,
    body: Annotated[str, Field(description="The text that the customer gets, 1 to 10,000 characters.")],
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, StatusChanged]:
    """Write to the customer and wait for the answer: the ticket becomes pending.

    Use it when only the customer can supply what is missing. When the request is solved, use close_ticket instead.
    Returns the ticket's status and new version.
    """
    return await change_ticket(ctx, desk_of(ctx).store.reply, ticket_id, body, expected_version)


async def close_ticket(
    ctx: Ctx,
    ticket_id: TicketId,
    resolution: Annotated[
        str, Field(description="How it was solved, as the customer will read it, 1 to 5,000 characters.")
    ],
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, Closed]:
    """Close a ticket with its resolution. A closed ticket can never be changed or opened again.

    Use it when the request is solved or fully answered, and not before.
    Returns the closed ticket's id and its last version.
    """
    return await change_ticket(ctx, desk_of(ctx).store.close, ticket_id, resolution, expected_version)


async def escalate_ticket(
    ctx: Ctx,
    ticket_id: TicketId,
    reason: Annotated[
        str,
        Field(description="What is asked, what was done and what a person must decide, 1 to 10,000 characters."),
    ],
    priority: Annotated[Priority | None, Field(description="A new priority; the old one stays if left out.")] = None,
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, Escalated]:
    """Hand a ticket to human agents, with the reason as an internal note.

    Use it when the ticket needs a decision, a right or knowledge that you do not have. The customer is not told.
    Returns the ticket's group, status and new version.
    """
    return await change_ticket(ctx, desk_of(ctx).store.escalate, ticket_id, reason, priority, expected_version)


async def receive_customer_reply(
    ctx: Ctx,
    ticket_id: TicketId,
    body: Annotated[str, Field(description="What the customer wrote, 1 to 10,000 characters.")],
) -> Annotated[CallToolResult, StatusChanged]:
    """Add what the customer wrote to a ticket's conversation; a ticket that waited or was solved opens again.

    Use it to bring in a customer's e-mail or chat message, never to write in the customer's place.
    Returns the ticket's status and new version.
    """
    return await change_ticket(ctx, desk_of(ctx).store.hear_customer, ticket_id, body)


async def import_tickets(
    ctx: Ctx,
    tickets: Annotated[list[NewTicket], Field(min_length=1, max_length=1_000, description="The new tickets.")],
) -> Annotated[CallToolResult, Imported]:
    """Take new tickets into the helpdesk, all of them or, if one cannot be taken, none.

    Use it to bring in requests that arrived elsewhere.
    Returns the new tickets' ids in the same order.
    """
    store = desk_of(ctx).store
    count = len(tickets)
    await ctx.report_progress(0, count, f"Importing {count:,} tickets")
    done = await store.database.write(store.import_tickets, call_of(ctx), tickets)
    if done.is_new and done.result is not None:
        await announce(ctx, ("ticket://list",))
    await ctx.report_progress(count, count, "Done")
    return answer(done)
