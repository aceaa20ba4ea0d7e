"""A server as a child process: JSON-RPC lines over its standard streams, and an end that comes in time.

The SDK's own stdio transport takes four seconds to end a server that will not exit, fails on bytes that are not
UTF-8, and does not say how the process ended. This one differs in that, and moves every message without a task or
a queue in between.
"""

import asyncio
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from agent.documents import without_surrogates

EXIT_GRACE_S = 0.6
"""How long a server may take to exit after its stdin is closed; the built-in ones need a tenth of it."""

TERM_GRACE_S = 0.5
"""How long it may then take after SIGTERM, before SIGKILL ends its whole process group."""

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes in one message; a server that sends a longer one has lost its connection."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_REAP_S = 0.3
_LAST_WORDS_S = 0.2  # for output that is still in the pipe when the process has ended


class MalformedLine(ValueError):  # noqa: N818 - reads as the sentence it is
    """A line of the server's stdout that is no JSON-RPC message; `line` is its beginning."""

    def __init__(self, line: str) -> None:
        super().__init__("This line is no JSON-RPC message.")
        self.line = line[:200]


class Child:
    """An MCP transport that starts a process when it is entered and leaves none behind when it is left."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        on_stderr: Callable[[bytes], None],  # is given what the server writes there, as it comes
    ) -> None:
        self._argv = argv
        self._env = env
        self._cwd = cwd
        self._on_stderr = on_stderr
        self._pipes: _Pipes | None = None

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs or if it never ran."""
        return None if self._pipes is None else self._pipes.transport.get_returncode()

    async def __aenter__(self) -> "tuple[_Lines, _Messages]":
        pipes = _Pipes(self._on_stderr)
        # Shielded: a start that is given up half-way would leave a process that no one waits for.
        with anyio.CancelScope(shield=True):
            # A session of its own: Ctrl-C reaches the host only, and one signal reaches all that the server started.
            await asyncio.get_running_loop().subprocess_exec(
                lambda: pipes, *self._argv, env=self._env, cwd=self._cwd, start_new_session=True
            )
        self._pipes = pipes
        return _Lines(pipes), _Messages(pipes)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipes is None:
            return
        try:
            with anyio.CancelScope(shield=True):
                await self._end(self._pipes)
        finally:
            # A task that is cancelled for good stops waiting, and must not leave the process either.
            if not self._pipes.is_gone:
                _signal_group(self._pipes.pid, signal.SIGKILL)
            self._pipes.transport.close()

    async def _end(self, pipes: "_Pipes") -> None:
        pipes.stdin.close()
        if not await _is_gone(pipes, EXIT_GRACE_S):
            _signal_group(pipes.pid, signal.SIGTERM)
            if not await _is_gone(pipes, TERM_GRACE_S):
                _signal_group(pipes.pid, signal.SIGKILL)
                await _is_gone(pipes, _REAP_S)
        with anyio.move_on_after(_LAST_WORDS_S):
            await pipes.silent.wait()
        pipes.transport.close()
        with anyio.move_on_after(_REAP_S):
            await pipes.closed.wait()


class _Pipes(asyncio.SubprocessProtocol):
    """What asyncio reports about the process and its pipes."""

    transport: asyncio.SubprocessTransport
    stdin: asyncio.WriteTransport
    pid: int

    def __init__(self, on_stderr: Callable[[bytes], None]) -> None:
        self._on_stderr = on_stderr
        self.lines = asyncio.StreamReader(limit=LONGEST_LINE)
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()  # its stderr has ended
        self.closed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.is_gone = False  # its group is empty: the number may soon be another's
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)
        self.stdin = cast("asyncio.WriteTransport", self.transport.get_pipe_transport(_STDIN))
        self.pid = self.transport.get_pid()
        self.lines.set_transport(cast("asyncio.ReadTransport", self.transport.get_pipe_transport(_STDOUT)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDERR:
            self._on_stderr(data)
        elif not self._has_ended:
            self.lines.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - every end is an end
        if fd == _STDIN:
            self.writable.set()
        elif fd == _STDERR:
            self.silent.set()
        else:
            self._end_output()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def process_exited(self) -> None:
        self.exited.set()
        # Something the server started may hold its stdout open: that must not look like a server that lives.
        asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._end_output)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed.set()

    def _end_output(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.lines.feed_eof()


class _Lines:
    """The messages that the server sends, in order; a line that is none comes as a `MalformedLine`."""

    def __init__(self, pipes: _Pipes) -> None:
        self._lines = pipes.lines
        self._batch: deque[SessionMessage | Exception] = deque()

    async def receive(self) -> SessionMessage | Exception:
        while not self._batch:
            try:
                line = await self._lines.readuntil()
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise anyio.EndOfStream from error
            if text := line.decode("utf-8", "replace").strip():
                self._batch.extend(_batch(text) if text.startswith("[") else [_parsed(text)])
        return self._batch.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        pass  # the pipe is closed with the process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class _Messages:
    """Takes the messages for the server."""

    def __init__(self, pipes: _Pipes) -> None:
        self._pipes = pipes

    async def send(self, item: SessionMessage, /) -> None:
        if self._pipes.stdin.is_closing():
            raise anyio.BrokenResourceError
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._pipes.stdin.write(text.encode() + b"\n")
        # A notification does not wait: the one that cancels a call would hold up the end of a full pipe's host.
        if isinstance(item.message, JSONRPCRequest):
            await self._pipes.writable.wait()

    async def aclose(self) -> None:
        pass  # the pipe is closed with the process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def _batch(text: str) -> Iterable[SessionMessage | Exception]:
    """Return the messages of a batch, as 2025-03-26 knows them."""
    try:
        messages: list[Any] = json.loads(text)
        return [_parsed(json.dumps(message)) for message in messages]
    except (ValueError, RecursionError):
        return [MalformedLine(text)]


def _parsed(text: str) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValidationError:
        pass
    # Python's parser also reads lone surrogates, which pydantic's takes for broken JSON.
    try:
        return SessionMessage(
            jsonrpc_message_adapter.validate_python(without_surrogates(json.loads(text)), by_name=False)
        )
    except (ValueError, RecursionError):
        return MalformedLine(text)


async def _is_gone(pipes: _Pipes, within_s: float) -> bool:
    with anyio.move_on_after(within_s):
        await pipes.exited.wait()
        while _signal_group(pipes.pid, 0):  # noqa: ASYNC110 - what the server itself started tells no one of its end
            await anyio.sleep(0.005)
        pipes.is_gone = True
    return pipes.is_gone


def _signal_group(pid: int, number: int) -> bool:
    """Signal every process of the group that this process leads; False if there is none left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
        return True
    return False
