"""What a replay finds."""

from dataclasses import dataclass
from enum import StrEnum

from agent.records import EntryKind


class Cause(StrEnum):
    """What has changed since the run."""

    PROMPT = "prompt"
    CONFIGURATION = "configuration"  # the policy's part of it too: effects, bindings, limits
    CATALOG = "catalog"  # the tools that the configuration speaks of
    CODE = "code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The first place where a replay leaves the record; the two texts show as much as tells them apart."""

    seq: int  # of the recorded entry
    kind: EntryKind
    path: str  # a JSON Pointer into its body; "" is the entry as a whole
    recorded: str
    replayed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Where a replay leaves the record, and why."""

    found: Found
    cause: Cause
    because: str  # a sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What came of a replay."""

    run_id: str
    entries: int  # recorded
    compared: int  # of them, until the difference if there is one
    turns: int  # recorded
    changed: tuple[str, ...] = ()  # settings that are others now, whether that shows or not
    difference: Difference | None = None

    @property
    def is_same(self) -> bool:
        """Whether the replay has reproduced the record."""
        return self.difference is None
