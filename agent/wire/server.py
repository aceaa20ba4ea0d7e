"""One configured server through a whole command: its present connection, restarts, requests that are made again."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import mcp_types
from mcp import Client

from agent.errors import CallUncertain, ServerError, ServerLost, ServerStartFailed
from agent.protocols import Observer
from agent.settings import HttpTransport, Settings, StdioTransport
from agent.wire.connection import Connection
from agent.wire.discovery import Offer
from agent.wire.flight import Answering, Flight
from agent.wire.meaning import NoAnswer
from agent.wire.transports import InProcess, OwnWay, open_link
from agent.wire.watching import Watch

_T = TypeVar("_T")

Trace = Callable[[str, str, str], None]
"""Is told the server, → or ←, and the frame."""


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


class Server:
    """One configured server and its present connection."""

    def __init__(
        self,
        name: str,
        way: StdioTransport | HttpTransport | InProcess | OwnWay,
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
                if answers is not None:
                    answers.again()

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
