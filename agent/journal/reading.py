"""What is stored, as the values that the rest of the program knows."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from agent.errors import JournalError
from agent.journal import bodies
from agent.journal.chain import Line
from agent.records import ENTRY_FORMAT, Entry, EntryKind


def entries_of(lines: Sequence[Line], documents: Mapping[str, str]) -> list[Entry]:
    """Return the entries of one run; the body of a forgotten one is what was kept of it.

    Raises:
        JournalError: a newer version wrote the run, or it is damaged.
    """
    entries: list[Entry] = []
    for line in lines:
        try:
            if line.seq == 1:
                _check_format(line)
            entries.append(entry_of(line, documents))
        except (ValueError, TypeError, KeyError) as unreadable:
            raise JournalError(
                f"Run {line.run_id} cannot be read, entry {line.seq} was changed or is damaged: "
                f"`support-agent runs verify {line.run_id}` says more."
            ) from unreadable
    return entries


def entry_of(line: Line, documents: Mapping[str, str]) -> Entry:
    """Return one entry.

    Raises:
        ValueError, TypeError, KeyError: it is not what this program writes.
    """
    body = json.loads(line.kept) if line.body is None else bodies.whole(line.kind, line.body, documents)
    return Entry(
        run_id=line.run_id,
        seq=line.seq,
        kind=EntryKind(line.kind),
        body=body,
        at=datetime.fromisoformat(line.at),
    )


def text_of(stored: str | None) -> str | None:
    """Return a text of a column; None where it holds none."""
    return None if stored is None else str(json.loads(stored))


def _check_format(first: Line) -> None:
    found = json.loads(first.kept).get("format", ENTRY_FORMAT)
    if found > ENTRY_FORMAT:
        raise JournalError(
            f"Run {first.run_id} was written by a newer version of support-agent (format {found} there, "
            f"{ENTRY_FORMAT} here): use that version."
        )
