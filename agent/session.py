"""A command's working set: servers started, tools catalogued, model loaded; and one run in it, from case to report."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import prompts
from agent.callbacks import Answers
from agent.catalog import Catalog, build_catalog
from agent.errors import TicketNotWorkable
from agent.gate import Gate
from agent.host import Host
from agent.journal import MemoryJournal, new_run_id
from agent.ledger import Ledger
from agent.loop import Finished, Run, work
from agent.protocols import Approver, Model, Observer, Operator
from agent.records import FormAnswer, JsonObject, RunMode
from agent.settings import Settings
from agent.tickets import Helpdesk
from agent.watch import watched


@dataclass(frozen=True, kw_only=True)
class Session:
    """Started servers and what they offer; every run of one command shares it."""

    settings: Settings
    host: Host
    catalog: Catalog
    helpdesk: Helpdesk
    observer: Observer
    active: dict[str, Run] = field(default_factory=dict[str, Run])  # by run id; what an interruption leaves behind

    async def prepare(
        self, ticket_id: str, *, model: Model, mode: RunMode, approver: Approver, operator: Operator
    ) -> Run:
        """Read the case and put a run together; nothing is asked of the model yet.

        Raises:
            TicketNotFound: there is no such ticket.
            TicketNotWorkable: it is in a state that the configuration leaves alone.
        """
        case = await self.helpdesk.open(ticket_id)
        if not self.helpdesk.is_workable(case.ticket):
            raise TicketNotWorkable(f"Ticket {ticket_id} is {case.ticket.status}: there is nothing to work.")
        ledger = Ledger(versions={owner: case.value(f"{owner}.version") for owner in ("ticket", "customer")})
        recorder = MemoryJournal(new_run_id(), lambda entry: self.observer.entry(ticket_id, entry))
        roots = self.settings.roots
        answers = Answers(
            model=model,
            operator=_Unhurried(operator, ledger),
            recorder=recorder,
            limits=self.settings.limits,
            roots=[*([roots.knowledge] if roots.knowledge else []), *roots.folders],
            on_spend=ledger.spend,
        )
        gate = Gate(
            case=case,
            catalog=self.catalog,
            host=self.host,
            settings=self.settings,
            mode=mode,
            approver=approver,
            answers=answers,
            recorder=recorder,
            observer=self.observer,
            ledger=ledger,
        )
        return Run(
            case=case,
            model=model,
            gate=gate,
            helpdesk=self.helpdesk,
            catalog=self.catalog,
            recorder=recorder,
            observer=self.observer,
            settings=self.settings,
            mode=mode,
            system=system_prompt(self.host, self.settings),
            ledger=ledger,
        )

    async def work(self, run: Run) -> Finished:
        """Work the run to its report; an infrastructure failure is part of what is returned."""
        self.active[run.recorder.run_id] = run
        async with watched(run, self.host):
            finished = await work(run)
        # Not in a `finally`: a run that is cut short stays listed, so that its interruption can be told.
        del self.active[run.recorder.run_id]
        return finished


class _Unhurried:
    """An operator whose time is not the run's: while it answers, the run's clock stands still."""

    def __init__(self, operator: Operator, ledger: Ledger) -> None:
        self._operator = operator
        self._ledger = ledger

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        with self._ledger.waiting():
            return await self._operator.fill_form(server, message, schema)

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        with self._ledger.waiting():
            return await self._operator.visit_url(server, message, url)


@asynccontextmanager
async def open_session(
    settings: Settings, observer: Observer, *, trace: Callable[[str, str, str], None] | None = None
) -> AsyncGenerator[Session]:
    """Start every configured server and yield the session; all of them are stopped when it is left."""
    async with Host(settings, observer, trace=trace) as host:
        catalog = build_catalog(
            {name: server.tools for name, server in host.servers.items()},
            {name: server.templates for name, server in host.servers.items()},
            settings,
        )
        for tool in catalog.tools:
            if tool.problem is not None:
                observer.notice(f"{tool.qualified} is left out: {tool.problem}.")
        yield Session(
            settings=settings, host=host, catalog=catalog, helpdesk=Helpdesk(host, settings), observer=observer
        )


def system_prompt(host: Host, settings: Settings) -> str:
    """Return the system prompt: ours, then the instructions of the servers that the configuration trusts.

    It is the same for every run of a configuration: prompt caching depends on it.
    """
    trusted = [
        f"# About the tools of {name}\n\n{server.instructions.strip()}"
        for name, server in sorted(host.servers.items())
        if server.instructions and settings.server(name).trust_instructions
    ]
    return "\n\n".join([prompts.render("system"), *trusted])
