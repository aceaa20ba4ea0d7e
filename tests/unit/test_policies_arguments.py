"""Tools' JSON Schemas as Cedar sees them: what each shape becomes, and that whatever comes is judged or refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp import Client

import agent
from agent.catalog import Catalog, build_catalog
from agent.configuration import load
from agent.policies import Policies, check, load_policies
from agent.policies.arguments import MOST_NODES, arguments_plan
from agent.policies.plans import canonical, cedar_type, encode
from agent.records import Effect, JsonObject, Verdict
from tests.fakes.helpdesk import customer_desk, ticket_desk
from tests.fakes.judging import DEFAULT, because_of, offered, policy, request

STRING, LONG, BOOLEAN = {"type": "String"}, {"type": "Long"}, {"type": "Boolean"}
DECIMAL = {"type": "Extension", "name": "decimal"}


def cedar(schema: JsonObject) -> dict[str, Any]:
    """The Cedar types of a tool's arguments, by name; an optional one has `required` false."""
    plan = arguments_plan(schema)
    assert plan is not None
    return cedar_type(plan.named)["attributes"]


def typed(value: Any, *, required: bool = True, defined: JsonObject | None = None) -> Any:
    """The Cedar type of one argument, and whether it is required."""
    schema: JsonObject = {"type": "object", "properties": {"it": value}, "required": ["it"] if required else []}
    schema |= {"$defs": defined or {}, "definitions": defined or {}}
    found = cedar(schema)["it"]
    return {key: part for key, part in found.items() if key != "required"}, found["required"]


def record(**attributes: tuple[Any, bool]) -> JsonObject:
    fields = {name: {**kind, "required": required} for name, (kind, required) in attributes.items()}
    return {"type": "Record", "attributes": fields}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, (STRING, True)),
        ({"type": "string", "format": "date"}, (STRING, True)),
        ({"type": "integer", "minimum": 1}, (LONG, True)),
        ({"type": "boolean"}, (BOOLEAN, True)),
        ({"type": "number"}, (DECIMAL, True)),
        ({"enum": ["a", "b"]}, (STRING, True)),
        ({"enum": ["a", None]}, (STRING, False)),
        ({"const": "a"}, (STRING, True)),
        ({"enum": [1, 2]}, (LONG, True)),
        ({"enum": [True]}, (BOOLEAN, True)),
        ({"enum": ["a", 1]}, (STRING, True)),
        ({"enum": [1, True]}, (STRING, True)),
        ({"type": "null"}, (STRING, False)),
        ({"type": ["string", "null"]}, (STRING, False)),
        ({"type": ["integer", "string"]}, (STRING, True)),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, (LONG, False)),
        ({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}, (STRING, True)),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, (STRING, True)),
        ({"anyOf": [{"type": "integer"}, {"type": "integer", "minimum": 3}]}, (LONG, True)),
        ({"allOf": [{"type": "integer"}]}, (LONG, True)),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, (LONG, True)),
        ({"type": "array", "items": {"type": "string"}}, ({"type": "Set", "element": STRING}, True)),
        ({"type": "array", "items": {"type": ["integer", "null"]}}, ({"type": "Set", "element": STRING}, True)),
        ({"type": "array"}, (STRING, True)),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, (STRING, True)),
        ({"type": "object"}, (STRING, True)),
        ({"type": "object", "additionalProperties": {"type": "string"}}, (STRING, True)),
        ({"type": "object", "properties": {"__extn": {"type": "string"}}}, (STRING, True)),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
            (record(a=(STRING, True), b=(LONG, False)), True),
        ),
        ({}, (STRING, False)),
        (True, (STRING, False)),
    ],
)
def test_what_an_argument_becomes(schema: Any, expected: Any):
    assert typed(schema) == expected


def test_an_argument_that_may_be_left_out_is_optional():
    assert typed({"type": "string"}, required=False) == (STRING, False)


def test_references_are_followed():
    defined = {"Money": {"type": "object", "properties": {"cents": {"type": "integer"}}}, "Id": {"type": "string"}}
    money = record(cents=(LONG, False))
    assert typed({"$ref": "#/$defs/Money"}, defined=defined) == (money, True)
    assert typed({"anyOf": [{"$ref": "#/$defs/Money"}, {"type": "null"}]}, defined=defined) == (money, False)
    assert typed({"$ref": "#/definitions/Id"}, defined=defined) == (STRING, True)


@pytest.mark.parametrize(
    "reference", ["#/$defs/Nobody", "https://example.com/schema.json", "#anchor", "#/$defs/Loop", "#/properties/it"]
)
def test_a_reference_that_leads_nowhere_may_be_anything(reference: str):
    assert typed({"$ref": reference}, defined={"Loop": {"$ref": "#/$defs/Loop"}}) == (STRING, False)


def test_a_schema_that_contains_itself_ends():
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Tree"}}}
    inner = record(name=(STRING, False), next=(STRING, False))
    assert typed({"$ref": "#/$defs/Tree"}, defined={"Tree": tree}) == (inner, True)
    assert cedar({"type": "object", "properties": {"self": {"$ref": "#"}}})["self"]["type"] == "Record"


def test_a_schema_that_doubles_at_every_level_ends():
    levels = {
        f"L{i}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/L{i + 1}"} for side in ("left", "right")}}
        for i in range(40)
    }
    found = cedar({"type": "object", "properties": {"it": {"$ref": "#/$defs/L0"}}, "$defs": levels})
    assert json.dumps(found).count("required") <= MOST_NODES


def test_what_alternatives_of_the_whole_schema_name_is_known_and_optional():
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "required": ["kind"],
        "anyOf": [
            {"properties": {"kind": {"const": "mail"}, "to": {"type": "string"}}, "required": ["to"]},
            {"properties": {"kind": {"const": "call"}, "to": {"type": "integer"}, "at": {"type": "number"}}},
        ],
        "allOf": [{"properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"]}],
    }
    assert cedar(schema) == {
        "at": DECIMAL | {"required": False},
        "kind": STRING | {"required": True},
        "to": STRING | {"required": False},
        "urgent": BOOLEAN | {"required": True},
    }


def test_an_object_that_must_hold_what_its_schema_does_not_describe_is_one_text():
    assert typed({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}) == (STRING, True)


def test_json_has_one_canonical_text():
    assert canonical({"b": [1.0, -0.0, 1.5], "a": {"d": None, "c": "ü"}}) == '{"a":{"c":"ü","d":null},"b":[1,0,1.5]}'
    assert canonical(1e300) == "1e+300"


# The built-in servers.


@pytest.fixture
async def catalog(tmp_path: Path) -> Catalog:
    tools = {}
    with ticket_desk(tmp_path) as tickets, customer_desk(tmp_path) as customers:
        for name, server in (("ticketing", tickets.server), ("customers", customers.server)):
            async with Client(server) as client:
                tools[name] = (await client.list_tools()).tools
    return build_catalog(tools, {}, load(folder=tmp_path, environ={"SUPPORT_AGENT_HOME": str(tmp_path)}))


async def test_the_built_in_tools_are_seen_by_their_own_types(catalog: Catalog):
    policies = load_policies(DEFAULT, catalog.tools, file="policy.cedar")
    assert policies.shapes.problems == {}
    assert policies.shapes.tools.keys() == {tool.qualified for tool in catalog.tools}
    assert check(DEFAULT, catalog.tools, file="policy.cedar") == ()
    arguments = {tool.qualified: cedar(tool.full_schema) for tool in catalog.tools}
    assert arguments["customers.issue_refund"]["expected_amount_cents"] == LONG | {"required": True}
    assert arguments["customers.update_account"]["marketing_opt_in"] == BOOLEAN | {"required": False}
    assert arguments["customers.revoke_sessions"]["session_ids"]["element"] == STRING
    assert arguments["ticketing.classify_ticket"]["confidence"] == DECIMAL | {"required": False}


async def test_a_policy_can_speak_about_one_built_in_tool_and_its_arguments(catalog: Catalog):
    source = """
        @id("no-plan") @because("The agent changes no plan.")
        forbid (principal, action == Action::"customers.update_account", resource) when { context.args has plan };
    """
    assert check(source, catalog.tools, file="policy.cedar") == ()


async def test_every_rule_of_the_guide_is_right(catalog: Catalog):
    guide = Path(agent.__file__).parents[1] / "docs" / "policy.md"
    shown = re.findall(r"```cedar\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert len(shown) == 5
    weather = replace(offered("forecast", Effect.UNNAMED), server="weather")
    assert check("\n".join(shown), [*catalog.tools, weather], file="docs/policy.md") == ()


# Whatever comes.

Pair: TypeAlias = tuple[JsonObject, st.SearchStrategy[Any]]
"""A JSON Schema and values that it accepts."""

texts = st.text(st.characters(blacklist_categories=()), max_size=5)
scalars = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
names = st.sampled_from(["a", "b", "we ird", "", "__extn", "ü"])


def listed(pair: Pair) -> Pair:
    return {"type": "array", "items": pair[0]}, st.lists(pair[1], max_size=3)


def nullable(pair: Pair) -> Pair:
    return {"anyOf": [pair[0], {"type": "null"}]}, pair[1] | st.none()


def united(pairs: tuple[Pair, Pair]) -> Pair:
    return {"anyOf": [pair[0] for pair in pairs]}, pairs[0][1] | pairs[1][1]


def composed(members: dict[str, tuple[Pair, bool]]) -> Pair:
    required = {name: pair[1] for name, (pair, is_required) in members.items() if is_required}
    optional = {name: pair[1] for name, (pair, is_required) in members.items() if not is_required}
    schema = {
        "type": "object",
        "properties": {name: pair[0] for name, (pair, _) in members.items()},
        "required": [*required],
    }
    return schema, st.fixed_dictionaries(required, optional=optional)


def members(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.dictionaries(names, st.tuples(inner, st.booleans()), max_size=3).map(composed)


plain: st.SearchStrategy[Pair] = st.sampled_from(
    [
        ({"type": "string"}, st.text(max_size=5)),
        ({"type": "integer"}, st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(float)),
        ({"type": "number"}, st.integers(-(10**12), 10**12).map(lambda n: n / 10_000) | st.integers(-99, 99)),
        ({"type": "boolean"}, st.booleans()),
        ({"enum": ["x", "y"]}, st.sampled_from(["x", "y"])),
        ({"enum": ["x", 1, None]}, st.sampled_from(["x", 1, 1.0, None])),
        ({"type": "object"}, st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.text(max_size=3))),
        ({}, st.none() | st.lists(st.integers(-99, 99) | st.text(max_size=3), max_size=3)),
    ]
)
nested = st.recursive(
    plain,
    lambda inner: inner.map(listed) | inner.map(nullable) | st.tuples(inner, inner).map(united) | members(inner),
    max_leaves=6,
)
schemas = members(nested)
"""Of whole tools."""


def permissive(schema: JsonObject) -> Policies:
    return policy("permit (principal, action, resource);", tools=[offered("act", Effect.WRITE, schema)])


@given(pair=schemas, data=st.data())
def test_what_a_schema_accepts_is_judged_as_it_is(pair: Pair, data: st.DataObject):
    schema, values = pair
    arguments = data.draw(values)
    assert Draft202012Validator(schema).is_valid(arguments)
    if "__extn" in schema["properties"]:
        return
    decision = permissive(schema).decide(request("act", arguments))
    assert decision.verdict is Verdict.ALLOW, decision.reasons


@given(pair=schemas, arguments=st.dictionaries(names, anything, max_size=4))
def test_whatever_comes_is_judged_or_refused_and_never_leaves_cedar_without_an_answer(
    pair: Pair, arguments: JsonObject
):
    decision = permissive(pair[0]).decide(request("act", arguments))
    assert decision.verdict is Verdict.ALLOW or because_of(decision) == {"unencodable"}


@given(pair=schemas, data=st.data())
def test_no_two_calls_that_differ_by_more_than_null_look_alike(pair: Pair, data: st.DataObject):
    schema, values = pair
    plan = arguments_plan(schema)
    one, other = data.draw(values), data.draw(values)
    if plan is not None and encode(plan.named, one, "args") == encode(plan.named, other, "args"):
        assert canonical(without_null(one)) == canonical(without_null(other))


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_null(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_null(item) for item in value]
    return value
