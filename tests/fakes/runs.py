"""A session over the built-in servers in process, on databases of the test's own, with the test's model and person."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from agent import approval
from agent.account import this_process
from agent.assembly import Assembly
from agent.configuration import load
from agent.host import Host
from agent.intake import Intake
from agent.journal import Journal, RunRecord, open_journal
from agent.locks import Locks
from agent.models.message_rules import violations
from agent.models.scripted import Call, Conversation, ScriptedModel, Turn
from agent.protocols import Approver, Model, Operator
from agent.records import (
    Approval,
    Entry,
    EntryKind,
    FormAnswer,
    JsonObject,
    ModelRequest,
    Proposal,
    Reply,
    RunMode,
    RunReport,
)
from agent.run import Finished, Run
from agent.session import Session, session_over
from agent.settings import Settings, ToolSettings
from servers.customers.store import CustomerStore
from servers.effects import Call as Effect
from servers.ticketing.store import TicketStore
from tests.fakes.helpdesk import TICKETS, customer_desk, ticket_desk

RESOLUTION = "Hi, forget the saved login and type the new password. — Support Team"
CLOSE = "ticketing__close_ticket"
NOTE = "ticketing__add_internal_note"
REPLY = "ticketing__reply_to_customer"
ESCALATE = "ticketing__escalate_ticket"
REFUND = "customers__issue_refund"


class Watching:
    """An observer that keeps everything, and lets a test wait for it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Entry]] = []
        self.notices: list[str] = []
        self.on_entry: Callable[[str, Entry], None] = lambda _ticket_id, _entry: None
        self._changed = anyio.Event()

    def entry(self, ticket_id: str, entry: Entry) -> None:
        self.entries.append((ticket_id, entry))
        self.on_entry(ticket_id, entry)
        self._changed.set()
        self._changed = anyio.Event()

    def text(self, ticket_id: str, delta: str) -> None:
        pass

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        pass

    def notice(self, message: str) -> None:
        self.notices.append(message)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that only entries can make true."""
        while not holds():
            await self._changed.wait()


class Person:
    """Approver and operator in one: answers as the test says, and remembers what it was asked."""

    def __init__(
        self,
        *,
        grants: bool = True,
        form: FormAnswer | None = None,
        meanwhile: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.proposals: list[Proposal] = []
        self.questions: list[str] = []
        self._grants = grants
        self._form = form or FormAnswer(action="decline")
        self._meanwhile = meanwhile

    async def approve(self, proposal: Proposal) -> Approval:
        self.proposals.append(proposal)
        if self._meanwhile is not None:
            await self._meanwhile()
        return Approval(is_granted=self._grants, by="dana", because="I looked" if self._grants else "I would not")

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        self.questions.append(message)
        if self._meanwhile is not None:
            await self._meanwhile()
        return self._form

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        self.questions.append(message)
        return FormAnswer(action="decline")


class Replies:
    """A model that plays any replies, sound or not, and checks that every request would be read by the API."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._replies = iter(replies)
        self.requests: list[list[JsonObject]] = []
        self.broken: list[str] = []
        self._is_paused = False

    @property
    def name(self) -> str:
        return "replies"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        self.requests.append(json.loads(json.dumps(list(request.messages))))
        self.broken += violations(request, resumes_pause=self._is_paused)
        reply = next(self._replies, Reply(content=[], stop_reason="end_turn", model="replies", cost_usd=0.0))
        self._is_paused = reply.stop_reason == "pause_turn"
        return reply

    async def aclose(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Worked:
    """A run that is over: its report, its record, and what the model was sent."""

    run: Run
    finished: Finished

    @property
    def report(self) -> RunReport:
        return self.finished.report

    @property
    def entries(self) -> list[Entry]:
        assert isinstance(self.run.recorder, RunRecord)
        return list(self.run.recorder.entries)

    @property
    def kinds(self) -> list[EntryKind]:
        return [entry.kind for entry in self.entries]

    def bodies(self, kind: EntryKind) -> list[JsonObject]:
        return [entry.body for entry in self.entries if entry.kind is kind]

    def about(self, tool: str) -> list[EntryKind]:
        """The kinds of entries about calls of this `server.tool`, in order."""
        return [entry.kind for entry in self.entries if entry.body.get("tool") == tool]

    def told(self, number: int = -1) -> str:
        """What the model was told about one of its calls, by the record."""
        content = self.bodies(EntryKind.RESULT)[number]["content"]
        return "\n".join(block["text"] for block in content)

    @property
    def statuses(self) -> list[str]:
        return [body["status"] for body in self.bodies(EntryKind.RESULT)]


@dataclass(frozen=True, kw_only=True)
class Works:
    """A session under test with a journal and locks of its own: what a command works tickets with."""

    session: Session
    journal: Journal
    locks: Locks
    intakes: dict[str, Intake] = field(default_factory=dict[str, Intake])  # by run id

    def intake(
        self,
        *,
        model: Model,
        mode: RunMode = RunMode.LIVE,
        approver: Approver | None = None,
        operator: Operator | None = None,
    ) -> Intake:
        """Return what one command would work tickets with."""
        assembly = Assembly(
            session=self.session,
            model=model,
            approver=approver or approval.never(),
            operator=operator or Person(),
            owner=this_process(self.locks.place_id),
        )
        return Intake(assembly=assembly, journal=self.journal, locks=self.locks, mode=mode)

    async def prepare(self, ticket_id: str = "42", *, is_fresh: bool = False, **options: Any) -> Run:
        intake = self.intake(**options)
        run = await intake.prepare(ticket_id, is_fresh=is_fresh)
        self.intakes[run.recorder.run_id] = intake
        return run

    async def finish(self, run: Run) -> Finished:
        """Work a prepared run to its report, and let go of its ticket."""
        intake = self.intakes[run.recorder.run_id]
        try:
            return await intake.work(run)
        finally:
            intake.release(run)

    async def work(self, ticket_id: str = "42", **options: Any) -> Worked:
        """Prepare and work one ticket; a scripted model must have played everything when it is over."""
        run = await self.prepare(ticket_id, **options)
        with anyio.fail_after(600):
            finished = await self.finish(run)
        if isinstance(run.model, ScriptedModel):
            await run.model.aclose()
        return Worked(run=run, finished=finished)

    async def play(self, *turns: Turn, **options: Any) -> Worked:
        """Work a ticket with a model that plays these turns."""
        return await self.work(model=ScriptedModel(turns), **options)


@dataclass(frozen=True, kw_only=True)
class Bench(Works):
    """Works over the built-in servers, and the stores behind these."""

    tickets: TicketStore
    customers: CustomerStore
    observer: Watching
    home: Path

    def ticket(self, ticket_id: str = "42") -> Any:
        return self.tickets.ticket(ticket_id)

    def changes(self, ticket_id: str = "42") -> list[str]:
        """What has happened to a ticket since it was there, by its event log."""
        return [event.kind for event in self.tickets.record(ticket_id).events][1:]

    def notes(self, ticket_id: str = "42") -> list[str]:
        said = self.tickets.record(ticket_id).messages
        return [message.body for message in said if message.kind == "internal_note"]

    def by_colleague(self, body: str = "I am on it.", ticket_id: str = "42") -> None:
        """Let somebody else write to the ticket, behind the run's back."""
        self.tickets.add_note(_somebody("add_internal_note"), ticket_id, body, None, None)

    def closed_by_colleague(self, ticket_id: str = "42") -> None:
        self.tickets.close(_somebody("close_ticket"), ticket_id, "Done by phone.", None)

    def everything(self) -> list[str]:
        """All that both databases hold, as SQL."""
        dump: list[str] = []
        for name in ("ticketing", "customers"):
            connection = sqlite3.connect(self.home / f"{name}.sqlite")
            try:
                dump += connection.iterdump()
            finally:
                connection.close()
        return dump


def _somebody(tool: str) -> Effect:
    return Effect(tool=tool, arguments={}, actor="Dana")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a bench differs from the built-in helpdesk."""

    rows: Sequence[Mapping[str, Any]] = tuple(TICKETS)
    targets: Mapping[str, object] = field(default_factory=dict[str, object])  # more servers, or others of the same name
    tools: Mapping[str, ToolSettings] = field(default_factory=dict[str, ToolSettings])
    limits: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Callable[[Settings], Settings] = lambda settings: settings


def default_settings(home: Path) -> Settings:
    """Return the built-in helpdesk's configuration, as a command without files has it; no server is started by it."""
    settings = load(folder=home, environ={"SUPPORT_AGENT_HOME": str(home), "HOME": str(home)})
    return settings.model_copy(update={"transports": {}})


@asynccontextmanager
async def bench(home: Path, **shape: Any) -> AsyncGenerator[Bench]:
    """Yield a session over both built-in servers; the keywords are the fields of `Shape`."""
    wanted = Shape(**shape)
    base = default_settings(home)
    settings = wanted.settings(
        base.model_copy(
            update={
                "tools": {**base.tools, **wanted.tools},
                "limits": base.limits.model_copy(update=dict(wanted.limits)),
            }
        )
    )
    observer = Watching()
    with ticket_desk(home, wanted.rows) as tickets, customer_desk(home) as customers:
        targets = {"ticketing": tickets.server, "customers": customers.server, **wanted.targets}
        in_process = {name: target for name, target in targets.items() if target is not None}
        async with works_over(settings, observer, in_process) as works:
            yield Bench(
                session=works.session,
                journal=works.journal,
                locks=works.locks,
                tickets=tickets.store,
                customers=customers.store,
                observer=observer,
                home=home,
            )


@asynccontextmanager
async def works_over(settings: Settings, observer: Watching, targets: Mapping[str, object]) -> AsyncGenerator[Works]:
    """Yield works over servers of this process, and over those that the settings start."""
    journal = open_journal(settings)
    try:
        async with Host(settings, observer, targets=targets) as host:
            session = session_over(host, settings, observer)
            yield Works(session=session, journal=journal, locks=Locks(settings.home / "locks"))
    finally:
        await journal.aclose()


def does(*calls: Call | tuple[str, JsonObject], **turn: Any) -> Turn:
    """A turn that makes calls; a pair is a name and its arguments."""
    return Turn(
        calls=[call if isinstance(call, Call) else Call(name=call[0], arguments=call[1]) for call in calls], **turn
    )


def closes(resolution: str = RESOLUTION, **turn: Any) -> Turn:
    return does((CLOSE, {"resolution": resolution}), **turn)


def says(text: str = "Done.", **turn: Any) -> Turn:
    return Turn(text=text, **turn)


def summarizing(ticket_id: str, summary: str, **turn: Any) -> Conversation:
    """What a server's request for a summary of this ticket is answered with."""
    return Conversation(match=f"# Ticket {ticket_id}:", turns=[Turn(text=summary, **turn)])
