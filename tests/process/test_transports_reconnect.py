"""Servers over HTTP that are restarted, or forget the session, between two calls: reconnected, and not for ever."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.errors import CallUncertain, ServerLost
from agent.host import Host
from agent.settings import HttpTransport
from tests.fakes.eras import MODERN, PATHS, Port, listening, said, speaking, spoken
from tests.fakes.hosting import FAKES, HANGS_AFTER_S, Frames, Notes, call, numbers, settings_for, until

EACH = pytest.mark.parametrize(("version", "kind"), [row for row in spoken() if row[1] != "stdio"])


@dataclass(kw_only=True)
class Far:
    """A server of one version that can be ended and started again at the same address."""

    transport: HttpTransport
    port: Port
    command: Sequence[str]

    def restart(self) -> None:
        self.port.kill()
        self.port.start(self.command, "--fd")


@contextmanager
def far(version: str, kind: str, folder: Path) -> Iterator[Far]:
    command = ["-I", "-S", str(FAKES / "era_server.py"), version, "--transport", kind, "--folder", str(folder)]
    with listening() as port:
        port.start(command, "--fd")
        url = f"http://127.0.0.1:{port.number}{PATHS[kind]}"
        transport = HttpTransport.model_validate({"type": kind, "url": url, "headers": {"X-Team": "desk-7"}})
        yield Far(transport=transport, port=port, command=command)


@asynccontextmanager
async def connected(
    home: Path, transport: HttpTransport, frames: Frames | None = None, **server: Any
) -> AsyncIterator[tuple[Host, Notes]]:
    notes = Notes()
    with anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"far": transport}, **server), notes, trace=frames) as host:
            yield host, notes


async def settled(frames: Frames, version: str, *watched: str) -> None:
    """Wait until all that a host asks for by itself is answered: what breaks with a server may break any call."""
    asks = ["subscriptions/listen"] if version == MODERN else ["logging/setLevel"]
    if watched and version != MODERN:
        asks.append("resources/subscribe")

    def are_watched() -> bool:
        return all(uri in str([frames.sent("far", method) for method in asks]) for uri in watched)

    await frames.until(lambda: are_watched() and frames.are_answered("far", *asks))


async def echo(host: Host, text: str, **rest: Any) -> Any:
    return said(await call(host, "echo", server="far", arguments={"text": text}, **rest))


def keys(folder: Path) -> list[str | None]:
    calls = [frame["params"] for frame in numbers(folder, "frames") if frame.get("method") == "tools/call"]
    return [params.get("_meta", {}).get("support-agent/idempotency-key") for params in calls]


@EACH
async def test_a_server_that_was_restarted_between_two_calls_is_used_again(
    home: Path, tmp_path: Path, version: str, kind: str
):
    frames = Frames()
    with far(version, kind, tmp_path) as server:
        async with connected(home, server.transport, frames) as (host, notes):
            assert await echo(host, "one", key="k1") == "one"
            await settled(frames, version)
            server.restart()
            if kind == "sse":  # a stream that is about to break may still take a call: that one would be uncertain
                await notes.wait_for("far has closed the connection.")
            # Not even repeatable: it has certainly not been made on the connection that was gone.
            assert await echo(host, "two", key="k2") == "two"
            assert host.servers["far"].protocol_version == version
    assert keys(tmp_path) == ["k1", "k2"] or keys(tmp_path) == ["k1", "k2", "k2"]
    assert set(numbers(tmp_path, "teams")) == {"desk-7"}
    assert len(notes.about("is connected again")) == (0 if version == MODERN else 1)


@pytest.mark.parametrize(("version", "kind"), [row for row in spoken() if row[1] != "stdio" and row[0] != MODERN])
async def test_a_session_that_the_server_has_forgotten_is_begun_anew(
    home: Path, tmp_path: Path, version: str, kind: str
):
    with far(version, kind, tmp_path) as server:
        async with connected(home, server.transport, restarts=2) as (host, notes):
            for number in range(2):
                assert said(await call(host, "forget", server="far", key=f"forget-{number}")) == "forgotten"
                assert await echo(host, "still here", key=f"echo-{number}") == "still here"
            await call(host, "forget", server="far")
            with pytest.raises(ServerLost, match="was connected again 2 times already; it is not connected again"):
                await echo(host, "once too often")
    assert [method for method in methods(tmp_path) if method == "initialize"] == ["initialize"] * 3
    assert ("server/discover" in methods(tmp_path)) is (kind == "http")  # the older HTTP knows no version since 2026
    # The call that met no session is made again, with its key.
    assert keys(tmp_path)[:5] == ["forget-0", "echo-0", "echo-0", "forget-1", "echo-1"]
    assert [notice.partition(" (")[0] for notice in notes.about("is connected again")] == ["far is connected again"] * 2


def methods(folder: Path) -> list[str]:
    return [frame.get("method", "") for frame in numbers(folder, "frames")]


@EACH
async def test_a_server_that_stays_away_is_lost_with_what_to_check(home: Path, tmp_path: Path, version: str, kind: str):
    with far(version, kind, tmp_path) as server:
        async with connected(home, server.transport, restarts=1) as (host, _):
            assert await echo(host, "one") == "one"
            server.port.kill()
            server.port.refuse()
            with pytest.raises((ServerLost, CallUncertain), match=r"nothing answers at|breaks off the connection"):
                await echo(host, "two", key="k", is_repeatable=True)


@EACH
async def test_a_watch_outlives_the_connection_and_is_told_that_it_may_have_missed_something(
    home: Path, tmp_path: Path, version: str, kind: str
):
    told: list[str] = []
    frames = Frames()
    with far(version, kind, tmp_path) as server:
        async with connected(home, server.transport, frames) as (host, notes):
            with host.watching("far", ["note://1"], lambda: told.append("changed")):
                await settled(frames, version, "note://1")
                await touch_until(host, told)
                server.restart()
                if kind == "sse":
                    await notes.wait_for("far has closed the connection.")
                told.clear()
                while not told:  # nobody has touched anything: the stream was open before, and is again
                    await call(host, "roots", server="far")
                    await anyio.lowlevel.checkpoint()
                told.clear()
                await touch_until(host, told)


async def touch_until(host: Host, told: list[str]) -> None:
    while not told:
        await call(host, "touch", server="far", arguments={"uri": "note://1"})
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(("version", "kind"), [row for row in spoken() if row[0] != MODERN])
async def test_a_watch_that_ends_is_taken_back(home: Path, tmp_path: Path, version: str, kind: str):
    with speaking(version, kind, folder=tmp_path) as transport, anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"far": transport}), Notes()) as host:
            with host.watching("far", ["note://1", "note://2"], lambda: None):
                await until(lambda: methods(tmp_path).count("resources/subscribe") == 2)
                await echo(host, "the answers to both are there")
            await until(lambda: methods(tmp_path).count("resources/unsubscribe") == 2)
