"""The one kind of text column that means the same on both databases."""

import re

from sqlalchemy import Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


class Words(TypeDecorator[str]):
    """Text of any length, compared and ordered by its code points whatever collation the database has.

    What PostgreSQL cannot keep, NUL and halves of surrogate pairs, is kept as U+FFFD on both, and so finds nothing
    when it is looked for.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return the column's type: SQLite orders by code points as it is, PostgreSQL where it is told to."""
        return dialect.type_descriptor(Text(collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - its signature
        """Return the text as the databases get it."""
        return None if value is None else _NO_CHARACTER.sub("\ufffd", value)
