"""What one run has done and used so far: its effects, versions, tokens, dollars and seconds."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.records import CallStatus, Effect, EffectReport, Usage

_ENDINGS = frozenset({Effect.CLOSE, Effect.ESCALATE})
_HAPPENED = frozenset({CallStatus.DONE, CallStatus.PLANNED})
_LEFT = _HAPPENED | {CallStatus.UNCERTAIN}


@dataclass(kw_only=True)
class Ledger:
    """The mutable side of a run, kept in one place; the gate and the loop write it, everyone may read it."""

    versions: dict[str, Any] = field(default_factory=dict[str, Any])  # of `ticket` and `customer`, for the next write
    effects: list[EffectReport] = field(default_factory=list[EffectReport])  # every call that was not a read
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0  # None as soon as one price is unknown
    turns: int = 0
    waited_s: float = 0.0  # for a person
    in_flight: dict[str, str] = field(default_factory=dict[str, str])  # tool_use_id → server.tool, no read among them
    has_ended: bool = False  # closed or escalated by this run, or planned to be
    began: float = field(default_factory=time.monotonic)
    _waits: int = field(default=0, init=False, repr=False)  # questions that a person has before them now
    _waits_since: float = field(default=0.0, init=False, repr=False)

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return time.monotonic() - self.began

    @property
    def writes(self) -> int:
        """How many calls left, or would have in a dry run, that were not reads."""
        return sum(effect.status in _LEFT for effect in self.effects)

    def begin(self) -> None:
        """Start the run's clock: what was prepared ahead has used nothing of its time yet."""
        self.began = time.monotonic()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count the time of the block as waiting for a person; where blocks overlap, it counts once."""
        if self._waits == 0:
            self._waits_since = time.monotonic()
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if self._waits == 0:
                self.waited_s += time.monotonic() - self._waits_since

    def note(self, effect: Effect, report: EffectReport) -> None:
        """Add one call that was not a read, whatever became of it."""
        self.effects.append(report)
        self.has_ended |= effect in _ENDINGS and report.status in _HAPPENED

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Add what one request to the model used."""
        self.usage += usage
        self.cost_usd = None if cost_usd is None or self.cost_usd is None else self.cost_usd + cost_usd
