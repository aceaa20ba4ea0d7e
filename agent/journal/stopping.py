"""Which entries are not made while all runs are paused, and which say that infrastructure has failed."""

import json

from agent.journal.chain import Line
from agent.journal.values import Failure
from agent.records import Effect, EntryKind, JsonObject

_STARTS = frozenset({EntryKind.CASE, EntryKind.CLAIM})
_LONGEST_REASON = 300  # characters: it stands in every refusal until somebody lets runs go on


def is_held(line: Line) -> bool:
    """Whether a pause keeps this entry out: with it a run starts, or is about to write."""
    if line.kind in _STARTS:
        return True
    return line.kind == EntryKind.ATTEMPT and json.loads(line.kept).get("effect") != Effect.READ


def failure_of(line: Line, *, most: int) -> Failure | None:
    """Return the failure of infrastructure that this entry tells of, or None; `most` in a row are too many."""
    if line.kind != EntryKind.STOPPED or not json.loads(line.kept).get("is_failure", True):
        return None
    body: JsonObject = json.loads(line.body or "{}")
    # Its first line is the sentence; what may follow are a server's last words.
    sentence, _, _ = str(body.get("reason", "")).strip().partition("\n")
    return Failure(reason=in_one_line(sentence)[:_LONGEST_REASON], most=most)


def in_one_line(text: str) -> str:
    """Return the text without its line breaks and other runs of space."""
    return " ".join(text.split())
