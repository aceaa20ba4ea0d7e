"""What can happen to the journal's disk or server: one sentence each, and nothing that was committed is lost."""

import os
import random
import resource
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from agent.errors import JournalError, RunLost
from agent.journal import Journal, RunRecord, faults, open_journal
from agent.records import Entry, EntryKind
from agent.settings import Settings
from tests.journals import OUTCOME, THERE, OpenJournal, begun, case, change, finished, locked, reply, settings_of
from tests.postgres import Postgres


def engine_of(journal: Journal) -> Engine:
    return journal._desk.store._engine  # pyright: ignore[reportAttributeAccessIssue]


async def refused(record: RunRecord, body: Any = None) -> str:
    """Return the sentence with which an entry is not recorded."""
    with pytest.raises(JournalError) as caught:
        await record.append(EntryKind.REPLY, body or reply(2))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


async def assert_goes_on(journal: Journal, record: RunRecord) -> None:
    """The fault is gone: what was recorded before is there, and the run goes on where it stood."""
    before = record.entries
    entry = await record.append(EntryKind.OUTCOME, OUTCOME)
    assert entry.seq == len(before) + 1
    assert await journal.entries(record.run_id) == (*before, entry)
    assert [verified.soundness for verified in await journal.verify([record.run_id])] == ["ok"]


# ── locked ──


async def test_a_locked_file_is_waited_for_and_then_a_sentence(file_settings: Settings, open_one: OpenJournal):
    journal = open_one(file_settings, busy_timeout_s=0.05)
    record = await begun(journal)
    with locked(file_settings):
        assert "journal.sqlite is locked by another process" in await refused(record)
        assert len(await journal.entries(record.run_id)) == 2  # reading waits for nobody
    await assert_goes_on(journal, record)


async def test_a_locked_table_is_waited_for_and_then_a_sentence(postgres_settings: Settings, open_one: OpenJournal):
    journal = open_one(postgres_settings)
    event.listen(engine_of(journal), "begin", lambda connection: connection.exec_driver_sql("SET lock_timeout = 50"))
    record = await begun(journal)
    with locked(postgres_settings):
        assert "is locked by another process" in await refused(record)
    await assert_goes_on(journal, record)


async def test_a_new_file_that_somebody_keeps_locked_is_a_sentence(file_settings: Settings, open_one: OpenJournal):
    file_settings.home.mkdir()
    with locked(file_settings), pytest.raises(JournalError, match="is locked by another process"):
        open_journal(file_settings, busy_timeout_s=0.05)
    await finished(open_one(file_settings))


# ── a full disk ──


async def test_a_full_database_is_a_sentence(file_settings: Settings, open_one: OpenJournal):
    journal = open_one(file_settings)
    record = await begun(journal)

    @event.listens_for(engine_of(journal), "begin")
    def shrink(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite makes it what there is already

    assert "cannot grow, the disk is full" in await refused(record, reply(2, "x" * 100_000))
    event.remove(engine_of(journal), "begin", shrink)
    engine_of(journal).dispose()
    await assert_goes_on(journal, record)


@contextmanager
def files_no_larger_than(size: int) -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_write_that_the_system_refuses_is_a_sentence(file_settings: Settings, open_one: OpenJournal):
    journal = open_one(file_settings)
    record = await begun(journal)
    log = file_settings.home / "journal.sqlite-wal"
    with files_no_larger_than(log.stat().st_size + 5_000):
        sentence = await refused(record, reply(2, "x" * 100_000))
    assert "journal.sqlite cannot be read or written (disk I/O error)" in sentence
    await assert_goes_on(journal, record)


# ── read-only ──


@pytest.fixture
def somebodys_home() -> Iterator[Path]:
    """A folder that anybody can reach, in which this test's user is nobody special."""
    folder = Path(tempfile.mkdtemp(prefix="support-agent-journal-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_privileges() -> Generator[None]:
    """Be nobody for a while, if this user is root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_file_or_folder_that_cannot_be_written_is_a_sentence(somebodys_home: Path, open_one: OpenJournal):
    settings = settings_of(somebodys_home / "home")
    first = open_one(settings)
    record = await finished(first)
    await first.aclose()
    file = settings.home / "journal.sqlite"
    settings.home.chmod(0o755)
    (settings.home / "journal.key").chmod(0o644)
    for mode, sentence in ((0o444, "cannot be opened for writing: Permission denied"), (0o666, "cannot be written to")):
        file.chmod(mode)
        settings.home.chmod(0o555)
        with without_privileges(), pytest.raises(JournalError, match=sentence):
            open_journal(settings)
    settings.home.chmod(0o700)
    file.chmod(0o600)
    assert await open_one(settings).entries(record.run_id) == record.entries


async def test_a_standby_is_a_sentence(postgres_settings: Settings, open_one: OpenJournal):
    journal = open_one(postgres_settings)
    record = await begun(journal)

    @event.listens_for(engine_of(journal), "begin")
    def stand_by(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    assert "is read-only" in await refused(record)
    event.remove(engine_of(journal), "begin", stand_by)
    await assert_goes_on(journal, record)


# ── damage ──


async def many_runs(settings: Settings, open_one: OpenJournal) -> bytes:
    """Record enough to fill some pages, and return the file."""
    journal = open_one(settings)
    for number in range(12):
        record = await begun(journal, ticket_id=str(number))
        await record.append(EntryKind.REPLY, reply(2, "x" * 5_000))
        await record.append(EntryKind.OUTCOME, OUTCOME)
    await journal.aclose()
    return (settings.home / "journal.sqlite").read_bytes()


async def whatever_can_be_asked(journal: Journal) -> None:
    summaries = await journal.runs()
    for summary in summaries:
        await journal.entries(summary.run_id)
    assert all(verified.is_sound for verified in await journal.verify())
    assert len(summaries) == 12
    await finished(journal)


async def test_random_bytes_in_the_middle_are_a_sentence_or_a_broken_digest(
    file_settings: Settings, open_one: OpenJournal
):
    whole = await many_runs(file_settings, open_one)
    chance = random.Random(4)
    sentences: set[str] = set()
    for page in range(2, len(whole) // 4096):
        start = page * 4096
        (file_settings.home / "journal.sqlite").write_bytes(
            whole[:start] + chance.randbytes(4096) + whole[start + 4096 :]
        )
        with pytest.raises((JournalError, AssertionError)) as caught:
            await whatever_can_be_asked(open_one(file_settings))
        sentences.add(str(caught.value))
    assert any("is damaged (database disk image is malformed): restore it from a backup" in one for one in sentences)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_a_truncated_file_is_a_sentence_and_stays_as_it_is(
    file_settings: Settings, open_one: OpenJournal, part: float
):
    whole = await many_runs(file_settings, open_one)
    left = whole[: int(len(whole) * part)]
    (file_settings.home / "journal.sqlite").write_bytes(left)
    with pytest.raises(JournalError, match="is damaged"):
        await whatever_can_be_asked(open_one(file_settings))
    assert (file_settings.home / "journal.sqlite").read_bytes() == left


async def test_a_damaged_run_is_not_taken_over(journal: Journal, journal_settings: Settings):
    record = await begun(journal)
    change(journal_settings, "UPDATE entries SET body = '{}' WHERE seq = 2")
    with pytest.raises(JournalError, match=f"Run {record.run_id} is damaged in the journal, at entry 2: its text was"):
        await journal.claim(record.run_id, owner=THERE, is_taken_over=False, on_entry=lambda _: None)
    assert change(journal_settings, "SELECT count(*) FROM entries") == [(2,)]


async def test_a_run_of_a_newer_format_is_not_touched(journal: Journal):
    record = journal.record(run_id="newer", customer="hash", on_entry=lambda _: None)
    await record.append(EntryKind.CASE, case(format=2))
    for attempt in (
        lambda: journal.entries("newer"),
        lambda: journal.claim("newer", owner=THERE, is_taken_over=False, on_entry=lambda _: None),
    ):
        with pytest.raises(
            JournalError, match=r"written by a newer version of support-agent \(format 2 there, 1 here\)"
        ):
            await attempt()
    assert [verified.entries for verified in await journal.verify(["newer"])] == [1]


async def test_an_entry_that_is_no_entry_is_a_sentence(journal: Journal, journal_settings: Settings):
    record = await begun(journal)
    for assignment in ("body = 'nonsense'", "body = '[]', kind = 'unheard-of'", "kept = '', at = 'yesterday'"):
        change(journal_settings, f"UPDATE entries SET {assignment} WHERE seq = 1")
        with pytest.raises(
            JournalError, match=f"Run {record.run_id} cannot be read, entry 1 was changed or is damaged"
        ):
            await journal.entries(record.run_id)


# ── PostgreSQL goes away ──


class Outage:
    """PostgreSQL lets nobody in; it comes back when it is told to, or when somebody begins to wait for it."""

    def __init__(self, server: Postgres, settings: Settings) -> None:
        assert settings.journal is not None
        self._server = server
        self._database = settings.journal.get_secret_value().split("@/")[1].partition("?")[0]

    def begin(self) -> None:
        with self._server.connected("postgres") as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
            connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database}'"
            )

    def end(self, _: float = 0) -> None:
        with self._server.connected("postgres") as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")


@pytest.fixture
def outage(postgres: Postgres, postgres_settings: Settings) -> Outage:
    return Outage(postgres, postgres_settings)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], None]], None]:
    """Let something happen in place of each wait for PostgreSQL."""

    def set_to(instead: Callable[[float], None]) -> None:
        monkeypatch.setattr(faults, "time", SimpleNamespace(sleep=instead))

    return set_to


Waiting = Callable[[Callable[[float], None]], None]


async def test_a_short_outage_is_waited_for(
    postgres_settings: Settings, open_one: OpenJournal, outage: Outage, waiting: Waiting
):
    journal = open_one(postgres_settings)
    record = await begun(journal)
    waiting(outage.end)
    outage.begin()
    assert (await record.append(EntryKind.REPLY, reply(2))).seq == 3
    outage.begin()
    assert await journal.entries(record.run_id) == record.entries
    outage.begin()
    claimed = await journal.claim(record.run_id, owner=THERE, is_taken_over=True, on_entry=lambda _: None)
    await assert_goes_on(journal, claimed)


async def test_a_long_outage_is_a_sentence(
    postgres_settings: Settings, open_one: OpenJournal, outage: Outage, waiting: Waiting
):
    journal = open_one(postgres_settings)
    record = await begun(journal)
    waits: list[float] = []
    waiting(waits.append)
    outage.begin()
    sentence = await refused(record)
    assert sentence.startswith("postgresql://helpdesk@")
    assert "is not currently accepting connections" in sentence
    assert waits == list(faults.OUTAGE_DELAYS_S)
    outage.end()
    await assert_goes_on(journal, record)


def lose_acknowledgements(journal: Journal, *, times: int) -> None:
    """Cut the connection after the commit, so that nobody hears of it."""
    left = times

    @event.listens_for(engine_of(journal), "commit")
    def cut(connection: Connection) -> None:
        nonlocal left
        if left and connection.get_execution_options().get("is_write"):
            left -= 1
            driver: Any = connection.connection.dbapi_connection
            driver.commit()
            raise OperationalError("COMMIT", None, psycopg.OperationalError("the connection is lost"))


async def test_an_entry_whose_acknowledgement_is_lost_is_recorded_once(
    postgres_settings: Settings, open_one: OpenJournal, waiting: Waiting
):
    seen: list[Entry] = []
    journal = open_one(postgres_settings)
    waiting(lambda _: None)
    record = await begun(journal, on_entry=seen.append)
    for kind, body in ((EntryKind.REPLY, reply(2)), (EntryKind.OUTCOME, OUTCOME)):
        lose_acknowledgements(journal, times=1)
        await record.append(kind, body)
    assert [entry.seq for entry in seen] == [1, 2, 3, 4]
    assert await journal.entries(record.run_id) == record.entries
    assert [verified.soundness for verified in await journal.verify()] == ["ok"]


async def test_a_case_and_a_claim_whose_acknowledgements_are_lost_are_recorded_once(
    postgres_settings: Settings, open_one: OpenJournal, waiting: Waiting
):
    journal = open_one(postgres_settings)
    waiting(lambda _: None)
    lose_acknowledgements(journal, times=1)
    record = await begun(journal)
    lose_acknowledgements(journal, times=1)
    claimed = await journal.claim(record.run_id, owner=THERE, is_taken_over=True, on_entry=lambda _: None)
    assert [entry.kind for entry in claimed.entries] == ["case", "reply", "claim"]
    await assert_goes_on(journal, claimed)


async def test_an_entry_that_was_given_up_on_and_is_there_after_all_is_not_taken_for_anothers(
    postgres_settings: Settings, open_one: OpenJournal, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Entry] = []
    journal = open_one(postgres_settings)
    record = await begun(journal, on_entry=seen.append)
    monkeypatch.setattr(faults, "OUTAGE_DELAYS_S", ())
    lose_acknowledgements(journal, times=1)
    assert "the connection is lost" in await refused(record, reply(2, "given up on"))
    assert len(record.entries) == 2
    await assert_goes_on_after(journal, record)
    assert [entry.seq for entry in seen] == [1, 2, 3, 4]


async def assert_goes_on_after(journal: Journal, record: RunRecord) -> None:
    entry = await record.append(EntryKind.STOPPED, {"reason": "The journal was away."})
    assert entry.seq == 4
    assert record.entries[2].body == reply(2, "given up on")
    assert await journal.entries(record.run_id) == record.entries
    thief = await journal.claim(record.run_id, owner=THERE, is_taken_over=True, on_entry=lambda _: None)
    with pytest.raises(RunLost):
        await record.append(EntryKind.OUTCOME, OUTCOME)
    assert await journal.entries(record.run_id) == thief.entries
