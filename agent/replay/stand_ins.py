"""Who answers a replayed run in place of the model, the servers and the person: the record."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from agent.binding import UnusableArguments
from agent.calling import Circumstances
from agent.catalog import OfferedTool, ReadableTemplate
from agent.ending import HOST_CALL
from agent.errors import ServerLost
from agent.host import Host
from agent.ledger import Ledger
from agent.protocols import Observer
from agent.recall import recall
from agent.records import (
    Approval,
    CallStatus,
    Case,
    EffectReport,
    EntryKind,
    JsonObject,
    ModelRequest,
    Outcome,
    OutcomeKind,
    Proposal,
    Reply,
    Spent,
    ToolResult,
    Usage,
)
from agent.replay.comparing import Comparing, RecordEnds
from agent.replay.recorded import Recorded
from agent.settings import Settings
from agent.tickets import Helpdesk

_NOT_MADE = "Not made: "

_OUR_TEXTS = 2
"""Of the first message: ticket and customer follow what the server's prompt says."""


class RecordedModel:
    """Says what was said."""

    def __init__(self, record: Recorded, comparing: Comparing) -> None:
        self._comparing = comparing
        self._name: str = record.case["model"]

    @property
    def name(self) -> str:
        """The recorded model's."""
        return self._name

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:  # noqa: ARG002 - as recorded
        """Return the recorded reply.

        Raises:
            RecordEnds: none is recorded.
            Differs: the recorded run has asked for none here.
        """
        said = self._comparing.said(EntryKind.REPLY)
        if said is None and self._comparing.said(EntryKind.OUTCOME):
            raise RecordEnds("The run was stopped here, and had already ended its ticket.")
        if said is None:
            raise self._comparing.ended("the model would be asked for another reply")
        return Reply(
            content=said["content"],
            stop_reason=said["stop_reason"],
            model=said["model"],
            usage=Usage(**said["usage"]),
            cost_usd=said["cost_usd"],
        )

    async def aclose(self) -> None:
        """Hold nothing."""


class RecordedPerson:
    """Answers as the person did."""

    def __init__(self, comparing: Comparing) -> None:
        self._comparing = comparing

    async def approve(self, proposal: Proposal) -> Approval:  # noqa: ARG002 - the decision on it was compared
        """Return the recorded answer."""
        said = self._comparing.approval()
        return Approval(is_granted=said["is_granted"], by=said["by"], because=said["because"])


class RecordedCalls:
    """Lets no call out: facts and results come from the record."""

    def __init__(self, record: Recorded, comparing: Comparing, ledger: Ledger) -> None:
        self._record = record
        self._comparing = comparing
        self._ledger = ledger

    async def facts(
        self,
        tool_use_id: str,
        tool: OfferedTool,
        arguments: Any,  # noqa: ARG002 - what they were read for is compared with the decision
        value_of: Callable[[str], Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the facts that the call was judged by."""
        if not tool.settings.facts:
            return {}
        if self._comparing.is_decided(tool_use_id):
            return self._comparing.decision(tool_use_id).body["facts"]
        raise UnusableArguments(_result(self._comparing.result(tool_use_id)).text)

    async def ticket_version(self, tool_use_id: str) -> Any:
        """Return the version that the ticket had, where one was looked at."""
        if not self._comparing.is_decided(tool_use_id):
            return None
        return self._comparing.decision(tool_use_id).body["ticket_version"]

    async def reread(self, tool_use_id: str) -> ToolResult:
        """Return how the ticket read then."""
        return _result(self._comparing.result(tool_use_id))

    async def circumstances(self, tool_use_id: str, *, is_payment: bool) -> Circumstances:  # noqa: ARG002 - as recorded
        """Return the time and the totals by which the call was judged."""
        entry = self._comparing.decision(tool_use_id)
        now, spent = entry.body["now"], entry.body["spent"]
        if now is None:  # it was refused before the rules were asked; that they are asked now shows in the decision
            return Circumstances(now=entry.at, spent=Spent(since=entry.at, customer_cents=0, all_cents=0))
        at = datetime.fromisoformat(now)
        return Circumstances(now=at, spent=Spent(since=at, **spent))

    async def call(
        self,
        tool_use_id: str,
        tool: OfferedTool,
        arguments: JsonObject,  # noqa: ARG002 - compared with the attempt
        *,
        key: str,  # noqa: ARG002
        is_again: bool,  # noqa: ARG002 - a replay is never interrupted
    ) -> ToolResult:
        """Return what came of the call, and spend what its server asked of the model meanwhile."""
        for asked in self._record.sampled.get(tool_use_id, ()):
            self._ledger.spend(Usage(**asked["usage"]), asked["cost_usd"])
        for asked in self._record.declined.get(tool_use_id, ()):
            self._ledger.declined(tool_use_id, asked.body["server"], asked.kind.value)
        recorded = self._comparing.result(tool_use_id)
        result = _result(recorded)
        if _was_not_made(recorded, result):
            raise ServerLost(tool.server, result.text.removeprefix(_NOT_MADE))
        decisions = [step for step in self._record.calls[tool_use_id] if step.kind is EntryKind.DECISION]
        if decisions and decisions[-1].body["stripped"] and result.status in {CallStatus.DONE, CallStatus.FAILED}:
            # The last block is the gate's own note, which it adds again.
            return ToolResult(content=result.content[:-1], status=result.status, versions=result.versions)
        return result

    async def read(self, tool_use_id: str, template: ReadableTemplate, uri: str) -> ToolResult:  # noqa: ARG002
        """Return what was read."""
        return _result(self._comparing.result(tool_use_id))


class RecordedHelpdesk(Helpdesk):
    """The helpdesk as the run found it."""

    def __init__(self, record: Recorded, comparing: Comparing, settings: Settings, observer: Observer) -> None:
        # A host of no servers: there is nothing that could be asked.
        super().__init__(Host(settings.model_copy(update={"transports": {}}), observer), settings)
        self._first: list[JsonObject] = record.case["messages"][0]["content"]
        self._case = recall(record.entries[:1]).case
        self._comparing = comparing

    async def open(self, ticket_id: str) -> Case:  # noqa: ARG002 - the run's own
        """Return the case as the run began with it: where others had taken the ticket since, the record ends."""
        return self._case

    async def outcome(self, case: Case, effects: Iterable[EffectReport]) -> Outcome | None:  # noqa: ARG002 - as recorded
        """Return the recorded outcome where the run has come to it."""
        said = self._comparing.said(EntryKind.OUTCOME)
        if said is None or said["outcome"] == OutcomeKind.UNRESOLVED:
            return None
        return Outcome(kind=OutcomeKind(said["outcome"]), reason=said["reason"])

    async def version(self, ticket_id: str) -> Any:  # noqa: ARG002 - the run's own
        """Return the version that the hand-over was made against."""
        if not self._comparing.is_decided(HOST_CALL):
            return None
        decision = self._comparing.decision(HOST_CALL).body
        made_by = self._settings.tools.get(decision["tool"])
        bound = () if made_by is None else [name for name, path in made_by.bind.items() if path == "ticket.version"]
        return next((decision["arguments"].get(name) for name in bound), None)

    async def _prompt(self, case: Case) -> list[str]:
        if self._settings.tickets.prompt is None:
            return await super()._prompt(case)
        return [block["text"] for block in self._first[:-_OUR_TEXTS]]


def _result(recorded: JsonObject) -> ToolResult:
    return ToolResult(content=recorded["content"], status=CallStatus(recorded["status"]), versions=recorded["versions"])


def _was_not_made(recorded: JsonObject, result: ToolResult) -> bool:
    """Whether the call's server was gone before the call could leave."""
    if result.status is not CallStatus.FAILED:
        return False
    if recorded["effect"] is not None:
        return recorded["effect"]["key"] is None
    return len(result.content) == 1 and result.text.startswith(_NOT_MADE)
