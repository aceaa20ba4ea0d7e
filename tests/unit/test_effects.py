"""Effects and keys together: once per key, whatever fails, whoever sends the same call at the same time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.from_thread
import pytest
from sqlalchemy import Connection, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from servers.checks import Refused
from servers.database import Database, open_database, take_turns
from servers.effects import Call, Done, JsonObject, perform, would_act
from tests.databases import NewDatabase, Templates
from tests.fakes.things import SCHEMA, add, call, keys, names, things
from tests.postgres import Postgres


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[Database]:
    database = open_database(new_database(SCHEMA), SCHEMA)
    yield database
    database.close()


@pytest.fixture
def name(postgres: Postgres, templates: Templates) -> Iterator[str]:
    """A database in PostgreSQL."""
    name = postgres.create(templates.of(SCHEMA))
    yield name
    postgres.drop(name)


@pytest.fixture
def in_postgres(postgres: Postgres, name: str) -> Iterator[Database]:
    database = open_database(postgres.url(name), SCHEMA)
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
        if connection.dialect.name == "postgresql":  # a slow machine may be longer about the write than it allows
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        before = connection.scalars(select(things.c.name)).all()
        perform(database, keys, call(), add("a"))
        assert connection.scalars(select(things.c.name)).all() == before == []
    assert names(database) == ["a"]


def test_the_same_key_from_many_processes_at_once_acts_once(new_database: NewDatabase):
    url = new_database(SCHEMA)
    together = threading.Barrier(6)

    def send(_: int) -> Done:
        database = open_database(url, SCHEMA)  # an engine of its own, as in a process of its own
        together.wait()
        try:
            return perform(database, keys, call(), add("a"))
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(send, range(6)))
    assert [one.result for one in done] == [{"name": "a"}] * 6
    assert [one.is_new for one in done].count(True) == 1
    database = open_database(url, SCHEMA)
    assert names(database) == ["a"]
    database.close()


@pytest.mark.parametrize("text", ["a\0b", "\ud83d", "x" * 1_000_000, "\u202e日本語 \u2028 🙂", "it's \\ 100% :name ?"])
def test_every_text_comes_back_the_same_from_both_databases(database: Database, text: str):
    kept = text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    done = perform(database, keys, call(name="x"), add(text))
    assert perform(database, keys, call(name="x"), add("never")).result == done.result == {"name": text}
    assert names(database) == [kept]


def test_texts_are_ordered_by_their_code_points_on_both_databases(database: Database):
    words = ["a", "B", "é", "_", "Z", "-", "10", "9", "ä", "🙂", "b", " a", "日"]
    for number, word in enumerate(words):
        perform(database, keys, call(key=str(number)), add(word))
    with database.reading() as connection:
        ordered = connection.scalars(select(things.c.name).order_by(things.c.name)).all()
    assert ordered == sorted(words)


# ── cancellation, queues ──


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
        with anyio.fail_after(600):
            assert await database.read(names, database) == []
        release.set()


# ── what PostgreSQL gives up, refuses or forgets ──


def test_two_who_wait_for_each_other_both_succeed(in_postgres: Database):
    together = threading.Barrier(2)
    tries: list[str] = []

    def both(first: str, second: str) -> Done:
        is_first_try = True

        def effect(connection: Connection) -> JsonObject:
            nonlocal is_first_try
            tries.append(first)
            # A slow machine may be longer about the other one's first step than a server allows.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            take_turns(connection, first)
            if is_first_try:
                is_first_try = False
                together.wait()
            take_turns(connection, second)
            return add(first)(connection)

        return perform(in_postgres, keys, call(key=first), effect)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(both, ("x", "y"), ("y", "x")))
    assert [one.is_new for one in done] == [True, True]
    assert sorted(names(in_postgres)) == ["x", "y"]
    assert len(tries) == 3


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_conflict_is_tried_again_a_few_times_and_then_told(in_postgres: Database, state: str):
    tries: list[str] = []

    def unlucky(connection: Connection) -> JsonObject:
        tries.append(state)
        connection.execute(sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))
        return {}

    with pytest.raises(DBAPIError):
        perform(in_postgres, keys, call(), unlucky)
    assert len(tries) == 5
    assert perform(in_postgres, keys, call(), add("a")).is_new


def test_an_error_that_is_no_conflict_is_not_tried_again(database: Database):
    tries: list[int] = []

    def wrong(connection: Connection) -> JsonObject:
        tries.append(1)
        connection.execute(sql("SELECT nonsense"))
        return {}

    with pytest.raises(DBAPIError):
        perform(database, keys, call(), wrong)
    assert tries == [1]


def test_a_connection_that_is_lost_before_the_commit_is_replaced(postgres: Postgres, name: str, in_postgres: Database):
    for key in ("k", None):
        tries: list[int] = []

        def cut(connection: Connection, tries: list[int] = tries) -> JsonObject:
            add("a")(connection)
            if not tries:
                tries.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
                with postgres.connected(name) as other:
                    other.exec_driver_sql(f"SELECT pg_terminate_backend({tries[0]}, 5000)")
                connection.exec_driver_sql("SELECT 1")
            return {"name": "a"}

        assert perform(in_postgres, keys, call(key=key), cut) == Done(result={"name": "a"}, is_new=True)
    assert names(in_postgres) == ["a", "a"]


def lose_next_commit(database: Database, *, is_done: bool) -> None:
    """Let the connection end during the next commit: after the server has done it, or before."""
    dialect = database._engine.dialect
    commit = dialect.do_commit

    def lose(dbapi_connection: Any) -> None:
        dialect.do_commit = commit
        dbapi_connection.commit() if is_done else dbapi_connection.rollback()
        dbapi_connection.dbapi_connection.close()
        raise dialect.loaded_dbapi.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = lose


@pytest.mark.parametrize("is_done", [True, False])
def test_a_commit_that_no_one_knows_of_is_looked_for_under_its_key(in_postgres: Database, is_done: bool):
    lose_next_commit(in_postgres, is_done=is_done)
    assert perform(in_postgres, keys, call(), add("a")) == Done(result={"name": "a"}, is_new=not is_done)
    assert names(in_postgres) == ["a"]


@pytest.mark.parametrize("is_done", [True, False])
def test_a_commit_that_no_one_knows_of_is_not_repeated_without_a_key(in_postgres: Database, is_done: bool):
    lose_next_commit(in_postgres, is_done=is_done)
    with pytest.raises(DBAPIError):
        perform(in_postgres, keys, call(key=None), add("a"))
    assert names(in_postgres) == (["a"] if is_done else [])


def test_a_frozen_transaction_loses_its_locks(postgres: Postgres, name: str, in_postgres: Database):
    frozen = threading.Event()
    thaw = threading.Event()

    def freeze(connection: Connection) -> JsonObject:
        add("frozen")(connection)
        frozen.set()
        thaw.wait()
        return add("thawed")(connection)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(perform, in_postgres, keys, call(), freeze)
        frozen.wait()
        # Waits for the key's lock until the server has ended the transaction that holds it.
        assert perform(in_postgres, keys, call(), add("other")) == Done(result={"name": "other"}, is_new=True)
        thaw.set()
        assert slow.result() == Done(result={"name": "other"}, is_new=False)
    assert names(in_postgres) == ["other"]
