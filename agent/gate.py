"""One tool call's way: judge → ask a person → judge again → record the attempt → call → record the result.

Every call of a run passes here, the model's and the host's own. What cannot pass comes back as a result.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any, cast

from agent.binding import UnusableArguments
from agent.calling import Calls
from agent.catalog import READ_RESOURCE, Catalog, OfferedTool, ReadableTemplate
from agent.errors import Paused, ServerLost
from agent.judging import Judge, Judged
from agent.ledger import MOVING, Ledger
from agent.outgoing import Outgoing, withheld
from agent.protocols import Approver, Recorder, SpentMeanwhile
from agent.recall import Past
from agent.records import (
    Approval,
    CallStatus,
    Case,
    Effect,
    EffectReport,
    EntryKind,
    JsonObject,
    Proposal,
    RunMode,
    ToolCall,
    ToolResult,
    Verdict,
    objections,
)

_LONGEST_SHOWN = 200  # characters of a name that no tool has
_LONGEST_REASON = 500  # characters of what a failed call's server said

_MEND = "Mend it and make the call again; the next time, people take over."

_MOST_QUESTIONS = 2
"""A call is asked about once more when its facts have changed since the first question; then it is refused."""

_MOST_ATTEMPTS = 10
"""A payment is judged anew when another run has paid since it was; each time, one of them has got on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Admitted:
    """A call with everything that was found out about it before it may leave."""

    call: ToolCall
    tool: OfferedTool
    arguments: JsonObject
    reasons: tuple[str, ...]  # the sentences of the rules that decided
    key: str
    stripped: tuple[str, ...]

    @property
    def note(self) -> str:
        """What the model is told about arguments that were not listened to."""
        return f" ({', '.join(self.stripped)}: set by the host; yours was ignored.)" if self.stripped else ""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Lets the calls of one run through, one at a time, and writes into the ledger what became of them."""

    case: Case
    catalog: Catalog
    calls: Calls
    judge: Judge
    mode: RunMode
    approver: Approver
    recorder: Recorder
    ledger: Ledger
    outgoing: Outgoing
    past: Past = field(default_factory=Past)

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
        if tool is None and call.id in self.past.attempts:
            return await self._gone(call)
        if tool is None:
            names = ", ".join(definition["name"] for definition in self.catalog.definitions)
            text = f"There is no tool {call.name[:_LONGEST_SHOWN]!r}. There are: {names}."
            return await self._answer(call, call.name[:_LONGEST_SHOWN], CallStatus.FAILED, text)
        return await self._pass(call, tool, turn_seq=turn_seq, is_by_host=False)

    async def call_by_host(self, call: ToolCall, tool: OfferedTool, *, turn_seq: int) -> ToolResult:
        """Make a call that the host itself wants, by the same way."""
        return await self._pass(call, tool, turn_seq=turn_seq, is_by_host=True)

    async def leave_out(self, call: ToolCall, tool: OfferedTool, arguments: JsonObject, because: str) -> ToolResult:
        """Record that this call is not made, and why."""
        admitted = _Admitted(call=call, tool=tool, arguments=arguments, reasons=(because,), key="", stripped=())
        told = ToolResult.saying(CallStatus.DENIED, f"Not made: {because}")
        return await self._finish(admitted, told, reasons=(because,))

    async def settle(self) -> dict[str, ToolResult]:
        """Give every call that has no recorded result one, in the order of their attempts; by key, reads left out.

        Raises:
            ServerError: a call's fate cannot be had now; those before it are recorded.
        """
        settled: dict[str, ToolResult] = {}
        for call_id, attempt in self.past.attempts.items():
            tool = self.catalog.qualified(attempt["tool"])
            call = ToolCall(id=call_id, name=attempt["tool"], arguments=attempt["arguments"])
            result = await (self._gone(call) if tool is None else self._again(call, tool))
            if attempt["effect"] != Effect.READ:
                settled[attempt["key"]] = result
        return settled

    async def _pass(self, call: ToolCall, tool: OfferedTool, *, turn_seq: int, is_by_host: bool) -> ToolResult:
        if call.id in self.past.attempts:
            return await self._again(call, tool)
        key = f"{self.recorder.run_id}/{turn_seq}/{call.id}"
        for _ in range(_MOST_ATTEMPTS):
            try:
                judged = await self._judged(call, tool, is_by_host=is_by_host)
            except UnusableArguments as unusable:
                return await self._answer(call, tool.qualified, CallStatus.FAILED, str(unusable), tool=tool)
            admitted = _Admitted(
                call=call,
                tool=tool,
                arguments=judged.arguments,
                reasons=judged.sentences,
                key=key,
                stripped=judged.stripped,
            )
            if judged.decision.verdict is Verdict.DENY:
                return await self._deny(admitted, judged)
            if self._is_planned(is_by_host=is_by_host) and not tool.is_read:
                return await self._plan(admitted, judged)
            if await self._attempt(admitted, judged):
                is_told = not is_by_host and self.mode is not RunMode.APPLY
                return await self._call(admitted, is_again=False, is_told=is_told)
        text = "Other runs are paying at this moment, so nobody can say what is left of the day's budget. Try again."
        return await self._answer(call, tool.qualified, CallStatus.FAILED, text, tool=tool)

    async def _judged(self, call: ToolCall, tool: OfferedTool, *, is_by_host: bool) -> Judged:
        """Return the verdict on this call once a person has been asked, where one must be; it is then never ASK.

        But in a run that only plans, which asks nobody: its plan says which of its calls would need a yes.
        """
        judged = await self.judge.judge(call, tool, is_by_host=is_by_host)
        for _ in range(_MOST_QUESTIONS):
            if judged.decision.verdict is not Verdict.ASK:
                return judged
            if self._is_planned(is_by_host=is_by_host):
                return judged.denied("A dry run asks nobody.") if tool.is_read else judged
            approval = self._given(call, judged) or await self._ask(call, tool, judged)
            if not approval.is_granted:
                return judged.denied(f"It was not given: {approval.because}.")
            # No permission yet: what was read before the question may be different after it.
            judged = await self.judge.judge(call, tool, approved=judged.digest, is_by_host=is_by_host)
        if judged.decision.verdict is Verdict.ASK:
            return judged.denied("What it would do was different each time that it was asked about.")
        return judged

    def _is_planned(self, *, is_by_host: bool) -> bool:
        """Whether a write is recorded instead of made: all of a run that plans, but the note with its draft."""
        return self.mode.is_planning and not (is_by_host and self.mode is RunMode.DRAFT)

    async def _again(self, call: ToolCall, tool: OfferedTool) -> ToolResult:
        """Make a call once more whose result was never recorded: as it was made, under the same key."""
        attempt, decided = self.past.attempts[call.id], self.past.decisions[call.id]
        admitted = _Admitted(
            call=call,
            tool=tool,
            arguments=attempt["arguments"],
            reasons=tuple(reason["because"] for reason in decided["reasons"]),
            key=attempt["key"],
            stripped=tuple(decided["stripped"]),
        )
        return await self._call(admitted, is_again=True)

    async def _deny(self, admitted: _Admitted, judged: Judged) -> ToolResult:
        sentences = " ".join(admitted.reasons)
        kinds = objections(judged.decision)
        if not kinds:
            told = ToolResult.saying(CallStatus.DENIED, f"Denied: {sentences}")
        elif "ticket" in kinds:
            told = await self.calls.reread(admitted.call.id)
        else:
            told = ToolResult.saying(CallStatus.FAILED, f"Not sent: {sentences} {_MEND}")
        if "leaves" in kinds or self.outgoing.is_leak(admitted.tool, admitted.arguments):
            admitted = replace(admitted, arguments=withheld(admitted.arguments, kept=admitted.tool.settings.bind))
        return await self._finish(admitted, told, reasons=admitted.reasons)

    async def _plan(self, admitted: _Admitted, judged: Judged) -> ToolResult:
        self.ledger.pay(admitted.call.id, admitted.tool.effect, judged.facts)
        text = f"Recorded, not executed: this is a dry run. Go on as if it had been done.{admitted.note}"
        return await self._finish(admitted, ToolResult.saying(CallStatus.PLANNED, text))

    def _given(self, call: ToolCall, judged: Judged) -> Approval | None:
        """Return the answer that a person has given to exactly these arguments, before something came in between."""
        body = self.past.approvals.get(call.id)
        if body is None or body["digest"] != judged.digest:
            return None
        return Approval(is_granted=body["is_granted"], by=body["by"], because=body["because"])

    async def _ask(self, call: ToolCall, tool: OfferedTool, judged: Judged) -> Approval:
        proposal = Proposal(
            case=self.case,
            tool=tool.qualified,
            effect=tool.effect,
            arguments=judged.arguments,
            decision=judged.decision,
            facts=judged.facts,
            changes=self.judge.changes(tool, judged.arguments),
        )
        began = time.monotonic()
        async with self.ledger.waiting():
            approval = await self.approver.approve(proposal)
            body: JsonObject = {
                "tool_use_id": call.id,
                "tool": tool.qualified,
                "digest": judged.digest,
                "is_granted": approval.is_granted,
                "by": approval.by,
                "because": approval.because,
                "seconds": round(time.monotonic() - began, 4),
            }
            # At once: an answer must survive whatever the run has to wait for next.
            await self.recorder.append(EntryKind.APPROVAL, body)
        self.past.approvals[call.id] = body
        return approval

    async def _attempt(self, admitted: _Admitted, judged: Judged) -> bool:
        """Record that the call is about to leave; False: another run has paid since this one was judged."""
        call, tool = admitted.call, admitted.tool
        body: JsonObject = {
            "tool_use_id": call.id,
            "tool": tool.qualified,
            "effect": tool.effect.value,
            "arguments": admitted.arguments,
            "key": admitted.key,
            "facts": dict(judged.facts),
        }
        if not tool.is_read:
            self.ledger.in_flight[call.id] = tool.qualified
        # Written before the call: a crash between the two must leave evidence of the attempt.
        try:
            await self.recorder.append(EntryKind.ATTEMPT, body, spent=judged.spent)
        except SpentMeanwhile:
            del self.ledger.in_flight[call.id]
            return False
        except Paused:
            self.ledger.in_flight.pop(call.id, None)
            raise
        self.ledger.pay(call.id, tool.effect, judged.facts)
        return True

    async def _call(self, admitted: _Admitted, *, is_again: bool, is_told: bool = True) -> ToolResult:
        """Make the call; `is_told`: a model hears that it was not made, and can make it again."""
        tool, call = admitted.tool, admitted.call
        if not tool.is_read:
            self.ledger.in_flight[call.id] = tool.qualified
        began = time.monotonic()
        try:
            result = await self.calls.call(call.id, tool, admitted.arguments, key=admitted.key, is_again=is_again)
        except ServerLost as gone:
            self.ledger.in_flight.pop(call.id, None)
            # Else it may have been made before, or nobody would make it later: it stays open until its server is back.
            if not is_again and (is_told or not tool.is_repeatable):
                await self._finish(admitted, ToolResult.saying(CallStatus.FAILED, f"Not made: {gone}"))
            raise
        if result.status in {CallStatus.DONE, CallStatus.FAILED} and admitted.note:
            result = replace(result, content=[*result.content, {"type": "text", "text": admitted.note.strip()}])
        # Not in a `finally`: a call that an interruption cuts off stays in flight.
        self.ledger.in_flight.pop(call.id, None)
        return await self._finish(admitted, result, has_left=True, seconds=time.monotonic() - began)

    async def _finish(
        self,
        admitted: _Admitted,
        result: ToolResult,
        *,
        has_left: bool = False,
        seconds: float = 0.0,
        reasons: tuple[str, ...] | None = None,
    ) -> ToolResult:
        if reasons is None:
            # What it was allowed for says nothing about why it then failed.
            reasons = (result.text[:_LONGEST_REASON],) if result.is_error else admitted.reasons
        key = admitted.key if has_left else None
        effect = self._noted(admitted.tool, admitted.arguments, result, reasons, key)
        await self._record_result(admitted.call, admitted.tool.qualified, result, effect, seconds)
        return result

    async def _answer(
        self, call: ToolCall, name: str, status: CallStatus, text: str, *, tool: OfferedTool | None = None
    ) -> ToolResult:
        """Answer a call that never became one: unknown, or with arguments that make no call."""
        result = ToolResult.saying(status, text)
        effect: JsonObject | None = None
        if tool is not None:
            arguments: JsonObject = call.arguments if isinstance(call.arguments, dict) else {}  # pyright: ignore[reportUnnecessaryIsInstance]  # a model's word
            if self.outgoing.is_leak(tool, arguments):
                arguments = withheld(arguments, kept=())
            effect = self._noted(tool, arguments, result, (text,), None)
        await self._record_result(call, name, result, effect, 0.0)
        return result

    async def _gone(self, call: ToolCall) -> ToolResult:
        """Answer a call that was under way when the run was interrupted, and whose tool is there no more."""
        attempt = self.past.attempts[call.id]
        server, _, name = str(attempt["tool"]).partition(".")
        effect = Effect(attempt["effect"])
        if effect is Effect.READ:
            text = f"No answer: {server}.{name} is not offered any more."
            return await self._answer(call, f"{server}.{name}", CallStatus.FAILED, text)
        text = f"Its fate is unknown: {server}.{name} is not offered any more, and the run was interrupted meanwhile."
        report = EffectReport(
            server=server,
            tool=name,
            arguments=attempt["arguments"],
            status=CallStatus.UNCERTAIN,
            reasons=(text,),
            key=attempt["key"],
        )
        self.ledger.note(effect, report)
        result = ToolResult.saying(CallStatus.UNCERTAIN, text)
        await self._record_result(call, report.qualified, result, {"kind": effect.value, **report.as_json()}, 0.0)
        return result

    def _noted(
        self,
        tool: OfferedTool,
        arguments: JsonObject,
        result: ToolResult,
        reasons: tuple[str, ...],
        key: str | None,
    ) -> JsonObject | None:
        """Enter what became of a call into the ledger, and return it as it is recorded; None for reads."""
        if tool.is_read:
            return None
        if result.status in MOVING:
            self.ledger.versions |= result.versions
        report = EffectReport(
            server=tool.server, tool=tool.name, arguments=arguments, status=result.status, reasons=reasons, key=key
        )
        self.ledger.note(tool.effect, report)
        return {"kind": tool.effect.value, **report.as_json()}

    async def _record_result(
        self, call: ToolCall, name: str, result: ToolResult, effect: JsonObject | None, seconds: float
    ) -> None:
        self.ledger.settle(call.id, result.status)
        self.outgoing.heard(name, call.arguments, result)
        await self.recorder.append(
            EntryKind.RESULT,
            {
                "tool_use_id": call.id,
                "tool": name,
                "status": result.status.value,
                "content": result.content,
                "versions": dict(result.versions),
                "effect": effect,
                "seconds": round(seconds, 4),
            },
        )

    async def _read_resource(self, call: ToolCall) -> ToolResult:
        located = self._located(call)
        decision = await self.judge.judge_reading(call, located)
        if located is None or decision.verdict is Verdict.DENY:
            text = f"Denied: {' '.join(reason.because for reason in decision.reasons)}"
            return await self._answer(call, READ_RESOURCE, CallStatus.DENIED, text)
        template, own_uri = located
        began = time.monotonic()
        result = await self.calls.read(call.id, template, own_uri)
        await self._record_result(call, READ_RESOURCE, result, None, time.monotonic() - began)
        return result

    def _located(self, call: ToolCall) -> tuple[ReadableTemplate, str] | None:
        arguments: Any = call.arguments  # a model's word
        uri = cast("JsonObject", arguments).get("uri") if isinstance(arguments, dict) else None
        return self.catalog.locate(uri, self.case) if isinstance(uri, str) else None
