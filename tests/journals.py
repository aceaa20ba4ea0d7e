"""Journals for tests: of either kind, empty, closed in the end; and bodies of the shapes that a run records."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import create_engine, text

from agent.journal import Journal, RunRecord, new_run_id, open_journal, upgrade_journal
from agent.records import Entry, EntryKind, JsonObject, Owner, Usage
from agent.settings import Settings, TicketSettings
from tests.databases import KINDS, NewDatabase
from tests.postgres import Postgres

KEY = "5a" * 32

ALICE = "alice@example.com"

HERE = Owner(pid=11, machine="desk-1", place="p1", user="ann")
THERE = Owner(pid=22, machine="desk-2", place="p1", user="ben")


class OpenJournal(Protocol):
    """Opens a journal; it is closed when the test ends."""

    def __call__(self, settings: Settings, *, busy_timeout_s: float = 30.0) -> Journal: ...


def settings_of(home: Path, **more: Any) -> Settings:
    """Return settings that say nothing but where the journal is."""
    return Settings(
        home=home,
        transports={},
        tickets=TicketSettings(server="desk", record="t", context="t", fields={}, outcome={}),
        **more,
    )


@pytest.fixture
def file_settings(tmp_path: Path) -> Settings:
    """A journal in a file that is not there yet."""
    return settings_of(tmp_path / "home")


@pytest.fixture(scope="session")
def postgres_journal(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A journal in PostgreSQL that all tests use, one after another: making and dropping databases takes long."""
    home = tmp_path_factory.mktemp("postgres-journal")
    settings = settings_of(home, journal=postgres.url(postgres.create()), journal_key=KEY)
    upgrade_journal(settings)
    return settings


@pytest.fixture
def postgres_settings(postgres_journal: Settings) -> Iterator[Settings]:
    """An empty journal in PostgreSQL; its tables must stay as they are."""
    yield postgres_journal
    change(postgres_journal, "TRUNCATE runs, entries, payments, documents, redactions, rulings, switch")
    change(postgres_journal, "INSERT INTO switch (failures) VALUES (0)")


@pytest.fixture(params=KINDS)
def journal_settings(request: pytest.FixtureRequest) -> Settings:
    """An empty journal; the test runs once for each kind of database."""
    return request.getfixturevalue({"sqlite": "file_settings", "postgresql": "postgres_settings"}[request.param])


@pytest.fixture
def own_settings(new_database: NewDatabase, tmp_path: Path) -> Settings:
    """An empty journal for this test alone, which may do anything to it; the test runs once for each kind."""
    settings = settings_of(tmp_path / "home", journal=new_database())
    upgrade_journal(settings)
    return settings


@pytest.fixture
async def open_one() -> AsyncIterator[OpenJournal]:
    made: list[Journal] = []

    def opened(settings: Settings, *, busy_timeout_s: float = 30.0) -> Journal:
        made.append(open_journal(settings, busy_timeout_s=busy_timeout_s))
        return made[-1]

    yield opened
    for journal in made:
        await journal.aclose()


@pytest.fixture
def journal(journal_settings: Settings, open_one: OpenJournal) -> Journal:
    """An open, empty journal; the test runs once for each kind of database."""
    return open_one(journal_settings)


@pytest.fixture
def file_journal(file_settings: Settings, open_one: OpenJournal) -> Journal:
    """An open, empty journal in a file."""
    return open_one(file_settings)


def url_of(settings: Settings) -> str:
    """Return how to reach the journal's database behind its back."""
    if settings.journal is None:
        return f"sqlite:///{settings.home / 'journal.sqlite'}"
    return settings.journal.get_secret_value()


@contextmanager
def locked(settings: Settings) -> Generator[None]:
    """Keep everyone else from writing to the journal."""
    engine = create_engine(url_of(settings))
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql("LOCK TABLE entries IN EXCLUSIVE MODE")
            yield
            connection.rollback()
    finally:
        engine.dispose()


def change(settings: Settings, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Do something to the journal behind its back (`?` stands for an argument), and return the rows that it gives."""
    engine = create_engine(url_of(settings))
    names = [f"a{number}" for number in range(len(arguments))]
    for name in names:
        statement = statement.replace("?", f":{name}", 1)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement), dict(zip(names, arguments, strict=True)))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


# Bodies.


def case(ticket_id: str = "42", **more: Any) -> JsonObject:
    """Return the body of a CASE."""
    return {
        "format": 1,
        "ticket_id": ticket_id,
        "mode": "live",
        "model": "scripted",
        "owner": HERE.as_json(),
        "ticket": {"id": ticket_id, "fields": {"requester": ALICE}, "context": "# Cannot log in"},
        "customer": None,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Cannot log in, says Alice."}]}],
        "version": "0.1.0",
        "system": "You resolve tickets.",
        "tools": [{"name": "desk__close", "description": "Close it.", "input_schema": {"type": "object"}}],
        "catalog": {"desk.close": "sha256"},
        "settings": {"limits": {"turns": 24}},
        **more,
    }


def reply(turn: int = 1, said: str = "I close it.", cost_usd: float | None = 0.25) -> JsonObject:
    """Return the body of a REPLY that used 10 tokens in and 2 out."""
    return {
        "turn": turn,
        "content": [{"type": "text", "text": said}],
        "stop_reason": "tool_use",
        "model": "scripted",
        "usage": Usage(input_tokens=10, output_tokens=2).as_json(),
        "cost_usd": cost_usd,
        "seconds": 1.5,
    }


OUTCOME: JsonObject = {"outcome": "closed", "reason": "Alice can log in again."}


async def begun(
    journal: Journal,
    *,
    ticket_id: str = "42",
    customer: str = ALICE,
    on_entry: Callable[[Entry], None] = lambda _: None,
) -> RunRecord:
    """Return the record of a run that has its CASE and one REPLY."""
    record = journal.record(run_id=new_run_id(), customer=journal.customer_hash(customer), on_entry=on_entry)
    await record.append(EntryKind.CASE, case(ticket_id))
    await record.append(EntryKind.REPLY, reply())
    return record


async def finished(journal: Journal, *, ticket_id: str = "42", customer: str = ALICE) -> RunRecord:
    """Return the record of a run of three entries that has ended."""
    record = await begun(journal, ticket_id=ticket_id, customer=customer)
    await record.append(EntryKind.OUTCOME, OUTCOME)
    return record
