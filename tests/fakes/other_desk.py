"""A helpdesk of somebody else: other names, other words, records by tool, and the configuration that says all of it."""

from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from agent.records import Effect
from agent.settings import QueueReference, Settings, TicketSettings, ToolReference, ToolSettings
from tests.fakes.judging import DEFAULT

PAGE = 2


class OtherDesk:
    """Cases with states, revisions and an owner team; nothing in it is called as in the built-in helpdesk."""

    def __init__(self, count: int = 5) -> None:
        self.cases: dict[str, dict[str, Any]] = {
            str(number): {
                "number": number,
                "who": {"mail": f"c{number}@example.com"},
                "state": "waiting",
                "team": "front",
                "rev": 1,
                "story": f"Story of {number}.",
            }
            for number in range(1, count + 1)
        }
        self.log: list[tuple[str, str]] = []
        self.server = MCPServer("desk")
        for tool in (self.fetch, self.waiting, self.finish, self.pass_on, self.ask_back):
            self.server.tool()(tool)

    async def fetch(self, case_number: str) -> dict[str, Any]:
        """The case with its story."""
        return {"case": self._case(case_number)}

    async def waiting(self, after: str | None = None) -> dict[str, Any]:
        """Cases that wait, a few at a time."""
        numbers = [number for number, case in self.cases.items() if case["state"] == "waiting"]
        start = numbers.index(after) + 1 if after else 0
        page = numbers[start : start + PAGE]
        more = page[-1] if start + PAGE < len(numbers) else None
        return {"found": {"cases": [self.cases[number] for number in page]}, "after": more}

    async def finish(self, case_number: str, words: str, rev: int) -> dict[str, Any]:
        """End the case."""
        return self._change("finish", case_number, rev, state="done", words=words)

    async def pass_on(self, case_number: str, why: str, rev: int) -> dict[str, Any]:
        """Give the case to the back office."""
        return self._change("pass_on", case_number, rev, team="back", why=why)

    async def ask_back(self, case_number: str, words: str, rev: int) -> dict[str, Any]:
        """Ask the person who wrote."""
        return self._change("ask_back", case_number, rev, state="asked", words=words)

    def _case(self, number: str) -> dict[str, Any]:
        if number not in self.cases:
            raise ToolError(f"No case {number}.")
        return self.cases[number]

    def _change(self, act: str, number: str, rev: int, **values: Any) -> dict[str, Any]:
        case = self._case(number)
        if rev != case["rev"]:
            raise ToolError(f"Case {number} is at revision {case['rev']}: fetch it again.")
        self.log.append((act, number))
        case.update(values, rev=rev + 1)
        return {"case": case}


_BIND = {"case_number": "ticket.id", "rev": "ticket.version"}
_FETCH = ToolReference(tool="fetch", arguments={"case_number": "$ticket_id"})

TICKETS = TicketSettings(
    server="desk",
    record=_FETCH,
    context=_FETCH,
    queue=QueueReference(
        tool="waiting",
        arguments={"after": "$cursor"},
        items="/found/cases",
        id="/number",
        requester="/who/mail",
        next_cursor="/after",
    ),
    handoff=ToolReference(tool="pass_on", arguments={"why": "$summary"}),
    fields={"requester": "/case/who/mail", "status": "/case/state", "group": "/case/team", "version": "/case/rev"},
    workable={"status": ("waiting", "asked")},
    outcome={"closed": {"status": ("done",)}, "escalated": {"group": ("back",)}, "pending": {"status": ("asked",)}},
)

TOOLS = {
    "desk.fetch": ToolSettings(effect=Effect.READ, bind={"case_number": "ticket.id"}),
    "desk.waiting": ToolSettings(effect=Effect.READ, offer=False),
    "desk.finish": ToolSettings(effect=Effect.CLOSE, bind=_BIND),
    "desk.pass_on": ToolSettings(effect=Effect.ESCALATE, bind=_BIND),
    "desk.ask_back": ToolSettings(effect=Effect.REPLY, bind=_BIND),
}


def settings(home: Path, **tickets: Any) -> Settings:
    """Return a configuration in which this is the only server; the keywords replace parts of `[tickets]`."""
    return Settings(home=home, transports={}, tickets=TICKETS.model_copy(update=tickets), tools=TOOLS, policy=DEFAULT)
