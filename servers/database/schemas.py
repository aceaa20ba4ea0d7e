"""The version of each server's tables: how they are created, opened, migrated, and made anew for the demo."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)

from servers.database.engines import create_engine_for, in_a_sentence
from servers.database.places import Unusable, is_sqlite, parse_url, shown
from servers.database.transactions import Database, again, take_turns, writer_of

Fill: TypeAlias = Callable[[Connection], None]
"""Inserts the first rows into tables that were just created."""

Migration: TypeAlias = Callable[[Connection], None]
"""Changes tables and rows of one version into those of the next, inside a transaction that is not its own."""

_TURNS = "support-agent schema"
"""One lock for all servers: in one database, they share the table of versions."""

_shared = MetaData()
_versions = Table(
    "schema_versions",
    _shared,
    Column("component", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("is_demo", Boolean, nullable=False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """The tables of one server under its name, and the way to them from each earlier version, oldest first."""

    component: str
    metadata: MetaData
    migrations: tuple[Migration, ...] = ()

    @property
    def version(self) -> int:
        """The version that `metadata` describes; the first one is 1."""
        return len(self.migrations) + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgraded:
    """What an upgrade found and left."""

    place: str
    before: int | None  # None: there were no tables
    after: int


def open_database(url: str, schema: Schema, fill: Fill | None = None) -> Database:
    """Return the database at `url`; a SQLite file that has no tables yet gets them, with `fill`'s rows.

    Any number of processes may do this at once: one creates, the others find it done.

    Raises:
        Unusable: the URL, folder, file or database cannot be used, or its tables are not those of this version.
    """
    engine = create_engine_for(parse_url(url))
    with in_a_sentence(engine):
        # A busy machine may be longer about the two statements than a transaction may be idle; who cannot be reached is
        # not waited for.
        found = again(partial(_found, engine, schema), unless=lambda error: not error.connection_invalidated)
        if found is None and is_sqlite(engine.url):
            with writer_of(engine).begin() as connection:
                # Another process may have created them between the two transactions.
                if _version(connection, schema) is None:
                    _create(connection, schema, fill)
        else:
            _check_version(engine, schema, found)
    return Database(engine)


def upgrade_database(url: str, schema: Schema, fill: Fill | None = None) -> Upgraded:
    """Create the tables with `fill`'s rows, or migrate them to this version, each step in one transaction.

    Any number of processes may do this at once: each step is done by one of them. A step that fails leaves the
    version before it.

    Raises:
        Unusable: the URL, folder, file or database cannot be used, is of a newer version, or a step failed.
    """
    engine = create_engine_for(parse_url(url), is_upgrade=True)
    with in_a_sentence(engine):
        before = found = _step(engine, schema, fill)
        while found is not None and found < schema.version:
            found = _step(engine, schema, fill)
    engine.dispose()
    return Upgraded(place=shown(engine.url), before=before, after=schema.version)


def reset_demo(url: str, schema: Schema, fill: Fill) -> None:
    """Replace all rows by `fill`'s in one transaction, provided that the database was created for the demo.

    Raises:
        Unusable: as `open_database`, or the database holds anything else than the demo, and is left as it is.
    """
    engine = create_engine_for(parse_url(url))
    with in_a_sentence(engine), writer_of(engine).begin() as connection:
        take_turns(connection, _TURNS)
        found = _version(connection, schema)
        if found is not None:
            _check_version(engine, schema, found)
            mine = _versions.c.component == schema.component
            if not connection.execute(select(_versions.c.is_demo).where(mine)).scalar_one():
                raise Unusable(
                    f"{shown(engine.url)} was not created by --demo and may hold real data, so it was left as it is: "
                    "set another SUPPORT_AGENT_HOME for the demo."
                )
            schema.metadata.drop_all(connection)
            connection.execute(_versions.delete().where(mine))
        _create(connection, schema, fill)
    engine.dispose()


def _step(engine: Engine, schema: Schema, fill: Fill | None) -> int | None:
    """Go one version further if there is one, and return the version from which that was."""
    with writer_of(engine).begin() as connection:
        take_turns(connection, _TURNS)
        found = _version(connection, schema)
        if found is None:
            _check_encoding(connection)
            _create(connection, schema, fill)
        elif found < schema.version:
            schema.migrations[found - 1](connection)
            mine = _versions.c.component == schema.component
            connection.execute(update(_versions).where(mine).values(version=found + 1))
        else:
            _check_version(engine, schema, found)
        return found


def _found(engine: Engine, schema: Schema) -> int | None:
    with engine.begin() as connection:
        return _version(connection, schema)


def _version(connection: Connection, schema: Schema) -> int | None:
    if not inspect(connection).has_table(_versions.name):
        return None
    query = select(_versions.c.version).where(_versions.c.component == schema.component)
    return connection.execute(query).scalar_one_or_none()


def _create(connection: Connection, schema: Schema, fill: Fill | None) -> None:
    _shared.create_all(connection)
    # Without looking first: a foreign table of the same name must fail here, not at the first ticket.
    schema.metadata.create_all(connection, checkfirst=False)
    row = {"component": schema.component, "version": schema.version, "is_demo": fill is not None}
    connection.execute(insert(_versions).values(row))
    if fill is not None:
        fill(connection)


def _check_encoding(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise Unusable(
            f"{shown(connection.engine.url)} keeps texts in {encoding}, which has no room for all that customers "
            "write: create a database with ENCODING 'UTF8' TEMPLATE template0."
        )


def _check_version(engine: Engine, schema: Schema, found: int | None) -> None:
    place = shown(engine.url)
    if found is None:
        raise Unusable(f"{place} has no tables for {schema.component} yet: run `support-agent db upgrade`.")
    versions = f"(schema {found} there, {schema.version} here)"
    if found < schema.version:
        raise Unusable(f"{place} is older than this program {versions}: run `support-agent db upgrade`.")
    if found > schema.version:
        elsewhere = ", or set another SUPPORT_AGENT_HOME" if is_sqlite(engine.url) else ""
        raise Unusable(
            f"{place} is newer than this program {versions}: use the support-agent version that wrote it{elsewhere}."
        )
