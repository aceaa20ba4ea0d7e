"""How each server is reached: transports from settings, credentials in headers, one log file per server."""

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

import httpx2
from mcp.client._memory import InMemoryTransport  # pyright: ignore[reportPrivateUsage]  # has no public name
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, get_default_environment, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer

from agent.errors import ServerStartFailed
from agent.settings import HttpTransport, StdioTransport
from agent.wire.child import Child
from agent.wire.link import Inbound, Link, Outbound, Transport, printable

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes in one server-sent event; a result of this size would be clipped anyway."""

LARGEST_LOG = 1_000_000
"""Bytes of a log file above which the next start begins a new one and keeps the old one as `.log.1`."""

_CONNECT_S = 10.0
_LAST_LINES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class InProcess:
    """A server object of this process, for tests; `mode` is how the protocol version is agreed upon."""

    server: MCPServer
    mode: str = "auto"


def open_link(name: str, transport: StdioTransport | HttpTransport | InProcess, home: Path) -> Link:
    """Return a fresh way to the server; it can be entered once.

    Raises:
        ServerStartFailed: the server's log file cannot be written.
    """
    match transport:
        case InProcess(server=server, mode=mode):
            return Link(
                transport=cast("Transport", InMemoryTransport(server)),
                kind="in-process",
                mode=mode,
                place="this process",
            )
        case StdioTransport():
            return _stdio(name, transport, home)
        case HttpTransport():
            return _http(transport)


def child_environment(transport: StdioTransport) -> dict[str, str]:
    """Return everything that a server's process inherits: the few variables that are safe, and its own."""
    return get_default_environment() | dict(transport.env)


def _stdio(name: str, transport: StdioTransport, home: Path) -> Link:
    log = _Log.open(name, home)
    env = child_environment(transport)
    argv = [transport.command, *transport.args]
    if sys.platform == "win32":  # no process groups: the SDK ends what it started through a job object
        parameters = StdioServerParameters(command=argv[0], args=argv[1:], env=env, cwd=transport.cwd)
        text = os.fdopen(log.file.fileno(), "w", encoding="utf-8", closefd=False)
        return Link(
            transport=cast("Transport", stdio_client(parameters, text)),
            kind="stdio",
            place=transport.command,
            last_words=log.last_words,
            close=log.file.close,
        )
    child = Child(argv, env=env, cwd=transport.cwd, stderr=log.file)
    return Link(
        transport=child,
        kind="stdio",
        place=transport.command,
        exit_status=lambda: child.exit_status,
        last_words=log.last_words,
        close=log.file.close,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Log:
    """Where a server's stderr goes; `start` is where this start's part begins."""

    path: Path
    file: IO[bytes]
    start: int

    @classmethod
    def open(cls, name: str, home: Path) -> "_Log":
        path = home / "logs" / f"{quote(name, safe=' ')}.log"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > LARGEST_LOG:
                path.replace(path.with_suffix(".log.1"))
            file = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115 - closed with the link
        except OSError as error:
            raise ServerStartFailed(name, f"{name}: its log {path} cannot be written: {error.strerror}.") from error
        return cls(path=path, file=file, start=file.tell())

    def last_words(self) -> str:
        """Return the last lines that this start wrote, indented, with control characters escaped."""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.start, end - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
        shown = [printable(line.rstrip(), 300) for line in lines if line.strip()][-_LAST_LINES:]
        return "".join(f"\n    {line}" for line in shown) + (f"\n(all of it: {self.path})" if shown else "")


def _private(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if sys.platform != "win32":
        os.fchmod(handle, 0o600)  # one that was there before may be open to others
    return handle


@dataclass(kw_only=True)
class _Responses:
    """The status of the last HTTP response: the SDK turns a 401 into a nameless protocol error."""

    status: int | None = None

    async def note(self, response: httpx2.Response) -> None:
        self.status = response.status_code

    def client(self, headers: Mapping[str, str]) -> httpx2.AsyncClient:
        # A response may take as long as the call may: the host keeps that deadline itself.
        timeout = httpx2.Timeout(_CONNECT_S, read=None)
        return httpx2.AsyncClient(headers=dict(headers), timeout=timeout, event_hooks={"response": [self.note]})


def _http(transport: HttpTransport) -> Link:
    responses = _Responses()
    opened = _sse(transport, responses) if transport.type == "sse" else _streamable(transport, responses)
    # A token may stand in the address: what a sentence says is the address without user and query.
    place = str(httpx2.URL(transport.url).copy_with(userinfo=b"", query=None, fragment=None))
    return Link(transport=opened, kind=transport.type, place=place, http_status=lambda: responses.status)


@asynccontextmanager
async def _streamable(transport: HttpTransport, responses: _Responses) -> AsyncGenerator[tuple[Inbound, Outbound]]:
    async with (
        responses.client(transport.headers) as client,
        streamable_http_client(transport.url, http_client=client, max_sse_event_size=LARGEST_EVENT) as streams,
    ):
        yield streams


@asynccontextmanager
async def _sse(transport: HttpTransport, responses: _Responses) -> AsyncGenerator[tuple[Inbound, Outbound]]:
    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - the SDK's signature
        auth: httpx2.Auth | None = None,  # noqa: ARG001 - the SDK's signature
    ) -> httpx2.AsyncClient:
        return responses.client(headers or {})

    async with sse_client(transport.url, headers=dict(transport.headers), httpx_client_factory=client) as streams:
        yield streams
