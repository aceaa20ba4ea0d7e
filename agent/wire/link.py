"""One way to a server, watched: every frame that passes, every entry that is left out, and the end of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    PROTOCOL_VERSION_META_KEY,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)
from mcp_types.methods import parse_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError

from agent.documents import without_surrogates
from agent.records import JsonObject
from agent.wire.flight import Response
from agent.wire.probe import Probe


class Inbound(Protocol):
    """Where messages of the server come from."""

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message, or what came instead of one.

        Raises:
            EndOfStream: nothing more will come.
        """
        ...

    async def aclose(self) -> None:
        """Take no more messages."""
        ...


class Outbound(Protocol):
    """Where messages for the server go."""

    async def send(self, item: SessionMessage, /) -> None:
        """Hand a message over.

        Raises:
            BrokenResourceError: the way is closed; the message did not leave.
        """
        ...

    async def aclose(self) -> None:
        """Send no more messages."""
        ...


Transport: TypeAlias = AbstractAsyncContextManager[tuple[Inbound, Outbound]]
"""What the SDK calls a transport: entered once, it yields the two streams."""

OUT, IN = "→", "←"
_COURTESY_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """An entry of a server's list that no client may use, and why."""

    kind: str  # tool, resource, resource template, prompt
    name: str
    because: str


@dataclass(kw_only=True)
class Link:
    """A transport that can be entered once, and what is known about the way: it tells no secrets of it."""

    transport: Transport
    kind: str  # stdio, http, sse or in-process
    mode: str = "auto"  # how the protocol version is agreed upon, as mcp.Client takes it
    place: str = ""  # the command or the address, as a sentence may name it
    exit_status: Callable[[], int | None] = lambda: None
    proxy: str | None = None  # that the environment names for the address
    failed: Callable[[], Response | None] = lambda: None  # the last HTTP response that was no answer
    hide: Callable[[str], str] = lambda text: text  # takes the secrets of the way out of a text
    watch_refusals: Callable[[Callable[[], None]], None] = lambda _: None  # is told of messages that are not taken
    last_words: Callable[[], str] = lambda: ""  # the last lines of its stderr, safe to print
    close: Callable[[], None] = lambda: None


_LISTS = {
    "tools/list": ("tools", "tool"),
    "resources/list": ("resources", "resource"),
    "resources/templates/list": ("resourceTemplates", "resource template"),
    "prompts/list": ("prompts", "prompt"),
}


@dataclass(kw_only=True)
class Tap:
    """A transport around a transport, for the SDK's client.

    It replaces lone surrogates in what leaves (they would end the connection), leaves entries out of lists
    that the SDK would reject as a whole, and tells of frames, of requests about to leave, and of the end.
    """

    transport: Transport
    on_frame: Callable[[str, str], None] | None  # direction, JSON
    on_left: Callable[[str], None]  # the method of a request that may have left; in the context of who asks
    on_left_out: Callable[[LeftOut], None]
    on_end: Callable[[], None]
    _probe: Probe = field(default_factory=Probe)
    _lists: dict[int | str, tuple[str, str]] = field(default_factory=dict[int | str, tuple[str, str]])

    async def __aenter__(self) -> "tuple[_TappedIn, _TappedOut]":
        inbound, outbound = await self.transport.__aenter__()
        return _TappedIn(inbound, self), _TappedOut(outbound, self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.on_end()
        return await self.transport.__aexit__(kind, error, trace)

    def leaving(self, message: JSONRPCMessage) -> None:
        """Note what a message that is about to leave says."""
        if isinstance(message, JSONRPCRequest) and message.method in _LISTS:
            self._lists[message.id] = (message.method, _version(message))
        self._probe.leaving(message)
        self._show(OUT, message)

    def left(self, message: JSONRPCMessage) -> None:
        """Note that the server may see this message."""
        if isinstance(message, JSONRPCRequest):
            self.on_left(message.method)

    def arrived(self, message: JSONRPCMessage) -> None:
        """Note what a message of the server says, and make its list usable."""
        self._show(IN, message)
        self._probe.arrived(message)
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            asked = self._lists.pop(message.id, None)
            if asked is not None and isinstance(message, JSONRPCResponse):
                message.result = self._usable(*asked, message.result)

    def _usable(self, method: str, version: str, result: JsonObject) -> JsonObject:
        if _problem(method, version, result) is None:
            return result
        key, kind = _LISTS[method]
        items = result.get(key)
        if not isinstance(items, list) or _problem(method, version, result | {key: []}) is not None:
            return result  # it is not the entries that are wrong; the SDK rejects it
        kept: list[Any] = []
        for item in cast("list[Any]", items):
            problem = _problem(method, version, result | {key: [item]})
            if problem is None:
                kept.append(item)
            else:
                self.on_left_out(LeftOut(kind=kind, name=_name(item), because=problem))
        return result | {key: kept}

    def _show(self, direction: str, message: JSONRPCMessage) -> None:
        if self.on_frame is not None:
            text = message.model_copy(update=_encodable(message)).model_dump_json(by_alias=True, exclude_unset=True)
            self.on_frame(direction, text)


class _Tapped:
    def __init__(self, stream: Inbound | Outbound, tap: Tap) -> None:
        self._stream = stream
        self._tap = tap

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class _TappedIn(_Tapped):
    def __init__(self, stream: Inbound, tap: Tap) -> None:
        super().__init__(stream, tap)
        self._inbound = stream

    @property
    def last_context(self) -> Any:
        """The context of the request that a message belongs to, where the transport knows it (HTTP)."""
        return getattr(self._inbound, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        try:
            item = await self._inbound.receive()
        except BaseException:
            self._tap.on_end()  # the session reads until the end, whatever the end is
            raise
        if isinstance(item, SessionMessage):
            self._tap.arrived(item.message)
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _TappedOut(_Tapped):
    def __init__(self, stream: Outbound, tap: Tap) -> None:
        super().__init__(stream, tap)
        self._outbound = stream

    async def send(self, item: SessionMessage, /) -> None:
        if isinstance(item.message, JSONRPCNotification) and item.message.method == "notifications/cancelled":
            # Whoever gives a call up does not wait for a server that takes nothing; the SDK would, for five seconds.
            with anyio.move_on_after(_COURTESY_S):
                await self._send(item)
        else:
            await self._send(item)

    async def _send(self, item: SessionMessage) -> None:
        for name, value in _encodable(item.message).items():
            setattr(item.message, name, value)
        self._tap.leaving(item.message)
        try:
            await self._outbound.send(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._tap.on_end()
            raise
        except BaseException:  # given up half-way
            self._tap.left(item.message)
            raise
        self._tap.left(item.message)


def _encodable(message: JSONRPCMessage) -> dict[str, Any]:
    """Return the message's payload as it can be encoded as UTF-8."""
    match message:
        case JSONRPCResponse():
            return {"result": without_surrogates(message.result)}
        case JSONRPCError(error=error):
            return {"error": error.model_copy(update={"message": without_surrogates(error.message)})}
        case _:
            return {} if message.params is None else {"params": without_surrogates(message.params)}


def _version(request: JSONRPCRequest) -> str:
    """Return the version that the answer must fit; handshake-era requests do not say theirs, and share one shape."""
    meta: JsonObject = (request.params or {}).get("_meta") or {}
    return str(meta.get(PROTOCOL_VERSION_META_KEY, LATEST_HANDSHAKE_VERSION))


def _problem(method: str, version: str, result: JsonObject) -> str | None:
    with suppress(KeyError, ValueError):  # a version that the SDK does not know: it will say so itself
        try:
            parse_server_result(method, version, result)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"][2:])
            return f"{place}: {first['msg']}" if place else first["msg"]
    return None


def _name(item: Any) -> str:
    known = cast("JsonObject", item) if isinstance(item, dict) else {}
    name = known.get("name", known.get("uri"))
    return printable(name, 80) if isinstance(name, str) and name else "without a name"


def printable(text: str, limit: int) -> str:
    """Return the text on one line, at most `limit` characters, with everything escaped that could move a cursor."""
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text[:limit])
    return shown + ("…" if len(text) > limit else "")
