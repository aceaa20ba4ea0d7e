"""Tools as the model is offered them, and the resources that one case may read."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp_types import ResourceTemplate, Tool, ToolAnnotations, ToolExecution

from agent.catalog import READ_RESOURCE, Catalog, OfferedTool, build_catalog
from agent.errors import ConfigurationError
from agent.records import Case, Customer, Effect, JsonObject, Ticket
from agent.settings import ResourceSettings, ServerSettings, Settings, TicketSettings, ToolSettings

VALID_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
PLAIN: JsonObject = {"type": "object", "properties": {}}

TICKET, CUSTOMER, ARTICLE = "ticket://{ticket_id}", "customer://{email}", "kb://{slug}"
READABLE = {
    TICKET: ResourceSettings(bind={"ticket_id": "ticket.id"}),
    CUSTOMER: ResourceSettings(bind={"email": "ticket.requester"}),
    ARTICLE: ResourceSettings(public=True),
}
ALICE = Case(
    ticket=Ticket(id="42", fields={"requester": "alice+work/ü@example.com", "status": "open"}, context=""),
    customer=Customer(id="c1", fields={}, context=""),
)
OWN_CUSTOMER = f"customer://{quote('alice+work/ü@example.com', safe='')}"


def tool(name: str, schema: JsonObject | None = None, **more: Any) -> Tool:
    return Tool(name=name, input_schema=PLAIN if schema is None else schema, **more)


def configured(
    tools: Mapping[str, ToolSettings] | None = None,
    resources: Mapping[str, ResourceSettings] | None = None,
    servers: Mapping[str, ServerSettings] | None = None,
) -> Settings:
    return Settings(
        home=Path(),
        transports={},
        servers=servers or {},
        tickets=TicketSettings(server="desk", record=TICKET, context=TICKET, fields={}, outcome={}),
        tools=tools or {},
        resources=resources or {},
    )


def names_of(tools: Mapping[str, Sequence[str]]) -> dict[str, str]:
    catalog = build_catalog(
        {server: [tool(name) for name in names] for server, names in tools.items()}, {}, configured()
    )
    return {entry.qualified: entry.offered_as for entry in catalog.tools}


def only_tool(schema: JsonObject | None = None, settings: ToolSettings | None = None, **more: Any) -> OfferedTool:
    catalog = build_catalog(
        {"desk": [tool("act", schema, **more)]}, {}, configured({"desk.act": settings} if settings else {})
    )
    [found] = catalog.tools
    return found


def test_a_tool_is_named_after_its_server():
    assert names_of({"desk": ["close"], "crm": ["get-customer"]}) == {
        "desk.close": "desk__close",
        "crm.get-customer": "crm__get-customer",
    }


def test_two_servers_may_have_a_tool_of_the_same_name():
    catalog = build_catalog({"a": [tool("look")], "b": [tool("look")]}, {}, configured())
    found = [catalog.offered(name) for name in ("a__look", "b__look")]
    assert [entry and entry.qualified for entry in found] == ["a.look", "b.look"]


@pytest.mark.parametrize(
    "tools",
    [
        {"a b": ["look"], "a_b": ["look"]},
        {"a": ["b__look"], "a__b": ["look"]},
        {"desk": ["läs", "lös", "l s"]},
        {"desk": ["x" * 100, "x" * 99 + "y", "x" * 64]},
        {"s" * 80: ["look", "act"]},
        {"漢字": ["検索", "返信"]},
    ],
)
def test_names_that_would_collide_or_be_too_long_stay_apart(tools: dict[str, list[str]]):
    names = list(names_of(tools).values())
    assert len(set(names)) == len(names) == sum(len(entries) for entries in tools.values())
    assert all(VALID_NAME.fullmatch(name) for name in names)


def test_no_tool_can_take_the_name_that_another_gets_in_a_collision():
    honest = {"a b": ["look"], "a_b": ["look"]}
    taken = names_of(honest)["a b.look"]
    names = names_of({**honest, "a_b": ["look", taken.removeprefix("a_b__")]})
    assert names["a b.look"] == taken
    assert len(set(names.values())) == 3


def test_a_collision_elsewhere_renames_no_other_tool():
    alone = names_of({"desk": ["close", "x" * 100]})
    crowded = names_of({"desk": ["close", "x" * 100], "a b": ["look"], "a_b": ["look"], "z": ["close"]})
    assert {name: crowded[name] for name in alone} == alone


server_names = st.text("abé_- ", min_size=1, max_size=6)
tool_names = st.text("abé_-. /", min_size=1, max_size=70)


@given(st.dictionaries(server_names, st.lists(tool_names, unique=True, max_size=4), max_size=4), st.randoms())
def test_names_are_valid_and_distinct_and_no_order_changes_them(tools: dict[str, list[str]], random: Any):
    names = names_of(tools)
    assert all(VALID_NAME.fullmatch(name) for name in names.values())
    assert len(set(names.values())) == len(names)
    shuffled = list(tools.items())
    random.shuffle(shuffled)
    assert names_of({server: random.sample(entries, len(entries)) for server, entries in shuffled}) == names


def test_definitions_are_sorted_and_hold_what_the_messages_api_takes():
    tools = {"b": [tool("z", description="Zed."), tool("a", title="Alpha")], "a": [tool("m")]}
    templates = {"b": [ResourceTemplate(name="kb", uri_template=ARTICLE, description="An article.")]}
    catalog = build_catalog(tools, templates, configured(resources=READABLE))
    assert [(definition["name"], definition["description"]) for definition in catalog.definitions[:3]] == [
        ("a__m", "m"),
        ("b__a", "Alpha"),
        ("b__z", "Zed."),
    ]
    assert catalog.definitions[3]["name"] == READ_RESOURCE
    assert f"- {ARTICLE}: An article." in catalog.definitions[3]["description"]
    assert all(set(definition) == {"name", "description", "input_schema"} for definition in catalog.definitions)


def test_without_a_readable_resource_there_is_no_tool_to_read_one():
    templates = {"desk": [ResourceTemplate(name="secret", uri_template="secret://{id}")]}
    assert build_catalog({}, templates, configured(resources=READABLE)).definitions == ()


SCHEMA: JsonObject = {
    "type": "object",
    "title": "Arguments",
    "properties": {
        "ticket_id": {"type": "string"},
        "version": {"type": "integer"},
        "who": {"$ref": "#/$defs/person", "description": "Whom"},
        "deep": {"type": "object", "properties": {"ticket_id": {"type": "string"}}, "required": ["ticket_id"]},
    },
    "required": ["ticket_id", "who"],
    "$defs": {"person": {"type": "object", "properties": {"name": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}},
}


def test_bound_arguments_are_hidden_and_the_rest_of_the_schema_is_kept_whole():
    original = copy.deepcopy(SCHEMA)
    found = only_tool(
        SCHEMA, ToolSettings(effect=Effect.WRITE, bind={"ticket_id": "ticket.id", "version": "ticket.version"})
    )
    properties = {name: SCHEMA["properties"][name] for name in ("who", "deep")}
    assert found.input_schema == SCHEMA | {"properties": properties, "required": ["who"]}
    assert found.full_schema == original
    assert original == SCHEMA


def test_a_schema_of_which_nothing_is_bound_is_shown_as_it_is():
    assert only_tool(SCHEMA).input_schema == SCHEMA


@pytest.mark.parametrize("combinator", ["anyOf", "oneOf", "allOf"])
def test_what_the_messages_api_refuses_at_the_top_is_told_in_words(combinator: str):
    schema = SCHEMA | {combinator: [{"required": ["who"]}, {"required": ["deep"]}]}
    found = only_tool(schema, description="Acts.")
    assert found.input_schema == SCHEMA
    assert found.full_schema == schema
    assert found.description.startswith("Acts.\n\nThe arguments must also satisfy this JSON Schema: ")
    assert f'{{"{combinator}": [{{"required": ["who"]}}, {{"required": ["deep"]}}]}}' in found.description


def test_an_argument_whose_name_the_messages_api_refuses_is_told_in_words():
    schema: JsonObject = {
        "type": "object",
        "properties": {"filter[id]": {"type": "string"}, "$top": {"type": "integer"}, "q": {"type": "string"}},
        "required": ["q", "filter[id]"],
    }
    found = only_tool(schema)
    assert found.input_schema == {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    assert '"filter[id]": {"type": "string"}, "$top": {"type": "integer"}' in found.description
    assert '"required": ["filter[id]"]' in found.description
    assert found.full_schema == schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({}, "is no object"),
        ({"type": "string"}, "is no object"),
        ({"type": ["object", "null"]}, "is no object"),
        ({"type": "object", "properties": []}, "properties"),
        ({"type": "object", "required": 5}, "required"),
        ({"type": "object", "properties": {"a": {"type": "strng"}}}, "properties/a/type"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "properties/a/pattern"),
    ],
)
def test_a_tool_whose_schema_is_none_is_not_offered_and_harms_no_other(schema: JsonObject, said: str):
    settings = configured({"desk.broken": ToolSettings(effect=Effect.WRITE, bind={"ticket_id": "ticket.id"})})
    catalog = build_catalog({"desk": [tool("broken", schema), tool("sound")]}, {}, settings)
    broken = catalog.qualified("desk.broken")
    assert broken is not None
    assert broken.problem is not None
    assert said in broken.problem
    assert catalog.offered("desk__broken") is None
    assert [definition["name"] for definition in catalog.definitions] == ["desk__sound"]


@pytest.mark.parametrize(
    ("support", "is_offered"), [("required", False), ("optional", True), ("forbidden", True), (None, True)]
)
def test_a_tool_that_can_only_be_called_as_a_task_is_not_offered(support: Any, is_offered: bool):
    catalog = build_catalog({"desk": [tool("slow", execution=ToolExecution(task_support=support))]}, {}, configured())
    slow = catalog.qualified("desk.slow")
    assert slow is not None
    assert slow.is_offered is is_offered
    assert (slow.problem is None) is is_offered


def test_the_hosts_own_tools_are_found_but_not_offered():
    settings = configured({"desk.queue": ToolSettings(effect=Effect.READ, offer=False)})
    catalog = build_catalog({"desk": [tool("queue"), tool("close")]}, {}, settings)
    assert catalog.offered("desk__queue") is None
    assert catalog.offered("desk.close") is None
    assert [definition["name"] for definition in catalog.definitions] == ["desk__close"]
    found = catalog.qualified("desk.queue")
    assert found is not None
    assert found.effect is Effect.READ


def test_a_tool_that_no_configuration_names_is_unnamed_and_not_confined():
    found = only_tool()
    assert found.effect is Effect.UNNAMED
    assert not found.is_confined
    assert not found.is_read
    assert not found.is_repeatable


@pytest.mark.parametrize(
    ("configured_effect", "hints", "effect"),
    [
        (Effect.READ, {"destructive_hint": True}, Effect.UNNAMED),
        (Effect.WRITE, {"destructive_hint": True}, Effect.UNNAMED),
        (Effect.WRITE, {"destructive_hint": False}, Effect.WRITE),
        (Effect.WRITE, {"read_only_hint": True}, Effect.WRITE),
        (Effect.MONEY, {"read_only_hint": True, "destructive_hint": False}, Effect.MONEY),
        (Effect.DELETION, {"destructive_hint": True}, Effect.DELETION),
        (None, {"read_only_hint": True, "idempotent_hint": True}, Effect.UNNAMED),
    ],
)
def test_a_server_that_warns_is_believed_and_one_that_reassures_is_not(
    configured_effect: Effect | None, hints: dict[str, Any], effect: Effect
):
    settings = ToolSettings(effect=configured_effect) if configured_effect else None
    found = only_tool(settings=settings, annotations=ToolAnnotations(**hints))
    assert found.effect is effect
    assert not found.is_repeatable or effect is Effect.READ


@pytest.mark.parametrize(
    ("path", "is_confined"),
    [
        ("ticket.id", True),
        ("ticket.requester", True),
        ("customer.id", True),
        ("ticket.version", False),
        ("ticket.status", False),
        ("customer.tier", False),
        ("facts.amount_cents", False),
    ],
)
def test_a_tool_is_confined_by_what_says_whose_data_it_touches(path: str, is_confined: bool):
    schema: JsonObject = {"type": "object", "properties": {"x": {"type": "string"}}}
    assert only_tool(schema, ToolSettings(effect=Effect.READ, bind={"x": path})).is_confined is is_confined


@pytest.mark.parametrize(
    ("effect", "idempotency", "idempotent", "is_repeatable"),
    [
        (Effect.READ, "none", False, True),
        (Effect.WRITE, "none", False, False),
        (Effect.WRITE, "meta", False, True),
        (Effect.WRITE, "none", True, True),
    ],
)
def test_a_call_is_repeatable_where_twice_is_as_once(
    effect: Effect, idempotency: Any, idempotent: bool, is_repeatable: bool
):
    settings = configured(
        {"desk.act": ToolSettings(effect=effect, idempotent=idempotent)},
        servers={"desk": ServerSettings(idempotency=idempotency)},
    )
    [found] = build_catalog({"desk": [tool("act")]}, {}, settings).tools
    assert found.is_repeatable is is_repeatable
    assert found.honours_keys is (idempotency == "meta")


@pytest.mark.parametrize(
    ("schema", "takes"),
    [
        ({"type": "object", "properties": {"id": {}, "body": {}}}, "body, id"),
        ({"type": "object"}, "nothing"),
    ],
)
def test_a_binding_to_an_argument_that_is_not_there_is_the_operators_mistake(schema: JsonObject, takes: str):
    with pytest.raises(ConfigurationError) as error:
        only_tool(schema, ToolSettings(effect=Effect.WRITE, bind={"ticket_id": "ticket.id"}))
    assert str(error.value) == f'[tools."desk.act"] binds ticket_id, but the tool takes only: {takes}.'


# What may be read.


def readable(resources: Mapping[str, ResourceSettings] = READABLE) -> Catalog:
    templates = [ResourceTemplate(name=template, uri_template=template) for template in resources]
    return build_catalog({}, {"desk": templates}, configured(resources=resources))


def located(uri: str, case: Case = ALICE, resources: Mapping[str, ResourceSettings] = READABLE) -> str | None:
    found = readable(resources).locate(uri, case)
    return None if found is None else found[1]


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        ("ticket://42", "ticket://42"),
        ("ticket://%34%32", "ticket://42"),
        (OWN_CUSTOMER, OWN_CUSTOMER),
        ("customer://alice%2bwork%2f%c3%bc%40example.com", OWN_CUSTOMER),
        ("customer://alice+work%2F%C3%BC@example.com", OWN_CUSTOMER),
        ("kb://login", "kb://login"),
        ("kb://sign%20in", "kb://sign%20in"),
        ("kb://..%2F..%2Fsecret", "kb://..%2F..%2Fsecret"),
        ("kb://a%3Fb%23c", "kb://a%3Fb%23c"),
        ("kb://漢", "kb://%E6%BC%A2"),
        ("kb://%ff", "kb://%EF%BF%BD"),
    ],
)
def test_what_may_be_read_is_read_by_a_uri_of_the_hosts_own_making(uri: str, read: str):
    assert located(uri) == read


@pytest.mark.parametrize(
    "uri",
    [
        "ticket://43",
        "ticket://list",
        "ticket://042",
        "ticket://42/",
        "ticket://42/record",
        "ticket://42/../43",
        "ticket://42?x=1",
        "ticket://42#x",
        "ticket://42%2F..%2F43",
        "ticket://%2534%2532",
        "ticket://42%00",
        "ticket://42 ",
        " ticket://42",
        "ticket://\N{FULLWIDTH DIGIT FOUR}2",
        "ticket://4\u200b2",
        "ticket://42\ud800",
        "ticket://",
        "TICKET://42",
        "ticket:42",
        "ticket:///42",
        "ticket://{ticket_id}",
        "customer://bob@example.com",
        "customer://alice",
        "customer://" + quote("ALICE+WORK/Ü@EXAMPLE.COM", safe=""),
        "customer://" + quote("\N{CYRILLIC SMALL LETTER A}lice+work/ü@example.com", safe=""),
        "customer://alice+work/ü@example.com",
        "customer://" + quote(quote("alice+work/ü@example.com", safe=""), safe=""),
        f"{OWN_CUSTOMER}/record",
        f"{OWN_CUSTOMER}/",
        "kb://",
        "kb://.",
        "kb://..",
        "kb://%2e%2E",
        "kb://a/b",
        "kb://login?x",
        "kb://login#x",
        "kb://login\ud83d",
        "KB://login",
        "file:///etc/passwd",
        "",
    ],
)
def test_nothing_else_is_read_however_it_is_written(uri: str):
    assert located(uri) is None


def test_without_a_customer_record_nothing_of_a_customer_is_read():
    stranger = Case(ticket=ALICE.ticket, customer=None)
    by_id = {"customer://{id}": ResourceSettings(bind={"id": "customer.id"})}
    assert located("customer://c1", ALICE, by_id) == "customer://c1"
    assert located("customer://c1", stranger, by_id) is None
    assert located("customer://None", stranger, by_id) is None


@pytest.mark.parametrize("bind", [{}, {"name": "ticket.status"}, {"id": "ticket.id"}])
def test_a_template_that_is_neither_public_nor_confined_is_never_read(bind: dict[str, str]):
    assert located("file://open", resources={"file://{name}": ResourceSettings(bind=bind)}) is None
    assert located("file://42", resources={"file://{name}": ResourceSettings(bind=bind)}) is None


def test_a_template_is_confined_by_one_variable_and_free_in_another():
    resources = {"x://{ticket_id}/files/{name}": ResourceSettings(bind={"ticket_id": "ticket.id"})}
    assert located("x://42/files/log%2Ftxt", resources=resources) == "x://42/files/log%2Ftxt"
    assert located("x://42/files/..", resources=resources) is None
    assert located("x://43/files/log", resources=resources) is None


any_uri = st.one_of(
    st.text(st.characters(), max_size=30),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["ticket://", "customer://", "kb://", "kb://%2e"]),
        st.text(st.characters(), max_size=12) | st.sampled_from(["42", "4%32", quote(ALICE.ticket.requester, safe="")]),
        st.sampled_from(["", "/", "?", "#", "%2f", "/..", "%00"]),
    ),
)


@given(any_uri)
@example("ticket://4%32")
@example("kb://%2e%2e")
@example("kb://\ud800")
def test_whatever_is_asked_only_the_own_case_or_one_public_segment_is_read(uri: str):
    read = located(uri)
    if read is None:
        return
    scheme, _, segment = read.partition("://")
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", segment)
    assert segment not in {".", ".."}
    own = {"ticket": "42", "customer": ALICE.ticket.requester}
    assert unquote(segment) == own[scheme] if scheme in own else scheme == "kb"
    assert located(read) == read
