"""What a run has done and used: effects counted, endings that happened, dollars that are known."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import Ledger
from agent.records import CallStatus, Effect, EffectReport, Usage


def report(status: CallStatus) -> EffectReport:
    return EffectReport(server="desk", tool="act", arguments={}, status=status, reasons=(), key=None)


@pytest.mark.parametrize(
    ("effect", "status", "has_ended"),
    [
        (effect, status, effect in {Effect.CLOSE, Effect.ESCALATE} and status in {CallStatus.DONE, CallStatus.PLANNED})
        for effect in Effect
        for status in CallStatus
    ],
)
def test_only_a_closing_or_escalation_that_happened_or_is_planned_ends_the_ticket(
    effect: Effect, status: CallStatus, has_ended: bool
):
    ledger = Ledger()
    ledger.note(effect, report(status))
    assert ledger.has_ended is has_ended


def test_a_ticket_that_was_ended_stays_ended():
    ledger = Ledger()
    ledger.note(Effect.CLOSE, report(CallStatus.DONE))
    ledger.note(Effect.CLOSE, report(CallStatus.FAILED))
    assert ledger.has_ended


@given(st.lists(st.sampled_from(CallStatus)))
def test_writes_are_the_calls_that_left_or_would_have(statuses: list[CallStatus]):
    ledger = Ledger()
    for status in statuses:
        ledger.note(Effect.WRITE, report(status))
    assert ledger.writes == sum(status not in {CallStatus.DENIED, CallStatus.FAILED} for status in statuses)
    assert [effect.status for effect in ledger.effects] == statuses


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1)))
def test_the_cost_is_unknown_as_soon_as_one_price_is(costs: list[float | None]):
    ledger = Ledger()
    for cost in costs:
        ledger.spend(Usage(input_tokens=1), cost)
    known = [cost for cost in costs if cost is not None]
    assert ledger.cost_usd == (None if None in costs else pytest.approx(sum(known)))
    assert ledger.usage.input_tokens == len(costs)


def test_an_unknown_cost_stays_unknown():
    ledger = Ledger()
    ledger.spend(Usage(), None)
    ledger.spend(Usage(), 0.25)
    assert ledger.cost_usd is None


def test_every_count_of_tokens_is_added():
    ledger = Ledger()
    ledger.spend(Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4), 0.0)
    ledger.spend(Usage(input_tokens=10, output_tokens=20, cache_read_tokens=30, cache_write_tokens=40), 0.5)
    assert ledger.usage == Usage(input_tokens=11, output_tokens=22, cache_read_tokens=33, cache_write_tokens=44)
    assert ledger.cost_usd == 0.5


def test_two_runs_share_nothing():
    one, other = Ledger(), Ledger()
    one.note(Effect.WRITE, report(CallStatus.DONE))
    one.versions["ticket"] = 7
    assert other.effects == []
    assert other.versions == {}


@pytest.mark.parametrize("status", CallStatus)
def test_a_payment_counts_until_it_has_surely_failed(status: CallStatus):
    ledger = Ledger()
    ledger.pay("one", Effect.MONEY, {"amount_cents": 500})
    ledger.pay("note", Effect.WRITE, {"amount_cents": 9})
    assert ledger.paid_cents == 500
    ledger.settle("one", status)
    assert ledger.paid_cents == (0 if status in {CallStatus.FAILED, CallStatus.DENIED} else 500)


@pytest.mark.parametrize("status", CallStatus)
def test_a_message_counts_that_the_customer_has_or_may_have(status: CallStatus):
    ledger = Ledger()
    ledger.note(Effect.REPLY, report(status))
    ledger.note(Effect.WRITE, report(status))
    assert ledger.replies == (status in {CallStatus.DONE, CallStatus.PLANNED, CallStatus.UNCERTAIN})


async def test_what_a_run_needs_not_is_lent_for_as_long_as_a_person_is_asked():
    lent: list[bool] = []

    @asynccontextmanager
    async def aside() -> AsyncGenerator[None]:
        lent.append(True)
        yield
        lent.append(False)

    ledger = Ledger(aside=aside)
    async with ledger.waiting():
        assert lent == [True]
    assert lent == [True, False]
