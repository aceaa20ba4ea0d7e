"""What tests of versions and transports stand on: servers that speak one version, and answers that know their name."""

import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types

from agent.settings import HttpTransport, StdioTransport
from tests.fakes.hosting import FAKES

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
HANDSHAKE = VERSIONS[:-1]
MODERN = VERSIONS[-1]
PATHS = {"http": "/mcp", "sse": "/sse"}


def spoken(since: str = VERSIONS[0]) -> list[tuple[str, str]]:
    """Return each version from `since` on, with each transport over which it is spoken."""
    over = {"stdio": VERSIONS, "http": VERSIONS[1:], "sse": HANDSHAKE}
    return [
        (version, kind) for version in VERSIONS for kind, its in over.items() if version in its and version >= since
    ]


@contextmanager
def speaking(
    version: str, kind: str, *, folder: Path | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[StdioTransport | HttpTransport]:
    """Yield the way to era_server.py, which speaks this version over this transport."""
    arguments = [version, "--transport", kind, *(["--folder", str(folder)] if folder else [])]
    command = ["-I", "-S", str(FAKES / "era_server.py"), *arguments]
    if kind == "stdio":
        yield StdioTransport(command=sys.executable, args=tuple(command))
        return
    with listening() as (port, start):
        start(command, "--fd")
        url = f"http://127.0.0.1:{port}{PATHS[kind]}"
        yield HttpTransport.model_validate({"type": kind, "url": url, "headers": dict(headers or {})})


Start = Callable[..., "subprocess.Popen[bytes]"]


@contextmanager
def listening() -> Iterator[tuple[int, Start]]:
    """Yield a port that listens already, and what starts a Python program on it, as often as it is wanted.

    The program is given the descriptor as its last argument, after the option if one is named. A client that comes
    while no program runs waits in the queue.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()

        def start(command: Sequence[str], option: str | None = None) -> "subprocess.Popen[bytes]":
            line = [sys.executable, *command, *([option] if option else []), str(descriptor)]
            processes.append(subprocess.Popen(line, pass_fds=[descriptor]))
            return processes[-1]

        try:
            yield listener.getsockname()[1], start
        finally:
            for process in processes:
                process.kill()
                process.wait()


class Answers:
    """Answers like a run that belongs to one call, and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[Any] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None  # before each answer

    async def sample(
        self, params: mcp_types.CreateMessageRequestParams
    ) -> mcp_types.CreateMessageResult | mcp_types.CreateMessageResultWithTools:
        await self._note(params)
        if not params.tools:
            said = mcp_types.TextContent(type="text", text=f"{self.name} says")
            return mcp_types.CreateMessageResult(role="assistant", content=said, model="none")
        use = mcp_types.ToolUseContent(type="tool_use", id="t1", name=params.tools[0].name, input={"for": self.name})
        return mcp_types.CreateMessageResultWithTools(
            role="assistant", content=[use], model="none", stop_reason="toolUse"
        )

    async def elicit(self, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
        await self._note(params)
        if isinstance(params, mcp_types.ElicitRequestURLParams):
            return mcp_types.ElicitResult(action="accept")
        return mcp_types.ElicitResult(action="accept", content={"colour": self.name})

    async def list_roots(self) -> mcp_types.ListRootsResult:
        await self._note("roots")
        root = mcp_types.Root.model_validate({"uri": "file:///srv/knowledge", "name": self.name})
        return mcp_types.ListRootsResult(roots=[root])

    async def _note(self, question: Any) -> None:
        self.asked.append(question)
        if self.meanwhile is not None:
            await self.meanwhile()


def said(result: mcp_types.CallToolResult) -> Any:
    """Return what a tool of era_server.py answers: a text, or what it was told, from JSON."""
    [content] = result.content
    assert isinstance(content, mcp_types.TextContent)
    assert not result.is_error, content.text
    try:
        return json.loads(content.text)
    except ValueError:
        return content.text
