"""What tests of the host stand on: settings around one or two servers, and an observer that remembers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio

from agent.records import Entry
from agent.settings import HttpTransport, ServerSettings, Settings, StdioTransport, TicketSettings
from agent.wire.link import IN, OUT

FAKES = Path(__file__).parent

HANGS_AFTER_S = 600
"""After this a test fails instead of hanging; on no machine, however slow or busy, does one come near it."""


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


class Frames:
    """A host's `trace` that keeps every frame, and lets a test wait for one."""

    def __init__(self) -> None:
        self._frames: list[tuple[str, str, Any]] = []
        self._changed = anyio.Event()

    def __call__(self, server: str, direction: str, frame: str) -> None:
        self._frames.append((server, direction, json.loads(frame)))
        self._changed.set()
        self._changed = anyio.Event()

    def sent(self, server: str, method: str) -> list[Any]:
        """Return the requests and notifications of this method that the host has made."""
        return self._of(server, OUT, method)

    def came(self, server: str, method: str) -> list[Any]:
        """Return the requests and notifications of this method that the server has made."""
        return self._of(server, IN, method)

    def are_answered(self, server: str, *methods: str) -> bool:
        """Whether the host has made requests of each of these methods, and no request of any is left unanswered.

        A stream of changes that is open counts as answered.
        """
        mine = [(way, message) for by, way, message in self._frames if by == server]
        asked = {message["id"] for way, message in mine if way == OUT and {"id", "method"} <= message.keys()}
        answered = {message["id"] for way, message in mine if way == IN and "method" not in message}
        opened = self.came(server, "notifications/subscriptions/acknowledged")
        answered |= {message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for message in opened}
        return all(self.sent(server, method) for method in methods) and asked <= answered

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that only frames can make true."""
        while not holds():
            await self._changed.wait()

    def _of(self, server: str, direction: str, method: str) -> list[Any]:
        return [
            message
            for by, way, message in self._frames
            if (by, way) == (server, direction) and message.get("method") == method
        ]


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
    """Whether a process of this id exists and will do anything more."""
    try:
        os.kill(pid, 0)
        return not Path("/proc/self").exists() or _is_alive(Path(f"/proc/{pid}"))
    except ProcessLookupError:
        return False


def _is_alive(process: Path) -> bool:
    try:
        about = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):
        return False
    # One that has ended and that nobody has waited for yet still has its id; and who has been killed on a busy
    # machine may take a while to be gone, but runs no more.
    is_killed = int(about["ShdPnd"], 16) >> (signal.SIGKILL - 1) & 1
    return about["State"][0] not in "ZX" and not is_killed


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


async def let_pass(seconds: float) -> None:
    """Let so much time pass at once for whatever waits for a time in this event loop, deadlines of tests included."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds
    for _ in range(2):  # what was due is then on its way: `wait_all_tasks_blocked` sees it
        await asyncio.sleep(0)
