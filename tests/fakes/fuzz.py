"""What to throw at a server: values that a tool's JSON Schema admits, values that it does not, and hostile texts."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.examples import FACTOR


def budget(examples: int, *, steps: int = 50) -> settings:
    """Return settings for this many examples in an ordinary run, `FACTOR` times as many in a long one."""
    return settings(
        max_examples=examples * FACTOR,
        stateful_step_count=steps,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# Texts and numbers.

_NOT_THERE = (
    "", " ", "\t\r\n", "\0", "a\0b", "\ud83d", "a\udfff", "\u202eevil\u2066", "\ufeff", "\x1b[2J", "e\u0301" * 60,
)  # fmt: skip
_PIECES = (
    "x'; DROP TABLE x; --", '" OR ""="', "%' OR 1=1 --", "_%\\", "*", 'x" OR y NEAR(z', "{ticket_id}", "{0}", "%s%n",
    "</ticket>", "<script>x</script>", "| a | b |", "> # x\n\n## y", "[x](y)", "null", "true", "[]", "{}", '["a"]',
)  # fmt: skip
_PLACES = (
    "../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "~", ".", "..", "a/b", "a//b", ".hidden", "x.md",
    "http://127.0.0.1:9/x", "file:///etc/passwd", "data:,x", "javascript:x",
)  # fmt: skip
_ENCODED = ("%2e%2e%2f", "%00", "%", "%zz", "%25%32%65", "%ed%a0%80")
_NEARLY = (
    "\u0664\u0662", "\uff14\uff12", "42\n", " 42", "042", "+42", "4_2", "-0", "1e999", "9" * 5_000,
    "a@b", "a@b@c", "@", "\xdf@\u01c5.example", "none", "None", "list",
)  # fmt: skip
_TIMES = (
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "2026-11-02T09:30:00Z", "20261102", "0000",
)  # fmt: skip
_LONG = ("x" * 256, "x" * 5_001, "x" * 10_001, "\U0001f600" * 30_000, "[" * 2_000, "\u0130" * 51)

HOSTILE = (_NOT_THERE, _PIECES, _PLACES, _ENCODED, _NEARLY, _TIMES, _LONG)
"""Texts that have broken programs before: none of them is a word that an error would show on its own account."""

NUMBERS = (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, -(10**300))

TEXT: SearchStrategy[str] = st.one_of(
    st.sampled_from(["x", "login password", "ノート共有", "Zoë"]),
    st.sampled_from(HOSTILE).flatmap(st.sampled_from),
    st.text(st.characters(), max_size=30),
)
INTEGERS: SearchStrategy[int] = st.one_of(st.integers(-3, 12), st.sampled_from(NUMBERS), st.integers())
FLOATS: SearchStrategy[float] = st.floats(allow_nan=False, allow_infinity=False)


def _nested(depth: int) -> Any:
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"x": value}
    return value


ANY_JSON: SearchStrategy[Any] = st.one_of(
    st.recursive(
        st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    st.integers(1, 100).map(_nested),
)
OBJECTS: SearchStrategy[dict[str, Any]] = st.dictionaries(TEXT, ANY_JSON, max_size=4)


def _sealed(position: Any) -> str:
    text = position if isinstance(position, str) else json.dumps(position)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode()


_CURSORS = st.one_of(
    st.tuples(
        st.integers(-3, 0) | st.sampled_from(NUMBERS),
        st.just("2026-11-02T09:42:00.000Z") | TEXT,
        st.integers(42, 48) | st.sampled_from(NUMBERS),
    ).map(_sealed),
    ANY_JSON.map(_sealed),
    st.sampled_from(["[" * 100_000, '"\\ud800"', "\ud800"]).map(_sealed),
)

_ADDRESSES = ("alice@example.com", "Bob@Example.com", "c@example.com")

KNOWN: Mapping[str, SearchStrategy[Any]] = {
    "ticket_id": st.sampled_from(["42", "43", "44", "45", "46", "47", "48", "999"]),
    "customer_id": st.sampled_from(["cus_1001", "cus_1002"]),
    "invoice_id": st.sampled_from(["inv_1001", "inv_1002", "inv_1003", "inv_2001"]),
    "session_ids": st.lists(st.sampled_from(["ses_1", "ses_2", "ses_9"]), max_size=3),
    "expected_amount_cents": st.sampled_from([8400, 900, 1200, 500]),
    "expected_version": st.integers(0, 6),
    "requester": st.sampled_from(_ADDRESSES),
    "email": st.sampled_from(_ADDRESSES),
    "contact_email": st.sampled_from(_ADDRESSES),
    "slug": st.sampled_from(["login", "invoices", "share"]),
    "account_tier": st.sampled_from(["free", "pro", "enterprise"]),
    "marker": st.sampled_from(["a", "b"]),
    "created_at": st.sampled_from(_TIMES),
    "due_at": st.sampled_from(_TIMES),
    "cursor": _CURSORS,
    "tag": st.sampled_from(["login", "a"]),
    "status": st.sampled_from([["new", "open"], ["closed", "closed"], [], ["open"] * 300_000]),
}
"""Values that mean something to a server, by the name of their argument; other names get what their schema admits."""


def likely(name: str, others: SearchStrategy[Any] = TEXT) -> SearchStrategy[Any]:
    """Return values for an argument of this name: two of three mean something, the rest are `others`."""
    # Not `known | others`: one_of would spread its draws evenly over the many kinds of other values.
    known = KNOWN.get(name, others)
    return st.sampled_from([known, known, others]).flatmap(lambda drawn: drawn)


# JSON Schema.

_SAYS_NOTHING = {"title", "description", "default", "$defs", "examples", "deprecated"}


class UnknownSchema(Exception):  # noqa: N818 - reads as the sentence it is
    """A tool's schema uses a word that this module does not know: teach it to `admitted`."""


def admitted(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None, name: str = "") -> SearchStrategy[Any]:
    """Return values that the schema admits, mixed with what `KNOWN` has for an argument of this name.

    Raises:
        UnknownSchema: the schema says more than this function understands.
    """
    root = schema if root is None else root
    values = _admitted({word: value for word, value in schema.items() if word not in _SAYS_NOTHING}, root)
    return likely(name, values) if name in KNOWN else values


def _admitted(words: dict[str, Any], root: Mapping[str, Any]) -> SearchStrategy[Any]:
    match words:
        case {"$ref": str(pointer), **rest}:
            values = admitted(root["$defs"][pointer.removeprefix("#/$defs/")], root)
        case {"anyOf": list(choices), **rest} | {"oneOf": list(choices), **rest}:
            values = st.one_of([admitted(choice, root) for choice in choices])
        case {"enum": list(choices), **rest}:
            rest.pop("type", None)
            values = st.sampled_from(choices)
        case {"const": value, **rest}:
            rest.pop("type", None)
            values = st.just(value)
        case {"type": str(kind), **rest}:
            values = _of_type(kind, rest, root)
        case {**rest}:
            values = ANY_JSON
    if rest:
        raise UnknownSchema(f"The fuzzer does not know {sorted(rest)} in {words}.")
    return values


def _of_type(kind: str, rest: dict[str, Any], root: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Return values of one type; what it takes out of `rest` it has understood."""
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            shortest, longest = rest.pop("minLength", 0), rest.pop("maxLength", None)
            most = float("inf") if longest is None else longest
            return TEXT.filter(lambda text: shortest <= len(text) <= most)
        case "integer" | "number":
            least, most = rest.pop("minimum", None), rest.pop("maximum", None)
            if kind == "integer":
                return INTEGERS if least is None and most is None else st.integers(least, most)
            return FLOATS if least is None and most is None else st.floats(least, most)
        case "array":
            items = admitted(rest.pop("items", {}), root)
            shortest, longest = rest.pop("minItems", 0), rest.pop("maxItems", None)
            return st.lists(items, min_size=shortest, max_size=min(3, 3 if longest is None else longest))
        case "object":
            return _objects(rest, root)
        case _:
            raise UnknownSchema(f"The fuzzer does not know the type {kind!r}.")


def _objects(rest: dict[str, Any], root: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    required = set(rest.pop("required", ()))
    fields = {name: admitted(schema, root, name) for name, schema in rest.pop("properties", {}).items()}
    more = rest.pop("additionalProperties", True)
    named = st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    )
    if more is False:
        return named
    others = st.dictionaries(TEXT, ANY_JSON if more is True else admitted(more, root), max_size=2)
    return st.tuples(others, named).map(lambda pair: {**pair[0], **pair[1]})


def width(schema: Any) -> int:
    """Return how many properties a schema has, at any depth."""
    match schema:
        case {**words}:
            return len(words.get("properties", ())) + sum(width(inner) for inner in words.values())
        case [*items]:
            return sum(width(inner) for inner in items)
        case _:
            return 0


@st.composite
def broken(draw: st.DrawFn, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that the schema mostly does not admit: one of them wrong, missing or too many, or anything."""
    how = draw(st.sampled_from(["wrong", "wrong", "wrong", "missing", "extra", "anything"]))
    arguments: dict[str, Any] = dict(draw(admitted(schema)))
    match how:
        case "wrong" if schema["properties"]:
            name = draw(st.sampled_from(sorted(schema["properties"])))
            arguments[name] = draw(_bent(arguments.get(name)))
        case "missing" if arguments:
            del arguments[draw(st.sampled_from(sorted(arguments)))]
        case "anything":
            arguments = draw(OBJECTS)
        case _:
            arguments |= draw(OBJECTS)
    return arguments


def _bent(value: Any) -> SearchStrategy[Any]:
    """Return other JSON than this: anything, the value as text, or the value with one wrong part."""
    choices: list[SearchStrategy[Any]] = [ANY_JSON, st.just(json.dumps(value)), st.just([value]), st.just({"x": value})]
    match value:
        case [first, *others]:
            choices.append(_bent(first).map(lambda bent: [bent, *others]))
        case {**fields} if fields:
            names = st.sampled_from(sorted(fields))
            choices.append(names.flatmap(lambda name: _bent(fields[name]).map(lambda bent: {**fields, name: bent})))
            choices.append(OBJECTS.map(lambda others: {**fields, **others}))
        case _:
            pass
    return st.one_of(choices)


# Addresses.


@st.composite
def uris(draw: st.DrawFn, templates: list[str]) -> str:
    """Return an address that fits one of the templates, plainly or percent-encoded, or nearly, or not at all."""
    template = draw(st.sampled_from(templates))
    uri = template
    for part in template.split("{")[1:]:
        name = part.partition("}")[0]
        value = draw(likely(name))
        encoded = quote(value, safe="", errors="surrogatepass")
        doubled = quote(encoded, safe="")
        uri = uri.replace(f"{{{name}}}", draw(st.sampled_from([value, encoded, encoded, doubled])), 1)
    how = draw(st.sampled_from(["as it is"] * 4 + ["more", "upper", "cut", "other", "elsewhere"]))
    match how:
        case "more":
            return uri + draw(st.sampled_from(["/", "//", "/record", "?x=y", "#x", "/..", "%2f..", "\n"]))
        case "upper":
            return uri.upper()
        case "cut":
            return uri[: draw(st.integers(0, len(uri)))]
        case "other":
            return draw(TEXT)
        case "elsewhere":
            schemes = st.sampled_from(["file", "http", "ticket", "customer", "kb", "sqlite", "", "\ud800"])
            return f"{draw(schemes)}:{draw(st.sampled_from(['//', '', '///']))}{draw(TEXT)}"
        case _:
            return uri
