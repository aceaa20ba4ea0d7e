"""Effects that happen once: a call's result is stored under its idempotency key, with the effect itself."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import JSON, Column, Connection, Integer, MetaData, Table, insert, select

from servers.checks import Refused
from servers.database import Database, Words, take_turns

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool call as its effect needs to know it: what was asked, by whom, under which key."""

    tool: str
    arguments: JsonObject  # as they were sent
    actor: str
    key: str | None = None
    is_void: bool = False  # store "cancelled" under the key instead of acting

    @property
    def digest(self) -> str:
        """A fingerprint of the arguments, equal for equal JSON."""
        canonical = json.dumps(self.arguments, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a call came to."""

    result: JsonObject | None  # None: the call was cancelled under its key and never acted
    is_new: bool  # False: an earlier call with this key did it


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One change: the fields that changed, before and after it."""

    at: str
    actor: str
    kind: str
    before: JsonObject
    after: JsonObject
    key: str | None


def now() -> str:
    """Return the time as the tables keep it."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """Return an aware time in the one form that the tables keep: UTC, milliseconds, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def keys_table(name: str, metadata: MetaData) -> Table:
    """Return the table of used idempotency keys; a null result is a cancelled call's."""
    return Table(
        name,
        metadata,
        Column("key", Words, primary_key=True),
        Column("tool", Words, nullable=False),
        Column("digest", Words, nullable=False),
        Column("result", JSON(none_as_null=True)),
        Column("at", Words, nullable=False),
    )


def events_table(name: str, metadata: MetaData, subject: Column[Any]) -> Table:
    """Return the log of every change to a `subject`: when, who, what kind, before, after, under which key."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        subject,
        Column("at", Words, nullable=False),
        Column("actor", Words, nullable=False),
        Column("kind", Words, nullable=False),
        Column("before", JSON, nullable=False),
        Column("after", JSON, nullable=False),
        Column("key", Words),
    )


def perform(database: Database, keys: Table, call: Call, effect: Callable[[Connection], JsonObject]) -> Done:
    """Run `effect` and store its result under the call's key in one transaction, once per key.

    `effect` makes all its checks inside: a used key answers with the first result whatever has changed since,
    and a refusal leaves the key unused. It may be run again after its transaction was given up.

    Raises:
        Refused: the key belongs to another call or was cancelled, or the effect itself refuses.
    """

    def once(connection: Connection) -> Done:
        if call.key is not None:
            # Before anything is read: who sends the same call meanwhile waits here, and then finds the result.
            take_turns(connection, f"{keys.name} {call.key}")
        earlier = _earlier(connection, keys, call)
        if earlier is not None:
            return earlier
        result = None if call.is_void else effect(connection)
        if call.key is not None:
            row = {"key": call.key, "tool": call.tool, "digest": call.digest, "result": result, "at": now()}
            connection.execute(insert(keys).values(row))
        return Done(result=result, is_new=True)

    return database.transact(once, is_repeatable=call.key is not None)


def would_act(database: Database, keys: Table, call: Call) -> bool:
    """Return whether the call would run its effect; whoever asks a person or a model first, asks here before.

    Raises:
        Refused: the key belongs to another call, or was cancelled.
    """
    if call.is_void:
        return False
    with database.reading() as connection:
        return _earlier(connection, keys, call) is None


def _earlier(connection: Connection, keys: Table, call: Call) -> Done | None:
    if call.key is None:
        if call.is_void:
            raise Refused("Only a call with an idempotency key can be cancelled: send its key too.")
        return None
    row = connection.execute(select(keys).where(keys.c.key == call.key)).one_or_none()
    if row is None:
        return None
    if (row.tool, row.digest) != (call.tool, call.digest):
        raise Refused(
            "This idempotency key was used for another call, so nothing was done: "
            "send the same tool and arguments again, or a new key."
        )
    if row.result is None and not call.is_void:
        raise Refused("This call was cancelled before it was made, so nothing was done: send it with a new key.")
    return Done(result=row.result, is_new=False)
