"""What it means that a request got no result: refused, unanswered, or answered with what is no answer."""

import mcp_types
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agent.wire.diagnosis import is_about_credentials, is_cut_off, is_stand_in
from agent.wire.flight import Flight
from agent.wire.http import remedy

_SERVER_ERROR = -32000
_SESSION_GONE = "Session terminated"  # the SDK's words for a 404 within a session


class NoAnswer(Exception):  # noqa: N818 - reads as the sentence it is
    """The server gave no answer; `has_left` says whether it can have seen the request."""

    def __init__(self, why: str, *, has_left: bool) -> None:
        super().__init__(why)
        self.has_left = has_left


class SessionGone(NoAnswer):
    """The server does not know this connection any more; it has not looked at the request."""


class UnusableAnswer(Exception):  # noqa: N818 - reads as the sentence it is
    """The server answered, and not with what the request promises: what it did is not known."""


def over_http(
    name: str, place: str, version: str, error: MCPError, flight: Flight
) -> MCPError | NoAnswer | UnusableAnswer:
    """Return what a protocol error means on streamable HTTP, where the SDK also says so of failed connections."""
    if is_cut_off(error):
        return NoAnswer(f"{name} ended its response too early", has_left=flight.has_left)
    if version not in MODERN_PROTOCOL_VERSIONS and _has_no_session(error, flight):
        return SessionGone(f"{name} has forgotten the session", has_left=False)
    response = flight.response
    said = None if response is None else remedy(place, response)
    if response is None or said is None or not (is_about_credentials(response) or is_stand_in(error)):
        return error
    if response.status >= 500:
        return NoAnswer(f"{name}: {said}", has_left=flight.has_left)
    if response.status < 300:
        return UnusableAnswer(f"{name}: {said}")
    return MCPError(error.code, f"{name}: {said}.")


def _has_no_session(error: MCPError, flight: Flight) -> bool:
    if error.code == mcp_types.INVALID_REQUEST and error.message == _SESSION_GONE:
        return True
    # Not as the specification has it, but as many servers do.
    is_bad_request = flight.response is not None and flight.response.status == 400
    return is_bad_request and error.code == _SERVER_ERROR and "session" in error.message.lower()
