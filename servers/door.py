"""Who may speak to a server over HTTP: this machine's own programs that know a token, and no web page."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servers.database import Unusable

VARIABLE = "SUPPORT_AGENT_SERVER_TOKEN"
"""Holds the bearer token; several, with spaces between them, are one for each client."""

SHORTEST_TOKEN = 32
"""Characters, so that no one guesses it."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what can follow `Bearer` in a header


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The tokens that open the door, as digests; `made` is the one that no one chose, for its user to be told."""

    digests: tuple[bytes, ...]
    made: str | None = None

    @classmethod
    def of_environment(cls) -> "Tokens":
        """Return the tokens that the environment holds, else one that is made for this process.

        Raises:
            Unusable: a token is too short, or cannot be sent in a header.
        """
        chosen = os.environ.get(VARIABLE, "").split()
        if not chosen:
            made = secrets.token_urlsafe(32)
            return cls(digests=(_digest(made),), made=made)
        if any(len(token) < SHORTEST_TOKEN for token in chosen):
            raise Unusable(f"{VARIABLE} holds too short a token: give it at least {SHORTEST_TOKEN} random characters.")
        if not all(_TOKEN.fullmatch(token) for token in chosen):
            raise Unusable(f"{VARIABLE} holds a character that no token has: use letters, digits and ._~+/- only.")
        return cls(digests=tuple(_digest(token) for token in chosen))

    def owner(self, authorization: str) -> str | None:
        """Return a name for whoever sent this header, the same for the same token; None if it holds none of ours."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token)
        # Digests of one length, and all of them: how long it takes tells nothing about any token.
        found = [digest for digest in self.digests if hmac.compare_digest(digest, given)]
        return found[0].hex() if found and scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Door:
    """The ASGI application before a server's own; until it closes it lets in who may speak to the server.

    The owner of a token is the principal to which the SDK binds sessions and the state of unfinished calls.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, *, hosts: tuple[str, ...]) -> None:
        self._app = AuthContextMiddleware(app)
        self._tokens = tokens
        # A web page can make its own name mean this machine, but its browser then says that name.
        self._place = TransportSecurityMiddleware(
            TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=[f"http://{host}" for host in hosts])
        )
        self._open: set[_Exchange] = set()
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything else is about the application's own start and end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        admitted = await self._admit(Request(scope))
        if isinstance(admitted, Response):
            await admitted(scope, receive, send)
            return
        exchange = _Exchange(send)
        self._open.add(exchange)
        try:
            with exchange.scope:
                await self._app({**scope, "user": admitted}, receive, exchange.send)
        finally:
            self._open.discard(exchange)
        if exchange.scope.cancelled_caught:
            await exchange.end()

    def close(self) -> None:
        """End every response that is under way, open streams included, and let no one in any more."""
        self._is_closed = True
        for exchange in self._open:
            exchange.scope.cancel()

    async def _admit(self, request: Request) -> AuthenticatedUser | Response:
        if self._is_closed:
            return Response(status_code=503)
        if (foreign := await self._place.validate_request(request)) is not None:
            return foreign
        owner = self._tokens.owner(request.headers.get("authorization", ""))
        if owner is None:
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return AuthenticatedUser(AccessToken(token=owner, client_id=owner, scopes=[]))


class _Exchange:
    """One response, which is whole even when it is ended from outside."""

    def __init__(self, send: Send) -> None:
        self.scope = anyio.CancelScope()
        self._send = send
        self._has_begun = False
        self._is_whole = False

    async def send(self, message: Message) -> None:
        await self._send(message)
        self._has_begun = True
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def end(self) -> None:
        if not self._has_begun:
            await self._send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        if not self._is_whole:
            await self._send({"type": "http.response.body", "body": b""})
