"""Databases that tests lend one another: whoever gets one finds it as new."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy import text as sql

from tests.databases import Templates, new_file
from tests.fakes.things import SCHEMA, things
from tests.postgres import Postgres


@pytest.fixture
def templates(postgres: Postgres) -> Templates:
    """Nobody else's, so that what was taken back is lent next."""
    return Templates(postgres)


@pytest.fixture
def lent(templates: Templates) -> Iterator[str]:
    name = templates.lend(SCHEMA)
    yield name
    templates.server.drop(templates.lend(SCHEMA))


def add(connection: Connection) -> int:
    return connection.execute(insert(things).values(name="x").returning(things.c.id)).scalar_one()


def test_a_database_that_was_lent_before_is_as_new(templates: Templates, lent: str):
    with templates.server.connected(lent) as connection:
        assert [add(connection), add(connection)] == [1, 2]
    templates.take_back(SCHEMA, lent)
    assert templates.lend(SCHEMA) == lent
    with templates.server.connected(lent) as connection:
        assert connection.execute(select(things)).all() == []
        assert add(connection) == 1
    templates.take_back(SCHEMA, lent)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE things ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE things RENAME TO gone",
        "CREATE TABLE others (id integer)",
        "CREATE SCHEMA desk",
        "CREATE INDEX by_name ON things (name)",
        "UPDATE schema_versions SET version = 9",
    ],
)
def test_a_database_in_which_more_than_rows_has_changed_is_not_lent_again(
    templates: Templates, lent: str, statement: str
):
    with templates.server.connected(lent) as connection:
        connection.execute(sql(statement))
    templates.take_back(SCHEMA, lent)
    other = templates.lend(SCHEMA)
    assert other != lent
    templates.take_back(SCHEMA, other)


def test_a_database_that_somebody_is_still_in_is_not_lent_again(templates: Templates, lent: str):
    with templates.server.connected(lent):
        templates.take_back(SCHEMA, lent)
    other = templates.lend(SCHEMA)
    assert other != lent
    templates.take_back(SCHEMA, other)


def test_a_new_file_has_its_tables_and_belongs_to_its_owner_alone(tmp_path: Path):
    file = tmp_path / "things.sqlite"
    assert new_file(file, SCHEMA) == f"sqlite:///{file}"
    assert file.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT * FROM things").fetchall() == []
    with pytest.raises(FileExistsError):
        new_file(file, SCHEMA)
