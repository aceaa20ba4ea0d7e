"""The end of servers: in time, and nothing is left of them, however the host is left."""

import asyncio
import gc
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agent.host import Host
from tests.fakes.hosting import (
    HANGS_AFTER_S,
    Notes,
    bad,
    call,
    echo,
    is_running,
    let_pass,
    make_gate,
    numbers,
    settings_for,
    until,
)

ROOT = Path(__file__).parents[2]


def left_over(folder: Path) -> list[int]:
    return [pid for name in ("starts", "litter") for pid in numbers(folder, name) if is_running(pid)]


async def test_servers_are_gone_when_the_host_is_left(home: Path, tmp_path: Path):
    notes = Notes()
    async with Host(settings_for(home, {"bad": bad("--folder", tmp_path)}), notes):
        assert left_over(tmp_path) == numbers(tmp_path, "starts")
    assert left_over(tmp_path) == []
    assert notes.notices == []


async def test_servers_are_gone_when_the_body_raises(home: Path, tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        async with Host(settings_for(home, {"bad": bad("--folder", tmp_path)}), Notes()):
            raise ZeroDivisionError
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("fault", ["stubborn", "litter"])
async def test_servers_that_will_not_exit_are_ended_together_with_all_they_started(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
):
    grace_s = 2 * HANGS_AFTER_S
    monkeypatch.setattr("agent.wire.child.EXIT_GRACE_S", grace_s)
    monkeypatch.setattr("agent.wire.child.TERM_GRACE_S", grace_s)
    monkeypatch.setattr("agent.host.STOP_S", 10 * grace_s)
    transports = {name: bad(fault, "--folder", tmp_path) for name in ("one", "two", "three")}
    host = Host(settings_for(home, transports), Notes())
    await host.__aenter__()
    assert len(left_over(tmp_path)) == (6 if fault == "litter" else 3)
    ending = asyncio.create_task(host.__aexit__(None, None, None))
    for _ in ("stdin is closed", "SIGTERM"):  # if one waited for the end of another, it would take longer
        await anyio.wait_all_tasks_blocked()
        await let_pass(grace_s)
    with anyio.fail_after(HANGS_AFTER_S):
        await ending
    assert left_over(tmp_path) == []


async def test_a_host_that_is_cancelled_leaves_no_child(home: Path, tmp_path: Path):
    with anyio.CancelScope() as scope:
        async with Host(settings_for(home, {"bad": bad("stubborn", "--folder", tmp_path)}), Notes()):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert len(numbers(tmp_path, "starts")) == 1
    assert left_over(tmp_path) == []


async def test_a_host_that_is_cancelled_while_it_starts_leaves_no_child(home: Path, tmp_path: Path):
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def start() -> None:
                async with Host(settings_for(home, {"bad": bad("silent", "--folder", tmp_path)}), Notes()):
                    pytest.fail("it started")

            group.start_soon(start)
            await until(lambda: bool(numbers(tmp_path, "starts")))
            scope.cancel()
    assert scope.cancelled_caught
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_host_may_be_cancelled_at_any_moment_of_its_start(home: Path, tmp_path: Path, era: str):
    settings = settings_for(home, {"bad": bad("--folder", tmp_path, "--era", era)})

    async def cancel_after(moments: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(enter_and_wait, Host(settings, Notes()))
            for _ in range(moments):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    for moments in range(30):
        asyncio.run(cancel_after(moments))
        assert left_over(tmp_path) == []
        gc.collect()  # a process that no one has waited for warns here, and a warning is an error


async def enter_and_wait(host: Host) -> None:
    async with host:
        await anyio.sleep_forever()


async def test_a_host_that_is_cancelled_during_a_call_is_not_held_up_by_a_server_that_reads_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_gate(tmp_path)

    async def use() -> None:
        async with (
            Host(settings_for(home, {"bad": bad("--folder", tmp_path)}), Notes()) as host,
            anyio.create_task_group() as group,
        ):
            group.start_soon(lambda: call(host, "answer_when_released"))
            await until(lambda: bool(numbers(tmp_path, "calls")))
            group.start_soon(lambda: call(host, "echo", arguments={"text": "x" * 5_000_000}))

    # However long the SDK is willing to wait with telling of a call that is given up.
    monkeypatch.setattr("mcp.shared.jsonrpc_dispatcher._ABANDON_WRITE_TIMEOUT", 2 * HANGS_AFTER_S)
    user = asyncio.create_task(use())
    await until(lambda: bool(numbers(tmp_path, "calls")))
    await anyio.wait_all_tasks_blocked()
    user.cancel()
    with anyio.fail_after(HANGS_AFTER_S):
        await asyncio.wait({user})
    assert user.cancelled()
    assert left_over(tmp_path) == []


async def test_a_task_that_is_cancelled_for_good_leaves_no_child(home: Path, tmp_path: Path):
    # What asyncio.run does with every task when a second Ctrl-C breaks off the first one's clean end.
    host = Host(settings_for(home, {"bad": bad("stubborn", "--folder", tmp_path)}), Notes())
    await host.__aenter__()
    owners = [task for task in asyncio.all_tasks() if task.get_name() == "server bad"]
    assert len(owners) == 1
    for owner in owners:
        owner.cancel()
    await asyncio.wait(owners)
    with anyio.fail_after(HANGS_AFTER_S):
        await until(lambda: not left_over(tmp_path))
    await host.__aexit__(None, None, None)


CTRL_C = """
import asyncio, sys
from pathlib import Path
from agent.host import Host
from tests.fakes.hosting import Notes, bad, settings_for

async def main(home, folder):
    async with Host(settings_for(home, {name: bad("stubborn", "--folder", folder) for name in "ab"}), Notes()):
        print("up", flush=True)
        await asyncio.Event().wait()

try:
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_ends_the_host_and_leaves_no_child(home: Path, tmp_path: Path, interrupts: int):
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, str(home), str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    for _ in range(interrupts):
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 130
    assert errors == ""
    assert len(numbers(tmp_path, "starts")) == 2
    assert left_over(tmp_path) == []


async def test_fifty_starts_and_stops_leak_nothing(home: Path, tmp_path: Path):
    async def once() -> None:
        async with Host(settings_for(home, {"bad": bad("--folder", tmp_path)}), Notes()) as host:
            await call(host, "echo")

    await once()
    before = in_use()
    for _ in range(50):
        await once()
    with anyio.move_on_after(HANGS_AFTER_S / 10):  # what is given up may take a while to be gone; a leak stays
        await until(lambda: in_use() == before)
    assert in_use() == before
    assert left_over(tmp_path) == []
    assert len(numbers(tmp_path, "starts")) == 51


def in_use() -> tuple[int, int]:
    """Return how many file descriptors are open and how many tasks there are."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())


async def test_many_servers_end_together(home: Path):
    host = Host(settings_for(home, {f"echo{number}": echo() for number in range(3)}), Notes())
    async with host:
        assert len(host.servers) == 3
    with pytest.raises(Exception, match="it is not started again"):
        await call(host, "echo", server="echo1", arguments={"text": "late"})
