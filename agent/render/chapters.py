"""A run's entries put together as they belong: each reply with its calls, each call with all that is told of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.records import Entry, EntryKind, JsonObject
from agent.render.bodies import objects_of, text_of

_ABOUT_CALLS = frozenset(
    {
        EntryKind.DECISION,
        EntryKind.APPROVAL,
        EntryKind.ATTEMPT,
        EntryKind.SAMPLING,
        EntryKind.ELICITATION,
        EntryKind.ROOTS,
        EntryKind.RESULT,
    }
)


@dataclass(kw_only=True, slots=True)
class RecordedCall:
    """One call and its entries, in their order; entries of calls that were made together lie between each other's."""

    tool_use_id: str
    asked: JsonObject = field(default_factory=dict[str, object])  # the model's own words; empty for calls of the host
    entries: list[Entry] = field(default_factory=list[Entry])

    def last(self, kind: EntryKind) -> JsonObject | None:
        """Return the body of the last entry of this kind, if there is one."""
        return next((entry.body for entry in reversed(self.entries) if entry.kind is kind), None)


@dataclass(kw_only=True, slots=True)
class Chapter:
    """An entry that stands for itself, and the calls that follow from it."""

    head: Entry | None  # None: the record does not begin as one does
    calls: dict[str, RecordedCall] = field(default_factory=dict[str, RecordedCall])


def chapters(entries: Sequence[Entry]) -> list[Chapter]:
    """Return the record in chapters, in the order in which they began.

    A call belongs to the last reply that asked for it, even when another process made it much later.
    """
    found: list[Chapter] = []
    for entry in entries:
        if entry.kind not in _ABOUT_CALLS:
            found.append(Chapter(head=entry, calls=_asked(entry)))
            continue
        call_id = text_of(entry.body, "tool_use_id")
        home = next((chapter for chapter in reversed(found) if call_id in chapter.calls), None)
        if home is None:
            found = found or [Chapter(head=None)]
            home = found[-1]
            home.calls[call_id] = RecordedCall(tool_use_id=call_id)
        home.calls[call_id].entries.append(entry)
    return found


def _asked(entry: Entry) -> dict[str, RecordedCall]:
    if entry.kind is not EntryKind.REPLY:
        return {}
    blocks = [block for block in objects_of(entry.body, "content") if block.get("type") == "tool_use"]
    ids = [text_of(block, "id") for block in blocks]
    return {call_id: RecordedCall(tool_use_id=call_id, asked=block) for call_id, block in zip(ids, blocks, strict=True)}
