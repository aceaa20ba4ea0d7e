"""`policy check`: each mistake that a policy can hold is found, at its line, in a sentence."""

import pytest

from agent.policies import check
from agent.policies.source import statements
from agent.records import Effect, JsonObject
from tests.fakes.judging import TOOLS, offered, rules

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "plan": {"enum": ["free", "pro"]},
        "tags": {"type": "array", "items": {"enum": ["urgent", "vip"]}},
        "note": {"type": "string"},
        "filter": {"type": "object"},
        "address": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
    "required": ["plan", "note", "filter", "tags"],
}
DESK = [*TOOLS, offered("update", Effect.ACCOUNT, SCHEMA)]
UPDATE = 'action == Action::"desk.update"'


def found(source: str) -> list[str]:
    return [str(finding) for finding in check(source, DESK, file="policy.cedar")]


def said_of(condition: str, *, head: str = UPDATE, effect: str = "forbid") -> list[str]:
    """What is said of a rule with this condition."""
    findings = check(
        rules(f"{effect} (principal, {head}, resource) when {{ {condition} }};"), DESK, file="policy.cedar"
    )
    return [f"{finding.severity.value}: {finding.message}" for finding in findings]


# Statements.


def test_semicolons_in_comments_and_strings_end_no_rule():
    source = """// a; comment
@id("a;b") // with "quotes" and ;
@because("say \\"x;\\" // no comment")
permit (principal, action, resource)
when { context.ticket.id == ";" };

  forbid (principal, action, resource) when { "\\\\" == "\\";" }; permit
(principal, action, resource)
"""
    assert [(one.line, one.text.split()[0], one.text[-1]) for one in statements(source)] == [
        (2, '@id("a;b")', ";"),
        (7, "forbid", ";"),
        (7, "permit", ")"),
    ]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("permit (principal, action, resource) when { context.now };;", "unexpected token `;`"),
        ("permit (principal, action, resource) when { 1 + };", "unexpected token `}`"),
        ("permit (principal, action, resource)", "unexpected end of input"),
        ("permit (principal, action, resource) when { 'x' == 'y' };", "invalid token"),
        ('@id("x") @id("y") permit (principal, action, resource);', "duplicate annotation: @id"),
        ("/* no */ permit (principal, action, resource);", "unexpected token `/`"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_line_of_its_rule(broken: str, message: str):
    fine = rules("permit (principal, action, resource);")
    [finding] = found(f"{fine}\n\n// next\n{broken}")
    assert finding.startswith("policy.cedar:6: error: This rule cannot be read: ")
    assert message in finding


def test_every_rule_that_cannot_be_read_is_named():
    assert [line.split(":")[1] for line in found("permit;\n\nforbid;\n")] == ["1", "3"]


def test_a_rule_that_hides_in_a_comment_behind_a_carriage_return_is_refused():
    # Cedar ends a comment there; most editors show one line.
    source = "// harmless\rpermit (principal, action, resource);\n" + rules("permit (principal, action, resource);")
    assert found(source) == ["policy.cedar:1: error: Cedar finds other rules in this file than its semicolons end."]
    assert found(rules('permit (principal, action in Action::"read", resource);').replace("\n", "\r\n")) == []


def test_a_template_is_refused():
    [finding] = found("permit (principal == ?principal, action, resource);")
    assert finding.startswith("policy.cedar:1: error: Templates (?principal, ?resource) are not used here")


def test_a_file_without_rules_is_refused():
    assert found("// later\n") == [
        "policy.cedar:1: error: There is no rule in this policy, so every call would be denied."
    ]


# Types.


def test_a_mistake_of_type_is_named_with_the_line_at_which_its_rule_begins():
    source = rules(
        'permit (principal, action in Action::"read", resource);',
        'permit (principal, action in Action::"money", resource)\nwhen { context.amount_cents == "many" };',
    )
    assert found(source) == ["policy.cedar:4: error: The types Long and String are not compatible."]


def test_an_attribute_that_is_not_there_is_named_once_with_the_actions_that_lack_it():
    [finding] = said_of("context.amount_cents > 1", head="action")
    assert finding.startswith("error: Attribute `amount_cents` not found (for ")
    assert finding.endswith("access, account, close and 16 more).")


def test_an_optional_attribute_must_be_asked_for_first():
    assert any("optional attribute `customer`" in message for message in said_of('context.customer.tier == "pro"'))
    assert said_of('context has customer.tier && context.customer.tier == "pro"') == []


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ('action in Action::"mony"', 'error: There is no group Action::"mony". Did you mean money?'),
        ('action == Action::"desk.updat"', 'error: There is no tool Action::"desk.updat". Did you mean desk.update?'),
        ('action in [Action::"read", Action::"zzz"]', 'error: There is no group Action::"zzz".'),
    ],
)
def test_an_action_that_does_not_exist_is_named_with_what_was_meant(head: str, message: str):
    findings = check(rules(f"permit (principal, {head}, resource);"), DESK, file="policy.cedar")
    assert message in [f"{finding.severity.value}: {finding.message}" for finding in findings]


def test_an_action_that_does_not_exist_is_found_in_a_condition_too():
    assert 'error: There is no group Action::"mony". Did you mean money?' in said_of(
        'action in Action::"mony"', head="action"
    )


def test_a_tool_that_cannot_be_judged_is_named_with_its_reason():
    pay = offered("pay", Effect.MONEY, facts={})
    source = rules('forbid (principal, action == Action::"desk.pay", resource);')
    messages = [finding.message for finding in check(source, [pay], file="policy.cedar")]
    assert any(message.startswith("No rule can speak about desk.pay: desk.pay moves money") for message in messages)


# What Cedar lets pass.


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ('@because("B.")', 'The rule has no @id("…"): results and the journal could not name it.'),
        ('@id("") @because("B.")', 'The rule has no @id("…"): results and the journal could not name it.'),
        ('@id("x")', 'The rule has no @because("…"): nobody could be told why.'),
        ('@id("x") @because(" ")', 'The rule has no @because("…"): nobody could be told why.'),
    ],
)
def test_a_rule_has_a_name_and_a_reason(annotations: str, message: str):
    assert found(f'{annotations} permit (principal, action in Action::"read", resource);') == [
        f"policy.cedar:1: error: {message}"
    ]


def test_two_rules_of_one_name_are_both_named():
    rule = '@id("twice") @because("B.") permit (principal, action in Action::"read", resource);\n'
    assert found(rule + rule) == [
        'policy.cedar:1: error: Another rule has the same @id("twice").',
        'policy.cedar:2: error: Another rule has the same @id("twice").',
    ]


@pytest.mark.parametrize(
    ("head", "condition"),
    [
        ('action == Action::"money"', "true"),
        ("action", 'action == Action::"money"'),
        ("action", 'action != Action::"money"'),
        ("action", '[Action::"money", Action::"desk.read"].contains(action)'),
    ],
)
def test_a_group_that_is_taken_for_a_call_is_named_with_what_to_write(head: str, condition: str):
    assert said_of(condition, head=head) == [
        'error: No call is Action::"money" itself, which is a group: write action in Action::"money".'
    ]


NEVER = "error: The rule can never apply: no call meets all of its conditions."


@pytest.mark.parametrize(
    ("condition", "name", "place", "meant"),
    [
        ("context.args has plam", "plam", "args.plam", "plan"),
        ("context has custommer", "custommer", "custommer", "customer"),
        ("context has customer.teir", "teir", "customer.teir", "tier"),
        ("context.args has address.zip", "zip", "args.address.zip", None),
        ("context has amount_cents", "amount_cents", "amount_cents", None),
    ],
)
def test_a_misspelt_has_is_named_with_what_was_meant(condition: str, name: str, place: str, meant: str | None):
    question = f" Did you mean {meant}?" if meant else ""
    expected = f"error: `has {name}`: no call that this rule speaks about has context.{place}.{question}"
    assert said_of(condition) == sorted([expected, NEVER])


def test_an_attribute_that_some_call_has_is_no_typo():
    assert said_of("context.args has plan", head="action") == []
    assert said_of("context has amount_cents", head="action") == []


@pytest.mark.parametrize(
    ("condition", "place", "value"),
    [
        ('context.args.plan == "por"', "plan", "por"),
        ('"por" == context.args.plan', "plan", "por"),
        ('["pro", "por"].contains(context.args.plan)', "plan", "por"),
        ('context.args.tags.contains("vpi")', "tags", "vpi"),
        ('context.args.tags.containsAny(["vip", "vpi"])', "tags", "vpi"),
        ('!(context.args.plan == "por")', "plan", "por"),
        ('context.args.plan != "por"', "plan", "por"),
    ],
)
def test_a_value_outside_its_enum_is_named_with_what_was_meant(condition: str, place: str, value: str):
    choices, meant = ("free, pro", "pro") if place == "plan" else ("urgent, vip", "vip")
    expected = f'error: context.args.{place} is never "{value}": it is one of {choices}. Did you mean {meant}?'
    assert expected in said_of(condition)


def test_a_text_that_is_no_canonical_json_never_equals_free_json():
    assert said_of('context.args.filter == "{\\"a\\": 1}"') == [
        'error: context.args.filter is never "{"a": 1}": it is JSON as one text, keys sorted and without spaces.'
    ]
    assert said_of('context.args.filter == "{\\"a\\":1}"') == []


@pytest.mark.parametrize(
    "condition",
    [
        "false",
        "1 > 2",
        "context.approved && !context.approved",
        "!(context.approved || !context.approved)",
        'context.args.plan == "pro" && context.args.plan == "free"',
        'context.args.plan != "pro" && context.args.plan != "free"',
        '["pro"].contains(context.args.plan) && context.args.plan == "free"',
        "context.run.writes > 5 && context.run.writes <= 5",
        "context.run.writes > 5 && 5 > context.run.writes",
        "context.run.writes == 5 && context.run.writes > 5",
        "!(context.run.writes > 5) && !(context.run.writes <= 5)",
        "context.run.writes + context.run.replies > 9 && context.run.writes + context.run.replies < 3",
        "(context.run.writes > 5 || context.approved) && context.run.writes < 5 && !context.approved",
        "(if context.approved then context.run.writes > 5 else false) && context.run.writes < 2",
        'context has customer.tier && context.customer.tier == "pro" && context.customer.tier == "free"',
        'action in Action::"read"',
        'action == Action::"desk.money"',
        '!(action in [Action::"account", Action::"read"])',
        "!(context has ticket)",
        "!(resource is Ticket)",
    ],
)
def test_a_rule_that_can_never_apply_is_named(condition: str):
    assert said_of(condition) == [NEVER]


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        'context.args.plan == "pro" || context.args.plan == "free"',
        'context.args.plan != "pro"',
        "context.run.writes >= 5 && context.run.writes <= 5",
        "context.run.writes > 5 || context.run.writes < 5",
        "(context.run.writes > 5 || context.approved) && context.run.writes < 5",
        "if context.approved then context.run.writes > 5 else context.run.writes < 2",
        "context.run.writes + context.run.replies > 9 && context.run.writes < 3",
        'context.args.note like "*x*" && context.args.note != "x"',
        'context.args has address && context.args.address has city && context.args.address.city == "Ulm"',
        'context.now > datetime("2026-01-01")',
        'context.args.tags.contains("vip") && context.args.tags.contains("urgent")',
    ],
)
def test_a_rule_that_can_apply_is_not_complained_about(condition: str):
    assert said_of(condition) == []


def test_what_an_unless_leaves_nothing_of_can_never_apply():
    rule = f"forbid (principal, {UPDATE}, resource) when {{ context.approved }} unless {{ context.approved }};"
    assert [finding.message for finding in check(rules(rule), DESK, file="x")] == [NEVER.removeprefix("error: ")]


def test_a_permit_of_everything_is_warned_of():
    assert found(rules("permit (principal, action, resource);")) == [
        "policy.cedar:1: warning: The rule permits everything that no other rule forbids."
    ]


def test_a_permit_of_what_is_always_forbidden_is_warned_of():
    source = rules(
        'forbid (principal, action in Action::"deletion", resource);',
        'permit (principal, action == Action::"desk.deletion", resource) when { context.approved };',
    )
    assert found(source) == ["policy.cedar:4: warning: The rule permits only what rule-0 (line 1) always forbids."]


def test_findings_come_in_the_order_of_the_file_and_each_once():
    source = "\n".join(
        f'@id("{i}") @because("B.") forbid (principal, {UPDATE}, resource) '
        "when { context.args has plam || context.args has plam || context.args has nto };"
        for i in range(3)
    )
    findings = check(source, DESK, file="policy.cedar")
    assert [finding.line for finding in findings] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert findings == tuple(sorted(set(findings)))
    assert all(check(source, DESK, file="policy.cedar") == findings for _ in range(5))
