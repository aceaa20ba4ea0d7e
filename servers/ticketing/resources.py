"""What can be read at the desk: tickets, articles, the resolution prompt, and completions for their arguments."""

import json
from typing import Annotated

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)
from pydantic import Field

from prompts import render
from servers.checks import Refused
from servers.ticketing.desk import Ctx, Desk, desk_of
from servers.ticketing.render import list_markdown, record_json, ticket_markdown
from servers.ticketing.words import Filters

LISTED = 200
"""Open tickets that `ticket://list` shows."""

TONES = {
    "free": "is concise: the answer and the next step, without small talk.",
    "pro": "is warm and detailed: acknowledge the trouble, explain what happened and what comes next.",
}
TIERS = {"free": "free", "pro": "pro", "enterprise": "pro"}
"""Account tiers, and whose tone each gets; a tier that is not here counts as free."""


async def read_ticket(ctx: Ctx, ticket_id: str) -> str:
    """A ticket and its whole conversation, in Markdown; internal notes are marked as such."""
    store = desk_of(ctx).store
    return ticket_markdown(await store.database.read(store.record, ticket_id))


async def read_record(ctx: Ctx, ticket_id: str) -> str:
    """A ticket as JSON: every field, its version, its messages and the events of its history."""
    store = desk_of(ctx).store
    return json.dumps(record_json(await store.database.read(store.record, ticket_id)), ensure_ascii=False)


async def read_article(ctx: Ctx, slug: str) -> str:
    """An article of the knowledge base, in Markdown."""
    article = await anyio.to_thread.run_sync(desk_of(ctx).knowledge.read, slug)
    if article is None:
        raise Refused(f"There is no article kb://{slug[:100]}: search_knowledge_base names the ones that exist.")
    return article.text


async def resolution_prompt(
    ctx: Ctx,
    ticket_id: Annotated[str, Field(description="The ticket to resolve, such as 42.")],
    account_tier: Annotated[str, Field(description="The customer's account tier: free, pro or enterprise.")] = "free",
) -> str:
    """Instructions for resolving a ticket, in the tone that the customer's account tier gets."""
    store = desk_of(ctx).store
    try:
        ticket = await store.database.read(store.ticket, ticket_id)
    except Refused as refusal:
        raise MCPError(INVALID_PARAMS, str(refusal)) from refusal
    tier = account_tier.strip().lower()
    known = tier if tier in TIERS else "free"
    return render("resolution", ticket_id=ticket.id, account_tier=known, tone=TONES[TIERS[known]])


async def complete(
    desk: Desk, reference: PromptReference | ResourceTemplateReference, argument: CompletionArgument
) -> Completion | None:
    """Return the values that an argument may take, by prefix; at most 100, as the protocol asks."""
    is_prompt = isinstance(reference, PromptReference)
    if is_prompt and reference.name != "resolution_prompt":
        return None
    match argument.name:
        case "ticket_id" if is_prompt or reference.uri.startswith("ticket://"):
            store = desk.store
            values = await store.database.read(store.open_ids, argument.value, 101)
        case "slug" if not is_prompt and reference.uri == "kb://{slug}":
            values = await anyio.to_thread.run_sync(desk.knowledge.slugs, argument.value)
        case "account_tier" if is_prompt:
            values = [tier for tier in TIERS if tier.startswith(argument.value.lower())]
        case _:
            return None
    return Completion(values=values[:100], has_more=len(values) > 100)


def add_resources(server: MCPServer[Desk], desk: Desk) -> None:
    """Register the resources, the prompt and the completions.

    What has no template argument gets no context from the SDK, hence the desk.
    """

    async def list_open() -> str:
        open_tickets = Filters(status=("new", "open", "pending", "hold"))
        page = await desk.store.database.read(desk.store.page, open_tickets, LISTED)
        return list_markdown(page.tickets, is_complete=page.next_cursor is None)

    async def on_complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        _: CompletionContext | None,
    ) -> Completion | None:
        return await complete(desk, reference, argument)

    markdown = "text/markdown"
    server.resource(
        "ticket://list",
        name="open_tickets",
        title="Open tickets",
        description="The tickets that are not solved or closed, most urgent first, as a Markdown table.",
        mime_type=markdown,
    )(list_open)
    server.resource("ticket://{ticket_id}", name="ticket", title="Ticket", mime_type=markdown)(read_ticket)
    server.resource(
        "ticket://{ticket_id}/record", name="ticket_record", title="Ticket record", mime_type="application/json"
    )(read_record)
    server.resource("kb://{slug}", name="article", title="Knowledge-base article", mime_type=markdown)(read_article)
    server.prompt(title="Resolve a ticket")(resolution_prompt)
    server.completion()(on_complete)
