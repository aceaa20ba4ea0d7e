"""One database per server: where it is, its transactions, its columns, its schema's version.

SQLite in a file is the default and PostgreSQL the alternative. What only one of them needs stands here alone: the
stores are written once.
"""

from servers.database.columns import Words
from servers.database.places import Unusable
from servers.database.schemas import Fill, Migration, Schema, Upgraded, open_database, reset_demo, upgrade_database
from servers.database.transactions import Database, take_turns

__all__ = [
    "Database",
    "Fill",
    "Migration",
    "Schema",
    "Unusable",
    "Upgraded",
    "Words",
    "open_database",
    "reset_demo",
    "take_turns",
    "upgrade_database",
]
