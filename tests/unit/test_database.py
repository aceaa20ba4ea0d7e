"""One database: made once, whole, private; opened only by the program that fits; effects and keys together."""

import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import anyio
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select
from sqlalchemy import text as sql

from servers.checks import Refused
from servers.database import Database, Schema, Unusable, open_database, reset_demo
from servers.effects import Call, Done, JsonObject, keys_table, perform, would_act

metadata = MetaData()
things = Table("things", metadata, Column("id", Integer, primary_key=True), Column("name", String, nullable=False))
keys = keys_table("thing_keys", metadata)
SCHEMA = Schema(component="things", version=2, metadata=metadata)


def url(place: Path) -> str:
    return f"sqlite:///{place / 'things.sqlite'}"


def fill(connection: Connection) -> None:
    connection.execute(insert(things).values(name="demo"))


def names(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.scalars(select(things.c.name).order_by(things.c.id)))


def call(key: str | None = "k", name: str = "a", *, is_void: bool = False) -> Call:
    return Call(tool="add", arguments={"name": name}, actor="test", key=key, is_void=is_void)


def add(name: str) -> Callable[[Connection], JsonObject]:
    def effect(connection: Connection) -> JsonObject:
        connection.execute(insert(things).values(name=name))
        return {"name": name}

    return effect


# ── opening ──


def test_a_new_database_is_filled_and_an_existing_one_is_left_alone(tmp_path: Path):
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


def test_many_who_open_a_fresh_database_at_once_fill_it_once(tmp_path: Path):
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


def test_two_servers_may_share_one_database(tmp_path: Path):
    other_tables = MetaData()
    Table("others", other_tables, Column("id", Integer, primary_key=True))
    other = Schema(component="others", version=1, metadata=other_tables)
    for schema in (SCHEMA, other, SCHEMA, other):
        open_database(url(tmp_path), schema).close()


@pytest.mark.parametrize(("found", "word"), [(3, "newer"), (1, "older")])
def test_a_database_of_another_version_is_refused_and_left_alone(tmp_path: Path, found: int, word: str):
    open_database(url(tmp_path), SCHEMA, fill).close()
    file = sqlite3.connect(tmp_path / "things.sqlite", isolation_level=None)
    file.execute("UPDATE schema_versions SET version = ?", (found,))
    for attempt in (
        lambda: open_database(url(tmp_path), SCHEMA, fill),
        lambda: reset_demo(url(tmp_path), SCHEMA, fill),
    ):
        with pytest.raises(Unusable, match=f"is {word} than this program .schema {found} there, 2 here"):
            attempt()
    assert file.execute("SELECT name FROM things").fetchall() == [("demo",)]
    file.close()


def test_a_foreign_table_of_the_same_name_is_not_taken_over(tmp_path: Path):
    file = sqlite3.connect(tmp_path / "things.sqlite", isolation_level=None)
    file.execute("CREATE TABLE things (secret)")
    with pytest.raises(Unusable, match="already exists"):
        open_database(url(tmp_path), SCHEMA, fill)
    assert file.execute("SELECT name FROM sqlite_master").fetchall() == [("things",)]
    file.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    garbage = b"not a database, " * 400
    (tmp_path / "things.sqlite").write_bytes(garbage)
    with pytest.raises(Unusable, match=r"things\.sqlite cannot be used as a database: file is not a database"):
        open_database(url(tmp_path), SCHEMA)
    assert (tmp_path / "things.sqlite").read_bytes() == garbage


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("sqlite:///{path}/missing/things.sqlite", "No such file or directory"),
        ("sqlite:///{path}/file/things.sqlite", "Not a directory"),
        ("sqlite:///{path}", "Is a directory"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("nonsense", "DATABASE_URL cannot be used"),
        ("nosuchthing://host/db", "DATABASE_URL cannot be used"),
    ],
)
def test_a_place_that_cannot_hold_a_database_is_a_sentence(tmp_path: Path, place: str, sentence: str):
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match=sentence) as caught:
        open_database(place.format(path=tmp_path), SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_reset_replaces_demo_rows(tmp_path: Path):
    database = open_database(url(tmp_path), SCHEMA, fill)
    perform(database, keys, call(), add("mine"))
    reset_demo(url(tmp_path), SCHEMA, fill)
    assert names(database) == ["demo"]
    assert would_act(database, keys, call())
    database.close()


def test_a_reset_of_real_data_is_refused(tmp_path: Path):
    database = open_database(url(tmp_path), SCHEMA)
    perform(database, keys, call(), add("mine"))
    with pytest.raises(Unusable, match="was not created by --demo"):
        reset_demo(url(tmp_path), SCHEMA, fill)
    assert names(database) == ["mine"]
    database.close()


def test_a_reset_of_nothing_creates_the_demo(tmp_path: Path):
    reset_demo(url(tmp_path), SCHEMA, fill)
    database = open_database(url(tmp_path), SCHEMA)
    assert names(database) == ["demo"]
    database.close()


# ── effects ──


@pytest.fixture
def database(tmp_path: Path):
    database = open_database(url(tmp_path), SCHEMA)
    yield database
    database.close()


def test_an_effect_that_fails_half_way_leaves_neither_itself_nor_its_key(database: Database):
    def half(connection: Connection) -> JsonObject:
        add("half")(connection)
        raise Refused("no")

    with pytest.raises(Refused, match=r"^no$"):
        perform(database, keys, call(), half)
    assert names(database) == []
    assert perform(database, keys, call(), add("a")) == Done(result={"name": "a"}, is_new=True)


def test_a_used_key_returns_the_stored_result_without_running_the_effect(database: Database):
    perform(database, keys, call(), add("a"))
    assert perform(database, keys, call(), add("never")) == Done(result={"name": "a"}, is_new=False)
    assert names(database) == ["a"]


def test_equal_arguments_in_another_order_are_the_same_call(database: Database):
    one = Call(tool="t", arguments={"a": 1, "b": [{"x": 1, "y": None}]}, actor="me", key="k")
    two = Call(tool="t", arguments={"b": [{"y": None, "x": 1}], "a": 1}, actor="you", key="k")
    assert one.digest == two.digest
    perform(database, keys, one, add("a"))
    assert not perform(database, keys, two, add("a")).is_new


@pytest.mark.parametrize("arguments", [{"name": "b"}, {}, {"name": "a", "more": None}])
def test_other_arguments_are_another_call(database: Database, arguments: JsonObject):
    perform(database, keys, call(), add("a"))
    other = Call(tool="add", arguments=arguments, actor="test", key="k")
    for ask in (lambda: perform(database, keys, other, add("b")), lambda: would_act(database, keys, other)):
        with pytest.raises(Refused, match="used for another call"):
            ask()


def test_a_call_would_act_until_its_key_is_used(database: Database):
    assert would_act(database, keys, call())
    assert would_act(database, keys, call(key=None))
    assert not would_act(database, keys, call(is_void=True))
    perform(database, keys, call(), add("a"))
    assert not would_act(database, keys, call())


def test_a_reader_sees_one_moment_while_others_write(database: Database):
    with database.reading() as connection:
        before = connection.scalars(select(things.c.name)).all()
        perform(database, keys, call(), add("a"))
        assert connection.scalars(select(things.c.name)).all() == before == []
    assert names(database) == ["a"]


async def test_a_write_that_its_caller_gives_up_on_is_still_made_whole(database: Database):
    # The worker must wait outside of the event loop: there, the caller's cancellation would reach it too.
    begun, finish = anyio.Event(), threading.Event()

    def slow(connection: Connection) -> JsonObject:
        anyio.from_thread.run_sync(begun.set)
        finish.wait()
        return add("a")(connection)

    async def write() -> None:
        await database.write(perform, database, keys, call(), slow)

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await begun.wait()
        group.cancel_scope.cancel()
        finish.set()
    assert names(database) == ["a"]
    assert not would_act(database, keys, call())


async def test_waiting_writes_do_not_keep_reads_waiting(database: Database):
    release = anyio.Event()
    begun = anyio.Event()

    def blocked(connection: Connection) -> JsonObject:
        anyio.from_thread.run_sync(begun.set)
        anyio.from_thread.run(release.wait)
        return {}

    async def write(number: int) -> None:
        await database.write(perform, database, keys, call(key=str(number)), blocked)

    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(write, number)
        await begun.wait()
        with anyio.fail_after(10):
            assert await database.read(names, database) == []
        release.set()
