"""Whether a ticket changes under the run that works it: what the helpdesk tells, and who has done it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from agent.errors import InfrastructureError
from agent.host import Host
from agent.ledger import Ledger
from agent.run import Run

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
    known = tracked = run.case.value("ticket.version")
    calls: set[str] = set()  # the run's own, of which changes have been heard
    try:
        while True:
            await changed.wait()
            changed.clear()
            is_own = bool(ledger.in_flight) or not _calls(ledger) <= calls
            calls |= _calls(ledger)
            while ledger.in_flight:  # noqa: ASYNC110 - a call under way moves the version, and tells no one of its end
                await anyio.sleep(_SETTLE_S)
            before, tracked = tracked, ledger.versions.get("ticket")
            now = await run.helpdesk.version(ticket_id)
            if not _calls(ledger) <= calls:
                changed.set()  # the run has gone on meanwhile: this version may be its own again
            elif _is_foreign(now, known=known, before=before, tracked=tracked, is_own=is_own):
                run.observer.notice(f"Ticket {ticket_id} has just been changed by someone else.")
                return
            else:
                known = now
    except InfrastructureError:
        return  # whatever the run itself asks of the helpdesk says so better


def _is_foreign(now: Any, *, known: Any, before: Any, tracked: Any, is_own: bool) -> bool:
    """Whether the ticket's version says that somebody else has changed it; without a version, every change does."""
    if is_own:  # then only a write that came back with its version can tell
        return tracked is not None and tracked not in {before, now}
    return now is None or now not in {known, tracked}


def _calls(ledger: Ledger) -> set[str]:
    """Return the ids of all calls that have left, or are about to, and are no reads."""
    made = {effect.key.rpartition("/")[2] for effect in ledger.effects if effect.key is not None}
    return made | set(ledger.in_flight)
