"""`policy check`: what Cedar's validator finds in a policy, and what it lets pass and no one can have meant."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from cedarpy import pst

from agent.catalog import OfferedTool
from agent.policies.cedar import Ground, ground, refusals
from agent.policies.findings import Finding, Severity
from agent.policies.knowledge import Situation, may_hold
from agent.policies.lint import groups_as_calls, typos
from agent.policies.shapes import ACTION, Shapes, cedar_schema, shapes_of
from agent.policies.source import Rule, UnreadablePolicy, read_rules
from agent.policies.wording import conditions, did_you_mean

_FOR_POLICY = re.compile(r"^for policy `policy\d+`, ")
_FOR_ACTION = re.compile(r' (?:in context )?for Action::"((?:\\.|[^"\\])*)"')
_MOST_NAMED = 3


def check(source: str, tools: Iterable[OfferedTool], *, file: str) -> tuple[Finding, ...]:
    """Return everything that is wrong with a policy for these tools, in the order of its lines."""
    shapes = shapes_of(tools)
    on = ground(cedar_schema(shapes))
    try:
        rules = read_rules(source, file=file)
    except UnreadablePolicy as unreadable:
        return unreadable.findings
    return check_rules(rules, shapes, on, file=file)


def check_rules(rules: Sequence[Rule], shapes: Shapes, on: Ground, *, file: str) -> tuple[Finding, ...]:
    """Return everything that is wrong with rules that could be read."""
    if not rules:
        message = "There is no rule in this policy, so every call would be denied."
        return (Finding(file=file, line=1, severity=Severity.ERROR, message=message),)
    ids = Counter(rule.parsed.annotations.get("id") for rule in rules)
    refused = _validated(rules, on)
    found: set[Finding] = set()
    for rule in rules:
        errors = [*_annotations(rule, ids), *_unknown_actions(rule, shapes), *refused[rule.position]]
        warnings: list[str] = []
        if not refused[rule.position]:
            errors += groups_as_calls(rule, shapes.groups)
            errors += typos(rule, _situations(rule, shapes))
            errors += _dead(rule, shapes)
            warnings += _pointless(rule, rules, shapes)
        for severity, messages in ((Severity.ERROR, errors), (Severity.WARNING, warnings)):
            found |= {Finding(file=file, line=rule.line, severity=severity, message=message) for message in messages}
    return tuple(sorted(found))


def _annotations(rule: Rule, ids: Counter[str | None]) -> Iterator[str]:
    name = rule.parsed.annotations.get("id", "").strip()
    if not name:
        yield 'The rule has no @id("…"): results and the journal could not name it.'
    elif ids[rule.id] > 1:
        yield f'Another rule has the same @id("{name}").'
    if not rule.parsed.annotations.get("because", "").strip():
        yield 'The rule has no @because("…"): nobody could be told why.'


def _unknown_actions(rule: Rule, shapes: Shapes) -> Iterator[str]:
    named = {uid.id for uid in pst.entity_uids(rule.parsed) if uid.type == pst.EntityType(basename=ACTION)}
    for name in sorted(named - shapes.actions):
        if (problem := shapes.problems.get(name)) is not None:
            yield f"No rule can speak about {name}: {problem}"
        else:
            kind = "tool" if "." in name else "group"
            yield f'There is no {kind} {ACTION}::"{name}".{did_you_mean(name, shapes.actions)}'


def _validated(rules: Sequence[Rule], on: Ground) -> dict[str, list[str]]:
    """Return what Cedar's validator says, by the position of the rule; the same about many actions is said once."""
    about: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for position, error in refusals("\n".join(rule.statement for rule in rules), on):
        message = _FOR_POLICY.sub("", error)
        about[position][_FOR_ACTION.sub("", message)].update(_FOR_ACTION.findall(message))
    found: dict[str, list[str]] = {rule.position: [] for rule in rules}
    for position, messages in about.items():
        # An error that names no rule of the file is still one: it stands at the first.
        place = position if position in found else rules[0].position
        found[place] += [_said(message, sorted(actions)) for message, actions in messages.items()]
    return found


def _said(message: str, actions: Sequence[str]) -> str:
    named = ", ".join(actions[:_MOST_NAMED])
    more = f" and {len(actions) - _MOST_NAMED} more" if len(actions) > _MOST_NAMED else ""
    return f"{message[:1].upper()}{message[1:]}{f' (for {named}{more})' if actions else ''}."


def in_scope(rule: Rule, shapes: Shapes) -> frozenset[str]:
    """Return the groups and tools that a rule's head speaks about."""
    constraint = rule.parsed.action
    if isinstance(constraint, pst.ActionEq):
        return frozenset({constraint.entity.id}) & shapes.actions
    if isinstance(constraint, pst.ActionIn):
        members = (shapes.members(entity.id) for entity in constraint.entities)
        return frozenset[str]().union(*members) & shapes.actions
    return shapes.actions


def _situations(rule: Rule, shapes: Shapes) -> tuple[Situation, ...]:
    return tuple(Situation(action=action, shapes=shapes) for action in sorted(in_scope(rule, shapes)))


def _dead(rule: Rule, shapes: Shapes) -> Iterator[str]:
    wanted = conditions(rule.parsed)
    if not any(may_hold(wanted, situation) for situation in _situations(rule, shapes)):
        yield "The rule can never apply: no call meets all of its conditions."


def _pointless(rule: Rule, rules: Sequence[Rule], shapes: Shapes) -> Iterator[str]:
    if rule.is_forbid:
        return
    scope = in_scope(rule, shapes)
    if not rule.parsed.clauses and rule.parsed.action == pst.ScopeAny():
        yield "The rule permits everything that no other rule forbids."
    for other in rules:
        if other.is_forbid and _is_unconditional(other) and scope <= in_scope(other, shapes):
            yield f"The rule permits only what {other.id} (line {other.line}) always forbids."


def _is_unconditional(rule: Rule) -> bool:
    everyone = pst.ScopeAny()
    return not rule.parsed.clauses and rule.parsed.principal == everyone == rule.parsed.resource
