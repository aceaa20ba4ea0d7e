"""The run's record: numbered entries without gaps, shown as they are appended."""

import re
from datetime import timedelta

import anyio

from agent.journal import MemoryJournal, new_run_id
from agent.records import Entry, EntryKind


async def test_entries_are_numbered_from_one_and_carry_their_run():
    journal = MemoryJournal("run-1", lambda entry: None)
    first = await journal.append(EntryKind.CASE, {"ticket_id": "42"})
    second = await journal.append(EntryKind.REPLY, {"turn": 1})
    assert [(entry.run_id, entry.seq, entry.kind) for entry in (first, second)] == [
        ("run-1", 1, EntryKind.CASE),
        ("run-1", 2, EntryKind.REPLY),
    ]
    assert journal.entries == (first, second)
    assert first.at.utcoffset() == timedelta(0)
    assert first.at <= second.at


async def test_concurrent_appends_leave_no_gap_and_no_double():
    journal = MemoryJournal("run-1", lambda entry: None)
    start = anyio.Event()

    async def append(call: int) -> None:
        await start.wait()
        for step in range(5):
            entry = await journal.append(EntryKind.RESULT, {"call": call, "step": step})
            await anyio.lowlevel.checkpoint()
            assert journal.entries[entry.seq - 1] == entry

    with anyio.fail_after(600):
        async with anyio.create_task_group() as calls:
            for call in range(20):
                calls.start_soon(append, call)
            start.set()
    assert [entry.seq for entry in journal.entries] == list(range(1, 101))
    assert {(entry.body["call"], entry.body["step"]) for entry in journal.entries} == {
        (call, step) for call in range(20) for step in range(5)
    }


async def test_an_entry_is_recorded_before_it_is_shown():
    shown: list[tuple[int, int]] = []
    journal = MemoryJournal("run-1", lambda entry: shown.append((entry.seq, len(journal.entries))))
    await journal.append(EntryKind.CASE, {})
    await journal.append(EntryKind.REPLY, {})
    assert shown == [(1, 1), (2, 2)]


async def test_what_was_read_of_a_journal_does_not_change():
    journal = MemoryJournal("run-1", lambda entry: None)
    before: tuple[Entry, ...] = journal.entries
    await journal.append(EntryKind.CASE, {})
    assert before == ()
    assert len(journal.entries) == 1


def test_run_ids_say_when_and_differ():
    ids = {new_run_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(r"20\d{6}-\d{6}-[0-9a-f]{6}", run_id) for run_id in ids)
