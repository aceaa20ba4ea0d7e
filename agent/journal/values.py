"""What the journal tells about runs, and what it stores beside an entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.records import OutcomeKind, Owner, RunMode, Spent, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run in a line; everything in it follows from the run's entries."""

    run_id: str
    ticket_id: str
    customer: str  # a keyed hash of the requester's address
    mode: RunMode
    model: str
    outcome: OutcomeKind | None  # None: not finished
    reason: str | None  # None: not finished, or forgotten
    started_at: datetime
    finished_at: datetime | None
    turns: int
    usage: Usage
    cost_usd: float | None  # None: the price of a reply is not known
    owner: Owner  # who began the run, or claimed it last
    is_forgotten: bool


class Soundness(StrEnum):
    """What a look at a run's digests says."""

    OK = "ok"  # every entry is as it was written
    REDACTED = "redacted"  # its texts were forgotten on request; what is left is as it was written
    TAMPERED = "tampered"  # changed by something else than this program


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """Whether one run's record is as it was written, and where it is not."""

    run_id: str
    soundness: Soundness
    entries: int
    is_finished: bool
    seq: int | None = None  # the first entry that is wrong
    problem: str | None = None  # what is wrong with it, in words

    @property
    def is_sound(self) -> bool:
        """Whether nothing but `forget` has changed the record."""
        return self.soundness is not Soundness.TAMPERED


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """What `forget` did."""

    runs: int
    entries: int  # whose texts are gone
    left_out: int  # runs that are not finished: they may be resumed, and need their texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgraded:
    """What an upgrade found and left."""

    place: str
    before: int | None  # None: there were no tables
    after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """All runs are stopped: none starts, and none writes."""

    since: datetime
    by: str  # the operator's account, or what the breaker is called
    reason: str | None  # in one line; None: nobody gave one
    is_by_breaker: bool  # nobody did it: too many runs in a row were stopped by infrastructure

    @property
    def told(self) -> str:
        """Since when, by whom and why, without a full stop: `since … UTC by dana: database maintenance`."""
        return f"{self._since} by {self.by}{self._because}"

    @property
    def sentence(self) -> str:
        """What is said to whoever may not start or write, with the way out."""
        said = f"All runs are paused {self.told}"
        if self.is_by_breaker:
            said = f"The failure breaker has paused all runs {self._since}{self._because}"
        return f"{said}. `support-agent unpause` lets them go on."

    @property
    def _since(self) -> str:
        return f"since {self.since:%Y-%m-%d %H:%M} UTC"

    @property
    def _because(self) -> str:
        return f": {self.reason.rstrip('.')}" if self.reason else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """A person has rejected the plan of this run: it is not to be applied."""

    run_id: str
    at: datetime
    by: str  # the operator's account
    because: str | None  # None: forgotten with the run

    @property
    def told(self) -> str:
        """What has become of the plan, without a full stop: `rejected by dana on … UTC: …`."""
        because = f": {self.because.rstrip('.')}" if self.because else ""
        return f"rejected by {self.by} on {self.at:%Y-%m-%d %H:%M} UTC{because}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A run that infrastructure has stopped, and how many of them in a row are too many."""

    reason: str
    most: int

    def told(self, number: int) -> str:
        """Return why all runs are paused after so many of them."""
        if number == 1:
            return f"a run was stopped by infrastructure: {self.reason}"
        return f"{number} runs in a row were stopped by infrastructure, the last by: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which runs are looked for; None asks for nothing."""

    run_id: str | None = None
    ticket_id: str | None = None
    outcome: OutcomeKind | None = None
    since: datetime | None = None  # of their start
    mode: RunMode | None = None
    is_finished: bool | None = None
    limit: int | None = None  # the newest of them


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What a run has used."""

    turns: int
    usage: Usage
    cost_usd: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """An attempt to move money."""

    run_id: str
    call: str  # as the table has it
    customer: str
    at: str
    cents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What changes with an entry, in its transaction."""

    run: Mapping[str, Any] = field(default_factory=dict[str, Any])  # columns of `runs`
    documents: Mapping[str, str] = field(default_factory=dict[str, str])  # digest → JSON
    payment: Payment | None = None
    spent: Spent | None = None  # the payment is made only while this is what was spent before it
    failed_call: str | None = None  # a payment of it, if there is one, counts no more
    is_held: bool = False  # nothing of this is done while all runs are paused
    failure: Failure | None = None  # the run is stopped by it
