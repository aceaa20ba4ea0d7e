"""Fixtures for what must behave the same on both databases: each test runs on SQLite and on PostgreSQL."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
from sqlalchemy import text

from servers.database import Schema, upgrade_database
from tests.postgres import Postgres, running_postgres

KINDS = ("sqlite", "postgresql")


class NewDatabase(Protocol):
    """Makes an empty database and returns its URL; with a schema, its tables are there."""

    def __call__(self, schema: Schema | None = None) -> str: ...


_OTHERS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")

_SHAPE = text("""
SELECT string_agg(row, ' ' ORDER BY row) FROM (
    SELECT format('schema %s %s', oid, xmin) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT format('table %s %s', oid, xmin) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('column %s %s %s', attrelid, attnum, a.xmin) FROM pg_attribute a
        JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('version %s', xmin) FROM schema_versions
) AS parts(row)
""")
"""Which transactions made the schemas, tables, columns and versions: any other change than one of rows changes it."""

_RESTART = text("SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false) FROM pg_sequences")


class Templates:
    """Databases that already have a schema's tables: copied, and emptied for the next test, faster than made anew."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._made: dict[Schema, str] = {}
        self._empty = defaultdict[Schema, list[str]](list)
        self._shapes: dict[str, str] = {}

    def of(self, schema: Schema | None) -> str:
        """Return the name of the template for this schema."""
        if schema is None:
            return "template0"
        if schema not in self._made:
            name = self.server.create()
            upgrade_database(self.server.url(name), schema)
            self._made[schema] = name
        return self._made[schema]

    def lend(self, schema: Schema | None) -> str:
        """Return the name of a database with this schema's empty tables."""
        if schema is not None and self._empty[schema]:
            return self._empty[schema].pop()
        name = self.server.create(self.of(schema))
        if schema is not None:
            with self.server.connected(name) as connection:
                self._shapes[name] = connection.execute(_SHAPE).scalar_one()
        return name

    def take_back(self, schema: Schema | None, name: str) -> None:
        """Keep a database for the next test if it can be made as new; drop any other."""
        if schema is not None and self._emptied(schema, name):
            self._empty[schema].append(name)
        else:
            self.server.drop(name)

    def _emptied(self, schema: Schema, name: str) -> bool:
        with self.server.connected(name) as connection:
            if connection.execute(_OTHERS).scalar_one() > 0:  # who knows what they will do yet
                return False
            if connection.execute(_SHAPE).scalar_one() != self._shapes[name]:
                return False
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(table.delete())
            connection.execute(_RESTART)
        return True


@cache
def _new_file(schema: Schema) -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "new.sqlite"
        upgrade_database(f"sqlite:///{file}", schema)
        return file.read_bytes()


def new_file(file: Path, schema: Schema) -> str:
    """Write a new SQLite file with a schema's empty tables, and return its URL: a copy, which waits for no disk."""
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(_new_file(schema))
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The test run's own PostgreSQL; without one, tests that ask for it are skipped with the reason."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def templates(postgres: Postgres) -> Templates:
    return Templates(postgres)


@pytest.fixture(params=KINDS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Make databases of one kind for this test alone; the test runs once for each kind."""
    with ExitStack() as returned:

        def sqlite(schema: Schema | None = None) -> str:
            name = "empty" if schema is None else schema.component
            file = tmp_path / f"{name}.sqlite"
            return f"sqlite:///{file}" if schema is None else new_file(file, schema)

        def postgresql(schema: Schema | None = None) -> str:
            known: Templates = request.getfixturevalue("templates")
            name = known.lend(schema)
            returned.callback(known.take_back, schema, name)
            return known.server.url(name)

        yield {"sqlite": sqlite, "postgresql": postgresql}[request.param]
