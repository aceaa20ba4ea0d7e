"""Where the boundaries are: put into a forked process before it begins, and gone with it."""

import json
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

import servers.calls
import servers.customers.store
import servers.ticketing.store
from agent.journal.chain import Line
from agent.journal.store import Appended, Store
from agent.journal.values import Beside
from agent.tickets import Helpdesk
from servers.effects import Call, Done
from tests.kill.points import Points


def place_in_host(points: Points) -> None:
    """Put a boundary before and after each append and inside its transaction, and at what is read of the ticket."""
    inside = _Inside(points)
    append = Store.append

    def appended(store: Store, line: Line, beside: Beside) -> Appended:
        return inside.around(f"append {_called(line)}", lambda: append(store, line, beside))

    setattr(Store, "append", appended)  # noqa: B010 - put there behind the type checker's back
    open_case, read_outcome = Helpdesk.open, Helpdesk.outcome

    async def opened(*args: Any, **kwargs: Any) -> Any:
        case = await open_case(*args, **kwargs)
        points.passes("case is read")
        return case

    async def read(*args: Any, **kwargs: Any) -> Any:
        outcome = await read_outcome(*args, **kwargs)
        points.passes(f"outcome is read: {outcome.kind if outcome else 'none'}")
        return outcome

    Helpdesk.open, Helpdesk.outcome = opened, read


def place_in_server(points: Points) -> None:
    """Put a boundary before and after each call and effect, and into its transaction before that is committed."""
    inside = _Inside(points)
    perform = servers.ticketing.store.perform

    def performed(database: Any, keys: Any, call: Call, effect: Callable[[Connection], Any]) -> Done:
        return inside.around(f"effect {call.tool}", lambda: perform(database, keys, call, effect))

    for store in (servers.ticketing.store, servers.customers.store):
        setattr(store, "perform", performed)  # noqa: B010 - see above
    call_tool = servers.calls.HelpdeskServer.call_tool

    async def called(server: Any, name: str, arguments: Any, context: Any) -> Any:
        params = context.request_context.params or {}
        what = f"served {name}" + (" with answers" if "inputResponses" in params else "")
        points.passes(f"{what} before")
        result = await call_tool(server, name, arguments, context)
        points.passes(f"{what} after")
        return result

    setattr(servers.calls.HelpdeskServer, "call_tool", called)  # noqa: B010 - see above


class _Inside:
    """Follows what a worker thread does into its transaction."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._here = threading.local()
        event.listen(Engine, "commit", self._commits)

    def around(self, name: str, act: Callable[[], Any]) -> Any:
        self._points.passes(f"{name} before")
        self._here.name = name
        try:
            result = act()
        finally:
            self._here.name = None
        self._points.passes(f"{name} after")
        return result

    def _commits(self, connection: Connection) -> None:
        name = getattr(self._here, "name", None)
        if name is not None and _is_write(connection):
            self._points.passes(f"{name} inside")


def _is_write(connection: Connection) -> bool:
    # On SQLite both programs say so; on PostgreSQL only reading has an option of its own.
    return not connection.get_execution_options().get("postgresql_readonly", False)


def _called(line: Line) -> str:
    """Return what tells this entry from all others of a run in which no tool is called twice with the same end."""
    body = json.loads(line.body or "{}")
    parts = (line.kind, body.get("turn"), body.get("tool"), body.get("status"))
    return " ".join(str(part) for part in parts if part is not None)
