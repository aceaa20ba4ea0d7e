"""One tool call's way: bind → validate → read facts → decide → approve → record the attempt → call → record the result.

Every call of a run passes here, the model's and the host's own. What cannot pass comes back as a result.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent import policy
from agent.binding import Bound, UnusableArguments, bind
from agent.callbacks import Answers
from agent.catalog import READ_RESOURCE, Catalog, OfferedTool, ReadableTemplate
from agent.content import resource_content, result_content
from agent.documents import at
from agent.errors import CallUncertain, ServerLost, ServerProtocolError
from agent.facts import read_facts
from agent.host import Host
from agent.ledger import Ledger
from agent.protocols import Approver, Observer, Recorder
from agent.records import (
    CallStatus,
    Case,
    Decision,
    EffectReport,
    EntryKind,
    JsonObject,
    Proposal,
    RunMode,
    ToolCall,
    ToolResult,
    Verdict,
)
from agent.settings import Settings, ToolReference

_LONGEST_SHOWN = 200  # characters of a name that no tool has
_LONGEST_REASON = 500  # characters of what a failed call's server said


@dataclass(frozen=True, kw_only=True, slots=True)
class _Admitted:
    """A call with everything that was found out about it before it may leave."""

    call: ToolCall
    tool: OfferedTool
    arguments: JsonObject
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Lets the calls of one run through, one decision each, and writes into the ledger what became of them."""

    case: Case
    catalog: Catalog
    host: Host
    settings: Settings
    mode: RunMode
    approver: Approver
    answers: Answers
    recorder: Recorder
    observer: Observer
    ledger: Ledger

    def is_read(self, call: ToolCall) -> bool:
        """Whether this call changes nothing, so that it may run beside others."""
        tool = self.catalog.offered(call.name)
        return call.name == READ_RESOURCE or (tool is not None and tool.is_read)

    async def pass_through(self, call: ToolCall, *, turn_seq: int) -> ToolResult:
        """Return what the model is told about this call; `turn_seq` numbers the reply that asked for it.

        Raises:
            ServerLost: the tool's server is gone for good; the run cannot go on.
        """
        if call.name == READ_RESOURCE and self.catalog.readable:
            return await self._read_resource(call)
        tool = self.catalog.offered(call.name)
        if tool is None:
            names = ", ".join(definition["name"] for definition in self.catalog.definitions)
            text = f"There is no tool {call.name[:_LONGEST_SHOWN]!r}. There are: {names}."
            return await self._answer(call, call.name[:_LONGEST_SHOWN], CallStatus.FAILED, text)
        return await self._pass(call, tool, turn_seq=turn_seq, is_by_host=False)

    async def call_by_host(self, call: ToolCall, tool: OfferedTool, *, turn_seq: int) -> ToolResult:
        """Make a call that the host itself wants, by the same way."""
        return await self._pass(call, tool, turn_seq=turn_seq, is_by_host=True)

    def shows_ticket(self, call: ToolCall) -> bool:
        """Whether this call gives the model the ticket, its record or its text, as it is now."""
        tickets = self.settings.tickets
        shown = (tickets.record, tickets.context)
        if call.name == READ_RESOURCE:
            located = self._located(call)
            forms = {_form(reference) for reference in shown if isinstance(reference, str)}
            return located is not None and _form(located[0].template) in forms
        tool = self.catalog.offered(call.name)
        return (
            tool is not None
            and tool.server == tickets.server
            and any(isinstance(reference, ToolReference) and reference.tool == tool.name for reference in shown)
        )

    async def _pass(self, call: ToolCall, tool: OfferedTool, *, turn_seq: int, is_by_host: bool) -> ToolResult:
        try:
            facts = await read_facts(
                tool,
                call.arguments,
                catalog=self.catalog,
                host=self.host,
                value_of=lambda path: self._value(path, {}),
                most_chars=self.settings.limits.argument_chars,
            )
            bound = self._bind(tool, call.arguments, facts)
        except UnusableArguments as unusable:
            return await self._answer(call, tool.qualified, CallStatus.FAILED, str(unusable), tool=tool)
        decision = await self._decide(call, tool, bound, facts, is_by_host=is_by_host)
        admitted = _Admitted(call=call, tool=tool, arguments=bound.arguments, decision=decision)
        refusal = await self._refusal(admitted)
        if refusal is not None:
            told = _told(CallStatus.DENIED, f"Denied: {' '.join(refusal)}")
            return await self._finish(admitted, told, key=None, reasons=refusal)
        note = f" ({', '.join(bound.stripped)}: set by the host; yours was ignored.)" if bound.stripped else ""
        if self.mode is RunMode.DRY_RUN and not tool.is_read:
            text = f"Recorded, not executed: this is a dry run. Go on as if it had been done.{note}"
            return await self._finish(admitted, _told(CallStatus.PLANNED, text), key=None)
        return await self._call(admitted, key=f"{self.recorder.run_id}/{turn_seq}/{call.id}", note=note)

    def _bind(self, tool: OfferedTool, arguments: Any, facts: Mapping[str, Any]) -> Bound:
        def value_of(path: str) -> Any:
            return self._value(path, facts)

        return bind(tool, arguments, value_of, most_chars=self.settings.limits.argument_chars)

    def _value(self, path: str, facts: Mapping[str, Any]) -> Any:
        owner, _, name = path.partition(".")
        if owner == "facts":
            return facts.get(name)
        return self.ledger.versions.get(owner) if name == "version" else self.case.value(path)

    async def _decide(
        self, call: ToolCall, tool: OfferedTool, bound: Bound, facts: Mapping[str, Any], *, is_by_host: bool
    ) -> Decision:
        decision = policy.decide(
            policy.Judged(
                tool=tool.qualified,
                effect=tool.effect,
                is_confined=tool.is_confined,
                is_public=tool.settings.public,
                is_by_host=is_by_host,
                arguments=bound.arguments,
                facts=facts,
                case=self.case,
                writes=self.ledger.writes,
                most_writes=self.settings.limits.writes,
                has_ended=self.ledger.has_ended,
            )
        )
        await self.recorder.append(
            EntryKind.DECISION,
            {
                "tool_use_id": call.id,
                "tool": tool.qualified,
                "effect": tool.effect.value,
                "arguments": bound.arguments,
                "verdict": decision.verdict.value,
                "reasons": [{"rule": reason.rule, "because": reason.because} for reason in decision.reasons],
                "stripped": list(bound.stripped),
                "facts": dict(facts),
            },
        )
        return decision

    async def _refusal(self, admitted: _Admitted) -> tuple[str, ...] | None:
        """Return why this call may not leave, in sentences, or None when it may."""
        because = tuple(reason.because for reason in admitted.decision.reasons)
        if admitted.decision.verdict is Verdict.DENY:
            return because
        # A dry run asks nobody: the plan says which of its calls would need a yes.
        if admitted.decision.verdict is Verdict.ALLOW or self.mode is RunMode.DRY_RUN:
            return None
        with self.ledger.waiting():
            approval = await self.approver.approve(
                Proposal(
                    case=self.case,
                    tool=admitted.tool.qualified,
                    effect=admitted.tool.effect,
                    arguments=admitted.arguments,
                    decision=admitted.decision,
                )
            )
        await self.recorder.append(
            EntryKind.APPROVAL,
            {
                "tool_use_id": admitted.call.id,
                "tool": admitted.tool.qualified,
                "is_granted": approval.is_granted,
                "by": approval.by,
                "because": approval.because,
            },
        )
        return None if approval.is_granted else (*because, f"It was not given: {approval.because}.")

    async def _call(self, admitted: _Admitted, *, key: str, note: str) -> ToolResult:
        tool, call = admitted.tool, admitted.call
        # Written before the call: a crash between the two must leave evidence of the attempt.
        await self.recorder.append(
            EntryKind.ATTEMPT,
            {"tool_use_id": call.id, "tool": tool.qualified, "arguments": admitted.arguments, "key": key},
        )
        if not tool.is_read:
            self.ledger.in_flight[call.id] = tool.qualified
        ticket_id = self.case.ticket.id
        began = time.monotonic()
        try:
            answer = await self.host.call_tool(
                tool.server,
                tool.name,
                admitted.arguments,
                key=key if tool.honours_keys and not tool.is_read else None,
                is_repeatable=tool.is_repeatable,
                answers=self.answers.for_call(tool.server, call.id),
                on_progress=lambda done, total, message: self.observer.progress(
                    ticket_id, tool.qualified, done, total, message
                ),
            )
        except CallUncertain as lost:
            result = _lost(tool, lost)
        except ServerLost as gone:
            self.ledger.in_flight.pop(call.id, None)
            await self._finish(admitted, _told(CallStatus.FAILED, f"Not made: {gone}"), key=None)
            raise
        else:
            content = result_content(answer, self.settings.limits.result_chars)
            if note:
                content.append({"type": "text", "text": note.strip()})
            status = CallStatus.FAILED if answer.is_error else CallStatus.DONE
            result = ToolResult(content=content, status=status, structured=answer.structured_content)
        # Not in a `finally`: a call that an interruption cuts off stays in flight.
        self.ledger.in_flight.pop(call.id, None)
        if result.status is CallStatus.DONE and not tool.is_read:
            self._track_versions(tool, result)
        return await self._finish(admitted, result, key=key, seconds=time.monotonic() - began)

    def _track_versions(self, tool: OfferedTool, result: ToolResult) -> None:
        configured = {"ticket": self.settings.tickets, "customer": self.settings.customers}
        for path in tool.settings.bind.values():
            owner, _, name = path.partition(".")
            source = configured.get(owner)
            if name == "version" and source is not None:
                self.ledger.versions[owner] = at(result.structured, source.fields.get("version", "/version"))

    async def _finish(
        self,
        admitted: _Admitted,
        result: ToolResult,
        *,
        key: str | None,
        seconds: float = 0.0,
        reasons: tuple[str, ...] | None = None,
    ) -> ToolResult:
        if reasons is None:
            decided = tuple(reason.because for reason in admitted.decision.reasons)
            # What it was allowed for says nothing about why it then failed.
            reasons = (result.text[:_LONGEST_REASON],) if result.is_error else decided
        self._note_effect(admitted.tool, admitted.arguments, result.status, reasons, key)
        await self._record_result(admitted.call, admitted.tool.qualified, result, seconds)
        return result

    async def _answer(
        self, call: ToolCall, name: str, status: CallStatus, text: str, *, tool: OfferedTool | None = None
    ) -> ToolResult:
        """Answer a call that never became one: unknown, or with arguments that make no call."""
        result = _told(status, text)
        if tool is not None:
            arguments: JsonObject = call.arguments if isinstance(call.arguments, dict) else {}  # pyright: ignore[reportUnnecessaryIsInstance]  # a model's word
            self._note_effect(tool, arguments, status, (text,), None)
        await self._record_result(call, name, result, 0.0)
        return result

    def _note_effect(
        self, tool: OfferedTool, arguments: JsonObject, status: CallStatus, reasons: tuple[str, ...], key: str | None
    ) -> None:
        if tool.is_read:
            return
        report = EffectReport(
            server=tool.server, tool=tool.name, arguments=arguments, status=status, reasons=reasons, key=key
        )
        self.ledger.note(tool.effect, report)

    async def _record_result(self, call: ToolCall, name: str, result: ToolResult, seconds: float) -> None:
        await self.recorder.append(
            EntryKind.RESULT,
            {
                "tool_use_id": call.id,
                "tool": name,
                "status": result.status.value,
                "content": result.content,
                "seconds": round(seconds, 4),
            },
        )

    async def _read_resource(self, call: ToolCall) -> ToolResult:
        located = self._located(call)
        if located is None:
            readable = ", ".join(entry.template for entry in self.catalog.readable)
            text = f"Denied: only this run's own ticket and customer, and what is public, can be read: {readable}."
            return await self._answer(call, READ_RESOURCE, CallStatus.DENIED, text)
        template, own_uri = located
        began = time.monotonic()
        try:
            answer = await self.host.read_resource(template.server, own_uri)
        except ServerProtocolError as refused:
            return await self._answer(call, READ_RESOURCE, CallStatus.FAILED, str(refused))
        content = resource_content(answer, self.settings.limits.result_chars)
        result = ToolResult(content=content, status=CallStatus.DONE)
        await self._record_result(call, READ_RESOURCE, result, time.monotonic() - began)
        return result

    def _located(self, call: ToolCall) -> tuple[ReadableTemplate, str] | None:
        arguments: Any = call.arguments  # a model's word
        uri = cast("JsonObject", arguments).get("uri") if isinstance(arguments, dict) else None
        return self.catalog.locate(uri, self.case) if isinstance(uri, str) else None


def _form(template: str) -> str:
    """Return the template without the names of its variables, which each side chooses for itself."""
    return re.sub(r"\{\w+\}", "{}", template)


def _told(status: CallStatus, text: str) -> ToolResult:
    return ToolResult(content=[{"type": "text", "text": text}], status=status)


def _lost(tool: OfferedTool, error: CallUncertain) -> ToolResult:
    if tool.is_read:
        return _told(CallStatus.FAILED, f"No answer: {error} Nothing was changed by it; you may try again.")
    return _told(CallStatus.UNCERTAIN, f"Its fate is unknown: {error} Look before you repeat.")
