"""The calls that leave: made at the servers, and turned into what the model is told and the host keeps of them."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from agent.callbacks import Answers
from agent.catalog import Catalog, OfferedTool, ReadableTemplate
from agent.content import resource_content, result_content
from agent.documents import at
from agent.errors import CallUncertain, ServerProtocolError
from agent.facts import read_facts
from agent.host import Host
from agent.protocols import Observer, Till
from agent.records import CallStatus, Case, JsonObject, Spent, ToolResult
from agent.settings import Settings, ToolReference
from agent.unseen import without_unseen


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What is so at the time when a call is judged, whatever the call is."""

    now: datetime
    spent: Spent  # by all runs since midnight UTC


class Calls(Protocol):
    """What the gate lets out, and what comes back: from the servers, or from a run's record."""

    async def facts(
        self, tool_use_id: str, tool: OfferedTool, arguments: Any, value_of: Callable[[str], Any]
    ) -> dict[str, Any]:
        """Return what the host must know to judge this call; see `read_facts` for what it raises."""
        ...

    async def ticket_version(self, tool_use_id: str) -> Any:
        """Return the version that the ticket has now; None where its helpdesk keeps none."""
        ...

    async def reread(self, tool_use_id: str) -> ToolResult:
        """Return what the model is told of a ticket that has moved: its text as it is now, and that text's version."""
        ...

    async def circumstances(self, tool_use_id: str, *, is_payment: bool) -> Circumstances:
        """Return the time, and what was spent today; for a payment, what other runs spend meanwhile is in it."""
        ...

    async def call(
        self, tool_use_id: str, tool: OfferedTool, arguments: JsonObject, *, key: str, is_again: bool
    ) -> ToolResult:
        """Make this call and return what became of it; `is_again`: it may have been made before.

        Raises:
            ServerLost: the tool's server is gone for good, and the call was certainly not made now.
        """
        ...

    async def read(self, tool_use_id: str, template: ReadableTemplate, uri: str) -> ToolResult:
        """Return what the resource holds now.

        Raises:
            ServerLost: its server is gone for good.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LiveCalls:
    """Makes the calls of one run at the servers.

    `version` reads the ticket's version: a call that shows the model the ticket is told with the version of before.
    `ticket_now` reads its text.
    """

    till: Till

    case: Case
    catalog: Catalog
    host: Host
    settings: Settings
    answers: Answers
    observer: Observer
    version: Callable[[], Awaitable[Any]]
    ticket_now: Callable[[], Awaitable[str]]

    async def facts(
        self,
        tool_use_id: str,  # noqa: ARG002 - facts are read for a call, and not as a part of it
        tool: OfferedTool,
        arguments: Any,
        value_of: Callable[[str], Any],
    ) -> dict[str, Any]:
        """Read the facts that this call is judged by."""
        return await read_facts(
            tool,
            arguments,
            catalog=self.catalog,
            host=self.host,
            value_of=value_of,
            most_chars=self.settings.limits.argument_chars,
        )

    async def ticket_version(self, tool_use_id: str) -> Any:  # noqa: ARG002 - the same for every call
        """Read the ticket's version."""
        return await self.version()

    async def reread(self, tool_use_id: str) -> ToolResult:  # noqa: ARG002 - the same for every call
        """Read the ticket."""
        seen = await self._version_shown(is_shown=True)
        return replace(ToolResult.saying(CallStatus.FAILED, await self.ticket_now()), versions=seen)

    async def circumstances(
        self,
        tool_use_id: str,  # noqa: ARG002 - the same for every call
        *,
        is_payment: bool,
    ) -> Circumstances:
        """Look at the clock and into the journal."""
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Circumstances(now=now, spent=await self.till.spent(midnight, is_fresh=is_payment))

    async def call(
        self, tool_use_id: str, tool: OfferedTool, arguments: JsonObject, *, key: str, is_again: bool
    ) -> ToolResult:
        """Call the tool, with the key where its server honours keys."""
        if is_again and not tool.is_repeatable:
            return ToolResult.saying(CallStatus.UNCERTAIN, _INTERRUPTED)
        seen = await self._version_shown(is_shown=self._shows_ticket(tool))
        try:
            answer = await self.host.call_tool(
                tool.server,
                tool.name,
                arguments,
                key=key if tool.honours_keys and not tool.is_read else None,
                is_repeatable=tool.is_repeatable,
                answers=self.answers.for_call(tool.server, tool_use_id),
                on_progress=lambda done, total, message: self.observer.progress(
                    self.case.ticket.id, tool.qualified, done, total, message
                ),
            )
        except CallUncertain as lost:
            return _lost(tool, lost)
        content = result_content(answer, self.settings.limits.result_chars)
        if answer.is_error:
            return ToolResult(content=content, status=CallStatus.FAILED)
        versions = seen if tool.is_read else self._versions_after(tool, answer.structured_content)
        return ToolResult(content=content, status=CallStatus.DONE, versions=versions)

    async def read(
        self,
        tool_use_id: str,  # noqa: ARG002 - nothing is asked back while a resource is read
        template: ReadableTemplate,
        uri: str,
    ) -> ToolResult:
        """Read the resource, past every cache."""
        tickets = self.settings.tickets
        forms = {_form(shown) for shown in (tickets.record, tickets.context) if isinstance(shown, str)}
        seen = await self._version_shown(
            is_shown=template.server == tickets.server and _form(template.template) in forms
        )
        try:
            answer = await self.host.read_resource(template.server, uri)
        except ServerProtocolError as refused:
            return ToolResult.saying(CallStatus.FAILED, without_unseen(str(refused)))
        content = resource_content(answer, self.settings.limits.result_chars)
        return ToolResult(content=content, status=CallStatus.DONE, versions=seen)

    async def _version_shown(self, *, is_shown: bool) -> dict[str, Any]:
        # Read before the text is: what the model then knows is at least as new as what it writes against.
        return {"ticket": await self.version()} if is_shown else {}

    def _shows_ticket(self, tool: OfferedTool) -> bool:
        tickets = self.settings.tickets
        shown = [place.tool for place in (tickets.record, tickets.context) if isinstance(place, ToolReference)]
        return tool.is_read and tool.server == tickets.server and tool.name in shown

    def _versions_after(self, tool: OfferedTool, structured: Any) -> dict[str, Any]:
        configured = {"ticket": self.settings.tickets, "customer": self.settings.customers}
        # A write on the helpdesk may have moved the ticket, whether it says so or not: not known is better than wrong.
        versions: dict[str, Any] = {"ticket": None} if tool.server == self.settings.tickets.server else {}
        for path in tool.settings.bind.values():
            owner, _, name = path.partition(".")
            source = configured.get(owner)
            if name == "version" and source is not None:
                versions[owner] = at(structured, source.fields.get("version", "/version"))
        return versions


class VoidingCalls(LiveCalls):
    """Settles the calls of a cancelled run: none is made, and those that were are cancelled where their server can."""

    async def call(
        self,
        tool_use_id: str,  # noqa: ARG002 - nothing is asked back
        tool: OfferedTool,
        arguments: JsonObject,
        *,
        key: str,
        is_again: bool,
    ) -> ToolResult:
        """Return what a call that was under way has come to: cancelled, done, or unknown.

        Raises:
            ServerError: its server cannot say.
        """
        if tool.is_read or not is_again:
            return ToolResult.saying(CallStatus.FAILED, "Not made: the run was cancelled.")
        if not (tool.honours_keys and self.settings.server(tool.server).void):
            return ToolResult.saying(CallStatus.UNCERTAIN, "Its fate is unknown: the run was cancelled meanwhile.")
        answer = await self.host.void(tool.server, tool.name, arguments, key=key)
        if answer is None:
            return ToolResult.saying(CallStatus.FAILED, "Cancelled before it was carried out; it never will be.")
        content = result_content(answer, self.settings.limits.result_chars)
        return ToolResult(content=content, status=CallStatus.DONE)


_INTERRUPTED = (
    "Its fate is unknown: this run was interrupted while the call was under way, and its server keeps no keys. "
    "Look before you repeat."
)


def _form(template: str) -> str:
    """Return the template without the names of its variables, which each side chooses for itself."""
    return re.sub(r"\{\w+\}", "{}", template)


def _lost(tool: OfferedTool, error: CallUncertain) -> ToolResult:
    if tool.is_read:
        return ToolResult.saying(CallStatus.FAILED, f"No answer: {error} Nothing was changed by it; you may try again.")
    return ToolResult.saying(CallStatus.UNCERTAIN, f"Its fate is unknown: {error} Look before you repeat.")
