"""Where the journal is, and how its place is shown without the password in it."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agent.errors import JournalError
from agent.settings import Settings

FILE = "journal.sqlite"
KEY_FILE = "journal.key"

_FORMS = (
    "write it as postgresql://user:password@host:5432/database, with every special character of the password "
    "percent-encoded, or as sqlite:////folder/journal.sqlite"
)


def place_of(settings: Settings) -> URL:
    """Return where the journal is, with the driver that reaches it.

    Raises:
        JournalError: SUPPORT_AGENT_JOURNAL is no URL that is understood; the sentence repeats nothing of it.
    """
    if settings.journal is None:
        return URL.create("sqlite", database=str(settings.home / FILE))
    try:
        place = make_url(settings.journal.get_secret_value())
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, which quotes it
        raise JournalError(f"SUPPORT_AGENT_JOURNAL cannot be used: {_FORMS}.") from None
    match place.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if place.database in {None, "", ":memory:"}:
                raise JournalError("SUPPORT_AGENT_JOURNAL names no file: write sqlite:////folder/journal.sqlite.")
            return place
        case "postgresql" | "postgres" | "postgresql+psycopg":
            # An @ that was not encoded ends the password too early: its rest would be shown as the host.
            if "@" in f"{place.host}{place.database}":
                raise JournalError(f"SUPPORT_AGENT_JOURNAL cannot be used: {_FORMS}.")
            return place.set(drivername="postgresql+psycopg")
        case _:
            raise JournalError(
                f"SUPPORT_AGENT_JOURNAL cannot be used, it names neither PostgreSQL nor SQLite: {_FORMS}."
            )


def is_sqlite(place: URL) -> bool:
    """Whether the journal is a file of this machine."""
    return place.get_backend_name() == "sqlite"


def shown(place: URL) -> str:
    """Return the file's path, or the URL without its password and options."""
    if is_sqlite(place):
        return str(place.database)
    socket = {name: value for name, value in place.query.items() if name == "host"}
    return URL.create(
        "postgresql",
        username=place.username,
        host=place.host,
        port=place.port,
        database=place.database,
        query=socket,
    ).render_as_string()
