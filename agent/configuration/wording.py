"""What pydantic finds wrong in a document, in the operator's words."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.configuration.locations import Keys, Mistake, label
from agent.records import JsonObject
from agent.settings import CasePath, HttpTransport, Pointer, QualifiedName

_LONGEST_SHOWN = 60

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}

_PATTERNS = {
    get_args(Pointer)[1].pattern: 'a JSON pointer such as "/id"',
    get_args(QualifiedName)[1].pattern: '"server.tool"',
    get_args(CasePath)[1].pattern: '"ticket.FIELD", "customer.FIELD" or "facts.NAME"',
    HttpTransport.model_fields["url"].metadata[0].pattern: "an address that starts with http:// or https://",
}


def first_mistake(error: ValidationError, *, top: Keys, kind: type[BaseModel], document: JsonObject) -> Mistake:
    """Return what to mend first in a document of this kind that stands at the keys `top` of its file.

    Unknown keys come first: a misspelt key is also a missing one. Where a value may be of several kinds,
    what it comes closest to is told, or all kinds in one sentence.
    """
    found: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_keys(detail, document), []).append(detail)
    deepest = [keys for keys in found if not any(keys != other and other[: len(keys)] == keys for other in found)]
    keys = min(deepest, key=lambda keys: found[keys][0]["type"] != "extra_forbidden")
    return Mistake(keys=top + keys, sentence=_sentence(top, keys, found[keys], kind))


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return `; did you mean "turns"?` or, if nothing is near, an empty string."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {_shown(near[0])}?" if near else ""


def _keys(detail: ErrorDetails, document: JsonObject) -> Keys:
    """Return the place as keys of the document: pydantic's also name the member of a union that was tried."""
    keys: list[str] = []
    inner: Any = document
    for part in detail["loc"]:
        if isinstance(inner, Mapping) and part in inner:
            keys.append(str(part))
            inner = cast("Mapping[Any, Any]", inner)[part]
    if detail["type"] == "missing":
        keys.append(str(detail["loc"][-1]))
    return tuple(keys)


def _sentence(top: Keys, keys: Keys, details: Sequence[ErrorDetails], kind: type[BaseModel]) -> str:
    first = details[0]
    table = label(top + keys[:-1]) if top + keys[:-1] else "the file"
    if first["type"] == "missing":
        return f"{table} needs {_shown(keys[-1])}."
    if first["type"] == "extra_forbidden":
        names = _names(kind, keys[:-1])
        hint = did_you_mean(keys[-1], names) or f"; it may have {', '.join(sorted(names))}."
        return f"{table} has no key {_shown(keys[-1])}{hint}"
    is_name = first["loc"][-1] == "[key]"
    subject = f"the name of {label(top + keys)}" if is_name else label(top + keys)
    expected = " or ".join(dict.fromkeys(_expected(detail) for detail in details))
    if "mcpServers" in top:  # what a server is started or reached with may be a secret: it is never repeated
        return f"{subject} must be {expected.replace('a table', 'an object')}."
    is_shown = first["type"] not in _KINDS and not is_name
    return f"{subject} must be {expected}" + (f", not {_shown(first['input'])}." if is_shown else ".")


def _expected(detail: ErrorDetails) -> str:
    bounds = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than":
            return f"greater than {bounds['gt']:g}"
        case "greater_than_equal":
            return f"at least {bounds['ge']:g}"
        case "string_too_short":
            return "more than empty text"
        case "enum" | "literal_error":
            return str(bounds["expected"]).replace("'", '"')
        case "string_pattern_mismatch":
            return _PATTERNS.get(bounds["pattern"], f"text that matches {bounds['pattern']}")
        case other:
            return _KINDS.get(other, "something else")


def _names(kind: Any, keys: Keys) -> set[str]:
    """Return the keys that a table of this place may have, whichever kind of table it is meant to be."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        return set(fields) if not keys else _names(fields.get(keys[0]), keys[1:])
    arguments = get_args(kind)
    if get_origin(kind) is Mapping:
        return _names(arguments[1], keys[1:]) if keys else set()
    return {name for argument in arguments for name in _names(argument, keys)}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
