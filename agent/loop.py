"""One run: the model's turns over one ticket, until the ticket system shows an outcome."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby

import anyio

from agent.catalog import Catalog
from agent.conversation import answerable, replayable, tool_result, unfinished
from agent.documents import fill
from agent.errors import InfrastructureError, ModelUnavailable, ServerError
from agent.gate import Gate
from agent.handover import handover_summary
from agent.ledger import Ledger
from agent.protocols import Model, Observer, Recorder
from agent.records import (
    CallStatus,
    Case,
    EntryKind,
    JsonObject,
    ModelRequest,
    Outcome,
    OutcomeKind,
    Reply,
    RunMode,
    RunReport,
    ToolCall,
    ToolResult,
)
from agent.settings import Limits, Settings
from agent.tickets import Helpdesk

MAX_PAUSES = 5
"""How often in a row a paused reply (`pause_turn`) is resent before the run is handed over."""

NUDGE = (
    "The ticket is not finished: it is neither closed, nor waiting for the customer, nor escalated. "
    "Finish it now with one of your tools."
)

_CUT_OFF = "Your reply was cut off at its token limit. Go on, more briefly."

_GIVE_UPS: Mapping[str, str] = {
    "pause_turn": "the model paused again and again",
    "refusal": "the model refused to go on",
    "model_context_window_exceeded": "the conversation outgrew the model's context window",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GaveUp:
    """The run cannot end the ticket by itself; `because` completes "…, so people take over"."""

    because: str


@dataclass(kw_only=True)
class Run:
    """Everything that one run works with, and what it has used so far."""

    case: Case
    model: Model
    gate: Gate
    helpdesk: Helpdesk
    catalog: Catalog
    recorder: Recorder
    observer: Observer
    settings: Settings
    mode: RunMode
    system: str
    ledger: Ledger
    messages: list[JsonObject] = field(default_factory=list[JsonObject])
    turn_seq: int = 0  # the number of the reply whose calls are being made
    pauses: int = 0  # paused replies in a row
    was_nudged: bool = False

    @property
    def limits(self) -> Limits:
        """What this run may use."""
        return self.settings.limits

    @property
    def seconds_left(self) -> float:
        """What remains of the run's time; waiting for a person does not count."""
        return self.limits.seconds - (self.ledger.seconds - self.ledger.waited_s)

    def report(self, outcome: Outcome) -> RunReport:
        """Return what is to be said about this run."""
        return RunReport(
            run_id=self.recorder.run_id,
            ticket_id=self.case.ticket.id,
            mode=self.mode,
            model=self.model.name,
            outcome=outcome,
            turns=self.ledger.turns,
            effects=tuple(self.ledger.effects),
            usage=self.ledger.usage,
            cost_usd=self.ledger.cost_usd,
            duration_s=self.ledger.seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A run's report, and the failure that kept it from an outcome, if there was one."""

    report: RunReport
    failure: InfrastructureError | None = None


async def work(run: Run) -> Finished:
    """Resolve the run's ticket and report; an infrastructure failure is part of what is returned."""
    run.ledger.begin()
    try:
        return Finished(report=run.report(await resolve(run)))
    except InfrastructureError as failure:
        # A run may have ended its ticket before the failure: only the ticket system knows.
        with suppress(InfrastructureError):
            if reached := await _outcome(run):
                return Finished(report=run.report(await _recorded(run, reached)))
        unresolved = Outcome(kind=OutcomeKind.UNRESOLVED, reason=str(failure))
        return Finished(report=run.report(await _recorded(run, unresolved)), failure=failure)


async def resolve(run: Run) -> Outcome:
    """Work the ticket to an outcome and return it as the ticket system has it.

    Raises:
        InfrastructureError: no reply can be had, or a server is gone; the ticket is left as it is.
    """
    await _open(run)
    end: Outcome | GaveUp | None = None
    while end is None:
        end = _exhausted(run) or await _turn(run)
    return await _recorded(run, await _hand_over(run, end) if isinstance(end, GaveUp) else end)


async def _recorded(run: Run, outcome: Outcome) -> Outcome:
    await run.recorder.append(EntryKind.OUTCOME, {"outcome": outcome.kind.value, "reason": outcome.reason})
    return outcome


async def _turn(run: Run) -> Outcome | GaveUp | None:
    """Ask for one reply and do what it asks; return how the run ends, or None to go on."""
    try:
        reply = await _reply(run)
    except ModelUnavailable:
        if run.seconds_left > 0:
            raise
        return GaveUp(because="the run's time is up")
    run.pauses = run.pauses + 1 if reply.stop_reason == "pause_turn" else 0
    match reply.stop_reason:
        case "tool_use" if reply.tool_calls:
            run.messages.append(await _make_calls(run, reply.tool_calls))
        case "end_turn" | "stop_sequence" | "tool_use":
            return await _outcome(run) or await _nudge(run, reply)
        case "max_tokens":
            run.messages.append(unfinished(reply, _CUT_OFF))
        case "pause_turn" if run.pauses <= MAX_PAUSES:
            pass
        case reason:
            return GaveUp(because=_GIVE_UPS.get(reason, f"the model stopped for a reason unknown here ({reason})"))
    return None


async def _nudge(run: Run, reply: Reply) -> GaveUp | None:
    if run.was_nudged:
        return GaveUp(because="the model stopped without ending the ticket")
    run.was_nudged = True
    await run.recorder.append(EntryKind.NUDGE, {"text": NUDGE})
    run.messages.append(unfinished(reply, NUDGE))
    return None


async def _open(run: Run) -> None:
    run.messages.append(await run.helpdesk.opening(run.case))
    customer = run.case.customer
    await run.recorder.append(
        EntryKind.CASE,
        {
            "ticket_id": run.case.ticket.id,
            "mode": run.mode.value,
            "model": run.model.name,
            "ticket": dict(run.case.ticket.fields),
            "customer": None if customer is None else dict(customer.fields),
            "system": run.system,
            "tools": list(run.catalog.definitions),
            "messages": list(run.messages),
        },
    )


def _exhausted(run: Run) -> GaveUp | None:
    if run.ledger.turns >= run.limits.turns:
        return GaveUp(because=f"the run has used its {run.limits.turns} turns")
    if run.ledger.cost_usd is not None and run.ledger.cost_usd >= run.limits.usd:
        return GaveUp(because=f"the run has used its ${run.limits.usd:.2f}")
    if run.seconds_left <= 0:
        return GaveUp(because=f"the run has used its {run.limits.seconds:g} seconds")
    return None


async def _reply(run: Run) -> Reply:
    """Return the model's next reply, recorded and appended to the messages as it will be replayed."""
    began = time.monotonic()
    timeout_s = min(run.limits.reply_seconds, run.seconds_left)
    request = ModelRequest(system=run.system, messages=run.messages, tools=run.catalog.definitions, timeout_s=timeout_s)
    reply = await run.model.reply(request, lambda delta: run.observer.text(run.case.ticket.id, delta))
    content = answerable(reply.content, run.messages, turn=run.ledger.turns)
    run.ledger.turns += 1
    run.ledger.spend(reply.usage, reply.cost_usd)
    entry = await run.recorder.append(
        EntryKind.REPLY,
        {
            "turn": run.ledger.turns,
            "content": content,
            "stop_reason": reply.stop_reason,
            "model": reply.model,
            "usage": reply.usage.as_json(),
            "cost_usd": reply.cost_usd,
            "seconds": round(time.monotonic() - began, 4),
        },
    )
    run.turn_seq = entry.seq
    if run.messages[-1]["role"] == "assistant":
        # It goes on where a paused reply stopped: one turn of the conversation.
        content = [*run.messages.pop()["content"], *content]
    run.messages.append({"role": "assistant", "content": replayable(content)})
    return replace(reply, content=content)


async def _make_calls(run: Run, calls: Sequence[ToolCall]) -> JsonObject:
    """Make a reply's calls, neighbouring reads together and writes in order; return the message that answers them."""
    versions, known = run.ledger.versions, run.ledger.versions.get("ticket")
    rereads = [call.id for call in calls if run.gate.shows_ticket(call)]
    # Read before the text is: what the model then knows is at least as new as what it writes against.
    newest = await run.helpdesk.version(run.case.ticket.id) if rereads else known
    results = await _results(run, calls)
    # Only now: a write of this same reply was asked for before the model had seen the text.
    if versions.get("ticket") == known and any(results[id_].status is CallStatus.DONE for id_ in rereads):
        versions["ticket"] = newest
    return {"role": "user", "content": [tool_result(call.id, results[call.id]) for call in calls]}


async def _results(run: Run, calls: Sequence[ToolCall]) -> Mapping[str, ToolResult]:
    results: dict[str, ToolResult] = {}

    async def make(call: ToolCall) -> None:
        results[call.id] = await run.gate.pass_through(call, turn_seq=run.turn_seq)

    for are_reads, group in groupby(calls, key=run.gate.is_read):
        if not are_reads:
            for call in group:
                await make(call)
            continue
        try:
            async with anyio.create_task_group() as reads:
                for call in group:
                    reads.start_soon(make, call)
        except* ServerError as lost:
            raise lost.exceptions[0] from None
    return results


async def _outcome(run: Run) -> Outcome | None:
    if run.mode is RunMode.DRY_RUN:
        return run.helpdesk.planned_outcome(run.case, run.ledger.effects)
    return await run.helpdesk.outcome(run.case, run.ledger.effects)


async def _hand_over(run: Run, gave_up: GaveUp) -> Outcome:
    """Give the ticket to people, unless the run has already ended it, and return what the ticket system says then."""
    if outcome := await _outcome(run):
        return outcome
    tickets, because = run.settings.tickets, gave_up.because
    tool = run.catalog.qualified(f"{tickets.server}.{tickets.handoff.tool}") if tickets.handoff else None
    if tickets.handoff is None or tool is None:
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=f"No hand-off is configured, and {because}.")
    arguments = fill(
        tickets.handoff.arguments, {"summary": handover_summary(because, run.ledger.effects, run.messages)}
    )
    run.ledger.versions["ticket"] = await run.helpdesk.version(run.case.ticket.id)
    call = ToolCall(id="host-1", name=tool.offered_as, arguments=arguments)
    result = await run.gate.call_by_host(call, tool, turn_seq=run.turn_seq)
    outcome = await _outcome(run)
    if outcome is None:
        failure = f"The hand-off did not succeed ({result.text}), and {because}."
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=failure)
    told = "It would be handed over" if outcome.kind is OutcomeKind.PLANNED else "Handed over"
    return Outcome(kind=outcome.kind, reason=f"{told} to people: {because}.")
