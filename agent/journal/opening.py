"""Opening a journal: its database, its tables' version, its key."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy import Engine

from agent.errors import JournalError
from agent.journal import schema
from agent.journal.engines import engine_for, make_private_folder
from agent.journal.faults import told
from agent.journal.hiding import secrets_of
from agent.journal.journal import Journal
from agent.journal.key import Key, make_key, read_key
from agent.journal.places import KEY_FILE, is_sqlite, place_of, shown
from agent.journal.store import Store
from agent.journal.values import Upgraded
from agent.settings import Settings

UPGRADE_TIMEOUT_S = 30.0
"""How long an upgrade waits for another process that writes a SQLite file."""


def opened(settings: Settings, *, busy_timeout_s: float) -> Journal:
    """See `agent.journal.open_journal`."""
    engine = engine_for(place_of(settings), busy_timeout_s=busy_timeout_s)
    with _closed_on_failure(engine):
        with engine.begin() as connection:
            header = schema.found(connection)
        if header is None and not is_sqlite(engine.url):
            raise JournalError(
                f"{shown(engine.url)} has no tables for the journal yet: run `support-agent db upgrade`."
            )
        if header is None:
            header, key = _create(engine, settings)
        else:
            schema.check_version(engine, header)
            key = _key(settings) or _missing_key(engine, settings)
        _check_key(engine, settings, key, header)
    return Journal(Store(engine), key, secrets_of(settings), most_failures=settings.limits.failures_in_a_row)


def upgraded(settings: Settings) -> Upgraded:
    """See `agent.journal.upgrade_journal`."""
    engine = engine_for(place_of(settings), busy_timeout_s=UPGRADE_TIMEOUT_S, is_upgrade=True)
    with _closed_on_failure(engine):
        with engine.begin() as connection:
            header = schema.found(connection)
        before = None if header is None else header.version
        if header is None:
            header, key = _create(engine, settings)
            _check_key(engine, settings, key, header)
        version = header.version
        while version < schema.VERSION:
            with engine.execution_options(is_write=True).begin() as connection:
                version = schema.migrate(connection)
        schema.check_version(engine, schema.Header(version=version, key_check=header.key_check))
    engine.dispose()
    return Upgraded(place=shown(engine.url), before=before, after=version)


@contextmanager
def _closed_on_failure(engine: Engine) -> Generator[None]:
    try:
        with told(engine):
            yield
    except BaseException:
        engine.dispose()
        raise


def _create(engine: Engine, settings: Settings) -> tuple[schema.Header, Key]:
    # The key first: tables whose key was never stored could not be opened again.
    key = _key(settings) or _new_key(settings)
    with engine.execution_options(is_write=True).begin() as connection:
        return schema.create(connection, key.check), key


def _key(settings: Settings) -> Key | None:
    if settings.journal_key is None:
        return read_key(settings.home / KEY_FILE)
    try:
        return Key(settings.journal_key.get_secret_value())
    except ValueError:
        raise JournalError("SUPPORT_AGENT_JOURNAL_KEY must be 64 hexadecimal digits.") from None


def _new_key(settings: Settings) -> Key:
    make_private_folder(settings.home)
    return make_key(settings.home / KEY_FILE)


def _missing_key(engine: Engine, settings: Settings) -> NoReturn:
    raise JournalError(
        f"The key of the journal {shown(engine.url)} is missing: restore {settings.home / KEY_FILE} from a backup or "
        "from the machine that made the journal, or set SUPPORT_AGENT_JOURNAL_KEY."
    )


def _check_key(engine: Engine, settings: Settings, key: Key, header: schema.Header) -> None:
    if key.check == header.key_check:
        return
    source = settings.home / KEY_FILE if settings.journal_key is None else "SUPPORT_AGENT_JOURNAL_KEY"
    raise JournalError(
        f"The journal {shown(engine.url)} was begun with another key than {source} holds: restore the key that it was "
        "begun with, or move the journal away to begin a new one."
    )
