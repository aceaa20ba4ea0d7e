"""Tools that look: the queue, the requester's earlier tickets, the knowledge base."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from mcp.server.mcpserver import ListRoots, Resolve
from mcp_types import CallToolResult, ListRootsResult
from pydantic import Field

from servers.calls import structured
from servers.checks import Refused
from servers.ticketing.desk import Ctx, desk_of
from servers.ticketing.knowledge import Knowledge
from servers.ticketing.render import passages_markdown, summary_json
from servers.ticketing.results import FoundPassages, PastTickets, TicketPage
from servers.ticketing.words import Filters, Priority, Status

READ_AT_ONCE = 200
"""Articles that are indexed between two reports of progress."""


async def list_tickets(
    ctx: Ctx,
    *,
    status: Annotated[list[Status] | None, Field(description="Only tickets with one of these statuses.")] = None,
    priority: Annotated[Priority | None, Field(description="Only tickets of this priority.")] = None,
    assignee: Annotated[
        str | None, Field(description='Only tickets of this person; "none" for tickets of nobody.')
    ] = None,
    group: Annotated[str | None, Field(description="Only tickets of this group, such as support or people.")] = None,
    requester: Annotated[str | None, Field(description="Only tickets from this e-mail address.")] = None,
    tag: Annotated[str | None, Field(description="Only tickets with this tag.")] = None,
    cursor: Annotated[str | None, Field(description="The `next_cursor` of the page before.")] = None,
    limit: Annotated[int, Field(ge=1, le=200, description="How many tickets to return at most.")] = 50,
) -> Annotated[CallToolResult, TicketPage]:
    """List the helpdesk's queue, most urgent first and oldest first within a priority.

    Use it to see what waits to be worked on. Every filter that is left out lets all tickets through.
    Returns the tickets' main fields without their conversations, and a cursor while there are more.
    """
    filters = Filters(
        status=None if status is None else tuple(dict.fromkeys(status)),
        priority=priority,
        assignee=assignee,
        group=group,
        requester=requester,
        tag=tag,
    )
    store = desk_of(ctx).store
    page = await store.database.read(store.page, filters, limit, cursor)
    tickets = [summary_json(ticket) for ticket in page.tickets]
    return structured({"tickets": tickets, "next_cursor": page.next_cursor})


async def search_tickets(
    ctx: Ctx,
    requester: Annotated[str, Field(description="The customer's e-mail address.")],
    query: Annotated[str, Field(description="Words to look for; empty for all of the customer's tickets.")],
    limit: Annotated[int, Field(ge=1, le=50, description="How many tickets to return at most.")] = 10,
) -> Annotated[CallToolResult, PastTickets]:
    """Search one customer's own tickets, open and past, by words in their subject and conversation.

    Use it to find out whether the customer has asked this before, and how it was solved then.
    Returns the tickets that share most words with the query first, each with its resolution if it has one.
    """
    store = desk_of(ctx).store
    found = await store.database.read(store.search, requester, query, limit)
    return structured({"tickets": [{**summary_json(ticket), "resolution": ticket.resolution} for ticket in found]})


def client_roots(ctx: Ctx) -> ListRoots | None:
    """Ask the client for its roots, if it has any to give."""
    capabilities = ctx.client_capabilities
    return ListRoots() if capabilities is not None and capabilities.roots is not None else None


async def search_knowledge_base(
    ctx: Ctx,
    roots: Annotated[ListRootsResult | None, Resolve(client_roots)],
    query: Annotated[str, Field(min_length=1, max_length=2_000, description="The question, or its main words.")],
    limit: Annotated[int, Field(ge=1, le=20, description="How many passages to return at most.")] = 5,
) -> Annotated[CallToolResult, FoundPassages]:
    """Search the knowledge base for passages that answer a question.

    Use it before you answer a customer, with the main words of the question in the language of the articles.
    Returns passages, best first, each with the title and the `kb://` address of its article: read the whole
    article there before you rely on it. Says so when nothing was found.
    """
    knowledge = desk_of(ctx).knowledge
    folders = _searchable(knowledge, roots)
    await _learn_changes(ctx, knowledge)
    found = await anyio.to_thread.run_sync(knowledge.search, query, limit, folders)
    passages = [{"uri": passage.uri, "title": passage.title, "text": passage.text} for passage in found]
    return structured({"passages": passages}, passages_markdown(query, found))


def _searchable(knowledge: Knowledge, roots: ListRootsResult | None) -> Sequence[Path] | None:
    """Return the folders that both the client's roots and the configuration allow; None is the whole folder."""
    if roots is None or not roots.roots:  # a client that names no folder sets no bound
        return None
    shared = knowledge.within(str(root.uri) for root in roots.roots)
    if not shared:
        raise Refused(
            "Nothing was searched: none of the client's roots contains the knowledge base, or lies in it. "
            "The operator can add its folder to the roots."
        )
    return shared


async def _learn_changes(ctx: Ctx, knowledge: Knowledge) -> None:
    changed = await anyio.to_thread.run_sync(knowledge.changed)
    for start in range(0, len(changed), READ_AT_ONCE):
        await anyio.to_thread.run_sync(knowledge.learn, changed[start : start + READ_AT_ONCE])
        done = min(start + READ_AT_ONCE, len(changed))
        await ctx.report_progress(done, len(changed), f"{done:,} of {len(changed):,} changed articles read")
