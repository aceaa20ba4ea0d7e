"""The journal's tables. Texts of any kind are JSON in ASCII; times are UTC texts that sort."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table, Text

VERSION = 2
"""Of these tables; a change to them is a new version, with a way to it in `schema.MIGRATIONS`."""

# Compared by code points on both: ids are looked up by how they begin, times by their order.
_EXACT = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()

journal = Table(
    "journal",
    metadata,
    Column("version", Integer, nullable=False),
    Column("key_check", Text, nullable=False),
)
"""One row."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", _EXACT, primary_key=True),
    Column("ticket_id", _EXACT, nullable=False, index=True),
    Column("customer", _EXACT, nullable=False, index=True),
    Column("mode", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("started_at", _EXACT, nullable=False),
    # The rest is written with the OUTCOME.
    Column("finished_at", _EXACT),
    Column("outcome", Text),
    Column("turns", Integer),
    Column("usage", Text),
    Column("cost_usd", Double),
    Column("last_seq", Integer),
    Column("seal", Text),
    Index("runs_newest", "started_at", "run_id"),
)
"""A line for each run, and the only thing in it that its entries do not say is the seal."""

entries = Table(
    "entries",
    metadata,
    Column("run_id", _EXACT, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", _EXACT, nullable=False),
    Column("writer", Text, nullable=False),
    Column("kept", Text, nullable=False),
    Column("body_digest", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("salt", Text),
    # Last: SQLite reads a row up to the column that is asked for, and bodies fill pages.
    Column("body", Text),
)
"""The record itself, appended to and never changed, but for `salt` and `body`, which `forget` empties."""

payments = Table(
    "payments",
    metadata,
    Column("run_id", _EXACT, primary_key=True),
    Column("call", _EXACT, primary_key=True),  # its `tool_use_id`, in JSON: it is a model's word
    Column("customer", _EXACT, nullable=False),
    Column("at", _EXACT, nullable=False),
    Column("cents", BigInteger, nullable=False),
    Column("is_counted", Boolean(create_constraint=False), nullable=False),  # no more once it has surely failed
    # All that a sum over a day needs, so that it reads no row.
    Index("payments_of_a_time", "at", "is_counted", "customer", "cents"),
)
"""Attempts to move money, in a line each: all of it follows from the entries."""

documents = Table(
    "documents",
    metadata,
    Column("digest", _EXACT, primary_key=True),
    Column("body", Text, nullable=False),
)
"""What many runs share: system prompts, tools, catalogs, settings."""

redactions = Table(
    "redactions",
    metadata,
    Column("run_id", _EXACT, primary_key=True),
    Column("at", _EXACT, nullable=False),
    Column("by", Text, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("signature", Text, nullable=False),
)
"""Whose texts were taken out on request, signed with the journal's key."""

switch = Table(
    "switch",
    metadata,
    Column("failures", Integer, nullable=False),  # runs in a row that infrastructure has stopped
    # The rest is of the pause, and NULL while there is none.
    Column("paused_at", _EXACT),
    Column("paused_by", Text),
    Column("reason", Text),
    Column("is_by_breaker", Boolean(create_constraint=False)),
)
"""One row: whether runs may start and write."""

rulings = Table(
    "rulings",
    metadata,
    Column("run_id", _EXACT, primary_key=True),
    Column("at", _EXACT, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text),  # emptied when the run is forgotten
)
"""Plans that a person has rejected."""
