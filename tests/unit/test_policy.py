"""What a call may do: the whole table of effects and facts, and what holds whatever the facts are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy import Judged, decide
from agent.records import Case, Customer, Effect, Ticket, Verdict

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY
OWN_TICKET = [Effect.WRITE, Effect.REPLY, Effect.CLOSE, Effect.ESCALATE]
ENDINGS = [Effect.CLOSE, Effect.ESCALATE]
MOST_WRITES = 3


def case(verified: Any = True, *, is_known: bool = True) -> Case:
    ticket = Ticket(id="42", fields={"requester": "alice@example.com", "status": "open"}, context="")
    customer = Customer(id="c1", fields={"verified": verified}, context="")
    return Case(ticket=ticket, customer=customer if is_known else None)


def judged(effect: Effect, **facts: Any) -> Judged:
    ordinary: dict[str, Any] = {
        "tool": "desk.act",
        "is_confined": True,
        "is_public": False,
        "is_by_host": False,
        "arguments": {},
        "facts": {},
        "case": case(),
        "writes": 0,
        "most_writes": MOST_WRITES,
        "has_ended": False,
    }
    return Judged(effect=effect, **(ordinary | facts))


def verdict_and_rule(call: Judged) -> tuple[Verdict, str]:
    decision = decide(call)
    [reason] = decision.reasons
    return decision.verdict, reason.rule


any_call = st.builds(
    judged,
    st.sampled_from(Effect),
    is_confined=st.booleans(),
    is_public=st.booleans(),
    is_by_host=st.booleans(),
    case=st.builds(case, st.sampled_from([True, False, None, "true", 1]), is_known=st.booleans()),
    writes=st.integers(0, MOST_WRITES * 2),
    has_ended=st.booleans(),
)


@pytest.mark.parametrize(
    ("effect", "facts", "verdict", "rule"),
    [
        (Effect.READ, {}, ALLOW, "own-case"),
        (Effect.READ, {"is_public": True}, ALLOW, "public"),
        (Effect.READ, {"is_public": True, "is_confined": False}, ALLOW, "public"),
        (Effect.READ, {"is_confined": False}, DENY, "unconfined-read"),
        (Effect.READ, {"has_ended": True, "writes": MOST_WRITES}, ALLOW, "own-case"),
        *[(effect, {}, ALLOW, "own-ticket") for effect in OWN_TICKET],
        *[(effect, {"is_confined": False}, ASK, "unconfined") for effect in [*OWN_TICKET, Effect.ACCESS]],
        *[(effect, {"is_confined": False, "is_public": True}, ASK, "unconfined") for effect in OWN_TICKET],
        (Effect.MONEY, {}, ASK, "money"),
        (Effect.MONEY, {"is_confined": False}, ASK, "money"),
        (Effect.ACCOUNT, {}, ASK, "account"),
        (Effect.UNNAMED, {}, ASK, "unnamed"),
        (Effect.ACCESS, {}, ALLOW, "verified-access"),
        (Effect.ACCESS, {"case": case(verified=False)}, ASK, "unverified-access"),
        (Effect.ACCESS, {"case": case(verified="true")}, ASK, "unverified-access"),
        (Effect.ACCESS, {"case": case(verified=1)}, ASK, "unverified-access"),
        (Effect.ACCESS, {"case": case(is_known=False)}, ASK, "unverified-access"),
        (Effect.DELETION, {}, DENY, "deletion"),
        *[
            (effect, {"writes": MOST_WRITES}, DENY, "writes")
            for effect in Effect
            if effect not in {Effect.READ, Effect.DELETION, *ENDINGS}
        ],
        *[(effect, {"writes": MOST_WRITES - 1}, ALLOW, "own-ticket") for effect in OWN_TICKET],
        *[(effect, {"writes": MOST_WRITES + 1}, ALLOW, "own-ticket") for effect in ENDINGS],
        *[
            (effect, {"has_ended": True}, DENY, "one-ending")
            for effect in Effect
            if effect not in {Effect.READ, Effect.DELETION}
        ],
        *[(effect, {"has_ended": True, "writes": MOST_WRITES}, DENY, "one-ending") for effect in ENDINGS],
        (Effect.ESCALATE, {"is_by_host": True, "writes": MOST_WRITES + 1}, ALLOW, "own-ticket"),
        (Effect.ESCALATE, {"is_by_host": True, "is_confined": False}, ASK, "unconfined"),
        (Effect.MONEY, {"is_by_host": True}, ASK, "money"),
        (Effect.DELETION, {"is_by_host": True}, DENY, "deletion"),
    ],
)
def test_the_table_of_verdicts(effect: Effect, facts: dict[str, Any], verdict: Verdict, rule: str):
    assert verdict_and_rule(judged(effect, **facts)) == (verdict, rule)


@given(any_call)
def test_every_verdict_has_a_reason_in_a_sentence(call: Judged):
    decision = decide(call)
    assert decision.reasons
    assert all(reason.rule and reason.because.endswith(".") for reason in decision.reasons)


@given(any_call)
def test_nothing_is_ever_deleted(call: Judged):
    if call.effect is Effect.DELETION:
        assert decide(call).verdict is DENY


@given(any_call)
def test_money_accounts_and_unnamed_tools_are_never_allowed_without_a_person(call: Judged):
    if call.effect in {Effect.MONEY, Effect.ACCOUNT, Effect.UNNAMED}:
        assert decide(call).verdict is not ALLOW


@given(any_call)
def test_a_read_is_allowed_exactly_where_it_is_confined_or_public(call: Judged):
    if call.effect is Effect.READ:
        assert (decide(call).verdict is ALLOW) == (call.is_confined or call.is_public)


@given(any_call)
def test_no_write_that_could_reach_another_ticket_is_allowed(call: Judged):
    if call.effect is not Effect.READ and not call.is_confined:
        assert decide(call).verdict is not ALLOW


@given(any_call)
def test_after_its_ending_a_run_only_reads(call: Judged):
    if call.has_ended and not call.is_by_host and decide(call).verdict is not DENY:
        assert call.effect is Effect.READ


@given(any_call)
def test_beyond_its_writes_a_run_only_reads_and_ends(call: Judged):
    if call.writes >= call.most_writes and not call.is_by_host and decide(call).verdict is not DENY:
        assert call.effect in {Effect.READ, *ENDINGS}


@given(any_call)
def test_access_is_allowed_only_for_a_verified_requester(call: Judged):
    if call.effect is Effect.ACCESS and decide(call).verdict is ALLOW:
        assert call.case.value("customer.verified") is True
