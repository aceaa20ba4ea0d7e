"""Fixtures for what must behave the same on both databases: each test runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from servers.database import Schema, upgrade_database
from tests.postgres import Postgres, running_postgres

KINDS = ("sqlite", "postgresql")


class NewDatabase(Protocol):
    """Makes an empty database and returns its URL; with a schema, its tables are there."""

    def __call__(self, schema: Schema | None = None) -> str: ...


class Templates:
    """Databases that already have a schema's tables, to be copied: faster than making the tables for each test."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._made: dict[Schema, str] = {}

    def of(self, schema: Schema | None) -> str:
        """Return the name of the template for this schema."""
        if schema is None:
            return "template0"
        if schema not in self._made:
            name = self.server.create()
            upgrade_database(self.server.url(name), schema)
            self._made[schema] = name
        return self._made[schema]


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
    with ExitStack() as dropped:

        def sqlite(schema: Schema | None = None) -> str:
            name = "empty" if schema is None else schema.component
            url = f"sqlite:///{tmp_path / name}.sqlite"
            if schema is not None:
                upgrade_database(url, schema)
            return url

        def postgresql(schema: Schema | None = None) -> str:
            known: Templates = request.getfixturevalue("templates")
            name = known.server.create(known.of(schema))
            dropped.callback(known.server.drop, name)
            return known.server.url(name)

        yield {"sqlite": sqlite, "postgresql": postgresql}[request.param]
