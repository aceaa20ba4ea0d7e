"""What tests of the host stand on: settings around one or two servers, and an observer that remembers."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio

from agent.records import Entry
from agent.settings import HttpTransport, ServerSettings, Settings, StdioTransport, TicketSettings

FAKES = Path(__file__).parent


class Notes:
    """An observer that keeps every notice, and lets a test wait for one."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.changed = anyio.Event()

    def entry(self, ticket_id: str, entry: Entry) -> None:
        pass

    def text(self, ticket_id: str, delta: str) -> None:
        pass

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        pass

    def notice(self, message: str) -> None:
        self.notices.append(message)
        self.changed.set()
        self.changed = anyio.Event()

    async def wait_for(self, fragment: str) -> str:
        while not (found := self.about(fragment)):
            await self.changed.wait()
        return found[0]

    def about(self, fragment: str) -> list[str]:
        return [notice for notice in self.notices if fragment in notice]


def bad(*arguments: str | Path) -> StdioTransport:
    """Start bad_server.py with these arguments; without site-packages it is there in 20 ms."""
    return StdioTransport(
        command=sys.executable,
        args=("-I", "-S", str(FAKES / "bad_server.py"), *(str(argument) for argument in arguments)),
    )


def echo() -> StdioTransport:
    """Start echo_server.py, which is a real MCPServer."""
    return StdioTransport(command=sys.executable, args=("-P", str(FAKES / "echo_server.py")))


def settings_for(
    home: Path, transports: Mapping[str, StdioTransport | HttpTransport] | None = None, **server: Any
) -> Settings:
    """Make settings with these servers, each configured by the keywords (`restarts=0`, `call_timeout_s=…`)."""
    transports = transports or {}
    return Settings(
        home=home,
        transports=transports,
        servers={name: ServerSettings(**server) for name in transports},
        tickets=TicketSettings(
            server="none", record="x://{ticket_id}", context="x://{ticket_id}", fields={}, outcome={}
        ),
    )


def is_running(pid: int) -> bool:
    """Whether a process of this id exists and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has waited for yet still has its id.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def numbers(folder: Path, name: str) -> list[Any]:
    """Return what bad_server.py has written into FOLDER/NAME, line by line."""
    path = folder / name
    written = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in written.splitlines(keepends=True) if line.endswith("\n")]


async def call(host: Any, tool: str, *, server: str = "bad", **rest: Any) -> Any:
    """Call a tool as the gate does; without more said it is a write without a key, which is never repeated."""
    options = {"arguments": {}, "key": None, "is_repeatable": False, "answers": None} | rest
    return await host.call_tool(server, tool, options.pop("arguments"), **options)


def make_gate(folder: Path) -> Path:
    """Make the gate that bad_server.py waits at."""
    os.mkfifo(folder / "gate")
    return folder / "gate"


async def open_gate(gate: Path) -> None:
    """Let the server that waits at this gate go on, as soon as it waits there."""
    async with await anyio.open_file(gate, "wb"):
        pass


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does to files, and leave it the processor meanwhile."""
    while not holds():  # noqa: ASYNC110 - no event tells of it
        await anyio.sleep(0.005)
