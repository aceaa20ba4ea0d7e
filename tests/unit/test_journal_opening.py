"""Opening a journal: made once, whole and private; opened with its key by the program that fits."""

import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, inspect, text

from agent.errors import JournalError
from agent.journal import Journal, open_journal, schema, upgrade_journal
from agent.settings import Settings
from tests.journals import KEY, OpenJournal, begun, change, finished, settings_of, url_of
from tests.postgres import PASSWORD, USER, Postgres

# ── a file ──


@pytest.mark.parametrize("umask", [0o000, 0o777])
async def test_all_that_is_made_is_its_owners_only_whatever_the_umask(
    tmp_path: Path, open_one: OpenJournal, umask: int
):
    before = os.umask(umask)
    try:
        journal = open_one(settings_of(tmp_path / "home"))
        await begun(journal)
    finally:
        os.umask(before)
    names = {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.key"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
    assert modes == dict.fromkeys(names, 0o600)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


async def test_what_is_committed_survives_a_power_failure(file_settings: Settings, open_one: OpenJournal):
    journal = open_one(file_settings)
    with journal._desk.store._engine.connect() as connection:  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]


async def test_a_journal_that_is_opened_again_is_as_it_was(file_settings: Settings, open_one: OpenJournal):
    first = open_one(file_settings)
    record = await finished(first)
    await first.aclose()
    again = open_one(file_settings)
    assert await again.entries(record.run_id) == record.entries
    assert again.place == str(file_settings.home / "journal.sqlite")


async def test_an_empty_file_becomes_a_journal(file_settings: Settings, open_one: OpenJournal):
    file_settings.home.mkdir()
    file = file_settings.home / "journal.sqlite"
    file.touch(0o644)
    await begun(open_one(file_settings))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_many_who_open_a_new_journal_at_once_share_it(file_settings: Settings, open_one: OpenJournal):
    together = Barrier(8)

    def opened(_: int) -> Journal:
        together.wait()
        return open_one(file_settings)

    with ThreadPoolExecutor(8) as pool:
        journals = list(pool.map(opened, range(8)))
    for journal in journals:
        await finished(journal)
    assert len({journal.customer_hash("a") for journal in journals}) == 1
    assert [verified.soundness for verified in await journals[0].verify()] == ["ok"] * 8


def test_naming_a_journal_loads_no_database():
    code = "import sys, agent.journal; print([name for name in sys.modules if name in ('sqlalchemy', 'sqlite3')])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ── what cannot be used ──


def refused(settings: Settings, **more: Any) -> str:
    """Return the sentence with which the journal is not opened."""
    with pytest.raises(JournalError) as caught:
        open_journal(settings, **more)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_place_where_no_file_can_be_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    for place in ("file", "file/home", "file/deep/home"):
        assert f"The journal's folder {tmp_path / place} cannot be made: " in refused(settings_of(tmp_path / place))
    (tmp_path / "home" / "journal.sqlite").mkdir(parents=True)
    assert "journal.sqlite cannot be opened for writing: Is a directory" in refused(settings_of(tmp_path / "home"))


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "hush", "mysql://u:hush@h/d", "postgresql://u:hu@sh@h/d"]
)
def test_a_url_that_names_no_journal_is_a_sentence_that_repeats_nothing_of_it(tmp_path: Path, url: str):
    sentence = refused(settings_of(tmp_path, journal=SecretStr(url)))
    assert sentence.startswith("SUPPORT_AGENT_JOURNAL ")
    assert "hush" not in sentence
    assert "sh@h" not in sentence


def test_a_file_that_is_no_database_is_refused_and_left_alone(file_settings: Settings):
    file_settings.home.mkdir()
    garbage = b"not a database, " * 400
    file = file_settings.home / "journal.sqlite"
    file.write_bytes(garbage)
    sentence = refused(file_settings)
    assert sentence == (
        f"{file} is no journal (file is not a database): move the file away, or let SUPPORT_AGENT_JOURNAL name another "
        "place."
    )
    assert file.read_bytes() == garbage
    assert [path.name for path in file_settings.home.iterdir()] == ["journal.sqlite"]


def test_a_table_of_somebody_else_is_not_taken_over(file_settings: Settings):
    file_settings.home.mkdir()
    with closing(sqlite3.connect(file_settings.home / "journal.sqlite")) as other:
        other.execute("CREATE TABLE runs (secret TEXT)")
    assert "table runs already exists" in refused(file_settings)
    assert change(file_settings, "SELECT name FROM sqlite_master") == [("runs",)]


# ── the key ──


async def test_another_key_is_refused_with_what_to_do(file_settings: Settings, open_one: OpenJournal):
    await open_one(file_settings).aclose()
    key = file_settings.home / "journal.key"
    kept = key.read_text()
    key.write_text(KEY)
    assert f"was begun with another key than {key} holds: restore the key" in refused(file_settings)
    key.unlink()
    assert f"is missing: restore {key} from a backup" in refused(file_settings)
    assert not key.exists()
    key.write_text(kept)
    open_one(file_settings)


async def test_the_settings_key_wins_and_is_never_written(tmp_path: Path, open_one: OpenJournal):
    await begun(open_one(settings_of(tmp_path, journal_key=SecretStr(KEY))))
    assert not (tmp_path / "journal.key").exists()
    assert "another key than SUPPORT_AGENT_JOURNAL_KEY holds" in refused(
        settings_of(tmp_path, journal_key=SecretStr("ab" * 32))
    )
    assert refused(settings_of(tmp_path, journal_key=SecretStr("hush"))) == (
        "SUPPORT_AGENT_JOURNAL_KEY must be 64 hexadecimal digits."
    )
    assert KEY.encode() not in (tmp_path / "journal.sqlite-wal").read_bytes()


# ── versions ──


async def test_a_newer_journal_is_refused_and_left_alone(own_settings: Settings, open_one: OpenJournal):
    record = await finished(open_one(own_settings))
    change(own_settings, "UPDATE journal SET version = version + 1")
    there, here = schema.VERSION + 1, schema.VERSION
    versions = f"(schema {there} there, {here} here)"
    assert f"is newer than this program {versions}: use the support-agent version that wrote it" in (
        refused(own_settings)
    )
    with pytest.raises(JournalError, match="is newer than this program"):
        upgrade_journal(own_settings)
    change(own_settings, "UPDATE journal SET version = version - 1")
    assert await open_one(own_settings).entries(record.run_id) == record.entries


async def test_an_older_journal_asks_for_the_upgrade_which_keeps_what_is_there(
    own_settings: Settings, open_one: OpenJournal, monkeypatch: pytest.MonkeyPatch
):
    first = open_one(own_settings)
    record = await finished(first)
    await first.aclose()

    def colour(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE runs ADD COLUMN colour TEXT"))

    def fail(connection: Connection) -> None:
        colour(connection)
        raise KeyboardInterrupt

    known = schema.MIGRATIONS

    before, after = schema.VERSION, schema.VERSION + 1
    monkeypatch.setattr(schema, "VERSION", after)
    assert f"is older than this program (schema {before} there, {after} here): run `support-agent db upgrade`." in (
        refused(own_settings)
    )
    monkeypatch.setattr(schema, "MIGRATIONS", (*known, fail))
    with pytest.raises(KeyboardInterrupt):
        upgrade_journal(own_settings)
    monkeypatch.setattr(schema, "MIGRATIONS", (*known, colour))
    done = [upgrade_journal(own_settings) for _ in range(2)]
    assert [(upgraded.before, upgraded.after) for upgraded in done] == [(before, after), (after, after)]
    assert change(own_settings, "SELECT run_id, colour FROM runs") == [(record.run_id, None)]


async def test_a_journal_of_before_runs_could_be_paused_becomes_one_in_which_they_can(
    own_settings: Settings, open_one: OpenJournal
):
    first = open_one(own_settings)
    record = await finished(first)
    await first.aclose()
    as_new = columns(own_settings)
    back_to_version_1(own_settings)
    assert "is older than this program (schema 1 there, 2 here): run `support-agent db upgrade`." in (
        refused(own_settings)
    )
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: upgrade_journal(own_settings), range(3)))
    assert {upgraded.after for upgraded in done} == {2}
    assert 1 in {upgraded.before for upgraded in done}
    assert columns(own_settings) == as_new
    journal = open_one(own_settings)
    assert await journal.entries(record.run_id) == record.entries
    assert await journal.paused() is None
    pause = await journal.pause(by="dana", reason="maintenance")
    assert await journal.paused() == pause
    ruling = await journal.reject(record.run_id, by="dana", because="too generous")
    assert await journal.rulings() == {record.run_id: ruling}


def columns(settings: Settings) -> dict[str, list[tuple[str, str, bool]]]:
    """The columns of every table: name, type, and whether it may be empty."""
    engine = create_engine(url_of(settings))
    try:
        found = inspect(engine)
        return {
            table: [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)]
            for table in found.get_table_names()
        }
    finally:
        engine.dispose()


def back_to_version_1(settings: Settings) -> None:
    """Make the journal what the program of before made."""
    for statement in ("DROP TABLE switch", "DROP TABLE rulings", "UPDATE journal SET version = 1"):
        change(settings, statement)


# ── PostgreSQL ──


@pytest.fixture
def empty(postgres: Postgres, tmp_path: Path) -> Any:
    name = postgres.create()
    yield settings_of(tmp_path, journal=SecretStr(postgres.tcp_url(name)))
    postgres.drop(name)


async def test_postgresql_gets_its_tables_from_the_upgrade_alone(empty: Settings, open_one: OpenJournal):
    assert refused(empty).endswith("has no tables for the journal yet: run `support-agent db upgrade`.")
    together = Barrier(3)

    def upgraded(_: int) -> int | None:
        together.wait()
        return upgrade_journal(empty).after

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(upgraded, range(3))) == [schema.VERSION] * 3
    journal = open_one(empty)
    await finished(journal)
    assert PASSWORD not in journal.place
    assert PASSWORD not in repr(journal)


def test_a_database_that_cannot_be_reached_is_named_with_the_reason(postgres: Postgres, tmp_path: Path):
    right = postgres.tcp_url("postgres")
    reasons = {
        postgres.tcp_url("nowhere"): 'database "nowhere" does not exist.',
        postgres.tcp_url("postgres", password="wrong-password"): f'password authentication failed for user "{USER}".',
        right.replace(f":{postgres.port}/", ":1/"): "Connection refused",
        f"postgresql://{USER}@/postgres?host=/nowhere": "No such file or directory",
    }
    for url, reason in reasons.items():
        sentence = refused(settings_of(tmp_path, journal=SecretStr(url)))
        assert sentence.startswith(f"postgresql://{USER}@")
        assert reason in sentence
        assert "wrong-password" not in sentence
        assert "s3cret" not in sentence


def test_without_its_driver_postgresql_is_refused_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # what Python makes of a package that is not installed
    sentence = refused(settings_of(tmp_path, journal=SecretStr("postgresql://team:hush@127.0.0.1/helpdesk")))
    assert sentence == 'PostgreSQL needs the package psycopg: pip install "support-agent[postgres]".'
