"""Why a server did not start or did not go on, as one sentence."""

import signal
from collections.abc import Iterator

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from agent.wire.flight import Response
from agent.wire.http import remedy
from agent.wire.link import Link, printable

_SEE_PROXY = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"

_STAND_INS = (
    "Server returned an error response",
    "Not Found",
    "Unexpected content type",
    "Redirect to",
    "server answered a request with 202",
)
"""How the SDK's words begin for a response that holds no message of the server."""

_CUT_OFF = ("Connection closed", "SSE stream ", "Failed to parse ")
"""How they begin for an answer that did not come, or not whole; a server may use the same codes for its own errors."""

_CREDENTIALS = frozenset({401, 403, 407})


def ending(link: Link) -> str:
    """Return how a connection that was up has ended, as the end of a sentence."""
    status = link.exit_status()
    if status is not None:
        return f"has {_exit(status)}"
    refused = link.failed() if link.kind == "sse" else None
    said = None if refused is None else remedy(link.place, refused)
    return "has closed the connection" if said is None else f"takes no more messages: {said}"


def why_not_started(link: Link, error: BaseException | None, *, timeout_s: float) -> str:
    """Return why the connection did not come up, as the end of a sentence; no error means that time ran out."""
    response = link.failed()
    said = None if response is None else remedy(link.place, response)
    if error is None:
        return said if said and link.kind == "sse" else f"it was not ready within {timeout_s:g} s"
    for leaf in _leaves(error):
        if said and (
            is_about_credentials(response)
            or is_stand_in(leaf)
            or isinstance(leaf, httpx2.HTTPStatusError | httpx2.SSEError)
        ):
            return said
        if (sentence := _sentence(link, leaf)) is not None:
            return sentence
    return f"{type(error).__name__}: {printable(str(error), 200)}"


def is_stand_in(error: BaseException) -> bool:
    """Whether these are the SDK's own words for an HTTP response that is no answer."""
    return isinstance(error, MCPError) and error.message.startswith(_STAND_INS)


def is_cut_off(error: MCPError) -> bool:
    """Whether these are the SDK's own words for an answer that did not come, or not whole."""
    return error.code in {mcp_types.CONNECTION_CLOSED, mcp_types.PARSE_ERROR} and error.message.startswith(_CUT_OFF)


def is_about_credentials(response: Response | None) -> bool:
    """Whether a response says more than the message in it can: that other credentials are wanted."""
    return response is not None and response.status in _CREDENTIALS


def was_never_reached(error: BaseException | None) -> bool:
    """Whether this failure means that nothing was listening."""
    unreached = httpx2.ConnectError | httpx2.ConnectTimeout
    return error is not None and any(isinstance(leaf, unreached) for leaf in _leaves(error))


def _sentence(link: Link, error: BaseException) -> str | None:  # noqa: PLR0911 - a line for each failure
    match error:
        case MCPError() if is_cut_off(error):
            status = link.exit_status()
            return "it closed the connection before it was ready" if status is None else f"it {_exit(status)}"
        case MCPError():
            return f"it refuses the connection: {printable(error.message, 200)}"
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return _unreached(link, printable(str(error), 200) or "no connection")
        case httpx2.ProxyError():
            return f"the proxy {link.proxy} does not lead to {link.place} ({printable(str(error), 100)}): {_SEE_PROXY}"
        case httpx2.TransportError():
            return f"{link.place} breaks off the connection ({type(error).__name__}): is it an MCP server at all?"
        case FileNotFoundError():
            return f"{error.filename} was not found"
        case OSError() if link.kind == "stdio":
            return f"{link.place} cannot be run: {error.strerror or error}"
        case ValidationError():
            return "it answers, but not as the protocol describes"
        case ValueError() | RuntimeError() | OSError():
            return printable(str(error), 200)
        case _:
            return None


def _unreached(link: Link, why: str) -> str:
    if link.proxy is not None:
        return f"nothing answers at the proxy {link.proxy} on the way to {link.place} ({why}): {_SEE_PROXY}"
    if "CERTIFICATE_VERIFY_FAILED" in why:
        reason = why.rpartition("verify failed: ")[2].partition(" (_ssl")[0]
        return (
            f"the certificate of {link.place} is not trusted ({reason}): if it is the right one, "
            "let SSL_CERT_FILE name the authority that issued it"
        )
    if "SSL" in why:
        return f"{link.place} does not speak TLS as it should ({why}): is its `url` http:// instead?"
    return f"nothing answers at {link.place} ({why}): is the server running?"


def _exit(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"been ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"been ended by signal {-status}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # generic
            yield from _leaves(inner)  # pyright: ignore[reportUnknownArgumentType]  # generic
    else:
        yield error
