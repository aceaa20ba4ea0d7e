"""What a call may do: one pure function from what is known about a call to allow, ask or deny, with reasons.

These rules are the first gate. They speak about effects and facts, never about tools.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.records import Case, Decision, Effect, Reason, Verdict

_ENDINGS = frozenset({Effect.CLOSE, Effect.ESCALATE})
_OWN_TICKET = frozenset({Effect.WRITE, Effect.REPLY, Effect.CLOSE, Effect.ESCALATE})

_ASKED = {
    Effect.MONEY: Reason(rule="money", because="Money leaves only with a person's approval."),
    Effect.ACCOUNT: Reason(rule="account", because="Account changes need a person's approval."),
    Effect.UNNAMED: Reason(rule="unnamed", because="No configuration vouches for what this tool does."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One call as the policy sees it: what it would do, and what the run has done so far."""

    tool: str  # server.tool
    effect: Effect
    is_confined: bool  # the host fills in whose data it touches
    is_public: bool  # it reads what anyone may read
    is_by_host: bool  # the host's own hand-off, not the model's wish
    arguments: Mapping[str, Any]
    facts: Mapping[str, Any]
    case: Case
    writes: int  # calls of this run that were not reads and left, or would have in a dry run
    most_writes: int
    has_ended: bool  # this run has closed or escalated its ticket


def decide(call: Judged) -> Decision:
    """Return the verdict on this call; a call that no rule permits is denied."""
    for rule in (_never, _limits, _reads, _asks, _own_ticket, _access):
        decision = rule(call)
        if decision is not None:
            return decision
    return _deny("default", "No rule permits this call.")


def _never(call: Judged) -> Decision | None:
    if call.effect is Effect.DELETION:
        return _deny("deletion", "Nothing is deleted by this agent.")
    return None


def _limits(call: Judged) -> Decision | None:
    if call.effect is Effect.READ or call.is_by_host:
        return None
    if call.has_ended:
        return _deny("one-ending", "This run has already ended its ticket.")
    if call.writes >= call.most_writes and call.effect not in _ENDINGS:
        return _deny("writes", f"This run has made its {call.most_writes} writes; only closing or escalating is left.")
    return None


def _reads(call: Judged) -> Decision | None:
    if call.effect is not Effect.READ:
        return None
    if call.is_public:
        return _allow("public", "It reads what is declared public.")
    if call.is_confined:
        return _allow("own-case", "It reads the run's own ticket or customer.")
    return _deny("unconfined-read", "It could read other customers' data: no argument of it is bound to the case.")


def _asks(call: Judged) -> Decision | None:
    if call.effect in _ASKED:
        return Decision(verdict=Verdict.ASK, reasons=(_ASKED[call.effect],))
    if not call.is_confined:
        return _ask("unconfined", "No argument of it is bound to the case, so it could touch other tickets.")
    return None


def _own_ticket(call: Judged) -> Decision | None:
    if call.effect in _OWN_TICKET:
        return _allow("own-ticket", "It acts on the run's own ticket and requester.")
    return None


def _access(call: Judged) -> Decision | None:
    if call.effect is not Effect.ACCESS:
        return None
    if call.case.value("customer.verified") is True:
        return _allow("verified-access", "The requester is verified, and it only sends to or signs out the requester.")
    return _ask("unverified-access", "The requester is not verified.")


def _allow(rule: str, because: str) -> Decision:
    return Decision(verdict=Verdict.ALLOW, reasons=(Reason(rule=rule, because=because),))


def _ask(rule: str, because: str) -> Decision:
    return Decision(verdict=Verdict.ASK, reasons=(Reason(rule=rule, because=because),))


def _deny(rule: str, because: str) -> Decision:
    return Decision(verdict=Verdict.DENY, reasons=(Reason(rule=rule, because=because),))
