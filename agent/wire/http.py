"""Servers that are reached over HTTP: what their responses say, and no secret of what they are sent.

The SDK turns most of what a response says into one nameless protocol error, and lets a body that breaks off end the
whole connection. Here every response is noted with the call that it answers, and a broken body is that call's failure.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.request import getproxies, proxy_bypass

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import MCP_METHOD_HEADER

from agent.settings import HttpTransport
from agent.wire.flight import Response, current
from agent.wire.link import Inbound, Outbound

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes in one server-sent event; a result of this size would be clipped anyway."""

HIDDEN = "•••"
"""What stands in place of a secret that a server repeats."""

_CONNECT_S = 10.0
_SHORTEST_SECRET = 6
_REMEDIES = {
    401: "it wants other credentials: see its `headers` in .mcp.json",
    403: "these credentials do not suffice: see its `headers` in .mcp.json",
    404: "there is no MCP server at this address",
    405: 'there is no MCP server of this type at this address: an older one needs "type": "sse" in .mcp.json',
    407: "the proxy wants credentials: see HTTP_PROXY and HTTPS_PROXY",
    429: "it is asked too often: wait, or ask its operator for more",
}
_MCP_TYPES = ("application/json", "text/event-stream")


class UnusableTransport(ValueError):  # noqa: N818 - reads as the sentence it is
    """No request can be made at all: the end of a sentence that says why."""


@dataclass(kw_only=True)
class Responses:
    """What the responses of one connection were."""

    is_sse: bool
    failed: Response | None = None  # the last that was no answer
    on_refused: Callable[[], None] = field(default=lambda: None)  # a message was refused, and nobody else is told

    async def note(self, response: httpx2.Response) -> None:
        """Note a response as it begins, with the call in whose context it was asked for."""
        response.stream = _Body(cast("httpx2.AsyncByteStream", response.stream))
        is_message = response.request.method == "POST"
        if not is_message and not self.is_sse:
            return  # the stream beside the messages is optional: a server may refuse it
        moved = _moved(response)
        if moved is not None and _is_same_place(response.request.url, moved):
            return  # the SDK goes there by itself, or says why not
        noted = Response(
            status=response.status_code,
            content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            location="" if moved is None else address(moved),
        )
        if noted.status != 202 and remedy("", noted) is not None:
            self.failed = noted
            if is_message and self.is_sse:
                self.on_refused()
        flight = current.get()
        # In the handshake era, what a call asks back is answered with messages of their own.
        if flight is not None and (flight.response is None or MCP_METHOD_HEADER in response.request.headers):
            flight.response = noted


def _moved(response: httpx2.Response) -> httpx2.URL | None:
    try:
        return response.request.url.join(response.headers["location"]) if response.has_redirect_location else None
    except httpx2.InvalidURL:
        return None


def _is_same_place(url: httpx2.URL, other: httpx2.URL) -> bool:
    is_upgrade = (url.scheme, url.port, other.scheme, other.port) == ("http", None, "https", None)
    return url.host == other.host and (is_upgrade or (url.scheme, url.port) == (other.scheme, other.port))


class _Body(httpx2.AsyncByteStream):
    """A response's body that breaks off with an error which the SDK takes for this response's own."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._body:
                yield part
        except httpx2.TransportError as error:
            raise httpx2.StreamError(f"The response broke off ({type(error).__name__}).") from error

    async def aclose(self) -> None:
        await self._body.aclose()


def remedy(place: str, response: Response) -> str | None:
    """Return what a response that is no answer says, and what to check; None if it may be an answer."""
    status = response.status
    if 300 <= status < 400:
        where = f" to {response.location}" if response.location else ""
        return f"{place} redirects{where}, and credentials are not sent on: if that is right, make it the `url`"
    if status >= 400:
        return f"{place} answers HTTP {status}: {_REMEDIES.get(status, 'it is out of order')}"
    if status == 202 or response.content_type not in _MCP_TYPES:
        said = response.content_type or ("nothing" if status == 202 else "no content type")
        return f"{place} answers HTTP {status} with {said}, as no MCP server does: check the `url`"
    return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for this address, without its credentials; None if there is none."""
    parsed = httpx2.URL(url)
    proxies = getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host):
        return None
    try:
        return address(httpx2.URL(proxy if "://" in proxy else f"http://{proxy}"))
    except httpx2.InvalidURL:
        return "an address that is none"


def address(url: httpx2.URL) -> str:
    """Return the address as a sentence may name it: a token may stand in its user part or its query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def hiding(transport: HttpTransport) -> Callable[[str], str]:
    """Return what takes the secrets of this server's configuration out of a text: a server may repeat them."""
    url = httpx2.URL(transport.url)
    values = [*transport.headers.values(), url.username, url.password, *url.params.values()]
    words = {word for value in values for word in (value, value.rpartition(" ")[2])}
    secrets = sorted((word for word in words if len(word) >= _SHORTEST_SECRET), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return text

    return hide


@asynccontextmanager
async def streamable(transport: HttpTransport, responses: Responses) -> AsyncGenerator[tuple[Inbound, Outbound]]:
    """Open streamable HTTP."""
    async with (
        _client(dict(transport.headers), responses) as client,
        streamable_http_client(transport.url, http_client=client, max_sse_event_size=LARGEST_EVENT) as streams,
    ):
        yield streams


@asynccontextmanager
async def sse(transport: HttpTransport, responses: Responses) -> AsyncGenerator[tuple[Inbound, Outbound]]:
    """Open the HTTP with SSE of 2024-11-05."""

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - the SDK's signature
        auth: httpx2.Auth | None = None,  # noqa: ARG001 - the SDK's signature
    ) -> httpx2.AsyncClient:
        return _client(headers or {}, responses)

    async with sse_client(transport.url, headers=dict(transport.headers), httpx_client_factory=client) as streams:
        yield streams


def _client(headers: dict[str, str], responses: Responses) -> httpx2.AsyncClient:
    try:
        sendable = httpx2.Headers(headers)
    except UnicodeEncodeError as error:
        raise UnusableTransport("one of its `headers` in .mcp.json holds characters that HTTP cannot carry") from error
    try:
        return httpx2.AsyncClient(
            headers=sendable,
            # A response may take as long as the call may, and streams stay open: the host keeps those deadlines.
            timeout=httpx2.Timeout(_CONNECT_S, read=None, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            event_hooks={"response": [responses.note]},
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        # The error's own words may hold the proxy's password.
        raise UnusableTransport(
            "the environment names a proxy that cannot be used: check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        ) from error
