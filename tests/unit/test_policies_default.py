"""The policy that comes with the agent: the whole table of verdicts, and every limit on money by one cent."""

import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policies import Policies, check, load_policies
from agent.records import Effect, Verdict
from tests.fakes.judging import DEFAULT, TOOLS, because_of, case, offered, request

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY
OWN_TICKET = [Effect.WRITE, Effect.REPLY, Effect.CLOSE, Effect.ESCALATE]
ENDINGS = [Effect.CLOSE, Effect.ESCALATE]

KINDS = [
    offered(name, effect, bind={"ticket_id": "ticket.id"} if is_confined else {}, public=is_public)
    for effect in Effect
    for is_confined, is_public, name in [
        (True, False, effect.value),
        (False, False, f"{effect.value}-anywhere"),
        (True, True, f"{effect.value}-public"),
        (False, True, f"{effect.value}-public-anywhere"),
    ]
]


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(DEFAULT, KINDS, file="policy.cedar")


def test_the_default_policy_passes_its_own_check():
    assert check(DEFAULT, TOOLS, file="policy.cedar") == ()


def test_the_default_policy_passes_its_check_without_any_tool():
    assert check(DEFAULT, [], file="policy.cedar") == ()


def test_the_default_policy_names_groups_and_never_tools():
    named = set(re.findall(r'Action::"([^"]*)"', DEFAULT))
    assert named == {effect.value for effect in Effect}


@pytest.mark.parametrize(
    ("tool", "known", "verdict", "rule"),
    [
        ("read", {}, ALLOW, "own-case"),
        ("read-public", {}, ALLOW, "public"),
        ("read-public-anywhere", {}, ALLOW, "public"),
        ("read-anywhere", {}, DENY, "unconfined-read"),
        ("read", {"has_ended": True, "writes": 9}, ALLOW, "own-case"),
        *[(effect, {}, ALLOW, "own-ticket") for effect in OWN_TICKET],
        *[(f"{effect}-anywhere", {}, ASK, "unconfined") for effect in [*OWN_TICKET, Effect.ACCESS]],
        *[(f"{effect}-public-anywhere", {}, ASK, "unconfined") for effect in OWN_TICKET],
        ("money", {}, ALLOW, "small-refund-paid"),
        ("money-anywhere", {}, ASK, "refund"),
        ("account", {}, ASK, "account"),
        ("unnamed", {}, ASK, "unnamed"),
        ("access", {}, ALLOW, "verified-access"),
        *[("access", {"case": case(verified=word)}, ASK, "unverified-access") for word in (False, None, "true", 1)],
        ("access", {"case": case(is_known=False)}, ASK, "unverified-access"),
        *[(tool.name, {}, DENY, "deletion") for tool in KINDS if tool.effect is Effect.DELETION],
        *[
            (effect, {"has_ended": True}, DENY, "one-ending")
            for effect in Effect
            if effect not in {Effect.READ, Effect.DELETION}
        ],
        *[(effect, {"has_ended": True, "writes": 9}, DENY, "one-ending") for effect in ENDINGS],
        ("escalate", {"is_by_host": True, "has_ended": True}, ALLOW, "own-ticket"),
        ("escalate-anywhere", {"is_by_host": True}, ASK, "unconfined"),
        ("deletion", {"is_by_host": True}, DENY, "deletion"),
    ],
)
def test_the_table_of_verdicts(policies: Policies, tool: str, known: dict[str, Any], verdict: Verdict, rule: str):
    decision = policies.decide(request(str(tool), **known))
    assert (decision.verdict, rule in because_of(decision)) == (verdict, True)


any_call = st.builds(
    request,
    st.sampled_from([tool.name for tool in KINDS]),
    amount=st.sampled_from([0, 1, 2000, 2001, 10000, 10001, 50000, 50001, 2**40]),
    currency=st.sampled_from(["USD", "EUR", "JPY", "usd", ""]),
    refunded_cents=st.sampled_from([0, 1, 2000, 10000, 50000]),
    refunded_today_cents=st.sampled_from([0, 1, 2000, 10000, 50000]),
    writes=st.integers(0, 12),
    replies=st.integers(0, 8),
    has_ended=st.booleans(),
    is_by_host=st.booleans(),
    case=st.builds(
        case,
        is_known=st.booleans(),
        tier=st.sampled_from(["free", "pro", "enterprise", "gold", None]),
        verified=st.sampled_from([True, False, None, "true", 1]),
    ),
)


@given(call=any_call)
def test_every_verdict_has_reasons_in_sentences(policies: Policies, call: Any):
    decision = policies.decide(call)
    assert decision.reasons
    assert all(reason.rule and reason.because.endswith(".") for reason in decision.reasons)
    assert because_of(decision).isdisjoint({"error", "unencodable"})


@given(call=any_call)
def test_what_needs_no_person_is_confined_to_the_case_or_public(policies: Policies, call: Any):
    if policies.decide(call).verdict is ALLOW:
        tool = policies.tools[call.tool]
        assert tool.is_confined or (tool.is_read and tool.settings.public)


@given(call=any_call)
def test_a_yes_turns_asking_into_allowing_and_no_into_nothing_else(policies: Policies, call: Any):
    before, after = policies.decide(call).verdict, policies.decide(call, is_approved=True).verdict
    assert after is (DENY if before is DENY else ALLOW)


@given(call=any_call)
def test_no_limit_and_no_deletion_gives_way_to_an_approval(policies: Policies, call: Any):
    is_over = call.standing.has_ended and not call.is_by_host
    effect = policies.tools[call.tool].effect
    if effect is Effect.DELETION or (is_over and effect is not Effect.READ):
        assert policies.decide(call, is_approved=True).verdict is DENY


def around(*limits: int) -> list[int]:
    return sorted({max(0, limit + step) for limit in limits for step in (-1, 0, 1)})


def expected(tier: str | None, currency: str, amount: int, run: int, today: int) -> Verdict:
    """The limits on refunds, said once more and otherwise."""
    most = {"free": 20_00, "pro": 100_00, "enterprise": 100_00}.get(tier or "", -1)
    before = max(run, today)
    if amount + before > 500_00:
        return DENY
    return ALLOW if amount + before <= most and currency in {"USD", "EUR"} else ASK


@pytest.mark.parametrize(
    ("tier", "currency"),
    [*product(["free", "pro"], ["USD", "JPY"]), ("enterprise", "EUR"), ("gold", "USD"), (None, "USD")],
)
def test_refunds_are_right_to_the_cent_at_every_limit(policies: Policies, tier: str | None, currency: str):
    spent = [0, 1, 1999, 2000, 9999, 10000, 49999]
    cases = [
        (amount, run, today)
        for run, today in product(spent, spent)
        for amount in around(0, *(limit - max(run, today) for limit in (2000, 10000, 50000)))
    ]
    wrong = [
        (amount, run, today)
        for amount, run, today in cases
        if policies.decide(
            request(
                "money",
                amount=amount,
                currency=currency,
                refunded_cents=run,
                refunded_today_cents=today,
                case=case(tier=tier),
            )
        ).verdict
        is not expected(tier, currency, amount, run, today)
    ]
    assert len(cases) > 250
    assert wrong == []


def test_a_refund_for_somebody_in_no_customer_record_asks_and_has_its_ceiling(policies: Policies):
    unknown = case(is_known=False)
    assert policies.decide(request("money", amount=1, case=unknown)).verdict is ASK
    assert policies.decide(request("money", amount=50_001, case=unknown)).verdict is DENY
