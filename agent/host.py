"""The MCP servers of one command: started together, discovered, called, started again, stopped together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar, cast

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, ValidationError

from agent.documents import without_surrogates
from agent.errors import CallUncertain, ServerLost, ServerProtocolError
from agent.protocols import Observer
from agent.records import JsonObject
from agent.settings import Settings
from agent.wire.flight import Answering
from agent.wire.meaning import UnusableAnswer
from agent.wire.server import ConnectedServer, Server, Trace
from agent.wire.transports import InProcess, OwnWay
from agent.wire.watching import Watch

KEY = "support-agent/idempotency-key"
"""The `_meta` field of a call that the server must not do twice."""

VOID = "support-agent/void"
"""The `_meta` field of a call whose key is to be cancelled instead; sent only to servers that know it."""

VOIDED = "support-agent/voided"
"""The `_meta` field of a result which says that the key will never act."""

STOP_S = 1.6
"""How long stopping may take before the owner tasks are cancelled; Ctrl-C promises two seconds for everything."""

MOST_ADDRESSES = 3
"""Addresses that the operator is asked to visit before one call."""

_NOT_FOUND = frozenset({-32002, mcp_types.INVALID_PARAMS})  # resources/read, before and since 2026-07-28
_T = TypeVar("_T")

OnProgress = Callable[[float, float | None, str | None], None]


class NotFound(ServerProtocolError):  # noqa: N818 - reads as the sentence it is
    """The server has no such resource."""


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
        or `InProcess`), or ways of the caller's own (`OwnWay`), that stand in for the configured ones, for tests.
        """
        self.servers = MappingProxyType({})
        ways = dict(settings.transports) | {name: _way(target) for name, target in (targets or {}).items()}
        self._servers = {name: Server(name, way, settings, observer, trace) for name, way in ways.items()}

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
        meta = None if key is None else {KEY: key}
        send = partial(_call_tool, tool, without_surrogates(arguments), meta, on_progress)
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

    async def void(self, server: str, tool: str, arguments: JsonObject, *, key: str) -> mcp_types.CallToolResult | None:
        """Cancel a call under its key, so that it can never act any more; return its result if it has acted already.

        Only for servers that are configured to know this: another one would act.

        Raises:
            ServerProtocolError: the server says neither.
            ServerLost, CallUncertain: it cannot be asked.
        """
        send = partial(_call_tool, tool, without_surrogates(arguments), {KEY: key, VOID: True}, None)
        try:
            answer = await self._server(server).request(send, None, is_repeatable=True, is_tool_call=True)
        except (MCPError, UnusableAnswer) as error:
            raise ServerProtocolError(server, f"{server}.{tool} could not be cancelled: {error}") from error
        if (answer.meta or {}).get(VOIDED) is True:
            return None
        if answer.is_error:
            said = " ".join(getattr(content, "text", "") for content in answer.content)
            raise ServerProtocolError(server, f"{server}.{tool} could not be cancelled: {said}")
        return answer

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

    def _server(self, name: str) -> Server:
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


async def _call_tool(
    tool: str, arguments: JsonObject, meta: JsonObject | None, on_progress: OnProgress | None, client: Client
) -> mcp_types.CallToolResult:
    async def report(progress: float, total: float | None, message: str | None) -> None:
        if on_progress is not None:
            on_progress(progress, total, message)

    return await client.call_tool(
        tool,
        arguments,
        progress_callback=None if on_progress is None else report,
        meta=None if meta is None else cast("mcp_types.RequestParamsMeta", meta),
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


def _way(target: object) -> InProcess | OwnWay:
    return target if isinstance(target, InProcess | OwnWay) else InProcess(server=cast("MCPServer", target))


def _hush_the_sdk() -> None:
    # What matters of it reaches the observer; a log handler of the SDK would write into the middle of the screen.
    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
