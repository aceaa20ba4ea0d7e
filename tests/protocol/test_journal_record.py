"""One run's record on either database: numbered, durable, whole, and fenced against whoever has lost the run."""

import asyncio
import threading
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import event

from agent.errors import JournalError, RunLost, RunNotFound
from agent.journal import Journal, RunRecord, new_run_id
from agent.records import Entry, EntryKind, OutcomeKind, RunMode, Usage
from agent.settings import Settings
from tests.journals import ALICE, HERE, OUTCOME, THERE, OpenJournal, begun, case, change, finished, locked, reply


def unseen(entry: Entry) -> None:
    pass


def kinds(record: RunRecord) -> list[EntryKind]:
    return [entry.kind for entry in record.entries]


# ── what is recorded ──


async def test_entries_are_numbered_from_one_and_read_back_as_they_were(journal: Journal):
    seen: list[Entry] = []
    record = await begun(journal, on_entry=seen.append)
    assert [(entry.run_id, entry.seq) for entry in record.entries] == [(record.run_id, 1), (record.run_id, 2)]
    assert [entry.body for entry in record.entries] == [case(), reply()]
    assert tuple(seen) == record.entries == await journal.entries(record.run_id)
    assert all(entry.at.utcoffset() == timedelta(0) for entry in seen)


async def test_nothing_is_written_before_the_case(journal: Journal, journal_settings: Settings):
    record = journal.record(run_id=new_run_id(), customer="hash", on_entry=unseen)
    assert await journal.run(record.run_id) is None
    with pytest.raises(ValueError, match="first entry is its CASE"):
        await record.append(EntryKind.REPLY, reply())
    assert change(journal_settings, "SELECT count(*) FROM entries") == [(0,)]


async def test_an_entry_is_committed_before_it_is_shown(journal: Journal, journal_settings: Settings):
    committed: list[int] = []

    def look(entry: Entry) -> None:
        committed.append(change(journal_settings, "SELECT max(seq) FROM entries")[0][0])

    await begun(journal, on_entry=look)
    assert committed == [1, 2]


async def test_an_entry_is_shown_on_the_event_loop_and_written_beside_it(journal: Journal):
    here, shown, written = threading.get_ident(), list[int](), list[int]()
    event.listen(journal._desk.store._engine, "begin", lambda _: written.append(threading.get_ident()))  # pyright: ignore[reportAttributeAccessIssue]
    await begun(journal, on_entry=lambda _: shown.append(threading.get_ident()))
    assert shown == [here, here]
    assert len(written) == 2
    assert here not in written


@pytest.mark.parametrize(
    "value",
    [
        'naïve 🦊 東京 \u2028 \u2029 \x00 \x1f \ud800 " \\ \\u0000 </script>',
        {"\x00": 1, "🦊": [], "": {}},
        [2**63, -(2**200), 0.1, 1e300, -0.0, 5e-324, 1.0, True, None, [[[]]]],
        {"b": 1, "a": 2},
    ],
)
async def test_a_body_survives_exactly(journal: Journal, value: object):
    record = await begun(journal)
    await record.append(EntryKind.NUDGE, {"text": value})
    (*_, read) = await journal.entries(record.run_id)
    assert repr(read.body) == repr({"text": value})  # repr: also the order of keys, and 1.0 beside 1


async def test_what_a_body_holds_may_change_once_it_is_appended(journal: Journal):
    record = await begun(journal)
    body = {"text": "as it was"}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(record.append, EntryKind.NUDGE, body)
        await anyio.lowlevel.checkpoint()
        body["text"] = "changed"
    assert record.entries[-1].body == {"text": "as it was"}
    assert (await journal.entries(record.run_id))[-1].body == {"text": "as it was"}


async def test_what_runs_share_is_stored_once_and_every_case_is_whole(journal: Journal, journal_settings: Settings):
    record, *_ = [await begun(journal) for _ in range(3)]
    other = journal.record(run_id=new_run_id(), customer="hash", on_entry=unseen)
    await other.append(EntryKind.CASE, case(system="Be brief."))
    assert change(journal_settings, "SELECT count(*) FROM documents") == [(5,)]
    assert (await journal.entries(record.run_id))[0].body == case()
    assert (await journal.entries(other.run_id))[0].body == case(system="Be brief.")


async def test_many_runs_append_at_once(journal: Journal):
    async def work(ticket_id: str) -> None:
        record = await begun(journal, ticket_id=ticket_id)
        async with anyio.create_task_group() as calls:
            for call in range(5):
                calls.start_soon(record.append, EntryKind.NUDGE, {"text": f"{ticket_id}/{call}"})
        await record.append(EntryKind.OUTCOME, OUTCOME)

    with anyio.fail_after(600):
        async with anyio.create_task_group() as runs:
            for number in range(32):
                runs.start_soon(work, str(number))
    summaries = await journal.runs()
    assert {summary.ticket_id for summary in summaries} == {str(number) for number in range(32)}
    for summary in summaries:
        entries = await journal.entries(summary.run_id)
        assert [entry.seq for entry in entries] == list(range(1, 9))
        assert {entry.body["text"] for entry in entries[2:7]} == {f"{summary.ticket_id}/{call}" for call in range(5)}
    assert all(verified.is_sound for verified in await journal.verify())


async def test_nothing_follows_the_outcome(journal: Journal):
    record = await finished(journal)
    with pytest.raises(JournalError, match="has ended: nothing more is recorded"):
        await record.append(EntryKind.NUDGE, {"text": "late"})
    assert len(await journal.entries(record.run_id)) == 3


# ── the summary ──


async def test_a_summary_says_what_the_entries_say(journal: Journal):
    record = await begun(journal)
    sampled = {"server": "desk", "tool_use_id": "toolu_1", "usage": Usage(cache_read_tokens=7).as_json()}
    await record.append(EntryKind.SAMPLING, {**sampled, "cost_usd": 0.5, "digest": "", "request": {}, "reply": {}})
    running = await journal.run(record.run_id)
    await record.append(EntryKind.OUTCOME, OUTCOME)
    ended = await journal.run(record.run_id)
    assert running is not None
    assert ended is not None
    for summary in (running, ended):
        assert (summary.ticket_id, summary.mode, summary.model) == ("42", RunMode.LIVE, "scripted")
        assert summary.customer == journal.customer_hash(ALICE) != ALICE
        assert summary.started_at == record.entries[0].at
        assert (summary.turns, summary.cost_usd, summary.owner) == (1, 0.75, HERE)
        assert summary.usage == Usage(input_tokens=10, output_tokens=2, cache_read_tokens=7)
        assert not summary.is_forgotten
    assert (running.outcome, running.reason, running.finished_at) == (None, None, None)
    assert (ended.outcome, ended.reason) == (OutcomeKind.CLOSED, OUTCOME["reason"])
    assert ended.finished_at == record.entries[-1].at


async def test_one_unknown_price_makes_the_cost_unknown(journal: Journal):
    record = await begun(journal)
    await record.append(EntryKind.REPLY, reply(2, cost_usd=None))
    summary = await journal.run(record.run_id)
    assert summary is not None
    assert (summary.turns, summary.cost_usd) == (2, None)


async def test_runs_are_listed_newest_first_by_what_is_asked(journal: Journal):
    first = await finished(journal, ticket_id="1")
    dry = journal.record(run_id=new_run_id(), customer="hash", on_entry=unseen)
    await dry.append(EntryKind.CASE, case("2", mode="dry-run"))
    last = await begun(journal, ticket_id="1")

    async def ids(**wanted: object) -> list[str]:
        return [summary.run_id for summary in await journal.runs(**wanted)]  # pyright: ignore[reportArgumentType]

    assert await ids() == [last.run_id, dry.run_id, first.run_id]
    assert await ids(limit=1) == [last.run_id]
    assert await ids(ticket_id="1") == [last.run_id, first.run_id]
    assert await ids(ticket_id="1", is_finished=False) == [last.run_id]
    assert await ids(is_finished=True) == await ids(outcome=OutcomeKind.CLOSED) == [first.run_id]
    assert await ids(mode=RunMode.DRY_RUN) == [dry.run_id]
    assert await ids(since=dry.entries[0].at) == [last.run_id, dry.run_id]
    assert await ids(outcome=OutcomeKind.PENDING) == []


async def test_a_run_is_found_by_how_its_id_begins(journal: Journal):
    for run_id in ("20260101-000000-aaaaaa", "20260101-000000-aabbbb", "20270101-000000-cccccc"):
        await journal.record(run_id=run_id, customer="hash", on_entry=unseen).append(EntryKind.CASE, case())
    assert (await journal.find("2027")).run_id == "20270101-000000-cccccc"
    assert (await journal.find("20260101-000000-aaaaaa")).run_id == "20260101-000000-aaaaaa"
    with pytest.raises(RunNotFound, match="20260101-000000-aaaaaa, 20260101-000000-aabbbb"):
        await journal.find("2026")
    for unknown in ("2028", "%", "20260101_000000"):
        with pytest.raises(RunNotFound, match="There is no run"):
            await journal.find(unknown)


# ── the fence ──


async def test_a_claim_goes_on_with_all_that_is_there(journal: Journal):
    old = await begun(journal)
    seen: list[Entry] = []
    new = await journal.claim(old.run_id, owner=THERE, is_taken_over=False, on_entry=seen.append)
    assert new.entries[:2] == old.entries
    assert new.entries[2].kind is EntryKind.CLAIM
    assert new.entries[2].body == {"owner": THERE.as_json(), "is_taken_over": False}
    assert seen == [new.entries[2]]
    await new.append(EntryKind.OUTCOME, OUTCOME)
    assert await journal.entries(old.run_id) == new.entries
    summary = await journal.run(old.run_id)
    assert summary is not None
    assert (summary.owner, summary.turns) == (THERE, 1)
    assert [verified.soundness for verified in await journal.verify([old.run_id])] == ["ok"]


async def test_whoever_has_lost_a_run_learns_who_has_it_and_stays_out(
    journal_settings: Settings, open_one: OpenJournal
):
    mine, theirs = open_one(journal_settings), open_one(journal_settings)
    old = await begun(mine)
    new = await theirs.claim(old.run_id, owner=THERE, is_taken_over=True, on_entry=unseen)
    for _ in range(2):
        with pytest.raises(RunLost, match=r"taken over by process 22 on desk-2 \(user ben\)"):
            await old.append(EntryKind.REPLY, reply(2, "another answer"))
    await new.append(EntryKind.REPLY, reply(2))
    with pytest.raises(RunLost):
        await old.append(EntryKind.REPLY, reply(2))
    assert await mine.entries(old.run_id) == new.entries
    assert len(old.entries) == 2


async def test_of_many_claims_at_once_the_last_one_has_the_run(journal_settings: Settings, open_one: OpenJournal):
    journals = [open_one(journal_settings) for _ in range(4)]
    run_id = (await begun(journals[0])).run_id
    claimed: list[RunRecord] = []

    async def claim(journal: Journal) -> None:
        claimed.append(await journal.claim(run_id, owner=THERE, is_taken_over=True, on_entry=unseen))

    async with anyio.create_task_group() as claims:
        for journal in journals:
            claims.start_soon(claim, journal)
            claims.start_soon(claim, journal)
    claimed.sort(key=lambda record: len(record.entries))
    assert [len(record.entries) for record in claimed] == list(range(3, 11))
    for record in claimed[:-1]:
        with pytest.raises(RunLost):
            await record.append(EntryKind.REPLY, reply())
    await claimed[-1].append(EntryKind.REPLY, reply())


async def test_a_run_that_is_unknown_or_has_ended_cannot_be_claimed(journal: Journal):
    ended = await finished(journal)
    with pytest.raises(RunNotFound, match="has ended"):
        await journal.claim(ended.run_id, owner=THERE, is_taken_over=True, on_entry=unseen)
    with pytest.raises(RunNotFound, match="There is no run nothing"):
        await journal.claim("nothing", owner=THERE, is_taken_over=False, on_entry=unseen)
    assert len(await journal.entries(ended.run_id)) == 3


async def test_two_runs_cannot_have_one_id(journal: Journal):
    first = await begun(journal)
    second = journal.record(run_id=first.run_id, customer="hash", on_entry=unseen)
    with pytest.raises(RunLost):
        await second.append(EntryKind.CASE, case("43"))
    assert await journal.entries(first.run_id) == first.entries


# ── cancellation ──


async def at_work(journal: Journal) -> None:
    """Wait until one of the journal's threads is at work."""
    with anyio.fail_after(600):
        while not journal._desk.threads._limiter.borrowed_tokens:
            await anyio.lowlevel.checkpoint()


async def test_an_append_that_asyncio_cancels_is_recorded_and_the_next_one_follows_it(
    journal: Journal, journal_settings: Settings
):
    seen: list[Entry] = []
    record = await begun(journal, on_entry=seen.append)
    with locked(journal_settings):
        task = asyncio.create_task(record.append(EntryKind.REPLY, reply(2)))
        await at_work(journal)
        task.cancel()
        await anyio.lowlevel.checkpoint()
        assert not task.done()
    with anyio.fail_after(600), pytest.raises(asyncio.CancelledError):
        await task
    assert [entry.seq for entry in seen] == [1, 2, 3]
    assert (await record.append(EntryKind.OUTCOME, OUTCOME)).seq == 4
    assert await journal.entries(record.run_id) == record.entries


async def test_an_append_in_a_cancelled_scope_is_recorded_and_the_next_one_follows_it(
    journal: Journal, journal_settings: Settings
):
    record = await begun(journal)
    with anyio.fail_after(600):
        async with anyio.create_task_group() as tasks:
            with locked(journal_settings):
                tasks.start_soon(record.append, EntryKind.REPLY, reply(2))
                await at_work(journal)
                tasks.cancel_scope.cancel()
    assert len(record.entries) == 3
    assert (await record.append(EntryKind.OUTCOME, OUTCOME)).seq == 4
    assert await journal.entries(record.run_id) == record.entries


async def test_a_journal_that_is_closed_finishes_what_it_was_asked(journal: Journal, journal_settings: Settings):
    record = await begun(journal)
    with locked(journal_settings):
        task = asyncio.create_task(record.append(EntryKind.REPLY, reply(2)))
        await at_work(journal)
        closing = asyncio.create_task(journal.aclose())
        await anyio.lowlevel.checkpoint()
        assert not closing.done()
    with anyio.fail_after(600):
        await closing
    assert task.done()
    assert change(journal_settings, "SELECT count(*) FROM entries") == [(3,)]
