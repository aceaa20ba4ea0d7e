"""A server under fuzzing: in process, with clients of both eras, an ear on its log, and its rows to look at."""

import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from mcp import Client, MCPError
from mcp.server.mcpserver import MCPServer
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    Root,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import FileUrl

from servers.calls import KEY, VOID, VOIDED
from servers.customers.server import create_server as create_customers
from servers.customers.store import CustomerStore
from servers.customers.store import insert_demo as insert_customers
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import Database, Fill, Schema
from servers.ticketing.arrivals import insert_demo as insert_tickets
from servers.ticketing.server import create_server as create_ticketing
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.databases import KINDS, Templates
from tests.fakes.fuzz import budget
from tests.fakes.fuzz_audit import Audit, Rows, customer_faults, damage, ticket_faults
from tests.fakes.fuzz_inside import inside
from tests.fakes.helpdesk import ARTICLES, CUSTOMERS_ROWS, ERAS, filled, ticket

HANGS_AFTER_S = 600.0
"""Longer than anything here takes on a busy machine."""

TICKET_ROWS = (
    ticket(42, "alice@example.com", subject="Cannot log in", priority="high", tags=["login"]),
    ticket(43, "bob@example.com", status="pending", assignee="Dana"),
    ticket(44, "alice@example.com", status="solved"),
    ticket(45, "Alice@Example.com", status="closed", resolution="Hi, done. — Support Team"),
    ticket(46, "bob@example.com", status="hold", priority="urgent"),
    ticket(47, "c@example.com", subject="</ticket> | {0} '; x", body="\u202e> # x\r\n\u2028%s"),
)

Via: TypeAlias = tuple[str, Literal["able", "bare"]]
"""Which client asks: its era, and whether it can be asked back (model, person, roots)."""

VIAS: tuple[Via, ...] = tuple((era, kind) for era in ERAS for kind in ("able", "bare"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What one client asks of a server."""

    method: Literal["tool", "resource", "prompt", "completion"]
    name: str  # of the tool or prompt; the resource's URI; the template or prompt whose argument is completed
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    meta: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def has_half_a_character(self) -> bool:
        """Whether a lone surrogate is anywhere in it."""
        text = json.dumps([self.name, self.arguments, self.meta], ensure_ascii=False)
        return any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back; `text` is all that a model or an operator may read of it."""

    is_error: bool
    text: str
    structured: dict[str, Any] | None = None
    is_voided: bool = False
    was_sent: bool = True


class Counterpart:
    """What the able clients answer when a server asks back; an ErrorData is a client that fails."""

    def __init__(self) -> None:
        self.answer()

    def answer(self, *, sample: Any = None, form: Any = None, roots: Any = None) -> None:
        """Answer like this from now on, and sensibly where nothing is given."""
        text = TextContent(type="text", text="Short.")
        self.sample = sample or CreateMessageResult(role="assistant", content=text, model="test")
        self.form = form or ElicitResult(action="accept", content={"priority": "urgent"})
        self.roots = roots or ListRootsResult(roots=[Root(uri=FileUrl("file:///"))])

    def says(self) -> list[Any]:
        """Return all that a server may have read of it."""
        return [answer.model_dump(mode="json") for answer in (self.sample, self.form, self.roots)]


class Ear(logging.Handler):
    """Reads every record as a terminal would, and keeps those that tell of a crash."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.crashes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of a warning, an error or an exception."""
        said = logging.Formatter("%(name)s: %(message)s").format(record)
        if record.levelno >= logging.WARNING:
            self.crashes.append(said)


@dataclass(kw_only=True, slots=True)
class Bench:
    """One server, four clients. Every method may be called from the test's own thread."""

    schema: Schema
    kind: str  # of the database
    database: Database
    fill: Fill
    audit: Audit
    portal: BlockingPortal
    clients: Mapping[Via, Client]
    counterpart: Counterpart
    ear: Ear
    start: Rows = field(init=False)
    public: frozenset[str] = field(init=False)
    tools: Mapping[str, Tool] = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.rows()
        found = {via: self.portal.call(client.list_tools).tools for via, client in self.clients.items()}
        schemas = [{tool.name: tool.input_schema for tool in tools} for tools in found.values()]
        assert all(offered == schemas[0] for offered in schemas), "every era is offered the same"
        self.tools = {tool.name: tool for tool in found[VIAS[0]]}
        schemas = [schema for tool in self.tools.values() for schema in (tool.input_schema, tool.output_schema or {})]
        prompts = [prompt.name for prompt in self.prompts()]
        self.public = frozenset({*self.tools, *prompts, *(name for schema in schemas for name in _properties(schema))})

    # What the server offers.

    def prompts(self) -> list[Any]:
        """Return the prompts; none of a server that has none."""
        client = self.clients[VIAS[0]]
        return self.portal.call(client.list_prompts).prompts

    def templates(self) -> list[str]:
        """Return the addresses that can be read: resources and templates."""
        client = self.clients[VIAS[0]]
        fixed = [str(resource.uri) for resource in self.portal.call(client.list_resources).resources]
        return [
            *fixed,
            *(found.uri_template for found in self.portal.call(client.list_resource_templates).resource_templates),
        ]

    @property
    def place(self) -> tuple[str, str]:
        """Which row of docs/compatibility.md it has."""
        return self.schema.component, {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self.kind]

    def budget(self, examples: int, *, steps: int = 50) -> settings:
        """Return settings as `fuzz.budget`; the second kind of database gets half as many examples."""
        return budget(examples if self.kind == "sqlite" else examples // 2, steps=steps)

    @property
    def completes(self) -> bool:
        """Whether it offers to complete arguments; it may be asked all the same."""
        return self.clients[VIAS[0]].server_capabilities.completions is not None

    # What may be asked of it.

    def reset(self) -> None:
        """Bring the rows back to the start, and let the clients answer sensibly."""
        self.ear.crashes.clear()
        self.counterpart.answer()
        if self.rows() != self.start:
            with self.database.writing() as connection:
                for table in reversed(self.schema.metadata.sorted_tables):
                    connection.execute(table.delete())
                self.fill(connection)
            self.start = self.rows()

    def ask(self, request: Request, via: Via = VIAS[0]) -> Answer:
        """Make a request and judge its answer: no hang, no crash, nothing of the inside."""
        answer = self.portal.call(self._ask, request, via)
        self.judge(request, answer)
        return answer

    def ask_at_once(self, requests: list[tuple[Request, Via]]) -> list[Answer]:
        """Make requests that overlap, and judge every answer."""

        async def all_of_them() -> list[Answer]:
            answers: dict[int, Answer] = {}

            async def one(place: int, request: Request, via: Via) -> None:
                answers[place] = await self._ask(request, via)

            async with anyio.create_task_group() as group:
                for place, (request, via) in enumerate(requests):
                    group.start_soon(one, place, request, via)
            return [answers[place] for place in range(len(requests))]

        found = self.portal.call(all_of_them)
        for (request, _), answer in zip(requests, found, strict=True):
            self.judge(request, answer)
        return found

    def judge(self, request: Request, answer: Answer) -> None:
        """Fail for a crash, and for an error that shows something of the inside or says nothing."""
        assert not self.ear.crashes, (request, *self.ear.crashes)
        if answer.is_error and answer.was_sent:
            sent = [request.name, request.arguments, request.meta, self.counterpart.says()]
            shown = inside(answer.text, sent=sent, public=self.public)
            assert not shown, (shown, request, answer)
            assert answer.text.strip(), request

    # What became of the data.

    def rows(self) -> Rows:
        """Return every row of every table."""
        with self.database.reading() as connection:
            return {
                table.name: [
                    dict(row) for row in connection.execute(table.select().order_by(*table.primary_key)).mappings()
                ]
                for table in self.schema.metadata.sorted_tables
            }

    def check(self) -> Rows:
        """Return every row; fail if they contradict each other."""
        rows = self.rows()
        faults = list(self.audit(rows, self.start))
        assert not faults, faults
        return rows

    def check_file(self) -> None:
        """Fail if the database itself finds its file damaged."""
        with self.database.reading() as connection:
            found = damage(connection)
        assert not found, found

    async def _ask(self, request: Request, via: Via) -> Answer:
        client = self.clients[via]
        try:
            with anyio.fail_after(HANGS_AFTER_S):
                return await _answer(client, request)
        except MCPError as error:
            return Answer(
                is_error=True, text=f"{error.error.message} {json.dumps(error.error.data, ensure_ascii=False)}"
            )
        except UnicodeEncodeError:
            # The SDK's client will not write half a character: such a request never leaves a real one.
            assert request.has_half_a_character
            return Answer(is_error=True, text="", was_sent=False)


async def _answer(client: Client, request: Request) -> Answer:
    match request.method:
        case "tool":
            result = await client.call_tool(request.name, request.arguments, meta=request.meta or None)  # pyright: ignore[reportArgumentType]  # anything may stand in _meta
            text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
            voided = (result.meta or {}).get(VOIDED) is True
            return Answer(
                is_error=bool(result.is_error), text=text, structured=result.structured_content, is_voided=voided
            )
        case "resource":
            (content,) = (await client.read_resource(request.name, cache_mode="bypass")).contents
            assert isinstance(content, TextResourceContents)
            return Answer(is_error=False, text=content.text)
        case "prompt":
            prompt = await client.get_prompt(request.name, request.arguments)
            return Answer(is_error=False, text=prompt.model_dump_json())
        case "completion":
            is_template = "://" in request.name
            about = (
                ResourceTemplateReference(type="ref/resource", uri=request.name)
                if is_template
                else PromptReference(type="ref/prompt", name=request.name)
            )
            completion = (await client.complete(about, request.arguments)).completion
            assert len(completion.values) <= 100
            return Answer(is_error=False, text=json.dumps(completion.values))


def keyed(request: Request, key: str, *, is_void: bool = False) -> Request:
    """Return the request under an idempotency key."""
    meta = {KEY: key, VOID: True} if is_void else {KEY: key}
    return Request(method=request.method, name=request.name, arguments=request.arguments, meta=meta)


BENCHES = tuple(f"{schema.component} on {kind}" for schema in (TICKETING, CUSTOMERS) for kind in KINDS)
"""What a fixture `bench` is parametrized with."""


def serving(request: pytest.FixtureRequest, place: Path) -> Generator[Bench]:
    """Yield the bench that this fixture's parameter names: one server on one kind of database."""
    component, kind = request.param.split(" on ")
    schema = {"ticketing": TICKETING, "customers": CUSTOMERS}[component]
    url = f"sqlite:///{place / component}.sqlite"
    if kind == "postgresql":
        templates: Templates = request.getfixturevalue("templates")
        url = templates.server.url(templates.server.create(templates.of(schema)))
    with {"ticketing": ticketing_bench, "customers": customers_bench}[component](place, url) as bench:
        yield bench


@contextmanager
def ticketing_bench(place: Path, url: str) -> Generator[Bench]:
    """Serve the ticketing server to four clients."""
    folder = place / "knowledge"
    folder.mkdir()
    for slug, text in ARTICLES.items():
        (folder / f"{slug}.md").write_text(text, encoding="utf-8")

    def create(database: Database) -> MCPServer[Any]:
        return create_ticketing(TicketStore(database), folder)

    with _bench(url, TICKETING, lambda to: insert_tickets(to, TICKET_ROWS), create, ticket_faults) as bench:
        yield bench


@contextmanager
def customers_bench(_: Path, url: str) -> Generator[Bench]:
    """Serve the customers server to four clients."""

    def create(database: Database) -> MCPServer[Any]:
        return create_customers(CustomerStore(database))

    with _bench(url, CUSTOMERS, lambda to: insert_customers(to, CUSTOMERS_ROWS), create, customer_faults) as bench:
        yield bench


@contextmanager
def _bench(
    url: str, schema: Schema, fill: Fill, create: Callable[[Database], MCPServer[Any]], audit: Audit
) -> Iterator[Bench]:
    with ExitStack() as stack:
        ear = stack.enter_context(_listening())
        database = filled(url, schema, fill)
        stack.callback(database.close)
        portal = stack.enter_context(start_blocking_portal())
        server, counterpart = create(database), Counterpart()
        callbacks = {
            "sampling_callback": _answering(counterpart, "sample"),
            "elicitation_callback": _answering(counterpart, "form"),
            "list_roots_callback": _answering(counterpart, "roots"),
        }
        clients: dict[Via, Client] = {}
        for era, kind in VIAS:
            client = Client(server, mode=era, **(callbacks if kind == "able" else {}))
            clients[era, kind] = stack.enter_context(portal.wrap_async_context_manager(client))
        bench = Bench(
            schema=schema,
            kind=url.partition(":")[0].partition("+")[0],
            database=database,
            fill=fill,
            audit=audit,
            portal=portal,
            clients=clients,
            counterpart=counterpart,
            ear=ear,
        )
        yield bench
        bench.check_file()


def _answering(counterpart: Counterpart, name: str) -> Any:
    async def callback(*_: Any) -> Any:
        return getattr(counterpart, name)

    return callback


@contextmanager
def _listening() -> Generator[Ear]:
    # A host of an earlier test has cut the SDK's logger off from the root, so both are listened to.
    ear, loggers = Ear(), [logging.getLogger(), logging.getLogger("mcp")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(ear)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield ear
    finally:
        for logger, (level, propagates) in zip(loggers, before, strict=True):
            logger.removeHandler(ear)
            logger.setLevel(level)
            logger.propagate = propagates


def _properties(schema: Any) -> Iterator[str]:
    match schema:
        case {**words}:
            yield from words.get("properties", {})
            for inner in words.values():
                yield from _properties(inner)
        case [*items]:
            for inner in items:
                yield from _properties(inner)
        case _:
            pass
