"""Servers that run elsewhere: streamable HTTP, and the older HTTP with SSE."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn

from agent.errors import CallUncertain, ServerLost, ServerStartFailed
from agent.host import Host
from agent.settings import HttpTransport
from tests.fakes.hosting import FAKES, HANGS_AFTER_S, Notes, bad, call, settings_for

PATHS = {"http": "/mcp", "sse": "/sse"}


@contextmanager
def running(kind: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run echo_server.py on a port that already listens: a client that comes too early waits in the queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", str(FAKES / "echo_server.py"), kind, str(descriptor)], pass_fds=[descriptor]
        )
    try:
        yield f"http://127.0.0.1:{port}{PATHS[kind]}", process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Serve an address that answers every request with this status, and keeps the requests' headers."""
    seen: list[dict[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", seen
        finally:
            server.should_exit = True


@asynccontextmanager
async def connected(home: Path, transport: HttpTransport, **server: Any) -> AsyncIterator[tuple[Host, Notes]]:
    notes = Notes()
    with anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"far": transport}, **server), notes) as host:
            yield host, notes


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_is_used_over_http(home: Path, kind: str):
    with running(kind) as (url, _):
        async with connected(home, HttpTransport.model_validate({"type": kind, "url": url})) as (host, notes):
            assert host.servers["far"].transport == kind
            assert host.servers["far"].info is not None
            result = await call(host, "echo", server="far", arguments={"text": "far \ud83d away"})
            assert result.content[0].text == "far ? away"
        assert notes.notices == []


async def test_headers_are_sent_and_never_told(home: Path):
    async with answering(401) as (url, seen):
        secret = url.replace("http://", "http://user:hidden@") + "?token=hidden"
        transport = HttpTransport(type="http", url=secret, headers={"X-Team": "hidden-too"})
        with pytest.raises(ServerStartFailed) as failure:
            async with connected(home, transport):
                pytest.fail("it started")
    assert str(failure.value) == (
        f"far did not start: {url} answers HTTP 401: it wants other credentials: see its `headers` in .mcp.json."
    )
    assert {headers["x-team"] for headers in seen} == {"hidden-too"}


@pytest.mark.parametrize("kind", ["http", "sse"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "it wants other credentials"),
        (404, "there is no MCP server at this address"),
        (500, "it is out of order"),
    ],
)
async def test_an_address_that_answers_with_an_error_is_a_sentence(home: Path, kind: str, status: int, sentence: str):
    async with answering(status) as (url, _):
        with pytest.raises(ServerStartFailed, match=f"{url} answers HTTP {status}: {sentence}"):
            async with connected(home, HttpTransport.model_validate({"type": kind, "url": url})):
                pytest.fail("it started")


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_an_address_where_nothing_listens_is_a_sentence(home: Path, kind: str):
    transport = HttpTransport.model_validate({"type": kind, "url": "http://127.0.0.1:9/mcp"})
    with pytest.raises(ServerStartFailed, match=r"far did not start: nothing answers at http://127\.0\.0\.1:9/mcp"):
        async with connected(home, transport):
            pytest.fail("it started")


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_that_dies_during_a_call_leaves_the_call_uncertain_and_the_others_alone(home: Path, kind: str):
    with running(kind) as (url, process):
        far = HttpTransport.model_validate({"type": kind, "url": url})
        settings = settings_for(home, {"far": far, "near": bad()}, restarts=1, call_timeout_s=HANGS_AFTER_S)
        with anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings, Notes()) as host:
                with pytest.raises(CallUncertain):
                    await call(host, "die", server="far")
                assert process.wait(timeout=HANGS_AFTER_S) == 9
                with pytest.raises(ServerLost, match=r"nothing answers|has ended"):
                    await call(host, "echo", server="far", arguments={"text": "x"})
                assert not (await call(host, "echo", server="near")).is_error
