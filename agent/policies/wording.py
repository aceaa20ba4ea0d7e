"""Cedar's expressions as text again, written as a person would; and the paths into the context that they read."""

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from cedarpy import pst

Path = tuple[str, ...]
"""Attributes from the context inwards: ("customer", "tier")."""

_INFIX = {
    "eq": "==",
    "not_eq": "!=",
    "less": "<",
    "less_eq": "<=",
    "greater": ">",
    "greater_eq": ">=",
    "and": "&&",
    "or": "||",
    "add": "+",
    "sub": "-",
    "mul": "*",
    "in": "in",
}
_BINDING = {"or": 1, "and": 2, "add": 4, "sub": 4, "mul": 5}  # 3: relations, `has`, `like`, `is`
_RELATION, _PREFIX, _POSTFIX = 3, 6, 7
_FUNCTIONS = frozenset({"datetime", "decimal", "duration", "ip"})


def worded(expression: pst.Expr) -> str:
    """Return the expression in Cedar's syntax, with no parentheses but those that it needs."""
    return _worded(expression)[0]


def path_of(expression: pst.Expr) -> Path | None:
    """Return the path of an expression that only reads an attribute of the context; the context itself is ()."""
    match expression:
        case pst.Var(name="context"):
            return ()
        case pst.GetAttr(base=base, attr=attribute):
            before = path_of(base)
            return None if before is None else (*before, attribute)
        case _:
            return None


def walk(expression: pst.Expr) -> Iterator[pst.Expr]:
    """Yield the expression and everything in it, from the outside inwards."""
    yield expression
    for part in _parts(expression):
        yield from walk(part)


def paths_in(expression: pst.Expr) -> tuple[Path, ...]:
    """Return the paths that an expression reads or asks for, each once, in order."""
    found: list[Path] = []
    _collect(expression, found)
    return tuple(dict.fromkeys(found))


def _collect(expression: pst.Expr, found: list[Path]) -> None:
    path = path_of(expression)
    if path:
        found.append(path)
        return
    if isinstance(expression, pst.HasAttr) and (base := path_of(expression.base)) is not None:
        found.append((*base, *expression.attrs))
        return
    for part in _parts(expression):
        _collect(part, found)


def conjuncts(expression: pst.Expr) -> tuple[pst.Expr, ...]:
    """Return the parts of an expression that must all hold, in the order in which Cedar looks at them."""
    match expression:
        case pst.BinaryOp(op="and", left=left, right=right):
            return (*conjuncts(left), *conjuncts(right))
        case pst.UnaryOp(op="not", arg=pst.BinaryOp(op="or", left=left, right=right)):
            return (*conjuncts(negated(left)), *conjuncts(negated(right)))
        case pst.UnaryOp(op="not", arg=pst.UnaryOp(op="not", arg=inner)):
            return conjuncts(inner)
        case _:
            return (expression,)


def negated(expression: pst.Expr) -> pst.Expr:
    """Return what holds exactly where the expression does not."""
    return pst.UnaryOp(op="not", arg=expression)


def conditions(template: pst.Template) -> tuple[pst.Expr, ...]:
    """Return what must all hold for a rule to apply, beyond its scope."""
    return tuple(
        part
        for clause in template.clauses
        for part in conjuncts(clause.expr if isinstance(clause, pst.When) else negated(clause.expr))
    )


def _parts(expression: pst.Expr) -> tuple[pst.Expr, ...]:  # noqa: PLR0911 - one per kind of node
    match expression:
        case pst.UnaryOp(arg=only) | pst.GetAttr(base=only) | pst.HasAttr(base=only) | pst.Like(base=only):
            return (only,)
        case pst.BinaryOp(left=left, right=right):
            return (left, right)
        case pst.IfThenElse(cond=condition, then_expr=then, else_expr=other):
            return (condition, then, other)
        case pst.Is(base=base, in_expr=within):
            return (base,) if within is None else (base, within)
        case pst.Set(elements=elements):
            return elements
        case pst.Record(fields=fields):
            return tuple(fields.values())
        case _:
            return ()


def _worded(expression: pst.Expr) -> tuple[str, int]:  # noqa: PLR0911, PLR0912 - one per kind of node
    match expression:
        case pst.Var(name=name):
            return name, _POSTFIX
        case pst.Slot(name=name):
            return f"?{name}", _POSTFIX
        case pst.BoolLit(value=value):
            return ("true" if value else "false"), _POSTFIX
        case pst.LongLit(value=value):
            return str(value), _POSTFIX if value >= 0 else _PREFIX
        case pst.StringLit(value=value):
            return _quoted(value), _POSTFIX
        case pst.EntityLit(value=uid):
            return f"{uid.type}::{_quoted(uid.id)}", _POSTFIX
        case pst.UnaryOp(op=operator, arg=argument):
            return _unary(operator, argument)
        case pst.BinaryOp(op=operator, left=left, right=right):
            return _binary(operator, left, right)
        case pst.GetAttr(base=base, attr=attribute):
            inner = _within(base, _POSTFIX)
            return (f"{inner}.{attribute}" if _is_plain(attribute) else f"{inner}[{_quoted(attribute)}]"), _POSTFIX
        case pst.HasAttr(base=base, attrs=attributes):
            asked = ".".join(attributes) if all(map(_is_plain, attributes)) else ", ".join(map(_quoted, attributes))
            return f"{_within(base, _RELATION + 1)} has {asked}", _RELATION
        case pst.Like(base=base, pattern=pattern):
            text = "".join("*" if isinstance(part, pst.Wildcard) else _starless(part.value) for part in pattern)
            return f'{_within(base, _RELATION + 1)} like "{text}"', _RELATION
        case pst.Is(base=base, entity_type=kind, in_expr=within):
            inside = "" if within is None else f" in {_within(within, _RELATION + 1)}"
            return f"{_within(base, _RELATION + 1)} is {kind}{inside}", _RELATION
        case pst.IfThenElse(cond=condition, then_expr=then, else_expr=other):
            return f"if {worded(condition)} then {worded(then)} else {worded(other)}", 0
        case pst.Set(elements=elements):
            return f"[{', '.join(map(worded, elements))}]", _POSTFIX
        case pst.Record(fields=fields):
            return "{" + ", ".join(f"{_quoted(name)}: {worded(part)}" for name, part in fields.items()) + "}", _POSTFIX


def _unary(operator: str, argument: pst.Expr) -> tuple[str, int]:
    if operator in {"not", "neg"}:
        return f"{'!' if operator == 'not' else '-'}{_within(argument, _PREFIX)}", _PREFIX
    if operator in _FUNCTIONS:
        return f"{operator}({worded(argument)})", _POSTFIX
    return f"{_within(argument, _POSTFIX)}.{_camel(operator)}()", _POSTFIX


def _binary(operator: str, left: pst.Expr, right: pst.Expr) -> tuple[str, int]:
    if operator not in _INFIX:
        return f"{_within(left, _POSTFIX)}.{_METHODS.get(operator, _camel(operator))}({worded(right)})", _POSTFIX
    binding = _BINDING.get(operator, _RELATION)
    # Relations do not chain, everything else groups to the left.
    leftmost = binding + 1 if binding == _RELATION else binding
    return f"{_within(left, leftmost)} {_INFIX[operator]} {_within(right, binding + 1)}", binding


_METHODS = {
    "decimal_less_than": "lessThan",
    "decimal_less_eq": "lessThanOrEqual",
    "decimal_greater": "greaterThan",
    "decimal_greater_eq": "greaterThanOrEqual",
}


def _within(expression: pst.Expr, least: int) -> str:
    text, binding = _worded(expression)
    return text if binding >= least else f"({text})"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _is_plain(name: str) -> bool:
    return name.isidentifier() and name.isascii()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _starless(character: str) -> str:
    return "\\*" if character == "*" else _quoted(character)[1:-1]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names what was probably meant, to stand behind a sentence; or nothing."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
