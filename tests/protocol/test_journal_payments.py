"""What runs have paid, as the journal adds it up: for a decision, against others who pay meanwhile, past forgetting."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from agent.errors import RunLost
from agent.journal import Journal, RunRecord, Soundness, open_journal
from agent.protocols import SpentMeanwhile
from agent.records import CallStatus, EntryKind, JsonObject, Spent
from agent.settings import Settings
from tests.journals import ALICE, OUTCOME, THERE, begun, change

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BOB = "bob@example.com"


def attempt(cents: Any = 8400, call: str = "toolu_1", effect: str = "money") -> JsonObject:
    return {
        "tool_use_id": call,
        "tool": "desk.refund",
        "effect": effect,
        "arguments": {"to": "Alice"},
        "key": f"r/2/{call}",
        "facts": {"amount_cents": cents, "currency": "USD"},
    }


def result(status: CallStatus, call: str = "toolu_1") -> JsonObject:
    return {
        "tool_use_id": call,
        "tool": "desk.refund",
        "status": status.value,
        "content": [],
        "versions": {},
        "effect": None,
        "seconds": 0.1,
    }


async def paid(journal: Journal, who: str = ALICE, *, since: datetime = LONG_AGO) -> tuple[int, int]:
    spent = await journal.spent(customer=journal.customer_hash(who), since=since)
    return spent.customer_cents, spent.all_cents


@pytest.mark.parametrize("status", CallStatus)
async def test_an_attempt_counts_at_once_and_until_it_has_surely_failed(journal: Journal, status: CallStatus):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt())
    assert await paid(journal) == (8400, 8400)
    await record.append(EntryKind.RESULT, result(status))
    surely_not = status in {CallStatus.FAILED, CallStatus.DENIED}
    assert await paid(journal) == ((0, 0) if surely_not else (8400, 8400))


async def test_what_another_customer_was_paid_counts_for_all_and_not_for_this_one(journal: Journal):
    for who, cents in ((ALICE, 100), (BOB, 20), (ALICE.upper(), 3)):
        await (await begun(journal, customer=who)).append(EntryKind.ATTEMPT, attempt(cents))
    assert await paid(journal) == (103, 123)
    assert await paid(journal, BOB) == (20, 123)
    assert await paid(journal, "carol@example.com") == (0, 123)


async def test_only_attempts_since_then_count(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt(100))
    between = datetime.now(UTC)
    await record.append(EntryKind.ATTEMPT, attempt(20, call="toolu_2"))
    assert await paid(journal, since=between) == (20, 20)
    assert await paid(journal, since=datetime.now(UTC) + timedelta(seconds=1)) == (0, 0)


async def test_attempts_that_move_no_money_count_nothing(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt(effect="write"))
    await record.append(EntryKind.ATTEMPT, attempt(None, call="toolu_2"))
    assert await paid(journal) == (0, 0)


async def test_a_call_may_have_any_id(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt(5, call='a\0b\ud800"'))
    await record.append(EntryKind.ATTEMPT, attempt(7, call=""))
    await record.append(EntryKind.RESULT, result(CallStatus.FAILED, call='a\0b\ud800"'))
    assert await paid(journal) == (7, 7)


async def test_sums_are_kept_beyond_what_a_32_bit_number_holds(journal: Journal):
    record = await begun(journal)
    for call in ("one", "two"):
        await record.append(EntryKind.ATTEMPT, attempt(2**40, call=call))
    assert await paid(journal) == (2**41, 2**41)


async def test_forgetting_a_customer_forgets_no_payment(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt())
    await record.append(EntryKind.RESULT, result(CallStatus.DONE))
    await record.append(EntryKind.OUTCOME, OUTCOME)
    assert (await journal.forget(customer=ALICE, by="ann")).runs == 1
    assert await paid(journal) == (8400, 8400)
    [verified] = await journal.verify([record.run_id])
    assert verified.soundness is Soundness.REDACTED


@pytest.mark.parametrize(
    "tampering",
    ["UPDATE payments SET cents = 1", "DELETE FROM payments", "UPDATE payments SET customer = 'x'"],
)
async def test_a_payment_that_was_changed_shows(journal: Journal, journal_settings: Settings, tampering: str):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt())
    assert [verified.is_sound for verified in await journal.verify()] == [True]
    change(journal_settings, tampering)
    [verified] = await journal.verify()
    assert verified.problem == "what counts as paid by the run does not follow from its entries"


# Against others who pay meanwhile.


async def seen(record: RunRecord) -> Spent:
    return await record.spent(LONG_AGO)


async def test_a_payment_that_was_decided_by_old_totals_is_not_recorded(journal: Journal):
    one, other = await begun(journal), await begun(journal, customer=BOB)
    decided = await seen(one)
    await other.append(EntryKind.ATTEMPT, attempt(20), spent=await seen(other))
    with pytest.raises(SpentMeanwhile):
        await one.append(EntryKind.ATTEMPT, attempt(100), spent=decided)
    assert await paid(journal) == (0, 20)
    await one.append(EntryKind.ATTEMPT, attempt(100), spent=await seen(one))
    assert await paid(journal) == (100, 120)
    assert [entry.seq for entry in one.entries] == [1, 2, 3]


async def test_a_payment_that_failed_meanwhile_makes_the_totals_others_too(journal: Journal):
    one, other = await begun(journal), await begun(journal)
    await other.append(EntryKind.ATTEMPT, attempt(20))
    decided = await seen(one)
    await other.append(EntryKind.RESULT, result(CallStatus.FAILED))
    with pytest.raises(SpentMeanwhile):
        await one.append(EntryKind.ATTEMPT, attempt(100), spent=decided)


async def test_of_many_that_decide_by_the_same_totals_one_pays(journal: Journal, journal_settings: Settings):
    journals = [open_journal(journal_settings) for _ in range(4)]
    records = [await begun(each) for each in journals]
    decided = [await seen(record) for record in records]
    refused: list[int] = []

    async def pay(number: int) -> None:
        try:
            await records[number].append(EntryKind.ATTEMPT, attempt(100), spent=decided[number])
        except SpentMeanwhile:
            refused.append(number)

    async with anyio.create_task_group() as together:
        for number in range(len(records)):
            together.start_soon(pay, number)
    assert len(refused) == len(records) - 1
    assert await paid(journal) == (100, 100)
    for each in journals:
        await each.aclose()


async def test_a_run_that_was_taken_over_pays_nothing_more_for_its_old_owner(journal: Journal):
    record = await begun(journal)
    decided = await seen(record)
    taken = await journal.claim(record.run_id, owner=THERE, is_taken_over=True, on_entry=lambda _: None)
    with pytest.raises(RunLost):
        await record.append(EntryKind.ATTEMPT, attempt(100), spent=decided)
    await taken.append(EntryKind.ATTEMPT, attempt(7), spent=await seen(taken))
    assert await paid(journal) == (7, 7)


async def test_totals_that_need_not_be_fresh_still_have_what_the_run_itself_has_paid(journal: Journal):
    one, other = await begun(journal), await begun(journal)
    await seen(one)
    await other.append(EntryKind.ATTEMPT, attempt(20))
    assert (await one.spent(LONG_AGO, is_fresh=False)).all_cents == 0
    await one.append(EntryKind.ATTEMPT, attempt(3))
    assert (await one.spent(LONG_AGO, is_fresh=False)).all_cents == 23
    await other.append(EntryKind.ATTEMPT, attempt(100, call="toolu_2"))
    assert (await one.spent(LONG_AGO)).all_cents == 123
