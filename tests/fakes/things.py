"""A schema of the tests' own, at its second version, with the way to it from the first."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, insert, select
from sqlalchemy import text as sql
from sqlalchemy.schema import CreateColumn

from servers.database import Database, Schema, Words
from servers.effects import Call, JsonObject, keys_table

_first = MetaData()
Table("things", _first, Column("id", Integer, primary_key=True), Column("name", Words, nullable=False))
keys_table("thing_keys", _first)
FIRST = Schema(component="things", metadata=_first)
"""What a program of long ago created."""


def add_colour(connection: Connection) -> None:
    column = CreateColumn(things.c.colour).compile(dialect=connection.dialect)
    connection.execute(sql(f"ALTER TABLE things ADD COLUMN {column}"))
    connection.execute(sql("UPDATE things SET colour = 'grey'"))


metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Words, nullable=False),
    Column("colour", Words),
)
keys = keys_table("thing_keys", metadata)
SCHEMA = Schema(component="things", metadata=metadata, migrations=(add_colour,))


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


def behind(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Do something to a database behind everyone's back, and return the rows that it gives."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(sql(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()
