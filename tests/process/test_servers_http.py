"""A built-in server as a process that serves HTTP: what it prints, where it listens, and how it ends."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from servers.database import Unusable
from servers.door import SHORTEST_TOKEN, VARIABLE, Tokens
from tests.fakes.helpdesk import call
from tests.fakes.hosting import make_gate
from tests.fakes.web import (
    ALICE,
    BOB,
    TIMEOUT_S,
    bearer,
    envelope,
    handshake,
    http,
    message_of,
    modern,
    request,
)
from tests.ports import own_port


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A server that has said where it is."""

    process: "subprocess.Popen[str]"
    said: str

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in the file that it wrote for its clients."""
        (entry,) = json.loads(self.said[self.said.index("{\n") :])["mcpServers"].values()
        return entry

    @property
    def url(self) -> str:
        return self.entry["url"]

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    @property
    def token(self) -> str:
        return self.entry["headers"]["Authorization"].removeprefix("Bearer ")

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end and return its exit code, its stdout, and what it has said since its address."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err


@contextmanager
def started(*command: str | Path, **environment: str) -> Iterator[Served]:
    """Run a server until the block ends; it begins when the server has said where it is."""
    process = subprocess.Popen(
        [sys.executable, "-P", *command],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            assert process.stderr is not None
            said = ""
            while not said.endswith("\n}\n"):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield Served(process=process, said=said)
        finally:
            process.kill()


def ticketing(*tokens: str, port: int = 0) -> AbstractContextManager[Served]:
    return started("-m", "servers.ticketing", "--demo", "--http", str(port), **{VARIABLE: " ".join(tokens)})


def refused(*options: str, **environment: str) -> tuple[int, str]:
    """Run a server that does not start, and return its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "servers.customers", "--demo", *options],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


async def test_a_token_is_made_and_shown_once_in_a_file_that_any_client_can_use():
    with ticketing() as served:
        headers = served.entry["headers"]
        with anyio.fail_after(TIMEOUT_S):
            async with (
                httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_S) as plain,
                Client(streamable_http_client(served.url, http_client=plain)) as client,
            ):
                found = await call(client, "search_knowledge_base", query="password")
        served.process.send_signal(signal.SIGTERM)
        code, out, err = served.ended()
    assert found.structured_content["passages"]
    assert len(served.token) == 43
    assert served.said.count(served.token) == 1
    assert f"http://127.0.0.1:{served.port}/mcp" in served.said.splitlines()[0]
    assert (code, out, err) == (0, "", "")


def test_every_start_makes_another_token():
    with ticketing() as first, ticketing() as second:
        assert first.token != second.token
        assert first.port != second.port


async def test_a_token_of_the_environment_is_used_and_never_written():
    with ticketing(ALICE) as served:
        with anyio.fail_after(TIMEOUT_S):
            async with http() as plain:
                session = await handshake(plain, served.url)
                wrong = await plain.post(served.url, headers={**session, **bearer(BOB)}, json=request("tools/list"))
                foreign = await plain.post(served.url, headers={**session, "Host": "evil"}, json=request("tools/list"))
        command = await anyio.Path(f"/proc/{served.process.pid}/cmdline").read_text()
        served.process.send_signal(signal.SIGTERM)
        _, out, err = served.ended()
    assert (wrong.status_code, foreign.status_code) == (401, 421)
    assert served.token == f"${{{VARIABLE}}}"
    for text in (served.said, out, err, command):
        assert ALICE not in text
        assert BOB not in text


def test_no_other_address_of_this_machine_is_served():
    with ticketing() as served:
        for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as other, pytest.raises(OSError, match=r"refused|not available|unreachable"):
                other.connect((address, served.port))
        with socket.create_connection(("127.0.0.1", served.port)):
            pass


def test_a_port_can_be_chosen_and_taken_again_at_once():
    with own_port() as port:
        with ticketing(port=port) as first:
            assert first.port == port
            first.process.send_signal(signal.SIGINT)
            assert first.ended()[0] == 130
        with ticketing(port=port) as second:
            assert second.port == port


def test_a_port_in_use_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused("--http", str(port))
    assert code == 3
    assert said == (
        f"Port {port} of 127.0.0.1 cannot be used (address already in use): "
        "name another one, or 0 for any that is free.\n"
    )


@pytest.mark.parametrize("port", ["65536", "²"])
def test_what_is_no_port_is_wrong_usage(port: str):
    code, said = refused(f"--http={port}")
    assert code == 2
    assert "give a number from 0 to 65535" in said


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("x" * (SHORTEST_TOKEN - 1), "holds too short a token: give it at least 32 random characters."),
        (f"{ALICE} short", "holds too short a token: give it at least 32 random characters."),
        ("ü" * SHORTEST_TOKEN, "holds a character that no token has: use letters, digits and ._~+/- only."),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, tokens: str, sentence: str
):
    monkeypatch.setenv(VARIABLE, tokens)
    with pytest.raises(Unusable) as refusal:
        Tokens.of_environment()
    assert str(refusal.value) == f"{VARIABLE} {sentence}"


def test_a_token_that_cannot_be_used_is_one_sentence():
    code, said = refused("--http", "0", **{VARIABLE: "secret"})
    assert (code, said) == (3, f"{VARIABLE} holds too short a token: give it at least 32 random characters.\n")


# The end.


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_signal_ends_the_server_and_every_open_stream_whole(number: signal.Signals, code: int):
    listen = request("subscriptions/listen", notifications={"resourceSubscriptions": ["ticket://42"]}, _meta=envelope())
    ask = request("tools/call", name="set_priority", arguments={"ticket_id": "42"})
    with ticketing(ALICE) as served, anyio.fail_after(TIMEOUT_S):
        async with http() as plain:
            session = await handshake(plain, served.url, elicitation={})
            async with (
                plain.stream("GET", served.url, headers=session) as events,
                plain.stream("POST", served.url, headers=modern("subscriptions/listen"), json=listen) as listening,
                plain.stream("POST", served.url, headers=session, json=ask) as asking,
            ):
                streams = [response.aiter_text() for response in (listening, asking, events)]
                acknowledged, question = await anext(streams[0]), await anext(streams[1])
                served.process.send_signal(number)
                # A stream that is cut off, and not ended, raises.
                rest = ["".join([text async for text in stream]) for stream in streams]
            assert "acknowledged" in acknowledged
            assert "elicitation/create" in question
            assert rest == ["", "", ""]
        ended = await anyio.to_thread.run_sync(served.ended)
    assert ended == (code, "", "")


async def test_clients_that_vanish_leave_no_trace(home: Path):
    listen = request("subscriptions/listen", notifications={"toolsListChanged": True}, _meta=envelope())
    ask = request("tools/call", name="set_priority", arguments={"ticket_id": "42"})
    with ticketing(ALICE) as served, anyio.fail_after(TIMEOUT_S):
        for _ in range(5):
            async with http() as plain:
                session = await handshake(plain, served.url, elicitation={})
                for headers, body in ((modern("subscriptions/listen"), listen), (session, ask)):
                    async with plain.stream("POST", served.url, headers=headers, json=body) as response:
                        assert await anext(response.aiter_text())
                async with plain.stream("GET", served.url, headers=session) as events:
                    assert events.status_code == 200
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            raw.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf")
        async with http() as plain:
            session = await handshake(plain, served.url)
            after = await plain.post(served.url, headers=session, json=request("tools/list"))
        served.process.send_signal(signal.SIGTERM)
        code, _, err = await anyio.to_thread.run_sync(served.ended)
    assert after.status_code == 200
    assert code == 0
    assert "Traceback" not in err


async def test_a_server_killed_after_its_answer_remembers_key_and_effect(home: Path):
    results: list[Any] = []
    meta = envelope() | {"support-agent/idempotency-key": "run/1/a"}
    close = request(
        "tools/call", name="close_ticket", arguments={"ticket_id": "42", "resolution": "Hi, done."}, _meta=meta
    )
    with anyio.fail_after(TIMEOUT_S):
        for _ in range(2):
            with ticketing(ALICE) as served:
                async with http() as plain:
                    answer = await plain.post(served.url, headers=modern("tools/call", "close_ticket"), json=close)
                results.append(message_of(answer)["result"]["structuredContent"])
    assert results == [{"success": True, "closed_ticket_id": "42", "status": "closed", "version": 2}] * 2
    with closing(sqlite3.connect(home / "ticketing.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM ticket_events WHERE kind = 'closed'").fetchone() == (1,)


STUCK = """
import os
import sys
from pathlib import Path
import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from servers import web

web.LAST_WORDS_S = float(sys.argv[2])
server = MCPServer("stuck")

@server.tool()
async def hold() -> str:
    return await anyio.to_thread.run_sync(Path(sys.argv[1]).read_text)

web.HttpServer(server, 0).run()
os._exit(0)
"""


@pytest.mark.parametrize(
    ("patience_s", "signals", "codes"),
    [
        (0.1, [signal.SIGTERM], {0}),
        (3_600, [signal.SIGTERM, signal.SIGINT], {143, 130}),
    ],
)
async def test_a_write_that_hangs_does_not_keep_the_server_from_ending(
    tmp_path: Path, patience_s: float, signals: list[signal.Signals], codes: set[int]
):
    gate = make_gate(tmp_path)
    hold = request("tools/call", name="hold", arguments={}, _meta=envelope())
    with started("-c", STUCK, gate, str(patience_s), **{VARIABLE: ALICE}) as served, anyio.fail_after(TIMEOUT_S):
        async with http() as plain, anyio.create_task_group() as group:

            async def wait_for_it() -> None:
                with suppress(httpx2.TransportError):
                    await plain.post(served.url, headers=modern("tools/call", "hold"), json=hold)

            group.start_soon(wait_for_it)
            async with await anyio.open_file(gate, "wb"):  # opens when the tool reads, and keeps it reading
                for number in signals:
                    served.process.send_signal(number)
                await anyio.to_thread.run_sync(served.process.wait, TIMEOUT_S)
    assert served.process.returncode in codes
