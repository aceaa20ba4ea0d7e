"""The question which protocol a server speaks, and an answer that came late.

The SDK waits ten seconds for the answer to `server/discover`, then tries the older handshake. A server that takes
longer to start finds both questions before it: it answers the first, and refuses the second if it knows no handshake.
"""

from typing import Any

from mcp_types import UNSUPPORTED_PROTOCOL_VERSION, JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse
from mcp_types.version import MODERN_PROTOCOL_VERSIONS


class Probe:
    """Follows the two questions, and lets a refused handshake name the versions that the late answer named."""

    def __init__(self) -> None:
        self._asked: dict[str, int | str] = {}  # method → id of the request
        self._versions: list[str] = []

    def leaving(self, message: JSONRPCMessage) -> None:
        """Note a question that is about to leave."""
        if isinstance(message, JSONRPCRequest) and message.method in {"server/discover", "initialize"}:
            self._asked[message.method] = message.id

    def arrived(self, message: JSONRPCMessage) -> None:
        """Note an answer; the SDK asks again when a refusal names a version that it knows."""
        if not self._asked or not isinstance(message, JSONRPCResponse | JSONRPCError):
            return
        if message.id == self._asked.get("server/discover") and isinstance(message, JSONRPCResponse):
            said: Any = message.result.get("supportedVersions")
            self._versions = [version for version in MODERN_PROTOCOL_VERSIONS if version in (said or ())]
        elif message.id == self._asked.get("initialize") and isinstance(message, JSONRPCError) and self._versions:
            versions = {"supported": self._versions, "requested": ""}
            message.error = message.error.model_copy(update={"code": UNSUPPORTED_PROTOCOL_VERSION, "data": versions})
            self._asked.clear()
