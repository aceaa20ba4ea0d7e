"""Words in a rule that stand for nothing: an attribute that is nowhere, a value that an argument never has."""

import json
from collections.abc import Collection, Iterator, Sequence

from cedarpy import pst

from agent.policies.knowledge import Situation, planned
from agent.policies.plans import Canonical, Many, Plan, Record, Text, canonical
from agent.policies.shapes import ACTION
from agent.policies.source import Rule
from agent.policies.wording import Path, did_you_mean, path_of, walk

_SETS = ("contains", "contains_all", "contains_any")


def typos(rule: Rule, situations: Sequence[Situation]) -> Iterator[str]:
    """Say which words of a rule stand for nothing in any of the situations that its head speaks about.

    Cedar's validator lets all of them pass, and the rule silently never applies.
    """
    for clause in rule.parsed.clauses:
        for expression in walk(clause.expr):
            if isinstance(expression, pst.HasAttr):
                yield from _attributes(expression, situations)
            elif isinstance(expression, pst.BinaryOp):
                yield from _values(expression, situations)


def groups_as_calls(rule: Rule, groups: Collection[str]) -> Iterator[str]:
    """Say where a rule compares the action with a group: every call is a tool's, so no call ever equals one."""
    compared: list[pst.Expr] = []
    for clause in rule.parsed.clauses:
        for expression in walk(clause.expr):
            if isinstance(expression, pst.BinaryOp) and expression.op in {"eq", "not_eq", *_SETS}:
                compared += [expression.left, expression.right]
    named = {entity for expression in compared for entity in _entities(expression)}
    if isinstance(rule.parsed.action, pst.ActionEq):
        named.add(rule.parsed.action.entity)
    for name in sorted({uid.id for uid in named if uid.type == pst.EntityType(basename=ACTION)} & set(groups)):
        yield f'No call is {ACTION}::"{name}" itself, which is a group: write action in {ACTION}::"{name}".'


def _entities(expression: pst.Expr) -> Iterator[pst.EntityUid]:
    for part in expression.elements if isinstance(expression, pst.Set) else (expression,):
        if isinstance(part, pst.EntityLit):
            yield part.value


def _attributes(asked: pst.HasAttr, situations: Sequence[Situation]) -> Iterator[str]:
    base = path_of(asked.base)
    if base is None:
        return
    for depth, name in enumerate(asked.attrs):
        place = (*base, *asked.attrs[:depth])
        plans = [planned(situation.context, place) for situation in situations]
        records = [plan for plan in plans if isinstance(plan, Record)]
        known = {attribute for record in records for attribute in record.attributes}
        if records and name not in known:
            where = ".".join(("context", *place))
            yield f"`has {name}`: no call that this rule speaks about has {where}.{name}.{did_you_mean(name, known)}"
            return


def _values(relation: pst.BinaryOp, situations: Sequence[Situation]) -> Iterator[str]:
    left, right = relation.left, relation.right
    if relation.op in {"eq", "not_eq"}:
        pairs = [(path_of(left), right, False), (path_of(right), left, False)]
    elif relation.op in _SETS:
        pairs = [(path_of(left), right, True), (path_of(right), left, relation.op != "contains")]
    else:
        return
    for path, literals, is_set in pairs:
        if path:
            plans = [plan for situation in situations if (plan := planned(situation.context, path)) is not None]
            plans = [_element(plan) for plan in plans] if is_set else plans
            yield from _foreign(path, _texts(literals), plans)


def _element(plan: Plan) -> Plan:
    return plan.of if isinstance(plan, Many) else plan


def _texts(expression: pst.Expr) -> list[str]:
    parts = expression.elements if isinstance(expression, pst.Set) else (expression,)
    return [part.value for part in parts if isinstance(part, pst.StringLit)]


def _foreign(path: Path, values: Sequence[str], plans: Sequence[Plan]) -> Iterator[str]:
    place = ".".join(("context", *path))
    for value in values:
        if plans and all(isinstance(plan, Text) and plan.choices is not None for plan in plans):
            choices = {choice for plan in plans if isinstance(plan, Text) for choice in plan.choices or ()}
            if value not in choices:
                among = ", ".join(sorted(choices)[:10])
                yield f'{place} is never "{value}": it is one of {among}.{did_you_mean(value, choices)}'
        elif plans and all(isinstance(plan, Canonical) for plan in plans) and not _is_canonical(value):
            yield f'{place} is never "{value}": it is JSON as one text, keys sorted and without spaces.'


def _is_canonical(text: str) -> bool:
    try:
        return canonical(json.loads(text)) == text
    except (ValueError, RecursionError):
        return False
