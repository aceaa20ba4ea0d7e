"""Servers that take long to start, or never answer over HTTP: waited for as long as configured, and left in time."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter

from agent.errors import ServerStartFailed
from agent.host import Host
from agent.settings import HttpTransport, ServerSettings, StdioTransport
from agent.wire.probe import Probe
from tests.fakes.eras import MODERN, PATHS, listening
from tests.fakes.hosting import FAKES, HANGS_AFTER_S, Frames, Notes, bad, call, let_pass, make_gate, settings_for

LATE = """
import runpy, sys
open(sys.argv[1]).close()
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


async def test_servers_that_need_fifteen_seconds_to_start_are_waited_for(home: Path, tmp_path: Path):
    gate, frames = make_gate(tmp_path), Frames()

    def late(program: str, *arguments: str) -> StdioTransport:
        """Start a server that does nothing before the gate is open, not even read."""
        return StdioTransport(command=sys.executable, args=("-c", LATE, str(gate), str(FAKES / program), *arguments))

    transports = {
        "modern": late("era_server.py", MODERN),  # it knows no handshake, with which the SDK tries after ten seconds
        "old": late("era_server.py", "2024-11-05"),
        "sdk": late("echo_server.py"),
    }

    async def start_late() -> None:
        await frames.until(lambda: all(frames.sent(name, "server/discover") for name in transports))
        await let_pass(15)
        await frames.until(lambda: all(frames.sent(name, "initialize") for name in transports))
        async with await anyio.open_file(gate, "wb"):  # opens when the first has come to it, and keeps it open
            await until_started.wait()

    until_started = anyio.Event()
    versions: dict[str, str] = {}
    settings = settings_for(home, transports, start_timeout_s=HANGS_AFTER_S)
    with anyio.fail_after(HANGS_AFTER_S):
        async with anyio.create_task_group() as starting:
            starting.start_soon(start_late)
            async with Host(settings, Notes(), trace=frames) as host:
                until_started.set()
                versions |= {name: server.protocol_version for name, server in host.servers.items()}
                for name in transports:
                    result = await call(host, "echo", server=name, arguments={"text": "awake"})
                    assert result.content[0].text == "awake"
    assert versions == {"modern": MODERN, "old": "2024-11-05", "sdk": MODERN}


def request(id_: int, method: str) -> JSONRPCRequest:
    return JSONRPCRequest(jsonrpc="2.0", id=id_, method=method)


def answer(body: dict[str, Any]) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **body})


def after_both_questions(*answers: JSONRPCMessage) -> JSONRPCMessage:
    """Return the last of these answers as the SDK sees it, when both questions have left before the first came."""
    probe = Probe()
    probe.leaving(request(1, "server/discover"))
    probe.leaving(request(2, "initialize"))
    for each in answers:
        probe.arrived(each)
    return answers[-1]


DISCOVERED = {"id": 1, "result": {"supportedVersions": ["2099-01-01", MODERN]}}
REFUSED = {"id": 2, "error": {"code": -32601, "message": "Method not found"}}


def test_a_handshake_that_a_modern_server_refuses_names_the_versions_of_its_late_answer():
    seen = after_both_questions(answer(DISCOVERED), answer(REFUSED))
    assert isinstance(seen, JSONRPCError)
    assert seen.error.code == mcp_types.UNSUPPORTED_PROTOCOL_VERSION
    assert seen.error.data["supported"] == [MODERN]
    assert seen.error.message == "Method not found"


@pytest.mark.parametrize(
    "answers",
    [
        [REFUSED],
        [{"id": 1, "result": {"supportedVersions": ["2025-11-25"]}}, REFUSED],
        [{"id": 1, "result": {"supportedVersions": "none"}}, REFUSED],
        [{"id": 1, "result": {}}, REFUSED],
        [{"id": 1, "error": {"code": -32601, "message": "no"}}, REFUSED],
        [DISCOVERED, {"id": 7, "error": {"code": -32601, "message": "of another request"}}],
    ],
)
def test_any_other_refusal_is_left_as_it_is(answers: list[dict[str, Any]]):
    seen = after_both_questions(*(answer(each) for each in answers))
    assert isinstance(seen, JSONRPCError)
    assert (seen.error.code, seen.error.data) == (-32601, None)


def test_a_handshake_that_succeeds_is_left_as_it_is():
    done = {"protocolVersion": "2025-11-25"}
    seen = after_both_questions(answer(DISCOVERED), answer({"id": 2, "result": done}))
    assert isinstance(seen, JSONRPCResponse)
    assert seen.result == done


# Over HTTP.


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """Take connections and answer nothing."""
    taken: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        while await reader.read(65536):
            pass

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in taken:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_that_never_answers_over_http_is_given_up_in_time(home: Path, kind: str):
    async with silence() as port:
        transport = HttpTransport.model_validate({"type": kind, "url": f"http://127.0.0.1:{port}/mcp"})
        servers = {"far": ServerSettings(start_timeout_s=0.5), "near": ServerSettings(start_timeout_s=HANGS_AFTER_S)}
        settings = settings_for(home, {"far": transport, "near": bad()}).model_copy(update={"servers": servers})
        with anyio.fail_after(HANGS_AFTER_S), pytest.raises(ServerStartFailed) as failure:
            async with Host(settings, Notes()):
                pytest.fail("it started")
    assert str(failure.value) == "far did not start: it was not ready within 0.5 s."


@pytest.mark.parametrize(("version", "kind"), [("2025-11-25", "http"), (MODERN, "http"), ("2025-11-25", "sse")])
@pytest.mark.parametrize("is_calling", [True, False])
async def test_a_server_that_stops_answering_does_not_hold_up_the_end(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, kind: str, is_calling: bool
):
    # However long the SDK is willing to wait with telling of a call that is given up.
    monkeypatch.setattr("mcp.shared.jsonrpc_dispatcher._ABANDON_WRITE_TIMEOUT", 2 * HANGS_AFTER_S)
    with listening() as port:
        command = ["-I", "-S", str(FAKES / "era_server.py"), version, "--transport", kind, "--folder", str(tmp_path)]
        port.start(command, "--fd")
        url = f"http://127.0.0.1:{port.number}{PATHS[kind]}"
        host = Host(settings_for(home, {"era": HttpTransport.model_validate({"type": kind, "url": url})}), Notes())
        await host.__aenter__()
        assert host.servers["era"].protocol_version == version
        port.programs[0].send_signal(signal.SIGSTOP)
        with anyio.fail_after(HANGS_AFTER_S):
            if is_calling:
                calling = asyncio.create_task(call(host, "echo", server="era", arguments={"text": "x"}))
                await anyio.wait_all_tasks_blocked()
                calling.cancel()
                await asyncio.wait({calling})
                assert calling.cancelled()
            await host.__aexit__(None, None, None)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "server era"] == []
