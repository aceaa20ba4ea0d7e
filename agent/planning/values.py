"""A plan as a value: the calls of a dry run, what each would change and send, and what they rest on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.documents import digest
from agent.records import CallStatus, Effect, JsonObject, Outcome, Reason, RunMode, Usage, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One field of a record, before and after one call."""

    field: str  # "ticket.status"
    before: Any  # as the run read it, moved on by the plan's earlier calls; None where it is not known
    after: Any
    is_before_known: bool
    argument: str | None = None  # the argument of the call that it is, whole; None: the configuration's own value

    def as_json(self) -> JsonObject:
        """Return the four values that say what changes."""
        return {
            "field": self.field,
            "before": self.before,
            "after": self.after,
            "is_before_known": self.is_before_known,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCall:
    """A call that would be made, with everything that is known about it without making it."""

    tool_use_id: str
    seq: int  # of the reply that asked for it: its key was run_id/seq/tool_use_id
    tool: str  # server.tool
    effect: Effect
    arguments: JsonObject  # as they would have left, bound values included
    bound: tuple[str, ...]  # names of the arguments that the host filled in
    verdict: Verdict  # ALLOW or ASK
    reasons: tuple[Reason, ...]
    facts: Mapping[str, Any]  # what the host has read to judge it
    changes: tuple[Change, ...]  # empty: its tool declares none, and the call with its arguments is all that is known
    sends: Mapping[str, str]  # argument → text that the customer would read, word for word
    sources: tuple[str, ...]  # articles that its text rests on
    is_by_host: bool

    def as_json(self) -> JsonObject:
        """Return the documented shape of one item of a plan's `calls`."""
        return {
            "tool_use_id": self.tool_use_id,
            "seq": self.seq,
            "tool": self.tool,
            "effect": self.effect.value,
            "arguments": self.arguments,
            "bound": list(self.bound),
            "verdict": self.verdict.value,
            "reasons": _reasons_json(self.reasons),
            "facts": dict(self.facts),
            "changes": [change.as_json() for change in self.changes],
            "sends": dict(self.sends),
            "sources": list(self.sources),
            "is_by_host": self.is_by_host,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedCall:
    """A call that the model wanted and that is no part of the plan."""

    tool_use_id: str
    tool: str  # server.tool; of a tool that does not exist, what the model called it
    arguments: JsonObject
    status: CallStatus  # DENIED or FAILED
    reasons: tuple[Reason, ...]  # the rules that denied it
    told: str  # what the model was told

    def as_json(self) -> JsonObject:
        """Return the documented shape of one item of a plan's `refused`."""
        return {
            "tool_use_id": self.tool_use_id,
            "tool": self.tool,
            "arguments": self.arguments,
            "status": self.status.value,
            "reasons": _reasons_json(self.reasons),
            "told": self.told,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one dry run would do, and what that rests on."""

    run_id: str
    ticket_id: str
    subject: str
    requester: str
    customer_id: str | None
    tier: str | None
    versions: Mapping[str, Any]  # of `ticket` and `customer`, as the plan saw them last
    made_at: datetime  # when the run began to read
    by: str  # the operator's account
    model: str
    mode: RunMode
    turns: int
    usage: Usage
    cost_usd: float | None  # None: the price of a reply is not known
    outcome: Outcome | None  # None: the run has not finished
    calls: tuple[PlannedCall, ...]
    refused: tuple[RefusedCall, ...]
    read: tuple[str, ...]  # URIs of resources and names of tools, in the order of their first use
    last_words: str  # of the model
    would_end: str | None  # closed, escalated, pending
    is_forgotten: bool  # its texts were deleted: of the calls, names and verdicts are left

    @property
    def digest(self) -> str:
        """The fingerprint of exactly these calls: what applying the plan is about."""
        return digest([[call.seq, call.tool_use_id, call.tool, call.arguments] for call in self.calls])

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change, in the order of the calls."""
        return tuple(change for call in self.calls for change in call.changes)

    @property
    def asks(self) -> int:
        """How many of the calls only a person may allow."""
        return sum(call.verdict is Verdict.ASK for call in self.calls)

    @property
    def sources(self) -> tuple[str, ...]:
        """The articles that its texts rest on, each once."""
        return tuple(dict.fromkeys(source for call in self.calls for source in call.sources))

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        """What the host has read to judge the calls, by their ids; calls without facts are left out."""
        return {call.tool_use_id: call.facts for call in self.calls if call.facts}

    def as_json(self) -> JsonObject:
        """Return the documented JSON shape of a plan."""
        return {
            "run_id": self.run_id,
            "ticket_id": self.ticket_id,
            "subject": self.subject,
            "requester": self.requester,
            "customer_id": self.customer_id,
            "tier": self.tier,
            "versions": dict(self.versions),
            "made_at": self.made_at.isoformat(),
            "by": self.by,
            "model": self.model,
            "mode": self.mode.value,
            "turns": self.turns,
            "usage": self.usage.as_json(),
            "cost_usd": self.cost_usd,
            "outcome": self.outcome.kind.value if self.outcome else None,
            "reason": self.outcome.reason if self.outcome else None,
            "would_end": self.would_end,
            "digest": self.digest,
            "is_forgotten": self.is_forgotten,
            "calls": [call.as_json() for call in self.calls],
            "refused": [call.as_json() for call in self.refused],
            "read": list(self.read),
            "last_words": self.last_words,
        }


def _reasons_json(reasons: Iterable[Reason]) -> list[JsonObject]:
    return [{"rule": reason.rule, "because": reason.because} for reason in reasons]
