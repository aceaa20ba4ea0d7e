"""Plans: one description of a value's shape, from which both its Cedar type and its Cedar value are made."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias, cast

from agent.records import JsonObject

_LONG = range(-(2**63), 2**63)
_MOST_DECIMAL = Decimal("922337203685477.5807")
_EXACT = 2**53  # beyond it a float no longer says which integer it means


class Unencodable(ValueError):  # noqa: N818 - reads as the sentence it is
    """A policy could not see this value as it is, so nothing may be decided about it; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A String; `choices` are all that it can be, where that is known."""

    choices: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """A Long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """A Boolean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fraction:
    """A decimal, of at most four places."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A datetime, given as text that ends in `Z`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Canonical:
    """A String that holds any JSON value in its canonical form, so that a policy can compare it and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Many:
    """A Set: neither order nor repetition is seen."""

    of: "Plan"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """One attribute of a record; where it is not required, null and absence are the same."""

    plan: "Plan"
    is_required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A record of exactly these attributes."""

    attributes: Mapping[str, Attribute]


Plan: TypeAlias = Text | Whole | Truth | Fraction | Moment | Canonical | Many | Record


def cedar_type(plan: Plan) -> JsonObject:  # noqa: PLR0911 - one per kind of plan
    """Return the type of what `encode` makes by this plan, in Cedar's JSON schema format."""
    match plan:
        case Text() | Canonical():
            return {"type": "String"}
        case Whole():
            return {"type": "Long"}
        case Truth():
            return {"type": "Boolean"}
        case Fraction():
            return {"type": "Extension", "name": "decimal"}
        case Moment():
            return {"type": "Extension", "name": "datetime"}
        case Many(of=element):
            return {"type": "Set", "element": cedar_type(element)}
        case Record(attributes=attributes):
            types = {
                name: cedar_type(attribute.plan) | {"required": attribute.is_required}
                for name, attribute in attributes.items()
            }
            return {"type": "Record", "attributes": types}


def encode(plan: Plan, value: Any, place: str) -> Any:  # noqa: PLR0911 - one per kind of plan
    """Return the value in Cedar's JSON format; `place` names it in what is said against it.

    Raises:
        Unencodable: the value is not of the plan's shape, or Cedar cannot hold it exactly.
    """
    match plan:
        case Text() if isinstance(value, str):
            return _sound(value, place)
        case Canonical():
            return _canonical(value, place)
        case Whole():
            return _whole(value, place)
        case Truth() if isinstance(value, bool):
            return value
        case Fraction():
            return {"__extn": {"fn": "decimal", "arg": _decimal(value, place)}}
        case Moment() if isinstance(value, str):
            return {"__extn": {"fn": "datetime", "arg": value}}
        case Many(of=element) if isinstance(value, list):
            items = cast("list[Any]", value)
            return [encode(element, item, f"{place}[{index}]") for index, item in enumerate(items)]
        case Record() if isinstance(value, dict):
            return _record(plan, cast("JsonObject", value), place)
        case _:
            raise Unencodable(f"{place} is not {_WORDS[type(plan)]}.")


def canonical(value: Any) -> str:
    """Return the one text of a JSON value: keys sorted, no spaces, whole numbers without a fraction."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


_WORDS: Mapping[type[Plan], str] = {
    Text: "a text",
    Truth: "true or false",
    Moment: "a point in time",
    Many: "a list",
    Record: "an object",
}


def _record(plan: Record, value: JsonObject, place: str) -> JsonObject:
    unknown = sorted(value.keys() - plan.attributes.keys())
    if unknown:
        raise Unencodable(f"{place} has {unknown[0][:100]!r}, of which its schema says nothing.")
    encoded: JsonObject = {}
    for name, attribute in plan.attributes.items():
        item = value.get(name)
        if item is not None:
            encoded[name] = encode(attribute.plan, item, f"{place}.{name}")
        elif attribute.is_required:
            raise Unencodable(f"{place}.{name} is missing.")
    return encoded


def _sound(text: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unencodable(f"{place} holds half a character (a lone surrogate).") from error
    return text


def _canonical(value: Any, place: str) -> str:
    try:
        return _sound(canonical(value), place)
    except (TypeError, RecursionError, ValueError) as error:
        if isinstance(error, Unencodable):
            raise
        raise Unencodable(f"{place} is no JSON.") from error


def _whole(value: Any, place: str) -> int:
    # JSON Schema takes 3.0 for an integer, and so do servers.
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unencodable(f"{place} is not a whole number.")
    if value not in _LONG:
        raise Unencodable(f"{place} is larger than a policy can count.")
    return value


def _decimal(value: Any, place: str) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Unencodable(f"{place} is not a number.")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if abs(exact) > _MOST_DECIMAL:
        raise Unencodable(f"{place} is larger than a policy can count.")
    if exact != round(exact, 4):
        raise Unencodable(
            f"{place} has more than four places after the point, which a policy cannot tell apart: round it."
        )
    return f"{exact:.4f}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("JsonObject", value).items()}
    return value
