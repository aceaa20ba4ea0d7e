"""The version of the journal's tables: how they are found, created and migrated."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import BigInteger, Connection, Engine, func, insert, inspect, literal, select, text, update

from agent.errors import JournalError
from agent.journal.places import is_sqlite, shown
from agent.journal.tables import VERSION, journal, metadata, rulings, switch

Migration: TypeAlias = Callable[[Connection], None]


def _let_runs_be_paused(connection: Connection) -> None:
    # As `tables` has them: a later version that changes one of them must write down here what it was.
    for table in (switch, rulings):
        table.create(connection, checkfirst=False)
    connection.execute(insert(switch).values(failures=0))


MIGRATIONS: tuple[Migration, ...] = (_let_runs_be_paused,)
"""From each version to the next, oldest first, each inside one transaction that is not its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The row that says what a journal is."""

    version: int
    key_check: str


def found(connection: Connection) -> Header | None:
    """Return the journal's header, or None where there is no journal yet."""
    if connection.dialect.name == "postgresql":
        # It holds no lock: a busy machine may be longer about it than a transaction that writes may be idle.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 60000"))
    if not inspect(connection).has_table(journal.name):
        return None
    row = connection.execute(select(journal.c.version, journal.c.key_check)).one_or_none()
    return None if row is None else Header(version=row.version, key_check=row.key_check)


def create(connection: Connection, key_check: str) -> Header:
    """Create the tables, unless another process has done it in the meantime; return the header that stands then."""
    take_turns(connection)
    if header := found(connection):
        return header
    # Without looking first: a foreign table of the same name must fail here, not at the first run.
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(switch).values(failures=0))
    connection.execute(insert(journal).values(version=VERSION, key_check=key_check))
    return Header(version=VERSION, key_check=key_check)


def migrate(connection: Connection) -> int:
    """Go one version further if there is one, and return the version that stands then."""
    take_turns(connection)
    version = connection.execute(select(journal.c.version)).scalar_one()
    if version < VERSION:
        MIGRATIONS[version - 1](connection)
        connection.execute(update(journal).values(version=version + 1))
        return version + 1
    return version


def take_turns(connection: Connection) -> None:
    """Wait until nobody else changes the tables, and exclude others until this transaction ends."""
    if connection.dialect.name == "sqlite":
        return  # a transaction that writes excludes all others there
    number = int.from_bytes(hashlib.sha256(b"support-agent journal").digest()[:8], signed=True)
    connection.execute(select(func.pg_advisory_xact_lock(literal(number, BigInteger))))


def check_version(engine: Engine, header: Header) -> None:
    """Check that the tables are this program's.

    Raises:
        JournalError: they are older or newer.
    """
    place, versions = shown(engine.url), f"(schema {header.version} there, {VERSION} here)"
    if header.version < VERSION:
        raise JournalError(
            f"The journal {place} is older than this program {versions}: run `support-agent db upgrade`."
        )
    if header.version > VERSION:
        elsewhere = ", or set another SUPPORT_AGENT_HOME" if is_sqlite(engine.url) else ""
        raise JournalError(
            f"The journal {place} is newer than this program {versions}: use the support-agent version that wrote "
            f"it{elsewhere}."
        )
