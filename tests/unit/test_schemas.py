"""Versions of tables: created once, migrated step by step, each step whole or not at all, by many at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy import text as sql

from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import Schema, Unusable, Upgraded, open_database, upgrade_database
from servers.effects import perform
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.databases import NewDatabase
from tests.fakes.things import FIRST, SCHEMA, add, add_colour, behind, call, fill, keys, metadata, names
from tests.postgres import Postgres


def old(new_database: NewDatabase) -> str:
    """A database at version 1, with a row."""
    url = new_database(FIRST)
    behind(url, "INSERT INTO things (name) VALUES ('mine')")
    return url


def version(url: str) -> int:
    [(found,)] = behind(url, "SELECT version FROM schema_versions")
    return found


def columns(url: str) -> list[tuple[str, str, bool]]:
    engine = create_engine(url)
    found = [
        (column["name"], str(column["type"].compile(engine.dialect)), column["nullable"])
        for column in inspect(engine).get_columns("things")
    ]
    engine.dispose()
    return found


def test_an_upgrade_creates_the_tables_and_again_does_nothing(new_database: NewDatabase):
    url = new_database()
    first, second = (upgrade_database(url, SCHEMA) for _ in range(2))
    assert (first.before, first.after) == (None, 2)
    assert (second.before, second.after) == (2, 2)
    database = open_database(url, SCHEMA)
    assert names(database) == []
    database.close()


def test_an_upgrade_brings_old_rows_to_the_new_tables(new_database: NewDatabase):
    url = old(new_database)
    done = upgrade_database(url, SCHEMA)
    assert (done.before, done.after) == (1, 2)
    assert behind(url, "SELECT name, colour FROM things") == [("mine", "grey")]
    database = open_database(url, SCHEMA)
    assert names(database) == ["mine"]
    database.close()


def test_an_upgrade_goes_over_every_version_in_between(new_database: NewDatabase):
    url = old(new_database)

    def repaint(connection: Connection) -> None:
        connection.execute(sql("UPDATE things SET colour = colour || 'er'"))

    later = Schema(component="things", metadata=metadata, migrations=(add_colour, repaint, repaint))
    assert upgrade_database(url, later).after == version(url) == 4
    assert behind(url, "SELECT colour FROM things") == [("greyerer",)]


def test_migrated_tables_are_those_that_a_new_database_gets(new_database: NewDatabase):
    migrated, created = old(new_database), new_database()
    for url in (migrated, created):
        upgrade_database(url, SCHEMA)
    assert columns(migrated) == columns(created)


def test_a_migration_that_fails_leaves_everything_as_it_was(new_database: NewDatabase):
    url = old(new_database)

    def fail(connection: Connection) -> None:
        add_colour(connection)
        connection.execute(sql("DELETE FROM things"))
        connection.execute(sql("SELECT nonsense FROM things"))

    failing = Schema(component="things", metadata=metadata, migrations=(fail,))
    with pytest.raises(Unusable, match="nonsense"):
        upgrade_database(url, failing)
    assert version(url) == 1
    assert behind(url, "SELECT * FROM things") == [(1, "mine")]
    assert upgrade_database(url, SCHEMA).before == 1


def test_a_migration_that_is_killed_leaves_everything_as_it_was(new_database: NewDatabase):
    url = old(new_database)

    def die(connection: Connection) -> None:
        add_colour(connection)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade_database(url, Schema(component="things", metadata=metadata, migrations=(die,)))
    assert behind(url, "SELECT * FROM things") == [(1, "mine")]


def test_a_newer_database_is_not_upgraded(new_database: NewDatabase):
    url = new_database(SCHEMA)
    with pytest.raises(Unusable, match=r"is newer than this program .schema 2 there, 1 here.: use the support-agent"):
        upgrade_database(url, FIRST)
    assert version(url) == 2


@pytest.mark.parametrize("is_old", [True, False])
def test_many_upgrades_at_once_do_each_step_once(new_database: NewDatabase, is_old: bool):
    url = old(new_database) if is_old else new_database()
    together = Barrier(6)

    def upgrade(_: int) -> Upgraded:
        together.wait()
        return upgrade_database(url, SCHEMA, fill)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(upgrade, range(6)))
    assert {upgraded.after for upgraded in done} == {2}
    assert [upgraded.before for upgraded in done].count(1 if is_old else None) == 1
    assert behind(url, "SELECT name FROM things") == [("mine",) if is_old else ("demo",)]


def test_servers_that_share_a_database_may_upgrade_at_once(new_database: NewDatabase):
    url = new_database()
    together = Barrier(3)

    def upgrade(schema: Schema) -> int:
        together.wait()
        return upgrade_database(url, schema).after

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(upgrade, (SCHEMA, TICKETING, CUSTOMERS))) == [2, 1, 1]


def test_only_an_upgrade_makes_tables_in_postgresql(postgres: Postgres):
    name = postgres.create()
    url = postgres.url(name)
    with pytest.raises(Unusable, match="has no tables for things yet: run `support-agent db upgrade`"):
        open_database(url, SCHEMA, fill)
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    postgres.drop(name)


def test_an_upgrade_without_the_right_to_make_tables_says_so(postgres: Postgres):
    name = postgres.create()
    with postgres.connected(name) as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(Unusable, match="permission denied for schema public"):
        upgrade_database(postgres.url(name).replace("helpdesk@", "reader@"), SCHEMA)
    postgres.drop(name)


def test_who_serves_needs_no_right_to_make_tables_and_both_may_use_a_schema_of_their_own(postgres: Postgres):
    name = postgres.create()
    url = f"{postgres.url(name)}&options=-c%20search_path%3Ddesk"
    with postgres.connected(name) as connection:
        connection.exec_driver_sql("CREATE SCHEMA desk")
        upgrade_database(url, SCHEMA)
        for statement in (
            "DROP ROLE IF EXISTS clerk",
            "CREATE ROLE clerk LOGIN",
            "GRANT USAGE ON SCHEMA desk TO clerk",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO clerk",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA desk TO clerk",
        ):
            connection.exec_driver_sql(statement)
    database = open_database(url.replace("helpdesk@", "clerk@"), SCHEMA)
    perform(database, keys, call(), add("a"))
    assert names(database) == ["a"]
    database.close()
    assert behind(postgres.url(name), "SELECT name FROM desk.things") == [("a",)]
    with pytest.raises(Unusable, match="has no tables for things yet"):
        open_database(postgres.url(name), SCHEMA)
    postgres.drop(name)


def test_a_database_that_cannot_hold_every_language_is_refused(postgres: Postgres):
    name = postgres.create("template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(Unusable, match="keeps texts in LATIN1"):
        upgrade_database(postgres.url(name), SCHEMA)
    postgres.drop(name)


SHAPES = {
    ("ticketing", 1): "cc6faae3ef645d69",
    ("customers", 1): "4476b0f419fd4b26",
}
"""What each version's tables were. A changed table is a new version: add a migration, and a line here."""


@pytest.mark.parametrize("schema", [TICKETING, CUSTOMERS], ids=lambda schema: schema.component)
def test_a_schema_changes_with_its_version_only(schema: Schema):
    said: list[str] = []
    for table in schema.metadata.sorted_tables:
        for column in table.columns:
            keys = sorted(key.target_fullname for key in column.foreign_keys)
            said.append(f"{column} {column.type} {column.nullable} {column.primary_key} {bool(column.unique)} {keys}")
        said += sorted(f"{index.name} {index.unique} {index.columns.keys()}" for index in table.indexes)
    shape = hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
    assert shape == SHAPES[schema.component, schema.version]
