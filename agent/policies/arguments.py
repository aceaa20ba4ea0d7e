"""From a tool's JSON Schema to the plan by which its arguments are shown to a policy."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias, cast

from agent.policies.plans import Attribute, Canonical, Fraction, Many, Plan, Record, Text, Truth, Whole
from agent.records import JsonObject

MOST_NODES = 500
"""Stops a schema that refers to itself twice at every level; the largest of public servers has about 200."""

_MOST_DEPTH = 16
_ESCAPES = frozenset({"__entity", "__extn", "__expr"})  # as the only key of an object, Cedar reads more into them
_ALTERNATIVES = ("anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")
_Planned: TypeAlias = tuple[Plan, bool]  # … and whether null is among what the value may be
_TYPES: Mapping[str, Plan] = {"string": Text(), "integer": Whole(), "number": Fraction(), "boolean": Truth()}
_KINDS = ((str, "string"), (bool, "boolean"), (int, "integer"), (float, "number"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """How the arguments of one tool are shown: the named ones in a record, any others as one canonical text."""

    named: Record
    is_open: bool  # the schema lets other names in


def arguments_plan(schema: JsonObject) -> Arguments | None:
    """Return the plan of a tool's arguments, or None where Cedar would misread one of their names.

    Every value that the schema accepts is encoded by the plan or refused by it; the plan may accept more.
    """
    reading = _Reading(root=schema)
    certain = list(reading.parts(schema, certain=True))
    parts = list(reading.parts(schema))
    # What always holds of an argument is its shape, whatever an alternative adds to it.
    found = reading.properties(parts) | reading.properties(certain)
    if not _ESCAPES.isdisjoint(found):
        return None
    required = {name for part in certain for name in part.table.get("required", ())}
    attributes = {
        name: Attribute(plan=plan, is_required=name in required and not is_nullable)
        for name, (plan, is_nullable) in sorted(found.items())
    }
    return Arguments(named=Record(attributes=attributes), is_open=any(_is_open(part.table) for part in parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    table: JsonObject
    seen: frozenset[str]  # the references that led here


@dataclass(kw_only=True, slots=True)
class _Reading:
    root: JsonObject
    nodes: int = field(default=0)

    def parts(
        self, schema: Any, *, certain: bool = False, depth: int = 0, seen: frozenset[str] = frozenset()
    ) -> Iterator[_Part]:
        """Yield the schema and every schema that it is put together from; `certain`: only those that always hold."""
        if not isinstance(schema, dict):
            return
        self.nodes += 1
        if depth > _MOST_DEPTH or self.nodes > MOST_NODES:
            yield _Part(table={"additionalProperties": True}, seen=seen)
            return
        table = cast("JsonObject", schema)
        yield _Part(table=table, seen=seen)
        reference = table.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            target = self._resolve(reference)
            yield from self.parts(target, certain=certain, depth=depth + 1, seen=seen | {reference})
        further = [part for key in ("allOf", *_ALTERNATIVES[: 0 if certain else None]) for part in table.get(key, ())]
        further += [] if certain else [table[key] for key in _CONDITIONS if key in table]
        for part in further:
            yield from self.parts(part, certain=certain, depth=depth + 1, seen=seen)

    def properties(self, parts: Iterable[_Part]) -> dict[str, _Planned]:
        """Return the plan of every argument that these parts name; one on which they disagree may be anything."""
        found: dict[str, _Planned] = {}
        for part in parts:
            for name, value in _table(part.table, "properties").items():
                planned = self.plan(value, depth=1, seen=part.seen)
                found[name] = planned if found.get(name, planned) == planned else (Canonical(), True)
        return found

    def plan(self, schema: Any, *, depth: int, seen: frozenset[str]) -> _Planned:  # noqa: PLR0911 - one per keyword
        """Return the plan of one value."""
        self.nodes += 1
        if not isinstance(schema, dict) or depth > _MOST_DEPTH or self.nodes > MOST_NODES:
            return Canonical(), True
        table = cast("JsonObject", schema)
        if "const" in table or "enum" in table:
            return _choice([table["const"]] if "const" in table else table["enum"])
        if "type" in table:
            return self._typed(table, depth=depth, seen=seen)
        for key in _ALTERNATIVES:
            if key in table:
                return self._united([self.plan(part, depth=depth + 1, seen=seen) for part in table[key]])
        if "allOf" in table:
            return self._narrowed([self.plan(part, depth=depth + 1, seen=seen) for part in table["allOf"]])
        reference = table.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            return self.plan(self._resolve(reference), depth=depth + 1, seen=seen | {reference})
        return Canonical(), True

    def _typed(self, table: JsonObject, *, depth: int, seen: frozenset[str]) -> _Planned:
        declared = table["type"]
        names = cast("list[str]", declared) if isinstance(declared, list) else [cast("str", declared)]
        kinds = [name for name in names if name != "null"]
        is_nullable = "null" in names
        if not kinds:
            return _ONLY_NULL, True
        if len(kinds) > 1:
            return Canonical(), is_nullable
        if kinds[0] == "array":
            return self._many(table, depth=depth, seen=seen), is_nullable
        if kinds[0] == "object":
            return self._record(table, depth=depth, seen=seen), is_nullable
        return _TYPES.get(kinds[0], Canonical()), is_nullable

    def _many(self, table: JsonObject, *, depth: int, seen: frozenset[str]) -> Plan:
        if "items" not in table or "prefixItems" in table:
            return Canonical()
        element, is_nullable = self.plan(table["items"], depth=depth + 1, seen=seen)
        # A set has no place for null: where an element may be null, each is shown as its canonical text.
        return Many(of=Canonical() if is_nullable else element)

    def _record(self, table: JsonObject, *, depth: int, seen: frozenset[str]) -> Plan:
        properties = _table(table, "properties")
        is_composed = any(key in table for key in (*_ALTERNATIVES, *_CONDITIONS, "allOf", "$ref", "dependentSchemas"))
        required = set(cast("list[str]", table.get("required", [])))
        if not properties or is_composed or _is_open(table) or not _ESCAPES.isdisjoint(properties):
            return Canonical()
        if not required <= properties.keys():
            return Canonical()
        attributes: dict[str, Attribute] = {}
        for name, value in sorted(properties.items()):
            plan, is_nullable = self.plan(value, depth=depth + 1, seen=seen)
            attributes[name] = Attribute(plan=plan, is_required=name in required and not is_nullable)
        return Record(attributes=attributes)

    @staticmethod
    def _united(plans: list[_Planned]) -> _Planned:
        is_nullable = any(is_nullable for _, is_nullable in plans)
        kinds = [plan for plan, _ in plans if plan != _ONLY_NULL]
        texts = [plan for plan in kinds if isinstance(plan, Text)]
        if kinds and len(texts) == len(kinds):
            return reduce(_either, texts), is_nullable
        return (kinds[0] if kinds and all(plan == kinds[0] for plan in kinds) else Canonical()), is_nullable

    @staticmethod
    def _narrowed(plans: list[_Planned]) -> _Planned:
        # All of them hold, so the value has the shape of each; a record may be a part only, the others a whole.
        kinds = [plan for plan, _ in plans if not isinstance(plan, Canonical)]
        is_nullable = all(is_nullable for _, is_nullable in plans)
        if len(plans) == 1 or (kinds and not any(isinstance(plan, Record | Many) for plan in kinds)):
            return kinds[0] if kinds else Canonical(), is_nullable
        return Canonical(), is_nullable

    def _resolve(self, reference: str) -> Any:
        if reference == "#":
            return self.root
        found: Any = self.root if reference.startswith("#/") else None
        for token in reference.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            found = cast("JsonObject", found).get(key) if isinstance(found, dict) else None
        return found


_ONLY_NULL = Text(choices=frozenset())
"""What a schema of null alone is shown as: null is absence, so no value is left."""


def _choice(values: Any) -> _Planned:
    choices = [value for value in cast("list[Any]", values) if value is not None]
    is_nullable = len(choices) < len(values)
    if all(isinstance(value, str) for value in choices):
        return Text(choices=frozenset(choices)), is_nullable
    kinds = {_kind(value) for value in choices}
    # 1 and 1.0 are the same value to JSON Schema, so numbers of both kinds are not told apart here either.
    return (_TYPES[kinds.pop()] if len(kinds) == 1 and "" not in kinds else Canonical()), is_nullable


def _kind(value: Any) -> str:
    # True is an int to Python, and none to JSON.
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "")


def _either(one: Text, other: Text) -> Text:
    return Text(choices=None if one.choices is None or other.choices is None else one.choices | other.choices)


def _table(schema: JsonObject, key: str) -> JsonObject:
    value = schema.get(key)
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _is_open(schema: JsonObject) -> bool:
    keys = ("additionalProperties", "unevaluatedProperties", "patternProperties", "$dynamicRef")
    return any(schema.get(key, False) is not False for key in keys)
