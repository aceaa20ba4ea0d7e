"""A door-opener on this machine: what comes in at its address goes on to a server, with the token that it wants.

The conformance suite can send no token, and the built-in servers answer nobody without one.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio import EndOfStream
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

_MOST_HEAD = 65_536
_LINES = re.IGNORECASE | re.MULTILINE


@asynccontextmanager
async def with_token(url: str, token: str) -> AsyncGenerator[str]:
    """Yield an address where the server at `url` answers whoever asks."""
    target = urlsplit(url)
    host, port = str(target.hostname), int(target.port or 80)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    [(_, own)] = [outer.extra(anyio.abc.SocketAttribute.local_address) for outer in listener.listeners]

    async def carry(client: SocketStream) -> None:
        """Carry one request there and its response back; the next one comes on a connection of its own."""
        async with client, await anyio.connect_tcp(host, port) as server:
            received = BufferedByteReceiveStream(client)
            head = (await received.receive_until(b"\r\n\r\n", _MOST_HEAD)).decode("latin-1")
            length = re.search(r"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
            body = await received.receive_exactly(int(length[1])) if length else b""
            # Only the relay's own address is put right: who asks under any other name is the server's to refuse.
            named = rf"^((?:host|origin): *(?:http://)?)(?:localhost|127\.0\.0\.1):{own}\r?$"
            head = re.sub(named, rf"\g<1>{host}:{port}\r", head, flags=_LINES)
            head = re.sub(r"^connection:.*\r?\n", "", head, flags=_LINES)
            lines = f"\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            await server.send(head.encode("latin-1") + lines.encode() + body)
            async for part in server:
                await client.send(part)

    async def answer(client: SocketStream) -> None:
        # Whoever asked has gone, or the server ends.
        with suppress(EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await carry(client)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield f"http://127.0.0.1:{own}{target.path}"
        tasks.cancel_scope.cancel()
