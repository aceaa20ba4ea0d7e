"""Plans of a bench's dry runs, carried out: nobody is asked but the approver, and the model fails when it is."""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

from agent.applying import Applied
from agent.models.nobody import Nobody
from agent.models.scripted import Turn
from agent.protocols import Model
from agent.records import ModelRequest, Reply, RunMode
from agent.run import Run
from agent.settings import Settings
from servers.customers.server import create_server as create_customers
from servers.ticketing.server import create_server as create_ticketing
from tests.fakes.runs import NOTE, REFUND, Bench, Watching, Worked, Works, works_over

PRIORITY = "ticketing__set_priority"
SORTED = (
    "ticketing__classify_ticket",
    {"type": "incident", "category": "login", "language": "en", "sentiment": "negative", "tags": ["login", "pro"]},
)
NOTED = (NOTE, {"body": "Looked at it."})
RAISED = (PRIORITY, {"priority": "urgent"})
REFUNDED = (REFUND, {"invoice_id": "inv_1001", "reason": "Charged twice."})
CHANGED = ("customers__update_account", {"marketing_opt_in": False})
RESET = ("customers__send_password_reset", {})
SEARCHED = ("ticketing__search_knowledge_base", {"query": "log in"})


class Silent(Nobody):
    """A model that knows whether it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        self.asked += 1
        return await super().reply(request, on_text)


async def planned(works: Works, *turns: Turn, ticket_id: str = "42") -> Worked:
    """Return a dry run that a model has played."""
    return await works.play(*turns, ticket_id=ticket_id, mode=RunMode.DRY_RUN)


async def begin(works: Works, plan: Worked, *, left_out: Sequence[str] = (), **options: Any) -> Run:
    """Return the run that carries out what this dry run has planned, not worked yet."""
    intake = works.intake(**{"model": Silent(), **options}, mode=RunMode.APPLY)
    entries = await works.journal.entries(plan.run.recorder.run_id)
    run = await intake.apply(entries[0], Applied.of(entries, left_out=left_out))
    works.intakes[run.recorder.run_id] = intake
    return run


async def apply(works: Works, plan: Worked, *, left_out: Sequence[str] = (), **options: Any) -> Worked:
    """Carry out what this dry run has planned."""
    run = await begin(works, plan, left_out=left_out, **options)
    with anyio.fail_after(600):
        finished = await works.finish(run)
    model: Model = run.model
    assert not isinstance(model, Silent) or model.asked == 0
    return Worked(run=run, finished=finished)


def apply_id(plan: Worked) -> str:
    return f"{plan.run.recorder.run_id}-apply"


@asynccontextmanager
async def later(
    desk: Bench,
    *,
    settings: Callable[[Settings], Settings] = lambda settings: settings,
    server: Callable[[MCPServer[Any]], object] = lambda _: None,
) -> AsyncGenerator[Works]:
    """Yield what the next command works with: the same records, another configuration, another helpdesk's server."""
    ticketing = create_ticketing(desk.tickets, desk.home / "knowledge")
    server(ticketing)
    targets = {"ticketing": ticketing, "customers": create_customers(desk.customers)}
    async with works_over(settings(desk.session.settings), Watching(), targets) as works:
        yield works


def statuses(worked: Worked) -> list[tuple[str, str]]:
    """What has become of each call that was not a read, by its tool."""
    return [(effect.tool, effect.status.value) for effect in worked.report.effects]


async def is_recorded(works: Works, plan: Worked) -> bool:
    return await works.journal.run(apply_id(plan)) is not None


def make_dear(desk: Bench, cents: int = 12_000) -> None:
    """Let the invoice that a plan refunds be of another amount."""
    with sqlite3.connect(desk.home / "customers.sqlite") as database:
        database.execute("UPDATE invoices SET amount_cents = ? WHERE id = 'inv_1001'", (cents,))
    database.close()
