"""Fifty bad days in a row: afterwards there are as many processes, descriptors, threads and tasks as before."""

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from agent.errors import CallUncertain, ServerStartFailed
from agent.host import Host
from agent.settings import HttpTransport
from tests.fakes.eras import MODERN, Answers, Port, listening, speaking
from tests.fakes.hosting import FAKES, HANGS_AFTER_S, Notes, bad, call, settings_for, until

ROUNDS = 50


def in_use() -> dict[str, int]:
    """Count what this process holds, and the processes that it has started."""
    gc.collect()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
    }


async def assert_nothing_leaks(once: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(HANGS_AFTER_S):
        for _ in range(2):  # what is made once and kept
            await once()
        await anyio.wait_all_tasks_blocked()
        before = in_use()
        for _ in range(ROUNDS):
            await once()
        await anyio.wait_all_tasks_blocked()

        def leaked() -> dict[str, int]:
            now = in_use()
            # A connection that is just being given up may be counted on either side; a leak is one in every round.
            return {name: now[name] - before[name] for name in now if now[name] - before[name] > ROUNDS // 10}

        with anyio.move_on_after(HANGS_AFTER_S / 10):  # what is given up may take a while to be gone; a leak stays
            await until(lambda: leaked() == {})
        assert leaked() == {}


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_fifty_deaths_within_calls_leak_nothing(home: Path, era: str):
    settings = settings_for(home, {"bad": bad("--era", era)}, restarts=1000)
    async with Host(settings, Notes()) as host:

        async def once() -> None:
            with pytest.raises(CallUncertain):
                await call(host, "die")
            assert not (await call(host, "echo")).is_error

        await assert_nothing_leaks(once)


async def test_fifty_calls_that_are_given_up_leak_nothing(home: Path):
    settings = settings_for(home, {"bad": bad()}, call_timeout_s=0.01)
    async with Host(settings, Notes()) as host:

        async def once() -> None:
            with pytest.raises(CallUncertain):
                await call(host, "hang")

        await assert_nothing_leaks(once)


async def test_fifty_failed_starts_leak_nothing(home: Path):
    async def once() -> None:
        transports = {"bad": bad("exit"), "good": bad(), "far": HttpTransport(type="http", url="http://127.0.0.1:9/")}
        with pytest.raises(ServerStartFailed):
            async with Host(settings_for(home, transports), Notes()):
                pytest.fail("it started")

    await assert_nothing_leaks(once)


@pytest.mark.parametrize(("version", "kind"), [("2025-11-25", "http"), (MODERN, "http"), ("2025-11-25", "sse")])
async def test_fifty_connections_over_http_leak_nothing(home: Path, version: str, kind: str):
    with speaking(version, kind) as transport:

        async def once() -> None:
            async with Host(settings_for(home, {"era": transport}), Notes()) as host:
                with host.watching("era", ["note://1"], lambda: None):
                    assert not (await call(host, "sample", server="era", answers=Answers("x"), arguments={})).is_error

        await assert_nothing_leaks(once)


@pytest.mark.parametrize(("version", "kind"), [("2025-11-25", "http"), (MODERN, "http"), ("2025-11-25", "sse")])
async def test_fifty_restarts_of_a_server_over_http_leak_nothing(home: Path, version: str, kind: str):
    with listening() as port:
        start(port, version, kind)
        path = {"http": "/mcp", "sse": "/sse"}[kind]
        url = f"http://127.0.0.1:{port.number}{path}"
        settings = settings_for(home, {"far": HttpTransport.model_validate({"type": kind, "url": url})}, restarts=1000)
        async with Host(settings, Notes()) as host:

            async def once() -> None:
                port.kill()
                port.programs.clear()
                start(port, version, kind)
                arguments = {"text": "again"}
                try:
                    assert not (await call(host, "echo", server="far", arguments=arguments)).is_error
                except CallUncertain:  # it was made on the connection that was about to break
                    assert not (await call(host, "echo", server="far", arguments=arguments)).is_error

            await assert_nothing_leaks(once)


def start(port: Port, version: str, kind: str) -> None:
    port.start(["-I", "-S", str(FAKES / "era_server.py"), version, "--transport", kind], "--fd")


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
async def test_fifty_watches_leak_nothing(home: Path, version: str):
    with speaking(version, "stdio") as transport:
        async with Host(settings_for(home, {"era": transport}), Notes()) as host:

            async def once() -> None:
                told = anyio.Event()
                with host.watching("era", ["note://1"], told.set):
                    while not told.is_set():
                        await call(host, "touch", server="era", arguments={"uri": "note://1"})
                        with anyio.move_on_after(0.005):
                            await told.wait()
                await anyio.wait_all_tasks_blocked()

            await assert_nothing_leaks(once)
            assert host._servers["era"]._watches == []
