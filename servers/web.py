"""A built-in server over streamable HTTP, on this machine only, until it is told to end."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from servers.database import Unusable
from servers.door import VARIABLE, Door, Tokens

LARGEST_REQUEST = 4 * 1024 * 1024
"""Bytes of one request; a hundred long tickets to import fit in."""

LAST_WORDS_S = 1.0
"""How long an ending server waits for what cannot be cancelled: a write that has begun, a client that does not read."""

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_PATH = "/mcp"


class Servable(Protocol):
    """An MCP server that can be spoken to over HTTP."""

    @property
    def name(self) -> str:
        """Its name in a client's configuration."""
        ...

    def streamable_http_app(self, *, streamable_http_path: str, max_request_body_size: int) -> ASGIApp:
        """Return its application, which answers whoever asks."""
        ...


class HttpServer:
    """One server behind its door. It listens from the first moment: who comes too early waits."""

    def __init__(self, server: Servable, port: int) -> None:
        """Take the port, 0 for any that is free.

        Raises:
            Unusable: the port cannot be had, or SUPPORT_AGENT_SERVER_TOKEN cannot be used.
        """
        self._name = server.name
        self._tokens = Tokens.of_environment()
        self._socket = _listen(port)
        port = self._socket.getsockname()[1]
        self.url = f"http://{_ADDRESS}:{port}{_PATH}"
        app = server.streamable_http_app(streamable_http_path=_PATH, max_request_body_size=LARGEST_REQUEST)
        door = Door(app, self._tokens, hosts=_hosts(port))
        self._web = _Web(door, on_start=self._announce)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; a second one ends the process on the spot. The process is to end then.

        Raises:
            KeyboardInterrupt: it was Ctrl-C.
        """
        # One line for each request and session is noise; what goes wrong is not.
        logging.getLogger("mcp").setLevel(logging.WARNING)
        # Never closed: that would wait for every task, and what does not end in time ends with the process.
        asyncio.Runner().run(self._until_told())
        if self._web.ended_by == signal.SIGINT:
            raise KeyboardInterrupt

    async def serve(self) -> None:
        """Serve in a loop that runs already, until a signal or `stop`."""
        await self._web.serve([self._socket])

    def stop(self) -> None:
        """End every open response and then the server itself."""
        self._web.stop()

    async def _until_told(self) -> None:
        serving = asyncio.create_task(self.serve())
        told = asyncio.create_task(self._web.told.wait())
        await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({serving}, timeout=LAST_WORDS_S)
        for task in done:
            await task  # or its failure would be lost

    def _announce(self) -> None:
        sys.stderr.write(_announcement(self._name, self.url, self._tokens.made))
        sys.stderr.flush()


class _Web(uvicorn.Server):
    """uvicorn, except that open streams do not keep it from ending and that a signal is no failure."""

    def __init__(self, door: Door, *, on_start: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                door,
                lifespan="on",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )
        self.ended_by: int | None = None
        self.told = asyncio.Event()
        self._door = door
        self._on_start = on_start

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of signal handlers
        if self.ended_by is not None:
            os._exit(128 + sig)
        self.ended_by = sig
        self._loop.call_soon_threadsafe(self.stop)

    def stop(self) -> None:
        self._door.close()
        self.should_exit = True
        self.told.set()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_ADDRESS, port))
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise Unusable(
            f"Port {port} of {_ADDRESS} cannot be used ({why}): name another one, or 0 for any that is free."
        ) from error


def _hosts(port: int) -> tuple[str, ...]:
    named = tuple(f"{name}:{port}" for name in _NAMES)
    return named + _NAMES if port == 80 else named  # the port that an address may leave out


def _announcement(name: str, url: str, made: str | None) -> str:
    about = (
        f"Its token was made for this run and is shown only here; {VARIABLE} chooses another."
        if made
        else f"Its clients send a token of {VARIABLE}."
    )
    entry = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer {made or f'${{{VARIABLE}}}'}"}}
    file = json.dumps({"mcpServers": {name: entry}}, indent=2)
    return f"{name} serves MCP at {url} until Ctrl-C.\n{about}\nA client's .mcp.json:\n{file}\n"
