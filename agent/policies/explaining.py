"""`policy explain`: which rules decided about a call, and which condition kept the others from applying."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

import cedarpy
from cedarpy import pst

from agent.policies.cedar import ask
from agent.policies.engine import Policies
from agent.policies.plans import Unencodable
from agent.policies.request import Request
from agent.policies.source import Rule
from agent.policies.wording import Path, conditions, paths_in, walk, worded
from agent.records import Decision, JsonObject, Verdict

_LONGEST_VALUE = 120
_FAILED = re.compile(r"`(rule\d+/\d+)`: (.*)", re.DOTALL)


class Fate(StrEnum):
    """What became of one rule."""

    APPLIED = "applied"
    UNMET = "unmet"  # a condition of it did not hold
    ELSEWHERE = "elsewhere"  # it speaks about other calls
    FAILED = "failed"  # a condition of it could not be evaluated, which denies the call


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One value that a condition looked at."""

    name: str  # as a policy writes it: context.customer.tier
    value: str  # as JSON, or "absent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmet:
    """A condition that kept a rule from applying: one that did not hold, or one that holds and must not."""

    condition: str  # in Cedar's syntax
    is_excluding: bool  # it stands under `unless` or `!`, and holds
    seen: tuple[Seen, ...]
    error: str | None = None  # why it could not be evaluated

    def __str__(self) -> str:
        values = ", ".join(f"{seen.name} = {seen.value}" for seen in self.seen)
        word = "failed" if self.error else "excluded by" if self.is_excluding else "not"
        return f"{word}: {self.condition}{f' [{values}]' if values else ''}{f': {self.error}' if self.error else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Considered:
    """One rule of the policy and what became of it."""

    rule: str
    because: str
    line: int
    is_forbid: bool
    fate: Fate
    unmet: tuple[Unmet, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A decision, and every rule that was considered for it, in the order of the file."""

    decision: Decision
    is_as_approved: bool  # the rules are shown as they stand after a person's yes: the most that could be had
    rules: tuple[Considered, ...]  # empty where the call could not even be shown to the policy


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    action: str
    context: JsonObject
    held: frozenset[str]
    failed: Mapping[str, str]  # trial → Cedar's error


def explain(policies: Policies, request: Request) -> Explanation:
    """Return the decision on this call, and for each rule why it applied or not.

    What the agent may do by itself is shown as it was decided; of everything else the state after an approval is
    shown, so that what is missing is never just the approval.
    """
    decision = policies.decide(request)
    is_approved = decision.verdict is not Verdict.ALLOW
    try:
        asked = policies.asked(request, is_approved=is_approved)
    except Unencodable:
        return Explanation(decision=decision, is_as_approved=is_approved, rules=())
    trials = [trial for index, rule in enumerate(policies.rules) for trial in _trials(index, rule)]
    tried = _tried(policies, trials, asked)
    considered = [_considered(index, rule, tried) for index, rule in enumerate(policies.rules)]
    return Explanation(decision=decision, is_as_approved=is_approved, rules=tuple(considered))


def _trials(index: int, rule: Rule) -> Iterable[pst.Template]:
    """Yield policies of one condition each, so that Cedar itself says which of them hold; 0 is the rule's head."""
    head = replace(rule.parsed, id=f"rule{index}/0", effect="permit", clauses=(), annotations={})
    yield head
    for number, condition in enumerate(conditions(rule.parsed), start=1):
        anywhere = replace(head, principal=pst.ScopeAny(), action=pst.ScopeAny(), resource=pst.ScopeAny())
        yield replace(anywhere, id=f"rule{index}/{number}", clauses=(pst.When(expr=condition),))


def _tried(policies: Policies, trials: Sequence[pst.Template], asked: JsonObject) -> _Tried:
    nodes = pst.PolicySet(templates={}, static_policies={trial.id: trial for trial in trials}, template_links=())
    policy_set = cedarpy.PolicySet.from_pst(nodes)
    answer = ask(asked, policy_set, policies.ground)
    failed = {found[1]: found[2] for error in answer.errors if (found := _FAILED.search(error))}
    return _Tried(
        action=asked["action"]["id"],
        context=json.loads(asked["context"]),
        held=answer.applied,
        failed=failed,
    )


def _considered(index: int, rule: Rule, tried: _Tried) -> Considered:
    fate, unmet = Fate.APPLIED, list[Unmet]()
    for number, condition in enumerate(conditions(rule.parsed), start=1):
        name = f"rule{index}/{number}"
        if name in tried.held:
            continue
        # Cedar stops at the first condition that does not hold: what fails only behind it did not fail.
        if name in tried.failed and unmet:
            continue
        unmet.append(_unmet(condition, tried, name))
    if f"rule{index}/0" not in tried.held:
        fate, unmet = Fate.ELSEWHERE, []
    elif unmet:
        fate = Fate.FAILED if unmet[0].error is not None else Fate.UNMET
    return Considered(
        rule=rule.id,
        because=rule.because,
        line=rule.line,
        is_forbid=rule.is_forbid,
        fate=fate,
        unmet=tuple(unmet),
    )


def _unmet(condition: pst.Expr, tried: _Tried, name: str) -> Unmet:
    is_excluding = isinstance(condition, pst.UnaryOp) and condition.op == "not"
    asked = condition.arg if isinstance(condition, pst.UnaryOp) and is_excluding else condition
    error = tried.failed.get(name)
    return Unmet(condition=worded(asked), is_excluding=is_excluding, seen=_seen(asked, tried), error=error)


def _seen(condition: pst.Expr, tried: _Tried) -> tuple[Seen, ...]:
    seen = [Seen(name=".".join(("context", *path)), value=_shown(tried.context, path)) for path in paths_in(condition)]
    if any(part == pst.Var(name="action") for part in walk(condition)):
        seen.insert(0, Seen(name="action", value=tried.action))
    return tuple(seen)


def _shown(context: JsonObject, path: Path) -> str:
    value: Any = context
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return "absent"
        value = cast("JsonObject", value)[name]
    if isinstance(value, dict) and "__extn" in value:
        value = cast("JsonObject", value)["__extn"]["arg"]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
