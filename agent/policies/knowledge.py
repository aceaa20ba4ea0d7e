"""What is known about a rule's condition before any call: for one action, what can never hold, and what always does."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from cedarpy import pst

from agent.policies.plans import Plan, Record, Text
from agent.policies.shapes import RUN, TICKET, Shapes
from agent.policies.wording import Path, negated, path_of, worded

_MOST_BRANCHES = 256
"""Beyond it a condition counts as one that may hold: nobody writes so many alternatives by mistake."""

Value: TypeAlias = int | bool | str

_NEGATED = {
    "eq": "not_eq",
    "not_eq": "eq",
    "less": "greater_eq",
    "less_eq": "greater",
    "greater": "less_eq",
    "greater_eq": "less",
}
_MIRRORED = {"less": "greater", "less_eq": "greater_eq", "greater": "less", "greater_eq": "less_eq"}
_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "less": operator.lt,
    "less_eq": operator.le,
    "greater": operator.gt,
    "greater_eq": operator.ge,
}
_COMPUTED: Mapping[str, Callable[[int, int], int]] = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """One action with the context that its calls have."""

    action: str
    shapes: Shapes

    @property
    def context(self) -> Record:
        """The plan of the context."""
        return self.shapes.of(self.action)


def planned(context: Record, path: Path) -> Plan | None:
    """Return the plan of what a path leads to, or None where it leads nowhere."""
    plan: Plan = context
    for name in path:
        attribute = plan.attributes.get(name) if isinstance(plan, Record) else None
        if attribute is None:
            return None
        plan = attribute.plan
    return plan


def may_hold(conditions: Iterable[pst.Expr], situation: Situation) -> bool:
    """Whether these conditions could all hold together; False is certain, True is not."""
    return _Search(situation).may_hold(tuple(conditions), {})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Domain:
    """What one term may still be."""

    among: frozenset[Value] | None = None
    not_among: frozenset[Value] = frozenset()
    low: int | None = None
    high: int | None = None

    def without_contradiction(self) -> bool:
        if self.low is not None and self.high is not None and self.low > self.high:
            return False
        return self.among is None or any(map(self._admits, self.among))

    def _admits(self, value: Value) -> bool:
        if value in self.not_among:
            return False
        if isinstance(value, bool) or not isinstance(value, int):
            return True
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def narrowed(self, relation: str, values: frozenset[Value]) -> "_Domain":
        if relation == "eq":
            return replace(self, among=values if self.among is None else self.among & values)
        if relation == "not_eq":
            return replace(self, not_among=self.not_among | values)
        [limit] = values
        if not isinstance(limit, int):
            return self
        if relation in {"less", "less_eq"}:
            most = limit - (relation == "less")
            return replace(self, high=most if self.high is None else min(self.high, most))
        least = limit + (relation == "greater")
        return replace(self, low=least if self.low is None else max(self.low, least))


_Domains: TypeAlias = Mapping[str, _Domain]


@dataclass(slots=True)
class _Search:
    situation: Situation
    branches: int = field(default=0)

    def may_hold(self, todo: tuple[pst.Expr, ...], domains: _Domains) -> bool:
        while todo:
            condition, todo = todo[0], todo[1:]
            known = self._constant(condition)
            if known is False:
                return False
            if known is True:
                continue
            alternatives = _alternatives(condition)
            if alternatives is None:
                narrowed = self._narrowed(condition, domains)
                if narrowed is None:
                    return False
                domains = narrowed
                continue
            self.branches += len(alternatives) - 1
            if self.branches > _MOST_BRANCHES:
                return True
            return any(self.may_hold((*alternative, *todo), domains) for alternative in alternatives)
        return True

    def _narrowed(self, condition: pst.Expr, domains: _Domains) -> _Domains | None:
        atom = _atom(condition)
        if atom is None:
            return domains
        term, relation, values = atom
        name = worded(term)
        domain = domains.get(name) or self._domain(term)
        domain = domain.narrowed(relation, values)
        return {**domains, name: domain} if domain.without_contradiction() else None

    def _domain(self, term: pst.Expr) -> _Domain:
        path = path_of(term)
        plan = planned(self.situation.context, path) if path else None
        return _Domain(among=plan.choices) if isinstance(plan, Text) and plan.choices is not None else _Domain()

    def _constant(self, expression: pst.Expr) -> bool | None:  # noqa: PLR0911 - one per kind of expression
        match expression:
            case pst.BoolLit(value=value):
                return value
            case pst.UnaryOp(op="not", arg=inner):
                known = self._constant(inner)
                return None if known is None else not known
            case pst.HasAttr(base=base, attrs=attributes):
                return self._has(path_of(base), attributes)
            case pst.BinaryOp(op="eq" | "in", left=pst.Var(name="action"), right=right):
                return self._is_action(right, is_equal=expression.op == "eq")
            case pst.BinaryOp(op="not_eq", left=pst.Var(name="action"), right=right):
                return not self._is_action(right, is_equal=True)
            case pst.Is(base=pst.Var(name="principal" | "resource" as name), entity_type=kind, in_expr=None):
                return str(kind) == (RUN if name == "principal" else TICKET)
            case pst.BinaryOp(op=relation, left=left, right=right):
                return _compared(relation, _literal(left), _literal(right))
            case _:
                return None

    def _has(self, base: Path | None, attributes: tuple[str, ...]) -> bool | None:
        plan = None if base is None else planned(self.situation.context, base)
        is_required = True
        for name in attributes:
            if not isinstance(plan, Record):
                return None
            attribute = plan.attributes.get(name)
            if attribute is None:
                return False
            is_required, plan = is_required and attribute.is_required, attribute.plan
        return True if is_required else None

    def _is_action(self, right: pst.Expr, *, is_equal: bool) -> bool | None:
        named = right.elements if isinstance(right, pst.Set) else (right,)
        uids = [part.value.id for part in named if isinstance(part, pst.EntityLit)]
        if len(uids) < len(named):
            return None
        if is_equal:
            return self.situation.action in uids
        return any(self.situation.action in self.situation.shapes.members(uid) for uid in uids)


def _alternatives(  # noqa: PLR0911 - one per kind of condition
    condition: pst.Expr,
) -> tuple[tuple[pst.Expr, ...], ...] | None:
    """Return the ways in which a condition can hold, each as conditions of its own; None: it is a single one."""
    match condition:
        case pst.BinaryOp(op="and", left=left, right=right):
            return ((left, right),)
        case pst.BinaryOp(op="or", left=left, right=right):
            return ((left,), (negated(left), right))
        case pst.IfThenElse(cond=asked, then_expr=then, else_expr=other):
            return ((asked, then), (negated(asked), other))
        case pst.UnaryOp(op="not", arg=pst.UnaryOp(op="not", arg=inner)):
            return ((inner,),)
        case pst.UnaryOp(op="not", arg=pst.BinaryOp(op="and", left=left, right=right)):
            return ((negated(left),), (left, negated(right)))
        case pst.UnaryOp(op="not", arg=pst.BinaryOp(op="or", left=left, right=right)):
            return ((negated(left), negated(right)),)
        case pst.UnaryOp(op="not", arg=pst.IfThenElse(cond=asked, then_expr=then, else_expr=other)):
            return ((asked, negated(then)), (negated(asked), negated(other)))
        case _:
            return None


def _atom(condition: pst.Expr) -> tuple[pst.Expr, str, frozenset[Value]] | None:
    """Return a term, its relation to values, and the values; None where nothing is known about the condition."""
    match condition:
        case pst.UnaryOp(op="not", arg=inner):
            atom = _atom(inner)
            return None if atom is None or atom[1] not in _NEGATED else (atom[0], _NEGATED[atom[1]], atom[2])
        case pst.BinaryOp(op="contains", left=pst.Set(elements=elements), right=term):
            values = [_literal(element) for element in elements]
            return None if None in values else (term, "eq", frozenset(value for value in values if value is not None))
        case pst.BinaryOp(op=relation, left=left, right=right) if relation in _NEGATED:
            one, other = _literal(left), _literal(right)
            if other is not None:
                return left, relation, frozenset({other})
            return None if one is None else (right, _MIRRORED.get(relation, relation), frozenset({one}))
        case pst.GetAttr() | pst.HasAttr() | pst.Like() | pst.Is() | pst.BinaryOp():
            return condition, "eq", frozenset({True})
        case _:
            return None


def _literal(expression: pst.Expr) -> Value | None:
    match expression:
        case pst.BoolLit(value=value) | pst.LongLit(value=value) | pst.StringLit(value=value):
            return value
        case pst.EntityLit():
            return worded(expression)
        case pst.UnaryOp(op="neg", arg=inner):
            value = _literal(inner)
            return -value if isinstance(value, int) else None
        case pst.BinaryOp(op=relation, left=left, right=right) if relation in _COMPUTED:
            one, other = _literal(left), _literal(right)
            return _COMPUTED[relation](one, other) if isinstance(one, int) and isinstance(other, int) else None
        case _:
            return None


def _compared(relation: str, one: Value | None, other: Value | None) -> bool | None:
    if one is None or other is None:
        return None
    if relation in {"eq", "not_eq"}:
        return (one == other) is (relation == "eq")
    if relation in _COMPARED and isinstance(one, int) and isinstance(other, int):
        return _COMPARED[relation](one, other)
    return None
