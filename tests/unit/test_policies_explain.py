"""`policy explain`: which rules decided, and which condition, with which values, kept the others from applying."""

import pytest
from cedarpy import policies_to_pst, pst
from hypothesis import given
from hypothesis import strategies as st

from agent.policies import Policies, explain, load_policies
from agent.policies.explaining import Explanation, Fate
from agent.policies.wording import worded
from agent.records import Effect, Verdict
from tests.fakes.judging import DEFAULT, TOOLS, because_of, case, offered, policy, request


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(DEFAULT, TOOLS, file="policy.cedar")


def fates(explanation: Explanation) -> dict[str, Fate]:
    return {rule.rule: rule.fate for rule in explanation.rules}


def unmet(explanation: Explanation, rule: str) -> list[str]:
    [considered] = [considered for considered in explanation.rules if considered.rule == rule]
    return [str(condition) for condition in considered.unmet]


def test_a_refund_one_cent_beyond_its_limit_is_explained_with_its_values(policies: Policies):
    explanation = explain(policies, request("money", amount=2001, case=case(tier="free"), refunded_today_cents=5))
    assert explanation.decision.verdict is Verdict.ASK
    run, today = unmet(explanation, "small-refund-free")
    assert run == (
        "not: context.amount_cents + context.run.refunded_cents <= 2000 "
        "[context.amount_cents = 2001, context.run.refunded_cents = 0]"
    )
    assert today == (
        "not: context.amount_cents + context.customer.refunded_today_cents <= 2000 "
        "[context.amount_cents = 2001, context.customer.refunded_today_cents = 5]"
    )
    assert unmet(explanation, "small-refund-paid") == [
        'not: ["pro", "enterprise"].contains(context.customer.tier) [context.customer.tier = "free"]'
    ]
    assert fates(explanation)["refund"] is Fate.APPLIED
    assert fates(explanation)["own-case"] is Fate.ELSEWHERE


def test_what_fails_only_behind_a_condition_that_does_not_hold_is_not_reported(policies: Policies):
    explanation = explain(policies, request("money", case=case(is_known=False)))
    assert unmet(explanation, "small-refund-paid") == ["not: context has customer [context.customer = absent]"]


def test_a_forbid_names_what_it_was_excluded_by(policies: Policies):
    explanation = explain(policies, request("read", has_ended=True))
    assert explanation.decision.verdict is Verdict.ALLOW
    assert unmet(explanation, "one-ending") == ['excluded by: action in Action::"read" [action = desk.read]']


def test_the_rules_are_shown_as_they_stand_after_a_yes_unless_none_is_needed(policies: Policies):
    assert explain(policies, request("close")).is_as_approved is False
    asked = explain(policies, request("account"))
    assert (asked.is_as_approved, fates(asked)["account"]) == (True, Fate.APPLIED)


def test_a_rule_that_fails_is_named_with_its_failure():
    overflows = "context.amount_cents * 9223372036854775807 < 0"
    policies = policy(
        "permit (principal, action, resource);",
        f'forbid (principal, action in Action::"money", resource) when {{ {overflows} }};',
    )
    explanation = explain(policies, request("money", amount=2))
    assert explanation.decision.verdict is Verdict.DENY
    assert fates(explanation) == {"rule-0": Fate.APPLIED, "rule-1": Fate.FAILED}
    [failed] = unmet(explanation, "rule-1")
    assert failed.startswith(
        "failed: context.amount_cents * 9223372036854775807 < 0 [context.amount_cents = 2]: integer"
    )


def test_a_call_that_cannot_be_shown_to_the_policy_has_no_rules_to_explain(policies: Policies):
    explanation = explain(policies, request("money", amount=None))
    assert (because_of(explanation.decision), explanation.rules) == ({"unencodable"}, ())


def test_values_of_every_kind_are_shown_and_long_ones_cut():
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "ratio": {"type": "number"}}}
    condition = (
        'context.now < datetime("2000-01-01") || context.args has text && context.args.text == "" || '
        'context.args has ratio && context.args.ratio.greaterThan(decimal("1.0"))'
    )
    policies = policy(
        f'permit (principal, action == Action::"desk.act", resource) when {{ {condition} }};',
        tools=[offered("act", Effect.WRITE, schema)],
    )
    [line] = unmet(explain(policies, request("act", {"text": "x" * 500, "ratio": 0.5})), "rule-0")
    assert 'context.now = "2026-11-20T09:30:00.000Z"' in line
    assert 'context.args.ratio = "0.5000"' in line
    assert f'context.args.text = "{"x" * 119}…' in line


@given(
    tool=st.sampled_from([tool.name for tool in TOOLS]),
    amount=st.sampled_from([0, 2000, 2001, 10001, 50001]),
    writes=st.integers(0, 4),
    has_ended=st.booleans(),
    is_known=st.booleans(),
    verified=st.sampled_from([True, False, None]),
)
def test_the_rules_that_are_said_to_apply_are_those_that_cedar_applied(
    policies: Policies, tool: str, amount: int, writes: int, has_ended: bool, is_known: bool, verified: bool | None
):
    call = request(
        tool, amount=amount, writes=writes, has_ended=has_ended, case=case(is_known=is_known, verified=verified)
    )
    explanation = explain(policies, call)
    decision = policies.decide(call, is_approved=explanation.is_as_approved)
    applied = {considered.rule for considered in explanation.rules if considered.fate is Fate.APPLIED}
    # Cedar names the rules of the side that won: a permit beside a forbid is not among its reasons.
    won = {rule.rule for rule in explanation.rules if rule.is_forbid == (decision.verdict is Verdict.DENY)}
    assert applied & won == because_of(decision) - {"default"}
    assert all(rule.unmet for rule in explanation.rules if rule.fate is Fate.UNMET)


@pytest.mark.parametrize(
    "text",
    [
        "context.a && context.b || !context.c",
        "(context.a || context.b) && !(context.c && context.d)",
        "context.a + context.b * 2 - -3 <= (context.c - (context.d - 1)) * 4",
        'context has "we ird" && context["we ird"] == "quo\\"te\\\\"',
        'context.name like "a*\\*b" && principal is Run && resource in Ticket::"42"',
        'if context.a then ["x", "y"].contains(context.b) else {"k": 1}.k == 2',
        '(if context.a then 1 else 2) == 1 && context.s.containsAll(["x"]) && context.s.isEmpty()',
        'context.now.offset(duration("1h")).toTime() > duration("9h") && decimal("1.5").lessThanOrEqual(context.d)',
        "(context.a == context.b) == (context.c < 1)",
        'ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && context.e.hasTag("t") && context.e.getTag("t") == 1',
    ],
)
def test_a_condition_is_written_again_as_it_was_meant(text: str):
    def parsed(condition: str) -> pst.Expr:
        [rule] = policies_to_pst(
            f"permit (principal, action, resource) when {{ {condition} }};"
        ).static_policies.values()
        [clause] = rule.clauses
        return clause.expr

    assert parsed(worded(parsed(text))) == parsed(text)
    assert worded(parsed(text)) == text
