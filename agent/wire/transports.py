"""How each server is reached: a way from its settings, with a log file for what a process says."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx2
from mcp.client._memory import InMemoryTransport  # pyright: ignore[reportPrivateUsage]  # has no public name
from mcp.client.stdio import StdioServerParameters, get_default_environment, stdio_client
from mcp.server.mcpserver import MCPServer

from agent.errors import ServerStartFailed
from agent.settings import HttpTransport, StdioTransport
from agent.wire.child import Child
from agent.wire.http import Responses, address, hiding, proxy_for, sse, streamable
from agent.wire.link import Link, Transport
from agent.wire.log import Log


@dataclass(frozen=True, kw_only=True, slots=True)
class InProcess:
    """A server object of this process, for tests; `mode` is how the protocol version is agreed upon."""

    server: MCPServer
    mode: str = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnWay:
    """A way that whoever starts the host makes by itself, for tests; `open` returns a fresh one at every start."""

    open: Callable[[], Link]


def open_link(name: str, transport: StdioTransport | HttpTransport | InProcess | OwnWay, home: Path) -> Link:
    """Return a fresh way to the server; it can be entered once.

    Raises:
        ServerStartFailed: the server's log file cannot be written, or its address is none.
    """
    match transport:
        case InProcess(server=server, mode=mode):
            return Link(
                transport=cast("Transport", InMemoryTransport(server)),
                kind="in-process",
                mode=mode,
                place="this process",
            )
        case OwnWay(open=made):
            return made()
        case StdioTransport():
            return _stdio(name, transport, home)
        case HttpTransport():
            return _http(name, transport)


def child_environment(transport: StdioTransport) -> dict[str, str]:
    """Return everything that a server's process inherits: the few variables that are safe, and its own."""
    return get_default_environment() | dict(transport.env)


def _stdio(name: str, transport: StdioTransport, home: Path) -> Link:
    log = Log(name, home)
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
            close=log.close,
        )
    child = Child(argv, env=env, cwd=transport.cwd, on_stderr=log.write)
    return Link(
        transport=child,
        kind="stdio",
        place=transport.command,
        exit_status=lambda: child.exit_status,
        last_words=log.last_words,
        close=log.close,
    )


def _http(name: str, transport: HttpTransport) -> Link:
    try:
        place = address(httpx2.URL(transport.url))
        hide, proxy = hiding(transport), proxy_for(transport.url)
    except httpx2.InvalidURL as error:
        raise ServerStartFailed(name, f"{name} did not start: its `url` in .mcp.json is none: {error}.") from error
    is_sse = transport.type == "sse"
    responses = Responses(is_sse=is_sse)

    def watch_refusals(on_refused: Callable[[], None]) -> None:
        responses.on_refused = on_refused

    return Link(
        transport=sse(transport, responses) if is_sse else streamable(transport, responses),
        kind=transport.type,
        # Whoever speaks the older HTTP knows no version since 2026.
        mode="legacy" if is_sse else "auto",
        place=place,
        proxy=proxy,
        failed=lambda: responses.failed,
        hide=hide,
        watch_refusals=watch_refusals,
    )
