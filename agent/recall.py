"""A run as its record tells it: the conversation, what was done and used, and what still waits for an answer.

A pure fold over the entries. Nothing of a conversation is made anew: the messages are those that were sent.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agent.conversation import CUT_OFF, NUDGE, answered, hear, unfinished
from agent.ledger import MOVING, Ledger
from agent.records import (
    CallStatus,
    Case,
    Customer,
    Decision,
    Effect,
    EffectReport,
    Entry,
    EntryKind,
    JsonObject,
    Reason,
    Reply,
    RunMode,
    Ticket,
    ToolCall,
    ToolResult,
    Usage,
    Verdict,
)


@dataclass(kw_only=True, slots=True)
class Past:
    """What is recorded about calls that have no result yet, by their ids; empty for a run that has just begun.

    What servers asked back is taken out as it is used: each answer serves once.
    """

    decisions: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    approvals: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    attempts: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    replies: dict[tuple[str, str], list[JsonObject]] = field(default_factory=lambda: defaultdict(list))
    """To sampling requests, by call and digest of the request."""
    answers: dict[tuple[str, str], list[JsonObject]] = field(default_factory=lambda: defaultdict(list))
    """To elicitations, by call and digest of the question."""
    sampled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Replies that servers were given so far, by call."""

    def forget(self, tool_use_id: str) -> None:
        """Drop what is known about a call that has its result."""
        for known in (self.decisions, self.approvals, self.attempts):
            known.pop(tool_use_id, None)
        for asked in (self.replies, self.answers):
            for place in [place for place in asked if place[0] == tool_use_id]:
                del asked[place]


@dataclass(kw_only=True, slots=True)
class Recalled:
    """Where a recorded run stands, ready to go on from there."""

    case: Case
    mode: RunMode
    model: str
    system: str
    tools: Sequence[JsonObject]
    messages: list[JsonObject]
    ledger: Ledger
    past: Past = field(default_factory=Past)
    called: set[str] = field(default_factory=set[str])  # the ids of all calls that the model has made
    turn_seq: int = 0  # the number of the last reply
    pauses: int = 0  # paused replies in a row
    was_nudged: bool = False
    pending: Reply | None = None  # the last reply, while something of it may still have to be done
    results: dict[str, ToolResult] = field(default_factory=dict[str, ToolResult])  # of its calls, and of the host's own
    gave_up: str | None = None  # why the run is to be handed over
    told: list[tuple[str, Any, ToolResult]] = field(default_factory=list[tuple[str, Any, ToolResult]])
    """Every result, in order: of which tool, with which arguments."""
    calls: list[ToolCall] = field(default_factory=list[ToolCall])  # all that the model has asked for, in order


def recall(entries: Sequence[Entry]) -> Recalled:
    """Return where the run of these entries stands; the first of them is its case."""
    first, *others = entries
    body = first.body
    run = Recalled(
        case=Case(ticket=Ticket(**body["ticket"]), customer=Customer(**body["customer"]) if body["customer"] else None),
        mode=RunMode(body["mode"]),
        model=body["model"],
        system=body["system"],
        tools=body["tools"],
        messages=list(body["messages"]),
        ledger=Ledger(),
    )
    run.ledger.versions |= {owner: run.case.value(f"{owner}.version") for owner in ("ticket", "customer")}
    for entry in others:
        _take(run, entry)
    run.ledger.used_s = _seconds(entries)
    return run


def _take(run: Recalled, entry: Entry) -> None:
    body, past = entry.body, run.past
    match entry.kind:
        case EntryKind.REPLY:
            _hear(run, entry)
        case EntryKind.DECISION:
            past.decisions[body["tool_use_id"]] = body
            run.ledger.object(_decided(body))
            if body["ticket_version"] is not None:
                run.ledger.rebase(body["ticket_version"])
        case EntryKind.APPROVAL:
            past.approvals[body["tool_use_id"]] = body
            run.ledger.waited_s += body["seconds"]
        case EntryKind.ATTEMPT:
            past.attempts[body["tool_use_id"]] = body
            run.ledger.pay(body["tool_use_id"], Effect(body["effect"]), body["facts"])
        case EntryKind.RESULT:
            _done(run, body)
        case EntryKind.SAMPLING | EntryKind.ELICITATION:
            _asked(run, entry)
        case EntryKind.NUDGE:
            run.was_nudged = True
            _close(run, nudge=NUDGE)
        case EntryKind.HANDOVER:
            run.gave_up = body["because"]
        case _:  # claims and stops change nothing of what was said and done
            pass


def _asked(run: Recalled, entry: Entry) -> None:
    """Take what a server asked back, and what it was answered."""
    body, past = entry.body, run.past
    place = (body["tool_use_id"], body["digest"])
    if run.mode is RunMode.APPLY:
        run.ledger.declined(body["tool_use_id"], body["server"], entry.kind.value)
    if entry.kind is EntryKind.ELICITATION:
        past.answers[place].append(body)
        run.ledger.waited_s += body["seconds"]
        return
    run.ledger.spend(Usage(**body["usage"]), body["cost_usd"])
    if "reply" in body:
        past.replies[place].append(body)
        past.sampled[body["tool_use_id"]] += 1


def _hear(run: Recalled, entry: Entry) -> None:
    _close(run)
    body = entry.body
    reply = Reply(
        content=body["content"],
        stop_reason=body["stop_reason"],
        model=body["model"],
        usage=Usage(**body["usage"]),
        cost_usd=body["cost_usd"],
    )
    run.calls += reply.tool_calls
    run.ledger.hear()
    run.ledger.spend(reply.usage, reply.cost_usd)
    hear(run.messages, reply.content)
    run.called |= {call.id for call in reply.tool_calls}
    run.turn_seq, run.pending = entry.seq, reply
    run.pauses = run.pauses + 1 if reply.stop_reason == "pause_turn" else 0


def _done(run: Recalled, body: JsonObject) -> None:
    result = ToolResult(content=body["content"], status=CallStatus(body["status"]), versions=body["versions"])
    call = body["tool_use_id"]
    run.results[call] = result
    run.told.append((body["tool"], run.past.decisions.get(call, {}).get("arguments"), result))
    if result.status is CallStatus.PLANNED:
        decided = run.past.decisions[call]
        run.ledger.pay(call, Effect(decided["effect"]), decided["facts"])
    run.ledger.settle(call, result.status)
    run.past.forget(call)
    if body["effect"] is not None:
        run.ledger.note(Effect(body["effect"]["kind"]), EffectReport.from_json(body["effect"]))
        if result.status in MOVING:
            run.ledger.versions |= result.versions


def _close(run: Recalled, *, nudge: str | None = None) -> None:
    """Append the message that followed the last reply: what came after it shows that there was one."""
    reply = run.pending
    if reply is None:
        return
    match reply.stop_reason:
        case "tool_use" if reply.tool_calls:
            run.messages.append(answered(reply.tool_calls, run.results))
            run.ledger.reread(run.results[call.id] for call in reply.tool_calls)
        case "max_tokens":
            run.messages.append(unfinished(reply, CUT_OFF))
        case _ if nudge is not None:
            run.messages.append(unfinished(reply, nudge))
        case _:
            pass
    run.pending, run.results = None, {}


def _decided(body: JsonObject) -> Decision:
    return Decision(verdict=Verdict(body["verdict"]), reasons=tuple(Reason(**reason) for reason in body["reasons"]))


def _seconds(entries: Sequence[Entry]) -> float:
    """Return how long the run was worked: from each claim to the last entry before the next one."""
    starts = [number for number, entry in enumerate(entries) if entry.kind in {EntryKind.CASE, EntryKind.CLAIM}]
    ends = [number - 1 for number in [*starts[1:], len(entries)]]
    worked = (entries[end].at - entries[start].at for start, end in zip(starts, ends, strict=True))
    return sum(worked, timedelta()).total_seconds()
