"""What the operator is told about one server, on one line each, and no more often than it helps."""

import json
from collections.abc import Callable

import mcp_types
from mcp.client import IncomingMessage

from agent.wire.child import MalformedLine
from agent.wire.link import LeftOut, printable

MOST_SAID = 20
"""Log messages of one connection that are shown."""

LOG_LEVEL: mcp_types.LoggingLevel = "warning"
"""From where on they are: servers are asked for no others."""

LIST_CHANGES = (
    mcp_types.ToolListChangedNotification,
    mcp_types.ResourceListChangedNotification,
    mcp_types.PromptListChangedNotification,
)
"""What says that something else is offered than before."""

_LOUD = frozenset({"warning", "error", "critical", "alert", "emergency"})


class Notices:
    """Turns what happens on one connection into sentences for the operator."""

    def __init__(self, name: str, notice: Callable[[str], None], noticed: set[str]) -> None:
        """Tell `notice`; `noticed` is what has been said once about this server, over all its connections."""
        self._name = name
        self._notice = notice
        self._noticed = noticed
        self._said = 0
        self.garbage = ""  # the first line that was no message

    def tell(self, what: str) -> None:
        """Say something of the server: the end of a sentence."""
        self._notice(f"{self._name} {what}.")

    def once(self, sentence: str, *, about: str | None = None) -> None:
        """Say something that need not be said again."""
        if (about or sentence) not in self._noticed:
            self._noticed.add(about or sentence)
            self._notice(sentence)

    def left_out(self, entry: LeftOut) -> None:
        """Say that an entry of a list is not used."""
        self.once(f"{self._name}: {entry.kind} {entry.name} is left out: {entry.because}.")

    def logged(self, params: mcp_types.LoggingMessageNotificationParams) -> None:
        """Say what the server logs, if it is a warning or worse."""
        if params.level not in _LOUD or self._said > MOST_SAID:
            return
        self._said += 1
        if self._said > MOST_SAID:
            self._notice(f"{self._name} has said {MOST_SAID} such things; the next are not shown.")
            return
        said = params.data if isinstance(params.data, str) else json.dumps(params.data, default=str)
        self._notice(f"{self._name} says ({params.level}): {printable(said, 500)}")

    def unreadable(self, what: Exception) -> None:
        """Say that the server sends what is no message."""
        if isinstance(what, MalformedLine):
            self.garbage = self.garbage or printable(what.line, 100)
            self.once(
                f"{self._name} writes what is not JSON-RPC to its stdout; it is ignored: {self.garbage}",
                about="garbage",
            )
        else:
            self.once(f"{self._name} sent what cannot be read: {printable(str(what), 200)}", about="garbage")

    def heard(self, message: IncomingMessage) -> None:
        """Say what a notification of the server means for the run, if anything."""
        if isinstance(message, Exception):
            self.unreadable(message)
        elif isinstance(message, LIST_CHANGES):
            self.once(
                f"{self._name} has changed what it offers; this command goes on with what it offered at its start.",
                about="changed",
            )
