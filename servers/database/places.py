"""Where a database is: what DATABASE_URL may say, and how a place is shown without the password in it."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_FORMS = (
    "write it as postgresql://user:password@host:5432/database, with every special character of the password "
    "percent-encoded, or as sqlite:////folder/file.sqlite"
)


class Unusable(Exception):  # noqa: N818 - reads as the sentence it is
    """A server cannot be started on what it was given; the message is one sentence for the operator."""


def parse_url(url: str) -> URL:
    """Return where a database is, with the driver that reaches it.

    Raises:
        Unusable: it is none of the URLs that are understood; the sentence repeats nothing of it, which may be secret.
    """
    try:
        place = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, which quotes it
        raise Unusable(f"DATABASE_URL cannot be used: {_FORMS}.") from None
    match place.drivername:
        case "sqlite" | "sqlite+pysqlite":
            if place.database in {None, "", ":memory:"}:
                raise Unusable("DATABASE_URL names no file: write sqlite:////folder/file.sqlite.")
            return place
        case "postgresql" | "postgres" | "postgresql+psycopg":
            # An @ that was not encoded ends the password too early: its rest would be shown as the host.
            if "@" in f"{place.host}{place.database}":
                raise Unusable(f"DATABASE_URL cannot be used: {_FORMS}.")
            return place.set(drivername="postgresql+psycopg")
        case _:
            raise Unusable(f"DATABASE_URL cannot be used, it names neither PostgreSQL nor SQLite: {_FORMS}.")


def is_sqlite(place: URL) -> bool:
    """Return whether the database is a file of this machine, and this program the only one that makes its tables."""
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
