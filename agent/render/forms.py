"""A server's form as questions: each property of a flat JSON schema, read from a typed line and checked."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from math import isfinite
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.exceptions import best_match as _best_match  # pyright: ignore[reportUnknownVariableType]  # untyped
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.records import JsonObject

_NO_REMOTE_SCHEMAS = Registry[Any]()
_YES = frozenset({"y", "yes", "true"})
_NO = frozenset({"n", "no", "false"})
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


Value: TypeAlias = str | float | bool | list[str]
"""What one property of a form may hold."""


class UnusableForm(ValueError):  # noqa: N818 - reads as the sentence it is
    """No person can fill in this form; the message says why."""


class Answer(Enum):
    """How an answer to one property is typed."""

    TEXT = auto()
    INTEGER = auto()
    NUMBER = auto()
    YES_NO = auto()
    ONE = auto()  # one of the choices
    MANY = auto()  # any of the choices


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A value that may be chosen, and what it is called."""

    value: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One property of a form."""

    name: str
    title: str
    description: str
    answer: Answer
    choices: tuple[Choice, ...]
    default: Any  # None: there is none
    is_required: bool
    schema: JsonObject


def fields_of(schema: JsonObject) -> tuple[Field, ...]:
    """Return the form's properties in their order.

    Raises:
        UnusableForm: a property is no string, number, boolean or choice, or a required one is not described.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as broken:
        raise UnusableForm(f"its schema is invalid: {broken.message[:200]}") from broken
    properties = cast("dict[str, JsonObject]", schema.get("properties") or {})
    required = cast("list[str]", schema.get("required") or [])
    missing = [name for name in required if name not in properties]
    if missing:
        raise UnusableForm(f"it requires {', '.join(missing)} without saying what that is")
    return tuple(_field(name, described, is_required=name in required) for name, described in properties.items())


def read_answer(field: Field, typed: str) -> Value:
    """Return the value that a typed line stands for.

    Raises:
        ValueError: it stands for none, or for one that the schema does not take; the message says what is expected.
    """
    value = _READERS[field.answer](field, typed)
    objection = complaint(field.schema, value)
    if objection is not None:
        raise ValueError(objection)
    return value


def complaint(schema: JsonObject, value: Value | JsonObject) -> str | None:
    """Return what this schema finds wrong with a value, as an expectation; None if nothing."""
    try:
        validator = Draft202012Validator(schema, registry=_NO_REMOTE_SCHEMAS, format_checker=_FORMATS)
        errors = validator.iter_errors(value)  # pyright: ignore[reportUnknownMemberType]  # untyped
        error = cast("ValidationError | None", _best_match(errors))
    except (Unresolvable, RecursionError) as broken:
        return f"the server's schema cannot be checked ({str(broken)[:200]})"
    if error is None:
        return None
    rule, limit = cast("str", error.validator), cast("Any", error.validator_value)
    sentence = _EXPECTATIONS.get(rule)
    return sentence(limit) if sentence is not None else error.message[:200]


def expectation(field: Field) -> str:
    """Return what kind of answer a property takes, such as `a whole number, 1 to 5`."""
    schema = field.schema
    noun = {
        Answer.TEXT: _FORMAT_NAMES.get(str(schema.get("format")), "text"),
        Answer.INTEGER: "a whole number",
        Answer.NUMBER: "a number",
        Answer.YES_NO: "yes or no",
        Answer.ONE: "one of these",
        Answer.MANY: "any of these, separated by commas, or none",
    }[field.answer]
    low, high = {
        Answer.TEXT: (schema.get("minLength"), schema.get("maxLength")),
        Answer.MANY: (schema.get("minItems"), schema.get("maxItems")),
    }.get(field.answer, (schema.get("minimum"), schema.get("maximum")))
    unit = " characters" if field.answer is Answer.TEXT else ""
    return ", ".join(part for part in (noun, _range(low, high, unit)) if part)


def _range(low: Any, high: Any, unit: str) -> str:
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    if low is not None:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if high is not None else ""


def _field(name: str, described: Any, *, is_required: bool) -> Field:
    if not isinstance(described, dict):
        raise UnusableForm(f"{name} is not described")
    schema = _without_null(cast("JsonObject", described))
    answer, choices = _kind(name, schema)
    return Field(
        name=name,
        title=str(schema.get("title") or name),
        description=str(schema.get("description") or ""),
        answer=answer,
        choices=choices,
        default=schema.get("default"),
        is_required=is_required,
        schema=schema,
    )


def _without_null(schema: JsonObject) -> JsonObject:
    """Return what an optional property is when it is there; `null` is typed by leaving it out."""
    alternatives = cast("list[JsonObject]", schema.get("anyOf") or [])
    branches = [branch for branch in alternatives if branch != {"type": "null"}]
    if len(branches) == 1:
        return {key: value for key, value in schema.items() if key != "anyOf"} | branches[0]
    kinds = schema.get("type")
    if isinstance(kinds, list):
        rest = [kind for kind in cast("list[str]", kinds) if kind != "null"]
        return {**schema, "type": rest[0]} if len(rest) == 1 else schema
    return schema


def _kind(name: str, schema: JsonObject) -> tuple[Answer, tuple[Choice, ...]]:
    simple = {"integer": Answer.INTEGER, "number": Answer.NUMBER, "boolean": Answer.YES_NO}
    kind = schema.get("type")
    if kind == "array":
        choices = _choices(cast("JsonObject", schema.get("items") or {}), "anyOf")
        if choices:
            return Answer.MANY, choices
    elif kind in simple:
        return simple[cast("str", kind)], ()
    elif choices := _choices(schema, "oneOf"):
        return Answer.ONE, choices
    elif kind == "string":
        return Answer.TEXT, ()
    raise UnusableForm(f"{name} is neither text, number, yes or no, nor a choice")


def _choices(schema: JsonObject, titled: str) -> tuple[Choice, ...]:
    """Return the strings to choose from: plain, with titles beside them (`enumNames`), or titled one by one."""
    if "enum" in schema:
        values = cast("list[Any]", schema["enum"])
        names = cast("list[Any]", schema.get("enumNames") or [])
        titles = names if len(names) == len(values) else values
        pairs = list(zip(values, titles, strict=True))
    else:
        branches = cast("list[JsonObject]", schema.get(titled) or schema.get("oneOf") or schema.get("anyOf") or [])
        pairs = [(branch["const"], branch.get("title") or branch["const"]) for branch in branches if "const" in branch]
    return tuple(Choice(value=value, title=str(title)) for value, title in pairs if isinstance(value, str))


def _read_text(field: Field, typed: str) -> str:  # noqa: ARG001 - one shape for all readers
    return typed


def _read_integer(field: Field, typed: str) -> int:  # noqa: ARG001 - one shape for all readers
    try:
        return int(typed)
    except ValueError:
        raise ValueError("a whole number is expected, such as 3") from None


def _read_number(field: Field, typed: str) -> float:  # noqa: ARG001 - one shape for all readers
    try:
        return int(typed)
    except ValueError:
        pass
    try:
        number = float(typed)
    except ValueError:
        raise ValueError("a number is expected, such as 3 or 2.5") from None
    if not isfinite(number):
        raise ValueError("a finite number is expected")
    return number


def _read_yes_no(field: Field, typed: str) -> bool:  # noqa: ARG001 - one shape for all readers
    word = typed.casefold()
    if word not in _YES | _NO:
        raise ValueError("yes or no is expected")
    return word in _YES


def _read_one(field: Field, typed: str) -> str:
    return _chosen(field.choices, typed)


def _read_many(field: Field, typed: str) -> list[str]:
    if typed.casefold() == "none" and not any(choice.value.casefold() == "none" for choice in field.choices):
        return []
    chosen = [_chosen(field.choices, part.strip()) for part in typed.split(",") if part.strip()]
    return list(dict.fromkeys(chosen))


def _chosen(choices: Sequence[Choice], typed: str) -> str:
    """Return the choice of this value, this title or this number, in that order: a value may look like a number."""
    word = typed.casefold()
    by_value = [choice.value for choice in choices if choice.value.casefold() == word]
    by_title = [choice.value for choice in choices if choice.title.casefold() == word]
    for found in (by_value, by_title):
        if typed in found:
            return typed
        if len(found) == 1:
            return found[0]
    if typed.isdecimal() and 1 <= int(typed) <= len(choices):
        return choices[int(typed) - 1].value
    raise ValueError(f"{typed!r} is not among the choices; type a number from 1 to {len(choices)}")


_READERS: Mapping[Answer, Callable[[Field, str], Value]] = {
    Answer.TEXT: _read_text,
    Answer.INTEGER: _read_integer,
    Answer.NUMBER: _read_number,
    Answer.YES_NO: _read_yes_no,
    Answer.ONE: _read_one,
    Answer.MANY: _read_many,
}

_FORMAT_NAMES = {
    "email": "an e-mail address",
    "uri": "an address with its scheme, such as https://example.com/",
    "date": "a date, such as 2026-03-31",
    "date-time": "a moment with its offset, such as 2026-03-31T09:30:00Z",
}

_EXPECTATIONS: Mapping[str, Callable[[Any], str]] = {
    "format": lambda name: f"{_FORMAT_NAMES.get(str(name), name)} is expected",
    "minLength": lambda least: f"at least {least} characters are expected",
    "maxLength": lambda most: f"at most {most} characters are expected",
    "minimum": lambda least: f"at least {least} is expected",
    "maximum": lambda most: f"at most {most} is expected",
    "minItems": lambda least: f"at least {least} of the choices are expected",
    "maxItems": lambda most: f"at most {most} of the choices are expected",
}


def _is_uri(value: str) -> bool:
    parts = urlsplit(value)
    return bool(parts.scheme) and bool(parts.netloc or parts.path) and not re.search(r"\s", value)


def _is_date(value: str) -> bool:
    return len(value) == len("2026-03-31") and bool(date.fromisoformat(value))


def _is_moment(value: str) -> bool:
    return "T" in value.upper() and datetime.fromisoformat(value).tzinfo is not None


_FORMAT_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "uri": _is_uri,
    "date": _is_date,
    "date-time": _is_moment,
}


def _format_checker() -> FormatChecker:
    # jsonschema's own checks of these formats are lenient, or absent without further packages.
    checker = FormatChecker(formats=())
    for name, is_of_format in _FORMAT_CHECKS.items():

        def check(value: object, is_of_format: Callable[[str], bool] = is_of_format) -> bool:
            return not isinstance(value, str) or is_of_format(value)

        checker.checks(name, raises=ValueError)(check)
    return checker


_FORMATS = _format_checker()
