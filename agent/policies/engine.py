"""The decision: one call put before Cedar, twice at most, in the one way in which it cannot fail open."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cedarpy

from agent.catalog import OfferedTool
from agent.errors import ConfigurationError
from agent.policies.cedar import Ground, ask, ground
from agent.policies.checking import check_rules
from agent.policies.findings import Severity
from agent.policies.plans import Unencodable
from agent.policies.request import Request, context_of
from agent.policies.shapes import ACTION, RUN, TICKET, Shapes, cedar_schema, shapes_of
from agent.policies.source import Rule, UnreadablePolicy, read_rules
from agent.records import Decision, JsonObject, Reason, Verdict

_MOST_SHOWN = 5
_LONGEST_ERROR = 300
_POLICY = re.compile(r"`(policy\d+)`")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """What the policy says of one request: the rules that decided, or why they could not."""

    is_allowed: bool
    reasons: tuple[Reason, ...]
    is_broken: bool = False


@dataclass(frozen=True, kw_only=True)
class Policies:
    """A policy file, read and checked against the tools that it speaks about, for as long as a command lasts."""

    rules: tuple[Rule, ...]
    tools: Mapping[str, OfferedTool]
    shapes: Shapes
    ground: Ground
    policy_set: cedarpy.PolicySet

    def decide(self, request: Request, *, is_approved: bool = False) -> Decision:
        """Return the verdict on this call; whatever goes wrong denies it.

        ASK is no permission: after a person's yes to exactly these arguments, decide again with fresh facts and
        `is_approved`, which answers ALLOW or DENY.
        """
        first = self._judged(request, is_approved=is_approved)
        if first.is_allowed:
            return Decision(verdict=Verdict.ALLOW, reasons=first.reasons)
        if first.is_broken or is_approved:
            return self._denied(request, first)
        approved = self._judged(request, is_approved=True)
        if approved.is_allowed:
            # A rule that forbids only what nobody approved is the reason to ask; else it is the one that then permits.
            return Decision(verdict=Verdict.ASK, reasons=first.reasons or approved.reasons)
        return self._denied(request, approved if approved.reasons else first)

    def _judged(self, request: Request, *, is_approved: bool) -> _Judged:
        try:
            asked = self.asked(request, is_approved=is_approved)
        except Unencodable as refused:
            reason = Reason(rule="unencodable", because=str(refused))
            return _Judged(is_allowed=False, reasons=(reason,), is_broken=True)
        answer = ask(asked, self.policy_set, self.ground)
        if answer.errors:
            reasons = tuple(self._failure(error) for error in answer.errors)
            return _Judged(is_allowed=False, reasons=reasons, is_broken=True)
        applied = (rule for rule in self.rules if rule.position in answer.applied)
        reasons = tuple(Reason(rule=rule.id, because=rule.because) for rule in applied)
        return _Judged(is_allowed=answer.is_allowed, reasons=reasons)

    def asked(self, request: Request, *, is_approved: bool) -> JsonObject:
        """Return the request in Cedar's JSON format.

        Raises:
            Unencodable: it cannot be shown to Cedar as it is.
        """
        if (problem := self.shapes.problems.get(request.tool)) is not None:
            raise Unencodable(problem)
        if (shape := self.shapes.tools.get(request.tool)) is None:
            raise Unencodable("The policy knows no tool of this name.")
        context = context_of(request, self.tools[request.tool], shape, is_approved=is_approved)
        return {
            "principal": {"type": RUN, "id": request.standing.run_id},
            "action": {"type": ACTION, "id": request.tool},
            "resource": {"type": TICKET, "id": request.case.ticket.id},
            "context": json.dumps(context),
        }

    def _denied(self, request: Request, judged: _Judged) -> Decision:
        reasons = judged.reasons
        if not reasons:
            effect = self.shapes.effects[request.tool].value
            because = f"No rule of the policy permits this call of {request.tool} ({effect})."
            reasons = (Reason(rule="default", because=because),)
        return Decision(verdict=Verdict.DENY, reasons=reasons)

    def _failure(self, error: str) -> Reason:
        named = _POLICY.search(error)
        rule = next((rule for rule in self.rules if named and rule.position == named[1]), None)
        if rule is None:
            return Reason(
                rule="error", because=f"The call cannot be judged, so it is denied: {error[:_LONGEST_ERROR]}."
            )
        cause = error.partition("`: ")[2][:_LONGEST_ERROR]
        return Reason(rule=rule.id, because=f"The rule {rule.id} fails on this call, so it is denied: {cause}.")


def load_policies(source: str, tools: Iterable[OfferedTool], *, file: str) -> Policies:
    """Return the policy of this text for these tools; `file` names it in what is said against it.

    Raises:
        ConfigurationError: the policy has errors; the message names file and line of each.
    """
    everything = tuple(tools)
    shapes = shapes_of(everything)
    on = ground(cedar_schema(shapes))
    try:
        rules = read_rules(source, file=file)
        findings = check_rules(rules, shapes, on, file=file)
    except UnreadablePolicy as unreadable:
        rules, findings = (), unreadable.findings
    errors = [str(finding) for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigurationError(_listed(errors))
    return Policies(
        rules=rules,
        tools={tool.qualified: tool for tool in everything},
        shapes=shapes,
        ground=on,
        policy_set=cedarpy.PolicySet.from_str(source),
    )


def _listed(errors: Sequence[str]) -> str:
    more = [f"… and {len(errors) - _MOST_SHOWN} more"] if len(errors) > _MOST_SHOWN else []
    return "The policy cannot be used.\n" + "\n".join([*errors[:_MOST_SHOWN], *more])
