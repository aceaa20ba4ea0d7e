"""Tools that ask before they answer: a person for a priority, the client's model for a summary.

Resolvers run before the tool itself, in the modern era once more after each answer. They look at the call's key
first, so that no one is asked for what is done or cancelled, and refuse what the tool would refuse.
"""

import re
from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve, Sample
from mcp_types import CallToolResult, CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel, Field

from prompts import render
from servers.calls import answer, call_of, structured
from servers.checks import Refused
from servers.ticketing.desk import Ctx, ExpectedVersion, TicketId, change_ticket, desk_of
from servers.ticketing.render import ticket_markdown
from servers.ticketing.results import PrioritySet, Summary
from servers.ticketing.words import Priority

SUMMARY_TOKENS = 400
"""Three sentences, in a language that needs many tokens for them."""

LONGEST_SAMPLE = 60_000
"""Characters of a ticket that are summarized; of a longer one, the beginning and the end."""


_TICKET_TAG = re.compile(r"<(?=\W*" + r"\W*".join("ticket") + r"\b)", re.IGNORECASE)


class PriorityChoice(BaseModel):
    """The form that a person fills in."""

    priority: Priority = Field(title="Priority", description="How soon the ticket needs an answer.")


async def ask_priority(
    ctx: Ctx, ticket_id: str, priority: Priority | None, expected_version: int | None
) -> Elicit[PriorityChoice] | None:
    """Return the question for a priority; None if one was given, or an answer would be of no use."""
    store = desk_of(ctx).store
    if priority is not None or not await store.database.read(store.would_act, call_of(ctx)):
        return None
    ticket = await store.database.read(store.changeable, ticket_id, expected_version)
    if not _can_fill_forms(ctx):
        raise Refused("This client cannot ask a person, so nothing was changed: give the priority as an argument.")
    return Elicit(
        f"Which priority should ticket {ticket.id} (“{' '.join(ticket.subject.split())}”) get?", PriorityChoice
    )


async def set_priority(
    ctx: Ctx,
    answered: Annotated[ElicitationResult[PriorityChoice], Resolve(ask_priority)],
    ticket_id: TicketId,
    priority: Annotated[
        Priority | None, Field(description="The new priority; leave it out to let a person choose.")
    ] = None,
    expected_version: ExpectedVersion = None,
) -> Annotated[CallToolResult, PrioritySet]:
    """Set how urgent a ticket is: low, normal, high or urgent.

    Use it when the ticket's priority does not fit what the customer describes. If you cannot tell, leave the
    priority out: a person is asked. Returns the priority and the ticket's new version.
    """
    if not isinstance(answered, AcceptedElicitation):
        raise Refused(
            f"The priority of ticket {ticket_id} was not chosen (the question was {_how_ended(answered.action)}), "
            "and nothing was changed: go on without it, or give a priority yourself."
        )
    chosen = answered.data.priority if answered.data else priority
    return await change_ticket(ctx, desk_of(ctx).store.set_priority, ticket_id, chosen, expected_version)


async def ask_summary(ctx: Ctx, ticket_id: str) -> Sample | None:
    """Return the request for a summary, or None if the answer would be of no use."""
    store = desk_of(ctx).store
    if not await store.database.read(store.would_act, call_of(ctx)):
        return None
    record = await store.database.read(store.record, ticket_id)
    capabilities = ctx.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise Refused(f"This client has no model to summarize with: read ticket://{ticket_id} itself.")
    await ctx.report_progress(1, 2, "Asking the model")
    text = render("summary", ticket=_sample_of(ticket_markdown(record)))
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return Sample([message], max_tokens=SUMMARY_TOKENS)


async def summarize_ticket(
    ctx: Ctx,
    completion: Annotated[CreateMessageResult | None, Resolve(ask_summary)],
    ticket_id: TicketId,
) -> Annotated[CallToolResult, Summary]:
    """Summarize a ticket in at most three sentences: what is wanted, what was done, what is open.

    Use it for a long conversation that you need not read word by word; it takes a call to your own model.
    Returns the summary. It changes nothing.
    """
    call = call_of(ctx)
    summary = _text_of(completion) if completion is not None else ""
    if call.key is None and not call.is_void:
        return structured({"ticket_id": ticket_id, "summary": summary}, summary)
    store = desk_of(ctx).store
    done = await store.database.write(store.keep_summary, call, ticket_id, summary)
    return answer(done) if done.result is None else structured(done.result, done.result["summary"])


def _can_fill_forms(ctx: Ctx) -> bool:
    asked = ctx.client_capabilities.elicitation if ctx.client_capabilities is not None else None
    # A client that names no kind of question is older than the kinds, and means forms.
    return asked is not None and (asked.form is not None or asked.url is None)


def _text_of(completion: CreateMessageResult) -> str:
    content = completion.content
    text = content.text.strip() if isinstance(content, TextContent) else ""
    if not text:
        raise Refused("The client's model returned no text: read the ticket itself instead.")
    return text


def _sample_of(markdown: str) -> str:
    # The prompt ends the ticket with this tag; a customer's text must not, whatever hides between its letters.
    text = _TICKET_TAG.sub("&lt;", markdown)
    if len(text) <= LONGEST_SAMPLE:
        return text
    half = LONGEST_SAMPLE // 2
    return f"{text[:half]}\n\n[… {len(text) - 2 * half:,} characters left out …]\n\n{text[-half:]}"


def _how_ended(action: str) -> str:
    return {"decline": "declined", "cancel": "cancelled"}[action]
