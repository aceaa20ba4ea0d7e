"""Opening a database: made once, whole, private; opened only by the program that fits; a sentence for all else."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table
from sqlalchemy import text as sql

from servers.database import Schema, Unusable, open_database, reset_demo, upgrade_database
from servers.database.engines import create_engine_for
from servers.database.places import parse_url
from servers.effects import perform, would_act
from tests.databases import NewDatabase, Templates
from tests.fakes.things import SCHEMA, add, behind, call, fill, keys, names, things
from tests.postgres import USER, Postgres

OTHER = Schema(component="others", metadata=MetaData())
Table("others", OTHER.metadata, Column("id", Integer, primary_key=True))


def url(place: Path) -> str:
    return f"sqlite:///{place / 'things.sqlite'}"


# ── a file ──


def test_a_new_file_is_filled_and_an_existing_one_is_left_alone(tmp_path: Path):
    first = open_database(url(tmp_path), SCHEMA, fill)
    with first.writing() as connection:
        connection.execute(things.delete())
    first.close()
    second = open_database(url(tmp_path), SCHEMA, fill)
    assert names(second) == []
    second.close()


def test_the_file_is_its_owners_only_and_durable(tmp_path: Path):
    database = open_database(url(tmp_path), SCHEMA)
    with database.reading() as connection:
        pragmas = [
            connection.execute(sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 30_000]
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database.close()


def test_an_interrupted_creation_leaves_nothing_and_the_next_one_is_whole(tmp_path: Path):
    def fail(connection: Connection) -> None:
        fill(connection)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_database(url(tmp_path), SCHEMA, fail)
    database = open_database(url(tmp_path), SCHEMA, fill)
    assert names(database) == ["demo"]
    database.close()


def test_many_who_open_a_new_file_at_once_fill_it_once(tmp_path: Path):
    together = Barrier(8)

    def opened(_: int) -> list[str]:
        together.wait()
        database = open_database(url(tmp_path), SCHEMA, fill)
        try:
            return names(database)
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8))) == [["demo"]] * 8


def test_a_foreign_table_of_the_same_name_is_not_taken_over(tmp_path: Path):
    behind(url(tmp_path), "CREATE TABLE things (secret TEXT)")
    with pytest.raises(Unusable, match="already exists"):
        open_database(url(tmp_path), SCHEMA, fill)
    assert behind(url(tmp_path), "SELECT name FROM sqlite_master") == [("things",)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    garbage = b"not a database, " * 400
    (tmp_path / "things.sqlite").write_bytes(garbage)
    with pytest.raises(Unusable, match=r"things\.sqlite cannot be used as a database: file is not a database"):
        open_database(url(tmp_path), SCHEMA)
    assert (tmp_path / "things.sqlite").read_bytes() == garbage


# ── either database ──


def test_two_servers_may_share_one_database(new_database: NewDatabase):
    shared = new_database()
    for schema in (SCHEMA, OTHER, SCHEMA, OTHER):
        upgrade_database(shared, schema)
        open_database(shared, schema).close()
    assert behind(shared, "SELECT component, version FROM schema_versions ORDER BY version") == [
        ("others", 1),
        ("things", 2),
    ]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (3, "is newer than this program (schema 3 there, 2 here): use the support-agent version that wrote it"),
        (1, "is older than this program (schema 1 there, 2 here): run `support-agent db upgrade`."),
    ],
)
def test_a_database_of_another_version_is_refused_and_left_alone(new_database: NewDatabase, found: int, sentence: str):
    place = new_database(SCHEMA)
    behind(place, f"UPDATE schema_versions SET version = {found}")
    behind(place, "INSERT INTO things (name) VALUES ('mine')")
    for attempt in (lambda: open_database(place, SCHEMA, fill), lambda: reset_demo(place, SCHEMA, fill)):
        with pytest.raises(Unusable) as caught:
            attempt()
        assert sentence in str(caught.value)
    assert behind(place, "SELECT name FROM things") == [("mine",)]


# ── the demo ──


def test_a_reset_replaces_demo_rows(tmp_path: Path):
    database = open_database(url(tmp_path), SCHEMA, fill)
    perform(database, keys, call(), add("mine"))
    reset_demo(url(tmp_path), SCHEMA, fill)
    assert names(database) == ["demo"]
    assert would_act(database, keys, call())
    database.close()


def test_a_reset_of_real_data_is_refused(new_database: NewDatabase):
    place = new_database(SCHEMA)
    database = open_database(place, SCHEMA)
    perform(database, keys, call(), add("mine"))
    with pytest.raises(Unusable, match="was not created by --demo"):
        reset_demo(place, SCHEMA, fill)
    assert names(database) == ["mine"]
    database.close()


def test_a_reset_of_nothing_creates_the_demo(tmp_path: Path):
    reset_demo(url(tmp_path), SCHEMA, fill)
    database = open_database(url(tmp_path), SCHEMA)
    assert names(database) == ["demo"]
    database.close()


# ── what cannot be used ──


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("sqlite:///{path}/missing/things.sqlite", "No such file or directory"),
        ("sqlite:///{path}/file/things.sqlite", "Not a directory"),
        ("sqlite:///{path}", "Is a directory"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("nonsense", "DATABASE_URL cannot be used"),
        ("nosuchthing://host/db", "neither PostgreSQL nor SQLite"),
        ("mysql://host/db", "neither PostgreSQL nor SQLite"),
        ("postgresql+asyncpg://host/db", "neither PostgreSQL nor SQLite"),
    ],
)
def test_a_place_that_cannot_hold_a_database_is_a_sentence(tmp_path: Path, place: str, sentence: str):
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match=sentence) as caught:
        open_database(place.format(path=tmp_path), SCHEMA)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://team:hush@@127.0.0.1:{port}/postgres",
        "postgresql://team:x@hush@127.0.0.1:{port}/postgres",
        "postgresql://team:x/hush@127.0.0.1:{port}/postgres",
        "postgresql://team:hush@127.0.0.1:hush/postgres",
        "postgresql://127.0.0.1:{port}/postgres?user=team&password=hush",
        "postgresql://team:hush@127.0.0.1:{port}/postgres?sslmode=nonsense",
        "postgresql://team:hush@127.0.0.1:{port}/postgres?nonsense=hush",
        "postgresql://team:hush@127.0.0.1:{port}/postgres?connect_timeout=soon",
        "postgresql://team:hush@127.0.0.1:{port}/postgres?options=-c&options=nonsense",
        "postgres://team:hush@127.0.0.1:{port}/postgres",
        "postgresql+psycopg://team:hush@127.0.0.1:{port}/postgres",
        "postgresql://team:hush@127.0.0.1:1/postgres",
        "mysql://team:hush@127.0.0.1/postgres",
        "hush",
    ],
)
def test_no_sentence_repeats_a_password(postgres: Postgres, place: str):
    with pytest.raises(Unusable) as caught:
        open_database(place.format(port=postgres.port), SCHEMA)
    sentence = str(caught.value)
    assert "hush" not in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_a_database_that_cannot_be_reached_is_named_with_the_reason(postgres: Postgres):
    right = postgres.tcp_url("postgres")
    reasons = {
        postgres.tcp_url("nowhere"): 'database "nowhere" does not exist.',
        postgres.tcp_url("postgres", password="wrong"): f'password authentication failed for user "{USER}".',
        right.replace(f":{postgres.port}/", ":1/"): "Connection refused",
        f"postgresql://{USER}@/postgres?host=/nowhere": "No such file or directory",
    }
    for place, reason in reasons.items():
        with pytest.raises(Unusable) as caught:
            open_database(place, SCHEMA)
        sentence = str(caught.value)
        assert sentence.startswith(f"postgresql://{USER}@")
        assert reason in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_schemes_that_teams_write_are_understood(postgres: Postgres, templates: Templates, scheme: str):
    name = postgres.create(templates.of(SCHEMA))
    database = open_database(postgres.tcp_url(name).replace("postgresql", scheme, 1), SCHEMA)
    assert names(database) == []
    database.close()
    postgres.drop(name)


def test_what_the_url_says_of_the_connection_is_kept(postgres: Postgres):
    place = f"{postgres.url('postgres')}&application_name=mine&options=-c%20lock_timeout%3D5s"
    engine = create_engine_for(parse_url(place))
    with engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("application_name", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
    engine.dispose()
    assert settings == ["mine", "5s", "1s"]


def test_without_its_driver_postgresql_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # what Python makes of a package that is not installed
    with pytest.raises(Unusable) as caught:
        open_database("postgresql://team:hush@127.0.0.1/helpdesk", SCHEMA)
    assert str(caught.value) == 'PostgreSQL needs the package psycopg: pip install "support-agent[postgres]".'


def test_a_file_needs_nothing_of_postgresql():
    code = (
        "from servers.database import open_database; import servers.ticketing.tables as t, sys; "
        "open_database('sqlite:///x.sqlite', t.SCHEMA).close(); "
        "print([name for name in sys.modules if 'psycopg' in name or 'postgresql' in name])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
