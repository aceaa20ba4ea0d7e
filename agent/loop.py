"""One run: the model's turns over one ticket, until the ticket system shows an outcome."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby

import anyio

from agent.catalog import Catalog
from agent.conversation import CUT_OFF, NUDGE, answerable, answered, hear, unfinished
from agent.documents import fill
from agent.errors import InfrastructureError, JournalError, ModelUnavailable, RunLost, ServerError
from agent.gate import Gate
from agent.handover import handover_summary
from agent.ledger import Ledger
from agent.protocols import Model, Observer, Recorder
from agent.recall import versions_told
from agent.records import (
    ENTRY_FORMAT,
    Case,
    EntryKind,
    JsonObject,
    ModelRequest,
    Outcome,
    OutcomeKind,
    Owner,
    Reply,
    RunMode,
    RunReport,
    ToolCall,
    ToolResult,
)
from agent.settings import Limits, Settings
from agent.tickets import Helpdesk

HANDOVER_CALL = "host-1"

MAX_PAUSES = 5
"""How often in a row a paused reply (`pause_turn`) is resent before the run is handed over."""

_GIVE_UPS: Mapping[str, str] = {
    "pause_turn": "the model paused again and again",
    "refusal": "the model refused to go on",
    "model_context_window_exceeded": "the conversation outgrew the model's context window",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GaveUp:
    """The run cannot end the ticket by itself; `because` completes "…, so people take over"."""

    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Foundation:
    """What a run rests on and keeps to its end, whatever changes around it."""

    system: str
    tools: Sequence[JsonObject]  # as the model is offered them
    owner: Owner
    version: str  # of this program
    catalog: JsonObject  # tools and templates as the servers described them
    settings: JsonObject  # the configuration that decides what a call may do


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
    foundation: Foundation
    ledger: Ledger
    messages: list[JsonObject] = field(default_factory=list[JsonObject])
    called: set[str] = field(default_factory=set[str])  # the ids of all calls that the model has made
    turn_seq: int = 0  # the number of the reply whose calls are being made
    pauses: int = 0  # paused replies in a row
    was_nudged: bool = False
    pending: Reply | None = None  # of a run that goes on: its last reply, of which something may have to be done yet
    results: dict[str, ToolResult] = field(default_factory=dict[str, ToolResult])  # known already, by call
    gave_up: str | None = None  # why people take over; recorded

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
    """Resolve the run's ticket and report; an infrastructure failure is part of what is returned.

    Such a run has no outcome: it goes on from where it stopped when it is worked again.

    Raises:
        RunLost: another process has taken the run over.
    """
    run.ledger.begin()
    try:
        return Finished(report=run.report(await resolve(run)))
    except JournalError:
        raise  # what cannot be recorded is not done
    except InfrastructureError as failure:
        # A run may have ended its ticket before the failure: only the ticket system knows.
        with suppress(ServerError):
            if reached := await _outcome(run):
                return Finished(report=run.report(await _recorded(run, reached)))
        await run.recorder.append(EntryKind.STOPPED, {"reason": str(failure)})
        return Finished(report=run.report(Outcome(kind=OutcomeKind.UNRESOLVED, reason=str(failure))), failure=failure)


async def resolve(run: Run) -> Outcome:
    """Work the ticket to an outcome, from the start or from where its record ends, as the ticket system has it.

    Raises:
        InfrastructureError: no reply can be had, or a server is gone; the ticket is left as it is.
        RunLost: another process has taken the run over.
    """
    end = await _go_on(run) if run.messages else await _open(run)
    while end is None:
        end = _exhausted(run) or await _turn(run)
    return await _recorded(run, await _hand_over(run, end) if isinstance(end, GaveUp) else end)


async def _go_on(run: Run) -> Outcome | GaveUp | None:
    """Do what the last recorded reply still asks for; return how the run ends, or None to ask for the next one."""
    if run.gave_up is not None:
        return GaveUp(because=run.gave_up)
    end = None if run.pending is None else await _act(run, run.pending)
    if end is not None or await _outcome(run) is not None:
        return end
    now = await run.helpdesk.open(run.case.ticket.id)
    if run.helpdesk.is_workable(now.ticket):
        return None
    reason = f"Someone else has taken the ticket over while this run was interrupted: it is {now.ticket.status}."
    return Outcome(kind=OutcomeKind.UNRESOLVED, reason=reason)


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
        return GaveUp(because=out_of_time(run.limits.seconds))
    run.pauses = run.pauses + 1 if reply.stop_reason == "pause_turn" else 0
    return await _act(run, reply)


async def _act(run: Run, reply: Reply) -> Outcome | GaveUp | None:
    """Do what a reply asks; return how the run ends, or None to go on."""
    match reply.stop_reason:
        case "tool_use" if reply.tool_calls:
            return await _make_calls(run, reply)
        case "end_turn" | "stop_sequence" | "tool_use":
            return await _outcome(run) or await _nudge(run, reply)
        case "max_tokens":
            run.messages.append(unfinished(reply, CUT_OFF))
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
    ticket, customer, rests_on = run.case.ticket, run.case.customer, run.foundation
    await run.recorder.append(
        EntryKind.CASE,
        {
            "format": ENTRY_FORMAT,
            "ticket_id": ticket.id,
            "mode": run.mode.value,
            "model": run.model.name,
            "owner": rests_on.owner.as_json(),
            "ticket": {"id": ticket.id, "fields": dict(ticket.fields), "context": ticket.context},
            "customer": None
            if customer is None
            else {"id": customer.id, "fields": dict(customer.fields), "context": customer.context},
            "messages": list(run.messages),
            "version": rests_on.version,
            "system": rests_on.system,
            "tools": list(rests_on.tools),
            "catalog": rests_on.catalog,
            "settings": rests_on.settings,
        },
    )


def _exhausted(run: Run) -> GaveUp | None:
    if run.ledger.turns >= run.limits.turns:
        return GaveUp(because=f"the run has used its {run.limits.turns} turns")
    if run.ledger.cost_usd is not None and run.ledger.cost_usd >= run.limits.usd:
        return GaveUp(because=f"the run has used its ${run.limits.usd:.2f}")
    if run.seconds_left <= 0:
        return GaveUp(because=out_of_time(run.limits.seconds))
    return None


def out_of_time(seconds: float) -> str:
    """Return why a run gives up that has used so many seconds."""
    return f"the run has used its {seconds:g} seconds"


async def _reply(run: Run) -> Reply:
    """Return the model's next reply, recorded and appended to the messages as it will be replayed."""
    began = time.monotonic()
    timeout_s = min(run.limits.reply_seconds, run.seconds_left)
    request = ModelRequest(
        system=run.foundation.system, messages=run.messages, tools=run.foundation.tools, timeout_s=timeout_s
    )
    reply = await run.model.reply(request, lambda delta: run.observer.text(run.case.ticket.id, delta))
    content = answerable(reply.content, run.called, turn=run.ledger.turns)
    reply = replace(reply, content=content)
    run.called |= {call.id for call in reply.tool_calls}
    run.ledger.hear()
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
    run.turn_seq, run.results = entry.seq, {}
    hear(run.messages, content)
    return reply


async def _make_calls(run: Run, reply: Reply) -> GaveUp | None:
    """Make a reply's calls, neighbouring reads together and writes in order, and answer them in the conversation."""
    calls = reply.tool_calls
    for are_reads, group in groupby((call for call in calls if call.id not in run.results), key=run.gate.is_read):
        if are_reads:
            await _make_together(run, group)
        else:
            for call in group:
                await _make(run, call)
    run.messages.append(answered(calls, run.results))
    run.ledger.reread(versions_told(reply, run.results))
    if paid := run.ledger.unknown_payment:
        return GaveUp(because=f"no one can say whether {paid} was carried out, and money may have moved")
    return None


async def _make(run: Run, call: ToolCall) -> None:
    run.results[call.id] = await run.gate.pass_through(call, turn_seq=run.turn_seq)


async def _make_together(run: Run, calls: Iterable[ToolCall]) -> None:
    try:
        async with anyio.create_task_group() as reads:
            for call in calls:
                reads.start_soon(_make, run, call)
    except* (ServerError, JournalError, RunLost) as lost:
        raise lost.exceptions[0] from None


async def _outcome(run: Run) -> Outcome | None:
    if run.mode is RunMode.DRY_RUN:
        return run.helpdesk.planned_outcome(run.case, run.ledger.effects)
    return await run.helpdesk.outcome(run.case, run.ledger.effects)


async def _hand_over(run: Run, gave_up: GaveUp) -> Outcome:
    """Give the ticket to people, unless the run has already ended it, and return what the ticket system says then."""
    because = gave_up.because
    if run.gave_up is None:
        await run.recorder.append(EntryKind.HANDOVER, {"because": because})
        run.gave_up = because
    if outcome := await _outcome(run):
        return outcome
    tickets = run.settings.tickets
    tool = run.catalog.qualified(f"{tickets.server}.{tickets.handoff.tool}") if tickets.handoff else None
    if tickets.handoff is None or tool is None:
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=f"No hand-off is configured, and {because}.")
    result = run.results.get(HANDOVER_CALL)
    if result is None:
        arguments = fill(
            tickets.handoff.arguments, {"summary": handover_summary(because, run.ledger.effects, run.messages)}
        )
        run.ledger.versions["ticket"] = await run.helpdesk.version(run.case.ticket.id)
        call = ToolCall(id=HANDOVER_CALL, name=tool.offered_as, arguments=arguments)
        result = await run.gate.call_by_host(call, tool, turn_seq=run.turn_seq)
    outcome = await _outcome(run)
    if outcome is None:
        failure = f"The hand-off did not succeed ({result.text}), and {because}."
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=failure)
    told = "It would be handed over" if outcome.kind is OutcomeKind.PLANNED else "Handed over"
    return Outcome(kind=outcome.kind, reason=f"{told} to people: {because}.")
