"""A run's record that lives as long as its process: for tests, and for commands that leave nothing behind."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from agent.records import Entry, EntryKind, JsonObject, Spent


def new_run_id() -> str:
    """Return a run id that sorts by its start: `20261122-171501-9f3a2c`, UTC."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class MemoryJournal:
    """A Recorder that keeps its entries in a list and shows each one as it is appended."""

    def __init__(self, run_id: str, on_entry: Callable[[Entry], None]) -> None:
        self._run_id = run_id
        self._on_entry = on_entry
        self._entries: list[Entry] = []

    @property
    def run_id(self) -> str:
        """The run that these entries belong to."""
        return self._run_id

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything recorded so far, in order."""
        return tuple(self._entries)

    async def append(
        self,
        kind: EntryKind,
        body: JsonObject,
        *,
        spent: Spent | None = None,  # noqa: ARG002 - nobody else moves money here
    ) -> Entry:
        """Append one entry with the next number and return it."""
        entry = Entry(run_id=self._run_id, seq=len(self._entries) + 1, kind=kind, body=body, at=datetime.now(UTC))
        self._entries.append(entry)
        self._on_entry(entry)
        return entry
