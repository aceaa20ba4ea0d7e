"""One connection to one server: the task that owns it, the calls that use it, and what it asks back.

The SDK's client must be entered and left by the same task, and a transport that fails cancels that task. So each
connection has an owner task and nothing else in it; calls use the client from their own tasks, where the context
variable below leads what a modern server asks back to the call that it belongs to. A handshake-era server asks on
the connection instead, so there only one call at a time may be in flight.
"""

import asyncio
import contextvars
import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar, cast

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp.client import ClientRequestContext, IncomingMessage, Transport
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent.errors import ServerStartFailed
from agent.wire.child import MalformedLine
from agent.wire.diagnosis import ending, was_never_reached, why_not_started
from agent.wire.discovery import Offer, discover
from agent.wire.flight import Answering, Flight, current
from agent.wire.link import LeftOut, Link, Tap, printable

_T = TypeVar("_T")

_LOUD = frozenset({"warning", "error", "critical", "alert", "emergency"})
_HTTP_FAILURE = "Server returned an error response"  # the SDK's words for any status it has no error for
_HTTP_SESSION_GONE = "Session terminated"


class NoAnswer(Exception):  # noqa: N818 - reads as the sentence it is
    """The server gave no answer; `has_left` says whether it can have seen the request."""

    def __init__(self, why: str, *, has_left: bool) -> None:
        super().__init__(why)
        self.has_left = has_left


class UnusableAnswer(Exception):  # noqa: N818 - reads as the sentence it is
    """The server answered, and not with what the request promises: what it did is not known."""


class Connection:
    """One server from its start to its end; a server that is started again gets a new one."""

    def __init__(
        self,
        name: str,
        link: Link,
        *,
        start_timeout_s: float,
        notice: Callable[[str], None],
        noticed: set[str],  # what has been said once about this server
        on_frame: Callable[[str, str], None] | None,
    ) -> None:
        self.name = name
        self.link = link
        self._start_timeout_s = start_timeout_s
        self._notice = notice
        self._noticed = noticed
        self._client = self._make_client(on_frame)
        self._scope = anyio.CancelScope()
        self._over = asyncio.Event()
        self._is_stopping = False
        self._garbage = ""
        self._one_call = asyncio.Lock()
        self._in_flight: Flight | None = None  # on a handshake-era connection
        self._flights = 0

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended; it does not come back."""
        return self._over.is_set()

    def begin(self) -> None:
        """Start the server and the task that owns it."""
        loop = asyncio.get_running_loop()
        self._offered: asyncio.Future[Offer] = loop.create_future()
        # An empty context: what is under way in the task that starts a server is not what the server asks about.
        self._task = loop.create_task(self._own(), name=f"server {self.name}", context=contextvars.Context())

    async def ready(self) -> Offer:
        """Return what the server offers, as soon as it is known.

        Raises:
            ServerStartFailed: the server did not start, or was stopped before it had.
        """
        if not self._offered.done():
            await asyncio.wait({self._offered, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._offered.done():
            return self._offered.result()
        why = why_not_started(self.link, self._failure(), timeout_s=self._start_timeout_s)
        if self._garbage:
            why += f"; it writes what is not JSON-RPC to its stdout: {self._garbage}"
        raise ServerStartFailed(self.name, f"{self.name} did not start: {why}.{self.link.last_words()}")

    def stop(self) -> "asyncio.Task[None]":
        """Ask the owner task to stop the server, and return it."""
        self._is_stopping = True
        self._over.set()
        if not self._offered.done():
            self._scope.cancel()
        return self._task

    async def ended(self) -> None:
        """Wait until the owner task has left; only then is nothing of the server left either."""
        await asyncio.wait({self._task})

    async def ask(self, send: Callable[[Client], Awaitable[_T]], flight: Flight, *, is_tool_call: bool = False) -> _T:
        """Make one request and return its answer.

        Raises:
            MCPError: the server refuses the request; it is as if it had not been made.
            NoAnswer: the connection ended, or the server took too long.
            UnusableAnswer: the answer breaks its own schema or the protocol.
        """
        async with self._credited(flight, is_tool_call=is_tool_call):
            if self.is_lost:
                raise NoAnswer(f"{self.name} {ending(self.link)}", has_left=False)
            try:
                answer = await self._send(send, flight)
            except (MCPError, BaseExceptionGroup) as error:
                if flight.failure is None:
                    raise
                raise flight.failure from error
            if flight.failure is not None:
                raise flight.failure
            return answer

    async def _send(self, send: Callable[[Client], Awaitable[_T]], flight: Flight) -> _T:
        try:
            with flight.deadline():
                return await send(self._client)
        except TimeoutError as error:
            why = f"{self.name} has not answered within {flight.timeout_s:g} s"
            raise NoAnswer(why, has_left=flight.has_left) from error
        except MCPError as error:
            raise await self._meaning(error, flight) from error
        except ValidationError as error:
            raise UnusableAnswer(f"{self.name} answered with what the protocol does not know") from error
        except RuntimeError as error:
            if self.is_lost:  # between two rounds of one call
                raise await self._silence(flight) from error
            first = str(error).partition("\n")[0]
            raise UnusableAnswer(f"{self.name}: {printable(first, 300)}") from error

    async def _meaning(self, error: MCPError, flight: Flight) -> MCPError | NoAnswer:
        """Tell the server's own refusals from the SDK's words for a connection that failed."""
        if error.code == mcp_types.CONNECTION_CLOSED and self.is_lost:
            return await self._silence(flight)
        return self._http_meaning(error, flight) if self.link.kind == "http" else error

    def _http_meaning(self, error: MCPError, flight: Flight) -> MCPError | NoAnswer:
        if error.code in {mcp_types.CONNECTION_CLOSED, mcp_types.PARSE_ERROR}:
            return NoAnswer(f"{self.name} ended its response too early", has_left=flight.has_left)
        if error.code == mcp_types.INVALID_REQUEST and error.message == _HTTP_SESSION_GONE:
            self._over.set()
            return NoAnswer(f"{self.name} has forgotten the session", has_left=False)
        status = self.link.http_status()
        if error.message != _HTTP_FAILURE or status is None:
            return error
        if status >= 500:
            return NoAnswer(f"{self.name} answered HTTP {status}", has_left=flight.has_left)
        return MCPError(error.code, f"{self.name} answered HTTP {status}.")

    async def _silence(self, flight: Flight) -> NoAnswer:
        await self.ended()
        # With other calls in flight, the one that found nobody listening may be another one.
        has_left = flight.has_left and not (self._flights == 1 and was_never_reached(self._failure()))
        return NoAnswer(f"{self.name} {ending(self.link)}", has_left=has_left)

    @asynccontextmanager
    async def _credited(self, flight: Flight, *, is_tool_call: bool) -> AsyncGenerator[None]:
        """Lead what the server asks meanwhile to this call."""
        token = current.set(flight)
        self._flights += 1
        try:
            if not is_tool_call or self._offered.result().protocol_version in MODERN_PROTOCOL_VERSIONS:
                yield
            else:
                async with self._one_call:
                    self._in_flight = flight
                    try:
                        yield
                    finally:
                        self._in_flight = None
        finally:
            self._flights -= 1
            current.reset(token)

    async def _own(self) -> None:
        self._scope.deadline = anyio.current_time() + self._start_timeout_s
        try:
            with self._scope:
                async with self._client:
                    offer = await discover(self._client, self._left_out)
                    self._scope.deadline = math.inf
                    self._offered.set_result(offer)
                    await self._over.wait()
        finally:
            self._over.set()
            if self._offered.done() and not self._is_stopping:
                self._notice(f"{self.name} {ending(self.link)}.")
            self.link.close()

    def _failure(self) -> BaseException | None:
        is_told = self._task.done() and not self._task.cancelled()
        return self._task.exception() if is_told else None

    def _make_client(self, on_frame: Callable[[str, str], None] | None) -> Client:
        tap = Tap(
            transport=self.link.transport,
            on_frame=on_frame,
            on_left=self._left,
            on_left_out=self._left_out,
            on_end=self._end,
        )
        return Client(
            cast("Transport", tap),
            mode=self.link.mode,
            sampling_callback=self._sample,
            sampling_capabilities=mcp_types.SamplingCapability(tools=mcp_types.SamplingToolsCapability()),
            elicitation_callback=self._elicit,
            list_roots_callback=self._list_roots,
            logging_callback=self._log,
            log_level="warning",
            message_handler=self._message,
            client_info=_client_info(),
            cache=None,
        )

    def _left(self, method: str) -> None:
        flight = current.get()
        if flight is not None and method in {"tools/call", "resources/read", "prompts/get"}:
            flight.has_left = True

    def _end(self) -> None:
        self._over.set()

    def _left_out(self, entry: LeftOut) -> None:
        self._notice_once(f"{self.name}: {entry.kind} {entry.name} is left out: {entry.because}.")

    def _notice_once(self, sentence: str, *, about: str | None = None) -> None:
        if (about or sentence) not in self._noticed:
            self._noticed.add(about or sentence)
            self._notice(sentence)

    async def _sample(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature
        params: mcp_types.CreateMessageRequestParams,
    ) -> mcp_types.CreateMessageResult | mcp_types.CreateMessageResultWithTools | mcp_types.ErrorData:
        return await self._answer("a reply of the model", lambda answers: answers.sample(params))

    async def _elicit(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature
        params: mcp_types.ElicitRequestParams,
    ) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        return await self._answer("an answer of the operator", lambda answers: answers.elicit(params))

    async def _list_roots(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature
    ) -> mcp_types.ListRootsResult | mcp_types.ErrorData:
        return await self._answer("the roots", lambda answers: answers.list_roots())

    async def _answer(self, what: str, ask: Callable[[Answering], Awaitable[_T]]) -> _T | mcp_types.ErrorData:
        flight = current.get() or self._in_flight
        if flight is None or flight.answers is None:
            self._notice_once(f"{self.name} asked for {what} outside of a ticket's tool calls; it was refused.")
            return mcp_types.ErrorData(
                code=mcp_types.INVALID_REQUEST, message=f"There is no tool call that could ask for {what}."
            )
        with flight.off_the_clock():
            try:
                return await ask(flight.answers)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                flight.failure = error
                raise

    async def _log(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        if params.level in _LOUD:
            said = params.data if isinstance(params.data, str) else json.dumps(params.data, default=str)
            self._notice(f"{self.name} says ({params.level}): {printable(said, 500)}")

    async def _message(self, message: IncomingMessage) -> None:
        match message:
            case MalformedLine(line=line):
                self._garbage = self._garbage or printable(line, 100)
                self._notice_once(
                    f"{self.name} writes what is not JSON-RPC to its stdout; it is ignored: {self._garbage}",
                    about="garbage",
                )
            case Exception():
                self._notice_once(
                    f"{self.name} sent what cannot be read: {printable(str(message), 200)}", about="garbage"
                )
            case (
                mcp_types.ToolListChangedNotification()
                | mcp_types.ResourceListChangedNotification()
                | mcp_types.PromptListChangedNotification()
            ):
                self._notice_once(
                    f"{self.name} has changed what it offers; this command goes on with what it offered at its start.",
                    about="changed",
                )
            case _:
                pass


@cache
def _client_info() -> mcp_types.Implementation:
    try:
        return mcp_types.Implementation(name="support-agent", version=version("support-agent"))
    except PackageNotFoundError:  # run from a checkout that is not installed
        return mcp_types.Implementation(name="support-agent", version="0")
