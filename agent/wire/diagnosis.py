"""Why a server did not start or did not go on, as one sentence."""

import signal
from collections.abc import Iterator

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from agent.wire.link import Link, printable

_HTTP = {
    401: "it wants other credentials: see its `headers` in .mcp.json",
    403: "these credentials do not suffice: see its `headers` in .mcp.json",
    404: "there is no MCP server at this address",
    405: "there is no MCP server of this type at this address",
}


def ending(link: Link) -> str:
    """Return how a connection that was up has ended, as the end of a sentence."""
    status = link.exit_status()
    return "has closed the connection" if status is None else f"has {_exit(status)}"


def why_not_started(link: Link, error: BaseException | None, *, timeout_s: float) -> str:
    """Return why the connection did not come up, as the end of a sentence; no error means that time ran out."""
    http_status = link.http_status()
    if error is None:
        return f"it was not ready within {timeout_s:g} s"
    if http_status is not None and http_status >= 400:
        return f"{link.place} answers HTTP {http_status}: {_HTTP.get(http_status, 'it is out of order')}"
    for leaf in _leaves(error):
        if (sentence := _sentence(link, leaf)) is not None:
            return sentence
    return f"{type(error).__name__}: {printable(str(error), 200)}"


def was_never_reached(error: BaseException | None) -> bool:
    """Whether this failure means that nothing was listening."""
    return error is not None and any(isinstance(leaf, httpx2.ConnectError) for leaf in _leaves(error))


def _sentence(link: Link, error: BaseException) -> str | None:  # noqa: PLR0911 - a line for each failure
    match error:
        case MCPError(code=mcp_types.CONNECTION_CLOSED):
            status = link.exit_status()
            return "it closed the connection before it was ready" if status is None else f"it {_exit(status)}"
        case MCPError():
            return f"it refuses the connection: {printable(error.message, 200)}"
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return f"nothing answers at {link.place} ({printable(str(error), 100) or 'no connection'})"
        case httpx2.TransportError():
            return f"{link.place} cannot be talked to ({type(error).__name__})"
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
