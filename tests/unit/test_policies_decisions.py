"""The decision: each of the ways in which Cedar would fail open is closed, and what cannot be judged is denied."""

import ast
import dataclasses
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cedarpy
import pytest

import agent
from agent.errors import ConfigurationError
from agent.policies import Policies, load_policies
from agent.policies.cedar import ask
from agent.records import Effect, JsonObject, Verdict
from tests.fakes.judging import TOOLS, because_of, case, offered, policy, request, rules

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY
EVERYTHING = "permit (principal, action, resource);"
OVERFLOWS = "context.amount_cents * 9223372036854775807 < 0"  # at two cents


def taking(schema: JsonObject, *more: str, required: bool = True) -> Policies:
    """A policy that permits everything, over a tool with one argument of this schema."""
    names = ["value"] if required else []
    tool = offered("act", Effect.WRITE, {"type": "object", "properties": {"value": schema}, "required": names})
    return policy(EVERYTHING, *more, tools=[tool])


# What fails open when Cedar is used naively.


def test_a_forbid_that_fails_denies_although_cedar_would_skip_it():
    policies = policy(
        EVERYTHING,
        f'forbid (principal, action in Action::"money", resource) when {{ {OVERFLOWS} }};',
    )
    assert policies.decide(request("money", amount=1)).verdict is ALLOW
    decision = policies.decide(request("money", amount=2))
    assert decision.verdict is DENY
    assert because_of(decision) == {"rule-1"}
    assert decision.reasons[0].because.startswith(
        "The rule rule-1 fails on this call, so it is denied: integer overflow"
    )


def test_a_permit_that_fails_denies_although_another_permits():
    policies = policy(
        EVERYTHING,
        f'permit (principal, action in Action::"money", resource) when {{ {OVERFLOWS} }};',
    )
    assert policies.decide(request("money", amount=2)).verdict is DENY


def test_a_rule_that_fails_only_once_approved_is_not_asked_about():
    policies = policy(
        "permit (principal, action, resource) when { context.approved };",
        f'forbid (principal, action in Action::"money", resource) when {{ context.approved && {OVERFLOWS} }};',
    )
    assert policies.decide(request("money", amount=1)).verdict is ASK
    assert policies.decide(request("money", amount=2)).verdict is DENY
    assert policies.decide(request("money", amount=2), is_approved=True).verdict is DENY


def test_a_rule_that_fails_only_while_nobody_approved_is_not_asked_about():
    policies = policy(
        "permit (principal, action, resource) when { context.approved };",
        f'forbid (principal, action in Action::"money", resource) when {{ !context.approved && {OVERFLOWS} }};',
    )
    assert policies.decide(request("money", amount=1)).verdict is ASK
    assert policies.decide(request("money", amount=2)).verdict is DENY


def test_cedars_own_answer_with_an_error_in_it_allows_nothing():
    policies = policy(EVERYTHING, f'forbid (principal, action in Action::"money", resource) when {{ {OVERFLOWS} }};')
    asked = policies.asked(request("money", amount=2), is_approved=False)
    naive = cedarpy.is_authorized(asked, policies.policy_set, policies.ground.entities, policies.ground.schema)
    assert naive.allowed
    assert not ask(asked, policies.policy_set, policies.ground).is_allowed


def test_a_denial_is_a_denial_whatever_its_result_object_is_worth_as_a_truth():
    policies = policy('permit (principal, action in Action::"read", resource);')
    assert policies.decide(request("write")).verdict is DENY
    assert policies.decide(request("write"), is_approved=True).verdict is DENY


def test_only_one_module_calls_cedars_engine():
    host = Path(agent.__file__).parent
    sources = {str(path.relative_to(host)): ast.parse(path.read_text("utf-8")) for path in host.rglob("*.py")}
    calling = {
        name
        for name, tree in sources.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("is_authorized")
    }
    assert calling == {str(Path("policies", "cedar.py"))}


@pytest.mark.parametrize("effect", Effect)
def test_a_rule_about_a_group_reaches_every_tool_in_it_and_no_other(effect: Effect):
    policies = policy(EVERYTHING, f'forbid (principal, action in Action::"{effect}", resource);')
    denied = {tool.name for tool in TOOLS if policies.decide(request(tool.name)).verdict is DENY}
    assert denied == {effect.value}


def test_a_tool_that_nobody_has_discovered_is_denied_even_where_everything_is_permitted():
    decision = policy(EVERYTHING).decide(request("nobody"))
    assert (decision.verdict, because_of(decision)) == (DENY, {"unencodable"})


def test_an_argument_that_the_schema_does_not_name_denies():
    decision = taking({"type": "string"}).decide(request("act", {"value": "x", "extra": 1}))
    assert decision.verdict is DENY
    assert decision.reasons[0].because == "context.args has 'extra', of which its schema says nothing."


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, None),
        ({"type": "string"}, 1),
        ({"type": "string"}, ["x"]),
        ({"type": "string"}, "\ud800"),
        ({"type": "integer"}, 2**63),
        ({"type": "integer"}, -(2**63) - 1),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, True),
        ({"type": "integer"}, "1"),
        pytest.param({"type": "integer"}, 10**5000, id="5000 digits"),
        ({"type": "number"}, float("nan")),
        ({"type": "number"}, float("inf")),
        ({"type": "number"}, 1e300),
        ({"type": "number"}, 0.00001),
        ({"type": "number"}, True),
        ({"type": "boolean"}, 1),
        ({"type": "array", "items": {"type": "string"}}, ["x", None]),
        ({"type": "array", "items": {"type": "string"}}, {"x": 1}),
        ({"type": "array", "items": {"type": "string"}}, ("x",)),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "x", "b": 1}),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {1: "x"}),
        ({"type": "string"}, {"__entity": {"type": "Run", "id": "x"}}),
        ({"type": "integer"}, {"__extn": {"fn": "decimal", "arg": "1.0"}}),
        ({}, float("nan")),
        ({}, "\udfff"),
        ({}, {"\ud800": 1}),
        ({}, {1: 2}),
        ({}, {"x"}),
        pytest.param({}, 10**5000, id="5000 digits in anything"),
    ],
)
def test_what_cedar_could_not_hold_exactly_is_denied_with_a_sentence(schema: JsonObject, value: Any):
    decision = taking(schema).decide(request("act", {"value": value}))
    assert (decision.verdict, because_of(decision)) == (DENY, {"unencodable"})
    assert decision.reasons[0].because.endswith(".")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "\x00 ümläut 日本 😀"),
        ({"type": "integer"}, 2**63 - 1),
        ({"type": "integer"}, -(2**63)),
        ({"type": "integer"}, 3.0),
        ({"type": "number"}, -0.0),
        ({"type": "number"}, 0.8571),
        ({"type": "number"}, 5e-05 * 2),
        ({"type": "number"}, 922337203685477),
        ({"type": "number"}, 1e14),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"type": "string"}}, ["x", "x"]),
        ({}, [{"a": None}, 1e300, 2**70]),
    ],
)
def test_what_cedar_can_hold_is_judged(schema: JsonObject, value: Any):
    assert taking(schema).decide(request("act", {"value": value})).verdict is ALLOW


def test_ten_megabytes_are_denied_before_they_reach_cedar():
    decision = taking({"type": "string"}).decide(request("act", {"value": "x" * 10_000_000}))
    assert decision.reasons[0].because == "The call is longer than the 500,000 characters that are judged."
    many = taking({"type": "array", "items": {"type": "string"}}).decide(request("act", {"value": ["x"] * 300_000}))
    assert many.reasons == decision.reasons


def test_deep_nesting_is_denied():
    value: Any = "x"
    for _ in range(100_000):
        value = [value]
    decision = taking({}).decide(request("act", {"value": value}))
    assert decision.reasons[0].because == "The call is nested more than 32 levels deep."


@pytest.mark.parametrize("amount", [None, -1, 1.0, 500.5, True, "500", 2**63])
def test_an_amount_that_is_no_whole_number_of_cents_denies(amount: Any):
    assert policy(EVERYTHING).decide(request("money", amount=amount)).verdict is DENY


@pytest.mark.parametrize("currency", [None, 978, ["USD"]])
def test_a_currency_that_is_no_text_denies(currency: Any):
    assert policy(EVERYTHING).decide(request("money", currency=currency)).verdict is DENY


def test_money_without_facts_about_the_amount_is_denied_and_says_what_to_configure():
    tool = offered("pay", Effect.MONEY, facts={})
    decision = policy(EVERYTHING, tools=[tool]).decide(request("pay"))
    assert decision.verdict is DENY
    assert 'configure the facts amount_cents and currency in [tools."desk.pay"]' in decision.reasons[0].because


def test_a_tool_with_an_argument_that_cedar_would_misread_is_denied():
    schema = {"type": "object", "properties": {"__entity": {"type": "object"}}}
    decision = policy(EVERYTHING, tools=[offered("act", Effect.WRITE, schema)]).decide(request("act", {"__entity": {}}))
    assert decision.reasons[0].because == "desk.act takes an argument whose name means something else to a policy."


def test_two_tools_of_one_name_are_both_denied():
    twins = [offered("act", Effect.WRITE), offered("act", Effect.READ)]
    assert policy(EVERYTHING, tools=twins).decide(request("act")).reasons[0].because == "Two tools are called desk.act."


@pytest.mark.parametrize("name", ["\ud800", 'a"b\\c\n', "", "a.b", "日本"])
def test_no_name_of_a_tool_breaks_the_others(name: str):
    policies = policy(EVERYTHING, tools=[offered(name, Effect.READ), offered("act", Effect.READ)])
    assert policies.decide(request("act")).verdict is ALLOW
    assert policies.decide(request(name)).verdict is (DENY if name == "\ud800" else ALLOW)


# The verdict.


def test_ask_is_what_is_denied_alone_and_permitted_when_approved():
    policies = policy("permit (principal, action, resource) when { context.approved };")
    assert policies.decide(request("write")).verdict is ASK
    assert policies.decide(request("write"), is_approved=True).verdict is ALLOW


def test_a_rule_that_forbids_only_what_nobody_approved_asks_and_is_the_reason():
    policies = policy(
        EVERYTHING, 'forbid (principal, action in Action::"reply", resource) unless { context.approved };'
    )
    decision = policies.decide(request("reply"))
    assert (decision.verdict, because_of(decision)) == (ASK, {"rule-1"})


def test_the_reasons_are_the_ids_and_sentences_of_the_rules_in_the_order_of_the_file():
    policies = policy(EVERYTHING, 'permit (principal, action in Action::"read", resource);')
    reasons = policies.decide(request("read")).reasons
    assert [(reason.rule, reason.because) for reason in reasons] == [("rule-0", "Rule 0."), ("rule-1", "Rule 1.")]


def test_reasons_keep_to_their_rules_beyond_ten_rules():
    forbids = [f'forbid (principal, action, resource) when {{ context.ticket.id == "{i}" }};' for i in range(60)]
    assert because_of(policy(*forbids, EVERYTHING).decide(request("read"))) == {"rule-42"}


def test_a_call_that_no_rule_permits_is_denied_and_says_so():
    decision = policy('permit (principal, action in Action::"read", resource);').decide(request("reply"))
    assert decision.reasons[0].because == "No rule of the policy permits this call of desk.reply (reply)."


def test_a_policy_with_an_error_is_refused_with_file_and_line():
    source = rules(EVERYTHING) + '\n\n@id("x") @because("X.")\npermit (principal, action in Action::"mony", resource);'
    with pytest.raises(ConfigurationError, match=r'policy\.cedar:5: error: There is no group Action::"mony"\. Did you'):
        load_policies(source, TOOLS, file="policy.cedar")


def test_a_policy_without_rules_is_refused():
    with pytest.raises(ConfigurationError, match="no rule"):
        load_policies("// nothing yet\n", TOOLS, file="policy.cedar")


# What a policy sees.

SEEN = [
    'context.ticket.id == "42" && context.ticket.requester == "alice@example.com" && context.ticket.status == "open"',
    'context.ticket has priority && context.ticket.priority == "high"',
    'context has customer && context.customer.id == "c1" && context.customer.email == "alice@example.com"',
    'context has customer.tier && context.customer.tier == "pro"',
    "context has customer.verified && context.customer.verified",
    "context has customer && context.customer.refunded_today_cents == 7",
    "context.run.writes == 1 && context.run.replies == 2",
    "context.run.ended && context.run.refunded_cents == 5",
    "context.call.confined && !context.call.public && context.call.by_host",
    'context.now == datetime("2026-11-20T08:30:00.250Z")',
    'context.now.toTime() < duration("9h")',
    'principal == Run::"r1" && resource == Ticket::"42"',
]


@pytest.mark.parametrize("condition", SEEN)
def test_a_policy_sees_the_case_the_run_and_the_time(condition: str):
    policies = policy(f"permit (principal, action, resource) when {{ {condition} }};")
    known = request(
        "write",
        writes=1,
        replies=2,
        has_ended=True,
        refunded_cents=5,
        refunded_today_cents=7,
        is_by_host=True,
        now=datetime(2026, 11, 20, 9, 30, 0, 250_000, timezone(timedelta(hours=1))),
    )
    assert policies.decide(known).verdict is ALLOW


def test_money_is_seen_with_its_amount_and_currency():
    policies = policy(
        'permit (principal, action in Action::"money", resource)\n'
        'when { context.amount_cents == 500 && context.currency == "USD" };'
    )
    assert policies.decide(request("money")).verdict is ALLOW
    assert policies.decide(request("money", currency="usd")).verdict is DENY


@pytest.mark.parametrize("priority", [None, 3, ["high"]])
def test_a_priority_that_is_no_text_is_absent(priority: Any):
    absent = policy("permit (principal, action, resource) unless { context.ticket has priority };")
    ticket = dataclasses.replace(case().ticket, fields={**case().ticket.fields, "priority": priority})
    known = dataclasses.replace(case(), ticket=ticket)
    assert absent.decide(request("read", case=known)).verdict is ALLOW


def test_arguments_are_seen_by_their_own_types():
    properties: JsonObject = {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "free": {"type": "object"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    tool = offered("act", Effect.WRITE, schema)
    arguments = {
        "kind": "a",
        "count": 3,
        "ratio": 0.5,
        "tags": ["x", "y"],
        "place": {"city": "Ulm"},
        "free": {"b": 1.0, "a": [True]},
        "maybe": None,
    }
    condition = (
        'context.args.kind == "a" && context.args.count == 3 && context.args.ratio == decimal("0.5") && '
        'context.args.tags.containsAll(["y", "x"]) && context.args.place.city == "Ulm" && '
        f"context.args.free == {json.dumps(json.dumps({'a': [True], 'b': 1}, separators=(',', ':')))} && "
        "!(context.args has maybe)"
    )
    policies = policy(
        f'permit (principal, action == Action::"desk.act", resource) when {{ {condition} }};', tools=[tool]
    )
    assert policies.decide(request("act", arguments)).verdict is ALLOW
    assert policies.decide(request("act", arguments | {"maybe": "here"})).verdict is DENY


def test_arguments_that_a_schema_lets_in_without_naming_them_are_seen_as_one_text():
    schema = {"type": "object", "properties": {"value": {"type": "string"}}, "additionalProperties": True}
    policies = policy(
        'permit (principal, action == Action::"desk.act", resource)\n'
        'when { context has other_args && context.other_args == "{\\"more\\":1}" };',
        tools=[offered("act", Effect.WRITE, schema)],
    )
    assert policies.decide(request("act", {"value": "x", "more": 1})).verdict is ALLOW
    assert policies.decide(request("act", {"value": "x"})).verdict is DENY
