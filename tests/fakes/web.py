"""A built-in server over HTTP in this process, and clients whose requests can be kept and made again by others."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from servers.web import HttpServer, Servable

ALICE = "alice-0123456789abcdef0123456789abcdef"
BOB = "bob-0123456789abcdef0123456789abcdef"
"""The tokens of two clients, for SUPPORT_AGENT_SERVER_TOKEN."""

TIMEOUT_S = 600

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
"""What every request says that a client of either era sends."""

MODERN = "2026-07-28"

_OF_ONE_SENDER = {"authorization", "content-length", "host"}


@asynccontextmanager
async def serving(server: Servable) -> AsyncIterator[str]:
    """Serve until the block ends, with the tokens of the environment; yield the address."""
    web = HttpServer(server, 0)
    task = asyncio.create_task(web.serve())
    try:
        yield web.url
    finally:
        web.stop()
        await task


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def http(token: str | None = ALICE, **options: Any) -> httpx2.AsyncClient:
    """Return a plain HTTP client that sends this token."""
    return httpx2.AsyncClient(headers=bearer(token) if token else {}, timeout=TIMEOUT_S, **options)


@asynccontextmanager
async def visiting(
    url: str, token: str = ALICE, *, sent: list[httpx2.Request] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Connect an MCP client; what it sends is kept in `sent`, other options are those of `mcp.Client`."""

    async def keep(request: httpx2.Request) -> None:
        await request.aread()
        if sent is not None:
            sent.append(request)

    async with (
        http(token, event_hooks={"request": [keep]}) as plain,
        Client(streamable_http_client(url, http_client=plain), **options) as client,
    ):
        yield client


async def again(
    request: httpx2.Request, token: str, content: bytes | None = None, *, through: str | None = None
) -> httpx2.Response:
    """Make a kept request once more with this token, with other content or through another address if given."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_SENDER}
    headers["Host"] = f"{request.url.host}:{request.url.port}"
    async with http(token) as plain:
        return await plain.request(
            request.method,
            through or request.url,
            headers=headers,
            content=request.content if content is None else content,
        )


def last_call(sent: list[httpx2.Request]) -> httpx2.Request:
    """Return the last of these requests that calls a tool; a client may ask for the tools' schemas after it."""
    return [request for request in sent if b'"tools/call"' in request.content][-1]


def message_of(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON-RPC response that a whole HTTP response holds, as JSON or as the last of its events."""
    if response.headers["content-type"].startswith("application/json"):
        return response.json()
    *_, last = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return json.loads(last.removeprefix("data: "))


def request(method: str, **params: Any) -> dict[str, Any]:
    """Return a JSON-RPC request; those of the modern era also have an `envelope` as their `_meta`."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def envelope(**capabilities: Any) -> dict[str, Any]:
    """Return the `_meta` of a modern request, by a client that can do these things."""
    prefix = "io.modelcontextprotocol/"
    return {f"{prefix}protocolVersion": MODERN, f"{prefix}clientCapabilities": capabilities}


def modern(method: str, name: str | None = None) -> dict[str, str]:
    """Return the headers of a modern request."""
    return {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}


def hello(**capabilities: Any) -> dict[str, Any]:
    """Return the request that begins a session of the handshake era."""
    info = {"name": "test", "version": "1"}
    return request("initialize", protocolVersion="2025-11-25", capabilities=capabilities, clientInfo=info)


async def handshake(plain: httpx2.AsyncClient, url: str, **capabilities: Any) -> dict[str, str]:
    """Begin a session of the handshake era, and return the headers of its requests."""
    answer = await plain.post(url, headers=ACCEPT, json=hello(**capabilities))
    headers = {**ACCEPT, "Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await plain.post(url, headers=headers, json=ready)).status_code == 202
    return headers


@asynccontextmanager
async def cutting(url: str, marker: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Stand before the server at `url` and cut the first response that holds `marker`; yield an address, and the cut.

    Nothing of that response reaches the client. What was cut is kept: the server had sent it.
    """
    place = httpx2.URL(url)
    cut: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_response: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if is_response and not cut and marker in data:
                    cut.append(data)
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def stand_between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection(place.host, place.port)
        for way in (carry(reader, behind[1], is_response=False), carry(behind[0], writer, is_response=True)):
            tasks.add(asyncio.create_task(way))

    listening = socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(stand_between, sock=listening):
        try:
            yield str(place.copy_with(port=listening.getsockname()[1])), cut
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
