"""What every tool and resource of the helpdesk works on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from servers.calls import announce, answer, call_of
from servers.effects import Call, Done
from servers.ticketing.knowledge import Knowledge
from servers.ticketing.store import TicketStore

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """The tickets and the knowledge base that one server serves."""

    store: TicketStore
    knowledge: Knowledge


Ctx: TypeAlias = Context[Desk, Any]

TicketId: TypeAlias = Annotated[str, Field(description="The ticket's id, such as 42.")]
ExpectedVersion: TypeAlias = Annotated[
    int | None,
    Field(description="The version that you have read; if the ticket has changed since, nothing is done."),
]


def desk_of(ctx: Ctx) -> Desk:
    """Return the desk that the request is for."""
    return ctx.request_context.lifespan_context


async def change_ticket(
    ctx: Ctx, effect: Callable[Concatenate[Call, str, P], Done], ticket_id: str, *args: P.args, **kwargs: P.kwargs
) -> CallToolResult:
    """Make one change to a ticket, tell whoever listens, and return the tool's result."""
    done = await desk_of(ctx).store.database.write(effect, call_of(ctx), ticket_id, *args, **kwargs)
    if done.is_new and done.result is not None:
        await announce(ctx, (f"ticket://{ticket_id}", f"ticket://{ticket_id}/record", "ticket://list"))
    return answer(done)
