"""From the arguments that a model sent to the arguments that may leave: stripped, filled in, checked."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.exceptions import best_match as _best_match  # pyright: ignore[reportUnknownVariableType]  # untyped
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.catalog import OfferedTool
from agent.documents import without_surrogates
from agent.records import CONFINING, JsonObject

_LONGEST_SHOWN = 200
_NO_REMOTE_SCHEMAS = Registry[Any]()
_OPEN = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties", "$ref", "$dynamicRef"})
_COMBINATORS = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")


class UnusableArguments(ValueError):  # noqa: N818 - reads as the sentence it is
    """These arguments make no call; the message tells the model what to change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Arguments as they would leave, and what of the model's was not listened to."""

    arguments: JsonObject
    stripped: tuple[str, ...]


def bind(tool: OfferedTool, arguments: Any, value_of: Callable[[str], Any], *, most_chars: int) -> Bound:
    """Return the call's arguments with the bound ones filled in from `value_of(path)`; the model's own are dropped.

    Raises:
        UnusableArguments: not an object, too large, unknown or missing names, wrong types, or nothing to bind.
    """
    if not isinstance(arguments, dict):
        raise UnusableArguments("The arguments must be a JSON object.")
    if tool.problem is not None:
        raise UnusableArguments(f"{tool.qualified} cannot be called: {tool.problem}.")
    try:
        size = len(json.dumps(arguments, ensure_ascii=False, allow_nan=False))
        own: JsonObject = without_surrogates(arguments)
    except (ValueError, RecursionError) as error:
        raise UnusableArguments(
            "The arguments must be JSON, without NaN or infinity, and not nested deeply."
        ) from error
    if size > most_chars:
        raise UnusableArguments(f"The arguments are {size:,} characters long; at most {most_chars:,} are accepted.")
    stripped = tuple(sorted(set(own) & set(tool.settings.bind)))
    kept = {name: value for name, value in own.items() if name not in stripped}
    bound = _bound_values(tool, value_of)
    _check_names(tool, kept)
    _check_schema(tool, kept | bound)
    return Bound(arguments=kept | bound, stripped=stripped)


def _bound_values(tool: OfferedTool, value_of: Callable[[str], Any]) -> JsonObject:
    values = {name: value_of(path) for name, path in tool.settings.bind.items()}
    required = set(cast("list[str]", tool.full_schema.get("required", [])))
    for name, value in values.items():
        if value is None and name in required:
            raise UnusableArguments(
                f"{tool.qualified} needs {tool.settings.bind[name]}, which this case does not have: "
                "the requester may be in no customer record. Escalate if it is needed."
            )
    filled = {name: _as_typed(value, _type(tool, name)) for name, value in values.items() if value is not None}
    if tool.is_confined and not any(tool.settings.bind[name] in CONFINING for name in filled):
        # Left out, an optional filter lets the call reach everyone's data.
        raise UnusableArguments(
            f"{tool.qualified} is only for the data of this case, which is in no customer record. "
            "Escalate if it is needed."
        )
    return filled


def _type(tool: OfferedTool, name: str) -> Any:
    return tool.full_schema.get("properties", {}).get(name, {}).get("type")


def _as_typed(value: Any, declared: Any) -> Any:
    # Ids are texts here; a server may count them. Only a text that is that number to the digit becomes it.
    if declared == "integer" and isinstance(value, str) and value.isdecimal() and str(int(value)) == value:
        return int(value)
    return value


def _check_names(tool: OfferedTool, arguments: JsonObject) -> None:
    # Servers that forbid nothing ignore what they do not know: the model would believe in an argument without effect.
    names = _names(tool.full_schema)
    unknown = [] if names is None else sorted(set(arguments) - names)
    if unknown:
        takes = ", ".join(tool.input_schema.get("properties", {})) or "no arguments"
        raise UnusableArguments(
            f"{tool.qualified} has no argument {', '.join(unknown)[:_LONGEST_SHOWN]}. It takes: {takes}."
        )


def _names(schema: Any) -> set[str] | None:
    """Return the arguments that a schema speaks of, or None where it leaves their names open."""
    if not isinstance(schema, dict):
        return set()
    table = cast("JsonObject", schema)
    if any(table.get(key, False) is not False for key in _OPEN):
        return None
    parts = [part for key in _COMBINATORS for part in table.get(key, ())]
    parts += [table[key] for key in _CONDITIONS if key in table]
    names = set(table.get("properties", {}))
    for part in parts:
        more = _names(part)
        if more is None:
            return None
        names |= more
    return names


def _check_schema(tool: OfferedTool, arguments: JsonObject) -> None:
    try:
        validator = Draft202012Validator(tool.full_schema, registry=_NO_REMOTE_SCHEMAS)
        errors = validator.iter_errors(arguments)  # pyright: ignore[reportUnknownMemberType]  # untyped
        error = cast("ValidationError | None", _best_match(errors))
    except (Unresolvable, RecursionError) as broken:
        raise UnusableArguments(
            f"The schema of {tool.qualified} cannot be checked ({str(broken)[:_LONGEST_SHOWN]}), so it is not called."
        ) from broken
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path)[:_LONGEST_SHOWN]
        message = error.message if len(error.message) <= _LONGEST_SHOWN else f"{error.message[:_LONGEST_SHOWN]}…"
        raise UnusableArguments(f"{tool.qualified}: {f'argument {place}: ' if place else ''}{message}")
