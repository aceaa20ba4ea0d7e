"""The pause switch and the failure breaker in the journal: what they hold back, and what goes on."""

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from agent.errors import Paused, RunLost, RunNotFound, UsageError
from agent.journal import Journal, Pause, RunRecord, new_run_id
from agent.records import Effect, EntryKind, JsonObject
from agent.settings import Limits, Settings
from tests.journals import ALICE, OUTCOME, THERE, OpenJournal, begun, case, change, finished, reply

BOB = "bob@example.com"


def attempt(effect: Effect = Effect.WRITE, call: str = "toolu_1") -> JsonObject:
    return {
        "tool_use_id": call,
        "tool": "desk.act",
        "effect": effect.value,
        "arguments": {},
        "key": f"r/2/{call}",
        "facts": {},
    }


def stopped(reason: str = "The model is down.", **more: Any) -> JsonObject:
    return {"reason": reason, **more}


AFTER_AN_ATTEMPT: list[tuple[EntryKind, JsonObject]] = [
    (EntryKind.REPLY, reply(2)),
    (EntryKind.DECISION, {"tool_use_id": "toolu_1", "tool": "desk.act", "reasons": [], "facts": {}}),
    (EntryKind.APPROVAL, {"tool_use_id": "toolu_1", "tool": "desk.act", "is_granted": True, "by": "dana"}),
    (EntryKind.RESULT, {"tool_use_id": "toolu_1", "status": "done", "effect": None}),
    (EntryKind.SAMPLING, {"server": "desk", "tool_use_id": "toolu_1", "usage": {}, "cost_usd": 0.0}),
    (EntryKind.NUDGE, {"text": "?"}),
    (EntryKind.HANDOVER, {"because": "it ends here"}),
    (EntryKind.STOPPED, stopped(is_failure=False)),
    (EntryKind.CANCEL, {"by": "dana", "because": "wrong", "voided": [], "uncertain": []}),
    (EntryKind.OUTCOME, OUTCOME),
]


async def claimed(journal: Journal, run_id: str, **options: Any) -> RunRecord:
    return await journal.claim(run_id, owner=THERE, is_taken_over=True, on_entry=lambda _: None, **options)


# ── what is held back ──


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.READ])
async def test_while_all_runs_are_paused_none_is_about_to_write(file_journal: Journal, effect: Effect):
    record = await begun(file_journal)
    await file_journal.pause(by="dana", reason="database maintenance")
    with pytest.raises(Paused, match="by dana: database maintenance"):
        await record.append(EntryKind.ATTEMPT, attempt(effect))
    assert await file_journal.entries(record.run_id) == record.entries
    assert [entry.kind for entry in record.entries] == [EntryKind.CASE, EntryKind.REPLY]


async def test_a_paused_run_goes_on_as_if_nothing_had_been(journal: Journal):
    record = await begun(journal)
    await journal.pause(by="dana")
    for _ in range(2):
        with pytest.raises(Paused):
            await record.append(EntryKind.ATTEMPT, attempt(Effect.MONEY))
    await record.append(EntryKind.ATTEMPT, attempt(Effect.READ, "toolu_0"))
    await journal.unpause()
    await record.append(EntryKind.ATTEMPT, attempt(Effect.MONEY))
    assert [entry.seq for entry in record.entries] == [1, 2, 3, 4]
    assert [verified.is_sound for verified in await journal.verify()] == [True]


async def test_while_all_runs_are_paused_none_begins_and_none_is_gone_on_with(
    journal: Journal, journal_settings: Settings
):
    record = await begun(journal)
    before = change(journal_settings, "SELECT owner FROM runs")
    await journal.pause(by="dana")
    new = journal.record(run_id=new_run_id(), customer="hash", on_entry=lambda _: None)
    with pytest.raises(Paused):
        await new.append(EntryKind.CASE, case("43", system="Be brief."))
    with pytest.raises(Paused):
        await claimed(journal, record.run_id)
    assert [run.run_id for run in await journal.runs()] == [record.run_id]
    assert change(journal_settings, "SELECT owner FROM runs") == before
    assert change(journal_settings, "SELECT count(*) FROM documents") == [(4,)]
    await journal.unpause()
    await new.append(EntryKind.CASE, case("43"))
    assert (await claimed(journal, record.run_id)).entries[-1].kind is EntryKind.CLAIM


async def test_a_run_is_claimed_to_be_ended_while_all_are_paused(journal: Journal):
    record = await begun(journal)
    await journal.pause(by="dana")
    ending = await claimed(journal, record.run_id, is_to_end=True)
    await ending.append(EntryKind.OUTCOME, OUTCOME)
    with pytest.raises(RunLost):
        await record.append(EntryKind.ATTEMPT, attempt())


async def test_what_has_happened_is_recorded_while_all_are_paused(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.ATTEMPT, attempt())
    await journal.pause(by="dana")
    for kind, body in AFTER_AN_ATTEMPT:
        await record.append(kind, body)
    assert await journal.entries(record.run_id) == record.entries
    assert len(record.entries) == 3 + len(AFTER_AN_ATTEMPT)


async def test_a_pause_holds_for_whoever_else_has_the_journal_open(journal_settings: Settings, open_one: OpenJournal):
    mine, theirs = open_one(journal_settings), open_one(journal_settings)
    record = await begun(theirs)
    await mine.pause(by="dana")
    with pytest.raises(Paused):
        await record.append(EntryKind.ATTEMPT, attempt())
    assert await theirs.paused() == await mine.paused()
    await theirs.unpause()
    assert await mine.paused() is None
    await record.append(EntryKind.ATTEMPT, attempt())


async def test_an_attempt_that_was_recorded_before_the_pause_stands_though_nobody_told_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    """Its commit was not acknowledged: it is found where it stands, and is neither made twice nor refused."""
    record, store = await begun(journal), journal._desk.store
    append = store.append

    def lost(line: Any, beside: Any) -> Any:
        append(line, beside)
        monkeypatch.setattr(store, "append", append)
        other = type(store)(store._engine)  # pyright: ignore[reportPrivateUsage]
        other.pause(by="dana", reason=None)
        return append(line, beside)

    monkeypatch.setattr(store, "append", lost)
    entry = await record.append(EntryKind.ATTEMPT, attempt())
    assert (entry.seq, await journal.entries(record.run_id)) == (3, record.entries)
    assert await journal.paused() is not None


async def test_of_many_attempts_around_a_pause_each_was_recorded_or_refused(journal: Journal):
    records = [await begun(journal, customer=f"c{number}@example.com") for number in range(8)]
    refused: list[RunRecord] = []

    async def act(record: RunRecord) -> None:
        try:
            for number in range(4):
                await record.append(EntryKind.ATTEMPT, attempt(call=f"toolu_{number}"))
        except Paused:
            refused.append(record)

    with anyio.fail_after(600):
        async with anyio.create_task_group() as together:
            for record in records:
                together.start_soon(act, record)
            together.start_soon(lambda: journal.pause(by="dana"))
    for record in records:
        assert await journal.entries(record.run_id) == record.entries
        assert (len(record.entries) == 6) == (record not in refused)
        with pytest.raises(Paused):
            await record.append(EntryKind.ATTEMPT, attempt(call="toolu_9"))


# ── the pause ──


async def test_a_pause_says_since_when_by_whom_why_and_how_it_ends(journal: Journal):
    assert await journal.paused() is None
    before = datetime.now(UTC)
    pause = await journal.pause(by="dana", reason="  database\nmaintenance. ")
    assert before <= pause.since <= datetime.now(UTC)
    assert (pause.by, pause.reason, pause.is_by_breaker) == ("dana", "database maintenance.", False)
    assert await journal.paused() == pause
    since = f"since {pause.since:%Y-%m-%d %H:%M} UTC"
    assert pause.sentence == (
        f"All runs are paused {since} by dana: database maintenance. `support-agent unpause` lets them go on."
    )
    assert await journal.unpause() == pause
    assert await journal.paused() is None
    assert await journal.unpause() is None


async def test_a_pause_needs_no_reason(journal: Journal):
    pause = await journal.pause(by="dana", reason=" \n")
    assert pause.reason is None
    assert pause.sentence == (
        f"All runs are paused since {pause.since:%Y-%m-%d %H:%M} UTC by dana. `support-agent unpause` lets them go on."
    )


async def test_pausing_again_leaves_the_pause_and_a_reason_makes_it_ones_own(journal: Journal):
    first = await journal.pause(by="dana", reason="maintenance")
    assert await journal.pause(by="erin") == first
    second = await journal.pause(by="erin", reason="it takes longer")
    assert second == Pause(since=first.since, by="erin", reason="it takes longer", is_by_breaker=False)
    assert await journal.paused() == second


async def test_a_reason_may_be_any_text_and_holds_no_secret(journal_settings: Settings, open_one: OpenJournal):
    journal = open_one(journal_settings.model_copy(update={"api_key": SecretStr("sk-ant-quite-secret")}))
    pause = await journal.pause(by="dana", reason="🦊 \x00 \ud800 sk-ant-quite-secret")
    assert pause.reason == "🦊 \x00 \ud800 [secret]"
    assert await journal.paused() == pause


# ── the breaker ──


async def fail(journal: Journal, reason: str = "The model is down.", **more: Any) -> Pause | None:
    """Begin a run that infrastructure stops, and return what that has set off."""
    record = await begun(journal)
    await record.append(EntryKind.STOPPED, stopped(reason, **more))
    return record.tripped


def strict(settings: Settings, most: int = 3) -> Settings:
    return settings.model_copy(update={"limits": Limits(failures_in_a_row=most)})


@pytest.fixture
def fragile(journal_settings: Settings, open_one: OpenJournal) -> Journal:
    """A journal in which the third failure in a row is one too many."""
    return open_one(strict(journal_settings))


async def test_too_many_failures_in_a_row_pause_all_runs_and_whoever_met_the_last_is_told(fragile: Journal):
    bystander = await begun(fragile)
    assert [await fail(fragile) for _ in range(2)] == [None, None]
    assert await fragile.paused() is None
    tripped = await fail(fragile, "ticketing has exited.\nTraceback: alice@example.com", is_failure=True)
    assert tripped is not None
    assert tripped == await fragile.paused()
    assert tripped.sentence == (
        f"The failure breaker has paused all runs since {tripped.since:%Y-%m-%d %H:%M} UTC: 3 runs in a row were "
        "stopped by infrastructure, the last by: ticketing has exited. `support-agent unpause` lets them go on."
    )
    with pytest.raises(Paused, match="The failure breaker"):
        await bystander.append(EntryKind.ATTEMPT, attempt())
    with pytest.raises(Paused, match="The failure breaker"):
        await fail(fragile)


async def test_a_run_that_comes_to_its_end_in_between_makes_failures_count_anew(fragile: Journal):
    for _ in range(3):
        assert [await fail(fragile) for _ in range(2)] == [None, None]
        await finished(fragile)
    assert [await fail(fragile) is None for _ in range(3)] == [True, True, False]


async def test_failures_count_anew_when_runs_were_let_go_on(fragile: Journal):
    assert [await fail(fragile) is None for _ in range(3)] == [True, True, False]
    ended = await fragile.unpause()
    assert ended is not None
    assert ended.is_by_breaker
    assert [await fail(fragile) is None for _ in range(3)] == [True, True, False]
    await fragile.unpause()
    await fail(fragile)
    await fragile.unpause()  # nothing was paused, and a person has looked
    assert [await fail(fragile) for _ in range(2)] == [None, None]


async def test_a_run_that_was_stopped_by_the_pause_is_no_failure(fragile: Journal):
    assert [await fail(fragile, is_failure=False) for _ in range(5)] == [None] * 5
    assert await fragile.paused() is None


async def test_failures_under_a_persons_pause_change_nothing_about_it(fragile: Journal):
    records = [await begun(fragile) for _ in range(4)]
    pause = await fragile.pause(by="dana", reason="maintenance")
    for record in records:
        await record.append(EntryKind.STOPPED, stopped())
    assert [record.tripped for record in records] == [None] * 4
    assert await fragile.paused() == pause


async def test_a_person_who_gives_a_reason_takes_the_pause_over_from_the_breaker(fragile: Journal):
    tripped = [await fail(fragile) for _ in range(3)][-1]
    assert tripped is not None
    assert await fragile.pause(by="dana") == tripped
    taken = await fragile.pause(by="dana", reason="the model's status page is red")
    assert (taken.since, taken.by, taken.is_by_breaker) == (tripped.since, "dana", False)


async def test_one_failure_can_be_one_too_many(journal_settings: Settings, open_one: OpenJournal):
    tripped = await fail(open_one(strict(journal_settings, most=1)))
    assert tripped is not None
    assert tripped.reason == "a run was stopped by infrastructure: The model is down."


async def test_failures_of_all_who_share_the_journal_count_together(journal_settings: Settings, open_one: OpenJournal):
    journals = [open_one(strict(journal_settings, most=8)) for _ in range(4)]
    records = [await begun(journal) for journal in journals for _ in range(2)]

    async def stop(record: RunRecord) -> None:
        await record.append(EntryKind.STOPPED, stopped())

    with anyio.fail_after(600):
        async with anyio.create_task_group() as together:
            for record in records:
                together.start_soon(stop, record)
    assert sum(record.tripped is not None for record in records) == 1
    assert await journals[0].paused() is not None


async def test_an_end_writes_nothing_to_the_switch_where_nothing_has_failed(
    postgres_settings: Settings, open_one: OpenJournal
):
    """All runs share that row: those that end would otherwise wait for one another."""
    journal = open_one(postgres_settings)
    ends = [await begun(journal) for _ in range(2)]
    version = "SELECT xmin::text FROM switch"
    before = change(postgres_settings, version)
    for record in ends:
        await record.append(EntryKind.OUTCOME, OUTCOME)
    assert change(postgres_settings, version) == before


# ── rejected plans ──


async def test_a_rejected_plan_keeps_by_whom_when_and_why(journal: Journal):
    plan, other = await finished(journal), await finished(journal)
    before = datetime.now(UTC)
    ruling = await journal.reject(plan.run_id, by="dana", because="too generous\n🦊 \x00")
    assert before <= ruling.at <= datetime.now(UTC)
    assert (ruling.run_id, ruling.by, ruling.because) == (plan.run_id, "dana", "too generous\n🦊 \x00")
    assert await journal.rulings() == {plan.run_id: ruling}
    assert await journal.rulings([plan.run_id, other.run_id, "unknown"]) == {plan.run_id: ruling}
    assert await journal.rulings([other.run_id]) == await journal.rulings([]) == {}


async def test_a_plan_is_rejected_once(journal: Journal):
    plan = await finished(journal)
    first = await journal.reject(plan.run_id, by="dana", because="too generous.")
    with pytest.raises(UsageError) as second:
        await journal.reject(plan.run_id, by="erin", because="too late")
    assert str(second.value) == (
        f"The plan of run {plan.run_id} is rejected already: "
        f"rejected by dana on {first.at:%Y-%m-%d %H:%M} UTC: too generous."
    )
    assert await journal.rulings() == {plan.run_id: first}


async def test_of_many_who_reject_a_plan_at_once_one_does(journal_settings: Settings, open_one: OpenJournal):
    journals = [open_one(journal_settings) for _ in range(4)]
    plan = await finished(journals[0])
    refused: list[str] = []

    async def reject(journal: Journal, who: str) -> None:
        try:
            await journal.reject(plan.run_id, by=who, because=who)
        except UsageError as second:
            refused.append(str(second))

    async with anyio.create_task_group() as together:
        for number, journal in enumerate(journals):
            together.start_soon(reject, journal, f"p{number}")
    ruling = (await journals[0].rulings())[plan.run_id]
    assert len(refused) == 3
    assert all(f"rejected by {ruling.by} on" in sentence for sentence in refused)


async def test_a_plan_that_is_not_there_cannot_be_rejected(journal: Journal):
    with pytest.raises(RunNotFound, match="There is no run nothing"):
        await journal.reject("nothing", by="dana", because="why not")
    plan = await finished(journal)
    await journal.forget(customer=ALICE, by="dana")
    with pytest.raises(UsageError, match="there is no plan any more to reject"):
        await journal.reject(plan.run_id, by="dana", because="why not")
    assert await journal.rulings() == {}


async def test_why_a_plan_was_rejected_is_forgotten_with_its_run(journal: Journal, journal_settings: Settings):
    plan, other = await finished(journal), await finished(journal, customer=BOB)
    for record in (plan, other):
        await journal.reject(record.run_id, by="dana", because="Alice is no pro customer")
    await journal.forget(customer=ALICE, by="dana")
    rulings = await journal.rulings()
    assert [rulings[record.run_id].because for record in (plan, other)] == [None, "Alice is no pro customer"]
    assert change(journal_settings, "SELECT count(*) FROM rulings WHERE because IS NULL") == [(1,)]
    assert [verified.is_sound for verified in await journal.verify()] == [True, True]
