"""Whether a ticket changes under the run that works it: what the helpdesk tells, and who has done it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from agent.errors import InfrastructureError
from agent.host import Host
from agent.loop import Run

_SETTLE_S = 0.05


@asynccontextmanager
async def watched(run: Run, host: Host) -> AsyncGenerator[None]:
    """Tell the operator, once, when somebody else changes the run's ticket, where its helpdesk tells of changes."""
    uris = run.helpdesk.resources(run.case.ticket.id)
    changed = asyncio.Event()
    telling = asyncio.create_task(_tell(run, changed), name=f"watch {run.case.ticket.id}")
    try:
        with host.watching(run.settings.tickets.server, uris, changed.set):
            yield
    finally:
        telling.cancel()


async def _tell(run: Run, changed: asyncio.Event) -> None:
    ticket_id, ledger = run.case.ticket.id, run.ledger
    known, made = run.case.value("ticket.version"), 0
    try:
        while True:
            await changed.wait()
            is_own = bool(ledger.in_flight) or len(ledger.effects) > made
            changed.clear()
            while ledger.in_flight:  # noqa: ASYNC110 - a call under way moves the version, and tells no one of its end
                await anyio.sleep(_SETTLE_S)
            now, made = await run.helpdesk.version(ticket_id), len(ledger.effects)
            if not is_own and (now is None or now != known):
                run.observer.notice(f"Ticket {ticket_id} has just been changed by someone else.")
                return
            known = now
    except InfrastructureError:
        return  # whatever the run itself asks of the helpdesk says so better
