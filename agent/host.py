"""The MCP servers of one command: started together, discovered, called, started again, stopped together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar, cast

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, ValidationError

from agent.documents import without_surrogates
from agent.errors import CallUncertain, ServerError, ServerLost, ServerProtocolError, ServerStartFailed
from agent.protocols import Observer
from agent.records import JsonObject
from agent.settings import HttpTransport, Settings, StdioTransport
from agent.wire.connection import Connection
from agent.wire.discovery import Offer
from agent.wire.flight import Answering, Flight
from agent.wire.meaning import NoAnswer, UnusableAnswer
from agent.wire.transports import InProcess, open_link
from agent.wire.watching import Watch

KEY = "support-agent/idempotency-key"
"""The `_meta` field of a call that the server must not do twice."""

STOP_S = 1.6
"""How long stopping may take before the owner tasks are cancelled; Ctrl-C promises two seconds for everything."""

MOST_ADDRESSES = 3
"""Addresses that the operator is asked to visit before one call."""

_NOT_FOUND = frozenset({-32002, mcp_types.INVALID_PARAMS})  # resources/read, before and since 2026-07-28
_T = TypeVar("_T")

OnProgress = Callable[[float, float | None, str | None], None]
Trace = Callable[[str, str, str], None]


class NotFound(ServerProtocolError):  # noqa: N818 - reads as the sentence it is
    """The server has no such resource."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectedServer:
    """A server as it presented itself at the start of the command."""

    name: str
    transport: str  # stdio, http, sse or in-process
    protocol_version: str
    info: mcp_types.Implementation | None  # None: it does not say what it is
    instructions: str | None
    tools: tuple[mcp_types.Tool, ...]
    resources: tuple[mcp_types.Resource, ...]
    templates: tuple[mcp_types.ResourceTemplate, ...]
    prompts: tuple[mcp_types.Prompt, ...]
    capabilities: mcp_types.ServerCapabilities


class Host:
    """All configured servers, from `async with` to its end; calls may come from any task in between."""

    servers: Mapping[str, ConnectedServer]

    def __init__(
        self,
        settings: Settings,
        observer: Observer,
        *,
        trace: Trace | None = None,
        targets: Mapping[str, object] | None = None,
    ) -> None:
        """Prepare; nothing starts before the host is entered.

        `trace` is told the server, → or ←, and the frame. `targets` are servers of this process (`MCPServer`
        or `InProcess`) that stand in for the configured ones, for tests.
        """
        self.servers = MappingProxyType({})
        ways = dict(settings.transports) | {name: _in_process(target) for name, target in (targets or {}).items()}
        self._servers = {name: _Server(name, way, settings, observer, trace) for name, way in ways.items()}

    async def __aenter__(self) -> Self:
        """Start every server at once and return when each has said what it offers.

        Raises:
            ServerStartFailed: one of them did not; the others have been stopped.
        """
        _hush_the_sdk()
        try:
            for server in self._servers.values():
                server.begin()
            connected = await asyncio.gather(*(server.connected() for server in self._servers.values()))
        except BaseException:
            await self._stop()
            raise
        self.servers = MappingProxyType({server.name: server for server in connected})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def call_tool(
        self,
        server: str,
        tool: str,
        arguments: JsonObject,
        *,
        key: str | None,
        is_repeatable: bool,
        answers: Answering | None,
        on_progress: OnProgress | None = None,
    ) -> mcp_types.CallToolResult:
        """Call a tool and return its result; what the server refuses comes back as a result with `is_error`.

        A call that got no answer is made once more, with the same key, if it is repeatable. `answers` is who
        answers what the server asks meanwhile; None: it may ask nothing.

        Raises:
            ServerLost: the server is gone for good, and the call was certainly not made.
            CallUncertain: the call may have been made, and no one can say what came of it.
        """
        send = partial(_call_tool, tool, without_surrogates(arguments), key, on_progress)
        call = partial(self._server(server).request, send, answers, is_repeatable=is_repeatable, is_tool_call=True)
        try:
            try:
                return await call()
            except MCPError as refusal:
                if not await _will_visit(refusal, answers):
                    raise
            return await call()  # the first one was refused, and did nothing
        except MCPError as refusal:
            content = mcp_types.TextContent(type="text", text=refusal.message)
            return mcp_types.CallToolResult(content=[content], is_error=True)
        except UnusableAnswer as unusable:
            raise CallUncertain(server, f"{unusable}; whether {server}.{tool} took effect is not known.") from unusable

    async def read_resource(self, server: str, uri: str) -> mcp_types.ReadResourceResult:
        """Return what the resource holds now; nothing on the way is cached.

        Raises:
            NotFound: the server has no such resource.
            ServerProtocolError: it refuses, does not answer, or answers with something else.
            ServerLost: the server is gone for good.
        """

        async def send(client: Client) -> mcp_types.ReadResourceResult:
            return await client.read_resource(without_surrogates(uri), cache_mode="bypass")

        try:
            return await self._read(server, f"reading {uri}", send)
        except MCPError as refusal:
            kind = NotFound if refusal.code in _NOT_FOUND else ServerProtocolError
            raise kind(server, f"{server} does not give {uri}: {refusal.message}") from refusal

    async def get_prompt(self, server: str, name: str, arguments: dict[str, str]) -> mcp_types.GetPromptResult:
        """Return a prompt with its arguments filled in.

        Raises:
            ServerProtocolError: the server refuses, does not answer, or answers with something else.
            ServerLost: the server is gone for good.
        """

        async def send(client: Client) -> mcp_types.GetPromptResult:
            return await client.get_prompt(name, without_surrogates(arguments))

        try:
            return await self._read(server, f"its prompt {name}", send)
        except MCPError as refusal:
            raise ServerProtocolError(
                server, f"{server} does not give its prompt {name}: {refusal.message}"
            ) from refusal

    @contextmanager
    def watching(self, server: str, uris: Sequence[str], on_update: Callable[[], None]) -> Generator[None]:
        """Have `on_update` called whenever the server tells that one of these resources has changed.

        It is also called when a change may have been missed. Servers that tell of no changes are no error.

        Raises:
            ServerLost: there is no such server.
        """
        with self._server(server).watching(Watch(uris=uris, on_update=on_update)):
            yield

    async def _read(self, server: str, what: str, send: Callable[[Client], Awaitable[_T]]) -> _T:
        try:
            return await self._server(server).request(send, None, is_repeatable=True)
        except (UnusableAnswer, CallUncertain) as error:
            raise ServerProtocolError(server, f"{server} fails at {what}: {error}") from error

    def _server(self, name: str) -> "_Server":
        server = self._servers.get(name)
        if server is None:
            raise ServerLost(name, f"There is no server {name}.")
        return server

    async def _stop(self) -> None:
        with anyio.CancelScope(shield=True):
            tasks = {task for server in self._servers.values() if (task := server.stop()) is not None}
            if not tasks:
                return
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_S)


class _Server:
    """One configured server and its present connection."""

    def __init__(
        self,
        name: str,
        way: StdioTransport | HttpTransport | InProcess,
        settings: Settings,
        observer: Observer,
        trace: Trace | None,
    ) -> None:
        self.name = name
        self._way = way
        self._home = settings.home
        self._settings = settings.server(name)
        knowledge, folders = settings.roots.knowledge, settings.roots.folders
        self._roots = [*([knowledge] if knowledge else []), *folders]
        self._watches: list[Watch] = []
        self._observer = observer
        self._on_frame = None if trace is None else partial(trace, name)
        self._noticed: set[str] = set()
        self._restarts = 0
        self._restarting = asyncio.Lock()
        self._is_stopping = False
        self._connection: Connection | None = None

    def begin(self) -> None:
        """Start the server.

        Raises:
            ServerStartFailed: its log cannot be written.
        """
        link = open_link(self.name, self._way, self._home)
        self._connection = Connection(
            self.name,
            link,
            start_timeout_s=self._settings.start_timeout_s,
            roots=self._roots,
            watches=self._watches,
            notice=self._observer.notice,
            noticed=self._noticed,
            on_frame=self._on_frame,
        )
        self._connection.begin()

    async def connected(self) -> ConnectedServer:
        """Return the server as it presents itself, when it is ready."""
        connection = cast("Connection", self._connection)
        offer: Offer = await connection.ready()
        return ConnectedServer(
            name=self.name,
            transport=connection.link.kind,
            protocol_version=offer.protocol_version,
            info=offer.info,
            instructions=offer.instructions,
            tools=offer.tools,
            resources=offer.resources,
            templates=offer.templates,
            prompts=offer.prompts,
            capabilities=offer.capabilities,
        )

    @contextmanager
    def watching(self, watch: Watch) -> Generator[None]:
        """Keep this watch over every connection while the block is open."""
        self._watches.append(watch)
        try:
            if self._connection is not None:
                self._connection.watch(watch)
            yield
        finally:
            self._watches.remove(watch)
            watch.end()

    def stop(self) -> "asyncio.Task[None] | None":
        """Ask the server to stop, and return the task that ends with it."""
        self._is_stopping = True
        return None if self._connection is None else self._connection.stop()

    async def request(
        self,
        send: Callable[[Client], Awaitable[_T]],
        answers: Answering | None,
        *,
        is_repeatable: bool,
        is_tool_call: bool = False,
    ) -> _T:
        """Make a request, once more if it is repeatable and got no answer.

        Raises:
            MCPError: the server refuses it.
            UnusableAnswer: the answer breaks the protocol or its own schema.
            ServerLost: the server is gone for good, and the request certainly never left.
            CallUncertain: it may have left, and there is no answer.
        """
        lost: NoAnswer | None = None
        while True:
            try:
                connection = await self._live()
            except ServerLost as gone:
                if lost is None:
                    raise
                raise self._uncertain(lost, gone) from gone
            flight = Flight(answers, self._settings.call_timeout_s)
            try:
                return await connection.ask(send, flight, is_tool_call=is_tool_call)
            except NoAnswer as silence:
                if not silence.has_left:
                    continue  # the connection is gone: the next one is another, or none
                if lost is not None or not is_repeatable:
                    raise self._uncertain(silence, None) from silence
                lost = silence

    async def _live(self) -> Connection:
        """Return a connection that is up, starting the server again if it has ended.

        Raises:
            ServerLost: it has ended too often, or does not start.
        """
        async with self._restarting:
            connection = cast("Connection", self._connection)
            if connection.is_lost:
                connection = await self._restart(connection)
            try:
                await connection.ready()
            except ServerStartFailed as failure:
                raise ServerLost(self.name, str(failure)) from failure
            return connection

    async def _restart(self, ended: Connection) -> Connection:
        again = "connected" if isinstance(self._way, HttpTransport) else "started"
        if self._is_stopping or self._restarts >= self._settings.restarts:
            times = f" and was {again} again {self._restarts} times already" if self._restarts else ""
            raise ServerLost(self.name, f"{self.name} has ended{times}; it is not {again} again.")
        self._restarts += 1
        await ended.ended()
        self._observer.notice(f"{self.name} is {again} again ({self._restarts} of {self._settings.restarts}).")
        try:
            self.begin()
        except ServerStartFailed as failure:
            raise ServerLost(self.name, str(failure)) from failure
        return cast("Connection", self._connection)

    def _uncertain(self, silence: NoAnswer, gone: ServerError | None) -> CallUncertain:
        then = "" if gone is None else f" {gone}"
        return CallUncertain(self.name, f"{silence}; whether the call took effect is not known.{then}")


async def _call_tool(
    tool: str, arguments: JsonObject, key: str | None, on_progress: OnProgress | None, client: Client
) -> mcp_types.CallToolResult:
    async def report(progress: float, total: float | None, message: str | None) -> None:
        if on_progress is not None:
            on_progress(progress, total, message)

    return await client.call_tool(
        tool,
        arguments,
        progress_callback=None if on_progress is None else report,
        meta=None if key is None else cast("mcp_types.RequestParamsMeta", {KEY: key}),
    )


class _ToVisit(BaseModel):
    """What comes with a refusal that ends when the operator has visited these addresses."""

    elicitations: list[mcp_types.ElicitRequestURLParams]


async def _will_visit(refusal: MCPError, answers: Answering | None) -> bool:
    """Whether a call was refused until the operator has visited some addresses, and the operator agrees to."""
    if refusal.code != mcp_types.URL_ELICITATION_REQUIRED or answers is None:
        return False
    try:
        wanted = _ToVisit.model_validate(refusal.data).elicitations
    except ValidationError:
        return False
    for params in wanted[:MOST_ADDRESSES]:
        answer = await answers.elicit(params)
        if not isinstance(answer, mcp_types.ElicitResult) or answer.action != "accept":
            return False
    return 0 < len(wanted) <= MOST_ADDRESSES


def _in_process(target: object) -> InProcess:
    return target if isinstance(target, InProcess) else InProcess(server=cast("MCPServer", target))


def _hush_the_sdk() -> None:
    # What matters of it reaches the observer; a log handler of the SDK would write into the middle of the screen.
    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
