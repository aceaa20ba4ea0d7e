"""What tests of versions and transports stand on: servers that speak one version, and answers that know their name."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    with listening() as port:
        port.start(command, "--fd")
        url = f"http://127.0.0.1:{port.number}{PATHS[kind]}"
        yield HttpTransport.model_validate({"type": kind, "url": url, "headers": dict(headers or {})})


@dataclass(kw_only=True)
class Port:
    """A port that listens already; a client that comes while no program serves it waits in the queue."""

    listener: socket.socket
    programs: list["subprocess.Popen[bytes]"] = field(default_factory=list["subprocess.Popen[bytes]"])

    @property
    def number(self) -> int:
        return self.listener.getsockname()[1]

    def start(self, command: Sequence[str], option: str | None = None) -> None:
        """Let a Python program serve it, whose last argument is the descriptor, after the option if one is named."""
        descriptor = self.listener.fileno()
        line = [sys.executable, *command, *([option] if option else []), str(descriptor)]
        self.programs.append(subprocess.Popen(line, pass_fds=[descriptor]))

    def kill(self) -> None:
        """End the program that serves it; its clients' ends of the connections know by then that it is gone."""
        clients = _connected_to(self.number)
        for program in self.programs:
            program.kill()
            program.wait()
        # A busy kernel tells the other end of a connection some time after the process is gone.
        while clients & _connected_to(self.number):
            os.sched_yield()

    def refuse(self) -> None:
        """Take no more connections."""
        self.listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening() -> Iterator[Port]:
    """Yield a port; the programs that serve it are ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = Port(listener=listener)
        try:
            yield port
        finally:
            port.kill()


def _connected_to(port: int) -> set[str]:
    """Return the ends on this machine of the connections to this port that are open in both directions."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        return set()
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    there = f":{port:04X}"
    return {row[1] for row in rows if row[2].endswith(there) and row[3] == "01"}


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

    def again(self) -> None:
        pass

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
