"""What `[limits]` lets a run do and a day pay, by one call and by one cent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.budgets import Used, over_budget
from agent.records import Effect, Spent
from agent.settings import Limits

LIMITS = Limits(writes=3, replies=2, refunds_per_customer_day_cents=10_000, refunds_per_day_cents=25_000)
ENDINGS = {Effect.CLOSE, Effect.ESCALATE}


def exceeded(effect: Effect, *, amount: Any = 0, customer: int = 0, day: int = 0, **run: int) -> list[str]:
    spent = Spent(since=datetime(2026, 11, 20, tzinfo=UTC), customer_cents=customer, all_cents=day)
    used = Used(writes=run.get("writes", 0), replies=run.get("replies", 0), spent=spent)
    return [reason.rule for reason in over_budget(effect, {"amount_cents": amount}, used, LIMITS)]


@pytest.mark.parametrize("effect", Effect)
def test_when_its_writes_are_used_a_run_only_reads_and_ends(effect: Effect):
    assert exceeded(effect, writes=2) == []
    assert exceeded(effect, writes=3) == ([] if effect in {Effect.READ, *ENDINGS} else ["limits.writes"])


@pytest.mark.parametrize("effect", Effect)
def test_only_messages_to_the_customer_use_up_replies(effect: Effect):
    assert exceeded(effect, replies=1) == []
    assert exceeded(effect, replies=2) == (["limits.replies"] if effect is Effect.REPLY else [])


@pytest.mark.parametrize(
    ("amount", "customer", "day", "rules"),
    [
        (10_000, 0, 0, []),
        (10_001, 0, 0, ["limits.refunds_per_customer_day_cents"]),
        (1, 9_999, 0, []),
        (1, 10_000, 0, ["limits.refunds_per_customer_day_cents"]),
        (1, 0, 24_999, []),
        (1, 0, 25_000, ["limits.refunds_per_day_cents"]),
        (5_000, 9_000, 24_000, ["limits.refunds_per_customer_day_cents", "limits.refunds_per_day_cents"]),
        (0, 10_000, 25_000, []),
    ],
)
def test_a_day_pays_to_the_cent_what_it_may_and_no_more(amount: int, customer: int, day: int, rules: list[str]):
    assert exceeded(Effect.MONEY, amount=amount, customer=customer, day=day) == rules


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.MONEY])
def test_a_fact_of_that_name_is_no_payment_for_other_effects(effect: Effect):
    assert exceeded(effect, amount=10_001, day=25_000) == []


def test_an_amount_that_is_no_number_is_left_to_the_policy():
    assert exceeded(Effect.MONEY, amount="1") == []


def test_a_limit_that_is_exceeded_says_by_how_much_and_where_it_stands():
    spent = Spent(since=datetime(2026, 11, 20, tzinfo=UTC), customer_cents=9_505, all_cents=9_505)
    [reason] = over_budget(Effect.MONEY, {"amount_cents": 600}, Used(writes=0, replies=0, spent=spent), LIMITS)
    assert reason.because == (
        "6.00 more would exceed the 100.00 that a day may pay to one customer "
        "([limits] refunds_per_customer_day_cents): 95.05 are used."
    )
