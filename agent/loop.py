"""One run: the model's turns over one ticket, until the ticket system shows an outcome."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

import anyio

from agent.applying import Applied, apply, settle
from agent.conversation import CUT_OFF, NUDGE, answerable, answered, hear, unfinished
from agent.ending import draft, hand_over, outcome_of, taken_by_others
from agent.errors import InfrastructureError, JournalError, ModelUnavailable, Paused, RunLost, ServerError
from agent.records import (
    EntryKind,
    ModelRequest,
    Outcome,
    OutcomeKind,
    Reply,
    RunMode,
    ToolCall,
)
from agent.run import Finished, GaveUp, Run

MAX_PAUSES = 5
"""How often in a row a paused reply (`pause_turn`) is resent before the run is handed over."""

_GIVE_UPS: Mapping[str, str] = {
    "pause_turn": "the model paused again and again",
    "refusal": "the model refused to go on",
    "model_context_window_exceeded": "the conversation outgrew the model's context window",
}


async def work(run: Run) -> Finished:
    """Resolve the run's ticket and report; an infrastructure failure is part of what is returned.

    Such a run has no outcome: it goes on from where it stopped when it is worked again.

    Raises:
        InfrastructureError: it has not begun; nothing of it is recorded.
        RunLost: another process has taken the run over.
    """
    run.ledger.begin()
    try:
        return Finished(report=run.report(await resolve(run)))
    except JournalError:
        raise  # what cannot be recorded is not done
    except InfrastructureError as failure:
        if not run.messages:
            raise  # it has not begun, and there is nothing to go on with
        # A run may have ended its ticket before the failure: only the ticket system knows.
        with suppress(ServerError):
            if _is_done(run) and (reached := await outcome_of(run)):
                return Finished(report=run.report(await _recorded(run, reached)))
        is_failure = not isinstance(failure, Paused)
        await run.recorder.append(EntryKind.STOPPED, {"reason": str(failure), "is_failure": is_failure})
        return Finished(report=run.report(Outcome(kind=OutcomeKind.UNRESOLVED, reason=str(failure))), failure=failure)


def _is_done(run: Run) -> bool:
    """Whether a ticket that is at its end needs nothing more of this run."""
    if run.plan is not None:
        # People who are to be told what was not made have not been told yet.
        return run.gave_up is None and run.plan.is_through(run.results)
    return run.mode is not RunMode.DRAFT  # what it proposes is on the ticket only at its end


async def resolve(run: Run) -> Outcome:
    """Work the ticket to an outcome, from the start or from where its record ends, as the ticket system has it.

    Raises:
        InfrastructureError: no reply can be had, or a server is gone; the ticket is left as it is.
        RunLost: another process has taken the run over.
    """
    end = await _go_on(run) if run.messages else await _open(run)
    while end is None:
        end = await _apply(run, run.plan) if run.plan is not None else _exhausted(run) or await _turn(run)
    if run.mode is RunMode.DRAFT:
        return await _recorded(run, await draft(run, end))
    return await _recorded(run, await hand_over(run, end) if isinstance(end, GaveUp) else end)


async def _apply(run: Run, plan: Applied) -> Outcome | GaveUp:
    """Carry the plan out; return how the run ends."""
    if because := await apply(plan, run.gate, run.results):
        taken = await taken_by_others(run, "while the plan was applied") if run.ledger.objected["ticket"] else None
        return taken or GaveUp(because=because)
    if outcome := await outcome_of(run):
        return outcome
    if plan.left_out:
        reason = f"Applied but for {', '.join(plan.left_out)}: the ticket is left as the other calls have it."
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=reason)
    return GaveUp(because="the plan was carried out, and the ticket is not at its end")


async def _go_on(run: Run) -> Outcome | GaveUp | None:
    """Do what the last recorded reply still asks for; return how the run ends, or None to ask for the next one."""
    if run.gave_up is not None:
        return GaveUp(because=run.gave_up)
    if run.plan is not None:
        await settle(run.plan, run.gate, run.results)
    end = None if run.pending is None else await _act(run, run.pending)
    if end is not None or await outcome_of(run) is not None:
        return end
    return await taken_by_others(run, "while this run was interrupted")


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
            return await outcome_of(run) or await _nudge(run, reply)
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
    try:
        await run.recorder.append(EntryKind.CASE, run.case_body(run.messages))
    except Paused:
        run.messages.clear()
        raise


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


async def _make_calls(run: Run, reply: Reply) -> Outcome | GaveUp | None:
    """Make a reply's calls, neighbouring reads together and writes in order, and answer them in the conversation."""
    calls = reply.tool_calls
    for are_reads, group in groupby((call for call in calls if call.id not in run.results), key=run.gate.is_read):
        if are_reads:
            await _make_together(run, group)
        else:
            for call in group:
                await _make(run, call)
    run.messages.append(answered(calls, run.results))
    run.ledger.reread(run.results[call.id] for call in calls)
    if run.ledger.turns in run.ledger.objected["ticket"] and (
        taken := await taken_by_others(run, "while this run worked it")
    ):
        return await outcome_of(run) or taken  # it may be this run's own, of a call whose answer was lost
    if because := run.ledger.sent_back_too_often:
        return GaveUp(because=because)
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
