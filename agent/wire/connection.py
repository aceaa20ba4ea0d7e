"""One connection to one server: the task that owns it, the calls that use it, and what it asks back.

The SDK's client must be entered and left by the same task, and a transport that fails cancels that task. So each
connection has an owner task and nothing else in it; calls use the client from their own tasks, where the context
variable below leads what a modern server asks back to the call that it belongs to. A handshake-era server asks on
the connection instead, so there only one call at a time may be in flight.
"""

import asyncio
import contextvars
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar, cast

import anyio
import mcp_types
from anyio.abc import TaskGroup
from mcp import Client, MCPError
from mcp.client import ClientRequestContext, IncomingMessage, Transport
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent.errors import ServerStartFailed
from agent.wire.diagnosis import ending, is_cut_off, was_never_reached, why_not_started
from agent.wire.discovery import Offer, discover
from agent.wire.flight import Answering, Flight, current
from agent.wire.link import Link, Tap, printable
from agent.wire.meaning import NoAnswer, SessionGone, UnusableAnswer, over_http
from agent.wire.notices import LIST_CHANGES, LOG_LEVEL, Notices
from agent.wire.roots import listed
from agent.wire.watching import Watch, hold, hold_lists, hush

_T = TypeVar("_T")

MOST_LISTINGS = 3
"""How often a server is asked what it offers, before it is believed to change all the time."""


class Connection:
    """One server from its start to its end; a server that is started again gets a new one."""

    def __init__(
        self,
        name: str,
        link: Link,
        *,
        start_timeout_s: float,
        roots: Sequence[Path],  # what a server is told that asks outside of a ticket's tool calls
        watches: Sequence[Watch],  # what its server is to tell of; the list may change
        notice: Callable[[str], None],
        noticed: set[str],  # what has been said once about this server
        on_frame: Callable[[str, str], None] | None,
    ) -> None:
        self.name = name
        self.link = link
        self._start_timeout_s = start_timeout_s
        self._roots = roots
        self._watches = watches
        self._notices = Notices(name, partial(_told, notice, link.hide), noticed)
        self._streams: TaskGroup | None = None  # while the connection is up
        self._client = self._make_client(on_frame)
        self._scope = anyio.CancelScope()
        self._over = asyncio.Event()
        self._is_stopping = False
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
        # How a connection failed to end is told to whoever asks; asyncio would print it if nobody did.
        self._task.add_done_callback(lambda _: self._failure())

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
        if self._notices.garbage:
            why += f"; it writes what is not JSON-RPC to its stdout: {self._notices.garbage}"
        end = "" if why.endswith("?") else "."
        sentence = f"{self.name} did not start: {why}{end}{self.link.last_words()}"
        raise ServerStartFailed(self.name, self.link.hide(sentence))

    def watch(self, watch: Watch) -> None:
        """Let the server tell of these resources from now on, where it offers to; a connection to come does so too."""
        if self._streams is not None and not self.is_lost:
            self._streams.start_soon(hold, self._client, self._offered.result(), watch)

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
            raise UnusableAnswer(self.link.hide(f"{self.name}: {printable(first, 300)}")) from error

    async def _meaning(self, error: MCPError, flight: Flight) -> MCPError | NoAnswer | UnusableAnswer:
        """Tell the server's own refusals from the SDK's words for a connection that failed."""
        if is_cut_off(error) and self.is_lost:
            return await self._silence(flight)
        meaning = error
        if self.link.kind == "http":
            version = self._offered.result().protocol_version
            meaning = over_http(self.name, self.link.place, version, error, flight)
        if isinstance(meaning, SessionGone):
            self._over.set()
        if isinstance(meaning, MCPError):
            return MCPError(meaning.code, self.link.hide(meaning.message), meaning.data)
        return meaning

    async def _silence(self, flight: Flight) -> NoAnswer:
        await self.ended()
        # With other calls in flight, the one that found nobody listening may be another one.
        was_reached = flight.has_left and not (self._flights == 1 and was_never_reached(self._failure()))
        # The older HTTP takes a message or refuses it before it is looked at.
        response = flight.response
        is_refused = self.link.kind == "sse" and response is not None and 400 <= response.status < 500
        has_left = was_reached and not is_refused
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
            flight.is_over = True
            self._flights -= 1
            current.reset(token)

    async def _own(self) -> None:
        self._scope.deadline = anyio.current_time() + self._start_timeout_s
        try:
            with self._scope:
                async with self._client, anyio.create_task_group() as streams:
                    offer = await self._discovered()
                    self._scope.deadline = math.inf
                    self._offered.set_result(offer)
                    self._listen(streams, offer)
                    await self._over.wait()
                    streams.cancel_scope.cancel()
        finally:
            self._over.set()
            self._streams = None
            if self._offered.done() and not self._is_stopping:
                self._notices.tell(ending(self.link))
            self.link.close()

    async def _discovered(self) -> Offer:
        """Return what the server offers, listed anew while it says that this has just changed."""
        for _ in range(MOST_LISTINGS - 1):
            self._has_changed = False
            offer = await discover(self._client, self._notices.left_out)
            if not self._has_changed:
                return offer
        return await discover(self._client, self._notices.left_out)

    def _listen(self, streams: TaskGroup, offer: Offer) -> None:
        self._streams = streams
        streams.start_soon(hush, self._client, offer, LOG_LEVEL)
        streams.start_soon(hold_lists, self._client, offer)
        for watch in self._watches:
            streams.start_soon(hold, self._client, offer, watch)

    def _failure(self) -> BaseException | None:
        is_told = self._task.done() and not self._task.cancelled()
        return self._task.exception() if is_told else None

    def _make_client(self, on_frame: Callable[[str, str], None] | None) -> Client:
        link = self.link
        link.watch_refusals(self._refused)
        tap = Tap(
            transport=link.transport,
            on_frame=None if on_frame is None else lambda way, frame: on_frame(way, link.hide(frame)),
            on_left=self._left,
            on_left_out=self._notices.left_out,
            on_end=self._end,
        )
        return Client(
            cast("Transport", tap),
            mode=link.mode,
            sampling_callback=self._sample,
            sampling_capabilities=mcp_types.SamplingCapability(tools=mcp_types.SamplingToolsCapability()),
            elicitation_callback=self._elicit,
            list_roots_callback=self._list_roots,
            logging_callback=self._log,
            log_level=LOG_LEVEL,
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

    def _refused(self) -> None:
        self._over.set()
        if not self._offered.done():
            self._scope.cancel()

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
        if self._asking() is None:
            return listed(self._roots)  # they are the operator's own words, and no ticket's
        return await self._answer("the roots", lambda answers: answers.list_roots())

    async def _answer(self, what: str, ask: Callable[[Answering], Awaitable[_T]]) -> _T | mcp_types.ErrorData:
        asking = self._asking()
        if asking is None:
            self._notices.once(f"{self.name} asked for {what} outside of a ticket's tool calls; it was refused.")
            return mcp_types.ErrorData(
                code=mcp_types.INVALID_REQUEST, message=f"There is no tool call that could ask for {what}."
            )
        flight, answers = asking
        with flight.off_the_clock():
            try:
                return await ask(answers)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                flight.failure = error
                raise

    def _asking(self) -> tuple[Flight, Answering] | None:
        """Return the call that the server's question belongs to, and who answers for it, if there is one."""
        flight = current.get() or self._in_flight
        return None if flight is None or flight.is_over or flight.answers is None else (flight, flight.answers)

    async def _log(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        self._notices.logged(params)

    async def _message(self, message: IncomingMessage) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification):
            for watch in self._watches:
                if watch.is_about(message.params.uri):
                    watch.on_update()
        elif isinstance(message, LIST_CHANGES) and not self._offered.done():
            self._has_changed = True  # what a client can do is known only now, and some servers add tools then
        else:
            self._notices.heard(message)


def _told(notice: Callable[[str], None], hide: Callable[[str], str], sentence: str) -> None:
    notice(hide(sentence))


@cache
def _client_info() -> mcp_types.Implementation:
    try:
        return mcp_types.Implementation(name="support-agent", version=version("support-agent"))
    except PackageNotFoundError:  # run from a checkout that is not installed
        return mcp_types.Implementation(name="support-agent", version="0")
