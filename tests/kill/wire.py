"""A way to a server that is forked, not started: JSON-RPC lines over a socket, with a boundary at every frame."""

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, JSONRPCResponse

from agent.wire.child import LONGEST_LINE, _Lines, _Messages, _Pipes
from agent.wire.link import Link
from tests.kill.points import Points

_GOODBYE_S = 1.0  # for a server that has been told to end


@dataclass(frozen=True, kw_only=True)
class Forker:
    """Asks the preloaded process for servers, over a socket; it forks them, for this process must not."""

    control: socket.socket
    points: Points

    def link(self, server: str) -> Link:
        """Start the server once more, and return the way to it."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self.control, [server.encode()], [theirs.fileno()])
        theirs.close()
        start, _, pid = self.control.recv(100).decode().partition(" ")
        # Nobody waits for this child before this process ends: the number is still its own.
        self.points.others[f"{server} {start}"] = os.pidfd_open(int(pid))
        name = server if start == "1" else f"{server} again"
        return Link(transport=_Forked(ours, name, self.points), kind="stdio", place=server)


class _Forked:
    """An MCP transport over one end of a socket."""

    def __init__(self, end: socket.socket, name: str, points: Points) -> None:
        self._end = end
        self._pipes = _Pipes(lambda _: None)
        self._name = name
        self._points = points

    async def __aenter__(self) -> "tuple[_Arriving, _Leaving]":
        pipes = self._pipes
        pipes.lines = asyncio.StreamReader(limit=LONGEST_LINE)
        await asyncio.get_running_loop().create_connection(lambda: _Conversation(pipes), sock=self._end)
        asked: dict[Any, str] = {}
        return _Arriving(pipes, self._name, self._points, asked), _Leaving(pipes, self._name, self._points, asked)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._pipes.stdin.write_eof()
        with anyio.move_on_after(_GOODBYE_S, shield=True):
            await self._pipes.silent.wait()
        self._pipes.stdin.close()


class _Conversation(asyncio.Protocol):
    """What asyncio reports about the socket, told as of a process's pipes."""

    def __init__(self, pipes: _Pipes) -> None:
        self._pipes = pipes

    def connection_made(self, transport: Any) -> None:
        self._pipes.stdin = transport
        self._pipes.lines.set_transport(transport)

    def data_received(self, data: bytes) -> None:
        self._pipes.pipe_data_received(1, data)

    def eof_received(self) -> None:
        self._pipes.silent.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for pipe in range(3):
            self._pipes.pipe_connection_lost(pipe, exc)

    def pause_writing(self) -> None:
        self._pipes.pause_writing()

    def resume_writing(self) -> None:
        self._pipes.resume_writing()


class _Leaving(_Messages):
    """What is sent: a request can be cut off before it leaves, and when it has just left."""

    def __init__(self, pipes: _Pipes, name: str, points: Points, asked: dict[Any, str]) -> None:
        super().__init__(pipes)
        self._name, self._points, self._asked = name, points, asked

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        if not isinstance(message, JSONRPCRequest):
            await super().send(item)
            return
        what = self._asked[message.id] = called(message) or f"{self._name} {message.method}"
        self._points.passes(f"{what} leaves")
        await super().send(item)
        self._points.passes(f"{what} has left")


class _Arriving(_Lines):
    """What is received: an answer can be cut off when it has just come."""

    def __init__(self, pipes: _Pipes, name: str, points: Points, asked: dict[Any, str]) -> None:
        super().__init__(pipes)
        self._name, self._points, self._asked = name, points, asked

    async def receive(self) -> SessionMessage | Exception:
        item = await super().receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse):
            self._points.passes(f"{self._asked.pop(item.message.id, self._name)} is answered")
        return item


def called(request: JSONRPCRequest) -> str | None:
    """Return which tool a request calls, and whether it brings the answers to the server's questions."""
    params = request.params or {}
    if request.method != "tools/call":
        return None
    return f"call {params['name']}" + (" with answers" if "inputResponses" in params else "")
