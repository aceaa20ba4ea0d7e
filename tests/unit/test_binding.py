"""From what a model sent to what may leave: stripped, filled in and checked, and a sentence for everything else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.binding import Bound, UnusableArguments, bind
from agent.catalog import OfferedTool, build_catalog
from agent.records import Effect, JsonObject
from agent.settings import Settings, ToolSettings
from tests.unit.test_catalog import configured, tool

CASE = {"ticket.id": "42", "ticket.version": 7, "ticket.requester": "alice@example.com", "customer.id": "c1"}

CLOSE: JsonObject = {
    "type": "object",
    "properties": {
        "ticket_id": {"type": "string"},
        "expected_version": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "resolution": {"type": "string", "minLength": 1},
        "stars": {"type": "integer"},
    },
    "required": ["ticket_id", "resolution"],
}
BIND = {"ticket_id": "ticket.id", "expected_version": "ticket.version"}


def offered(schema: JsonObject = CLOSE, bound: Mapping[str, str] = BIND) -> OfferedTool:
    settings: Settings = configured({"desk.act": ToolSettings(effect=Effect.WRITE, bind=bound)})
    [found] = build_catalog({"desk": [tool("act", schema)]}, {}, settings).tools
    return found


def bound_by(
    arguments: Any, schema: JsonObject = CLOSE, bound: Mapping[str, str] = BIND, case: Mapping[str, Any] = CASE
) -> Bound:
    return bind(offered(schema, bound), arguments, case.get, most_chars=1000)


def refusal_of(
    arguments: Any, schema: JsonObject = CLOSE, bound: Mapping[str, str] = BIND, case: Mapping[str, Any] = CASE
) -> str:
    with pytest.raises(UnusableArguments) as refused:
        bound_by(arguments, schema, bound, case)
    return str(refused.value)


def an_object(**properties: Any) -> JsonObject:
    return {"type": "object", "properties": properties}


def test_the_host_fills_in_what_is_bound():
    assert bound_by({"resolution": "Done."}) == Bound(
        arguments={"resolution": "Done.", "ticket_id": "42", "expected_version": 7}, stripped=()
    )


def test_what_the_model_sent_for_a_bound_argument_is_dropped_and_told():
    sent = {"resolution": "Done.", "ticket_id": "43", "expected_version": 99}
    assert bound_by(sent) == Bound(
        arguments={"resolution": "Done.", "ticket_id": "42", "expected_version": 7},
        stripped=("expected_version", "ticket_id"),
    )
    assert sent["ticket_id"] == "43"


def test_an_optional_argument_without_a_value_is_left_out():
    unversioned = CASE | {"ticket.version": None}
    bound = bound_by({"resolution": "Done.", "expected_version": 99}, case=unversioned)
    assert bound.arguments == {"resolution": "Done.", "ticket_id": "42"}
    assert bound.stripped == ("expected_version",)


def test_a_required_argument_without_a_value_is_no_call():
    said = refusal_of({"resolution": "Done."}, case=CASE | {"ticket.id": None})
    assert "desk.act needs ticket.id, which this case does not have" in said


def test_a_call_that_would_leave_without_the_value_that_confines_it_is_no_call():
    schema = an_object(customer_id={"type": "string"}, version={"type": "integer"})
    binding = {"customer_id": "customer.id", "version": "ticket.version"}
    stranger = CASE | {"customer.id": None}
    assert bound_by({}, schema, binding).arguments == {"customer_id": "c1", "version": 7}
    assert "only for the data of this case" in refusal_of({}, schema, binding, stranger)
    assert "only for the data of this case" in refusal_of({"customer_id": "c2"}, schema, binding, stranger)


def test_a_call_that_is_still_confined_to_its_ticket_may_leave_without_a_customer():
    schema = an_object(ticket_id={"type": "string"}, customer_id={"type": "string"})
    binding = {"ticket_id": "ticket.id", "customer_id": "customer.id"}
    assert bound_by({}, schema, binding, CASE | {"customer.id": None}).arguments == {"ticket_id": "42"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"resolution": "Done.", "note": "x"}, "desk.act has no argument note. It takes: resolution, stars."),
        ({"resolution": "Done.", "Resolution": "x"}, "has no argument Resolution"),
        ({"resolution": 5}, "desk.act: argument resolution: 5 is not of type 'string'"),
        ({"resolution": "Done.", "stars": "5"}, "argument stars: '5' is not of type 'integer'"),
        ({"resolution": None}, "argument resolution: None is not of type 'string'"),
        ({"resolution": ""}, "argument resolution: '' should be non-empty"),
        ({}, "'resolution' is a required property"),
        ("resolution", "The arguments must be a JSON object."),
        ([], "The arguments must be a JSON object."),
        (None, "The arguments must be a JSON object."),
        ({"resolution": float("nan")}, "without NaN or infinity"),
        ({"resolution": "x" * 1000}, "The arguments are 1,018 characters long; at most 1,000 are accepted."),
    ],
)
def test_arguments_that_make_no_call_are_a_sentence_for_the_model(arguments: Any, said: str):
    assert said in refusal_of(arguments)


def test_characters_are_counted_as_the_model_wrote_them():
    room = 1000 - len('{"resolution": ""}')
    assert bound_by({"resolution": "漢" * room}).arguments["resolution"] == "漢" * room
    assert "1,001 characters" in refusal_of({"resolution": "漢" * (room + 1)})


def test_a_long_value_is_not_repeated_to_the_model():
    assert len(refusal_of({"resolution": ["x" * 900]})) < 300
    assert len(refusal_of({"x" * 900: 1, "resolution": "Done."})) < 300


def test_arguments_nested_beyond_reason_are_a_sentence():
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    assert "not nested deeply" in refusal_of({"resolution": deep})


def test_lone_surrogates_are_replaced_in_values_and_names():
    assert bound_by({"resolution": "a\ud83d"}).arguments["resolution"] == "a?"
    opened = CLOSE | {"additionalProperties": True}
    assert bound_by({"resolution": "x", "k\udc00": 1}, opened).arguments["k?"] == 1


def test_a_schema_that_closes_or_opens_its_names_itself_decides():
    closed, opened = CLOSE | {"additionalProperties": False}, CLOSE | {"additionalProperties": {"type": "integer"}}
    assert "has no argument note. It takes: resolution" in refusal_of({"resolution": "x", "note": 1}, closed)
    assert bound_by({"resolution": "x", "note": 1}, opened).arguments["note"] == 1
    assert "argument note" in refusal_of({"resolution": "x", "note": "1"}, opened)


@pytest.mark.parametrize("combinator", ["anyOf", "oneOf", "allOf"])
def test_arguments_that_only_a_combined_schema_names_are_known(combinator: str):
    by_name = {"properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema: JsonObject = {"type": "object", combinator: [by_name]}
    assert bound_by({"name": "x"}, schema, {}).arguments == {"name": "x"}
    assert "has no argument nome" in refusal_of({"name": "x", "nome": "x"}, schema, {})
    assert "'name' is a required property" in refusal_of({}, schema, {})


def test_arguments_that_a_referenced_schema_names_are_checked_there():
    pair = {"type": "object", "properties": {"a": {"type": "integer"}}}
    schema: JsonObject = {"type": "object", "$ref": "#/$defs/pair", "$defs": {"pair": pair}}
    assert bound_by({"a": 1}, schema, {}).arguments == {"a": 1}
    assert "argument a: 'x' is not of type 'integer'" in refusal_of({"a": "x"}, schema, {})


def test_references_within_the_schema_are_followed():
    schema = an_object(who={"$ref": "#/$defs/name"}) | {"$defs": {"name": {"type": "string"}}}
    assert bound_by({"who": "x"}, schema, {}).arguments == {"who": "x"}
    assert "argument who" in refusal_of({"who": 1}, schema, {})


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_schema_elsewhere_is_not_fetched(scheme: str, tmp_path: Path):
    elsewhere = tmp_path / "schema.json"
    elsewhere.write_text('{"type": "string"}')
    address = elsewhere.as_uri() if scheme == "file" else "http://127.0.0.1:9/schema.json"
    said = refusal_of({"who": "x"}, an_object(who={"$ref": address}), {})
    assert said.startswith(f"The schema of desk.act cannot be checked (Unresolvable: {address}")
    assert said.endswith("so it is not called.")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {},
        {"type": "object", "properties": []},
        {"type": "object", "required": 5},
        an_object(a=5),
        an_object(a={"type": "strng"}),
        an_object(a={"pattern": "("}),
        an_object(a={"minimum": "1"}),
        an_object(a={"$ref": "#/nowhere"}),
        an_object(a={"$ref": "#/properties/a"}),
        {"type": "object", "$schema": 5},
    ],
)
def test_a_schema_that_is_none_lets_nothing_through(schema: JsonObject):
    assert "desk.act" in refusal_of({"a": 1}, schema, {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = ["ticket_id", "expected_version", "stars", "ticket_id\ud800", "TICKET_ID"]
nearly_sound = st.fixed_dictionaries(
    {"resolution": st.text(st.characters(), min_size=1)},
    optional=dict.fromkeys(NAMES[:2], json_values) | dict.fromkeys(NAMES[2:], st.integers()),
)
SCHEMAS = [CLOSE, CLOSE | {"additionalProperties": True}, CLOSE | {"anyOf": [{}, {"required": ["stars"]}]}]


@given(
    nearly_sound | json_values,
    st.sampled_from(SCHEMAS),
    st.sampled_from([CASE, CASE | {"ticket.version": None}, CASE | {"ticket.id": None}]),
)
def test_whatever_is_sent_the_bound_arguments_that_leave_are_the_hosts(
    arguments: Any, schema: JsonObject, case: Mapping[str, Any]
):
    try:
        leaving = bound_by(arguments, schema, case=case).arguments
    except UnusableArguments:
        return
    assert {name: leaving.get(name) for name in BIND} == {name: case[path] for name, path in BIND.items()}
    json.dumps(leaving, ensure_ascii=False, allow_nan=False).encode("utf-8")


@given(st.text().filter(bool), st.text().filter(bool))
def test_with_a_sound_call_only_the_models_own_arguments_are_its_own(resolution: str, ticket_id: str):
    bound = bound_by({"resolution": resolution, "ticket_id": ticket_id})
    assert bound.arguments == {"resolution": resolution, "ticket_id": "42", "expected_version": 7}
    assert bound.stripped == ("ticket_id",)
