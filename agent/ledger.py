"""What one run has done and used so far: its effects, versions, tokens, dollars and seconds."""

import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from agent.records import CallStatus, Decision, Effect, EffectReport, ToolResult, Usage, objections

_ENDINGS = frozenset({Effect.CLOSE, Effect.ESCALATE})
_HAPPENED = frozenset({CallStatus.DONE, CallStatus.PLANNED})
_LEFT = _HAPPENED | {CallStatus.UNCERTAIN}
MOVING = frozenset({CallStatus.DONE, CallStatus.UNCERTAIN})
"""What may have moved a version: a write that came back with one, or may have taken effect."""

_PATIENCE: Mapping[str, tuple[int, str]] = {
    "leaves": (1, "a text held something that may not leave, and its next version did too; it is withheld"),
    "text": (1, "a text to the customer was not as it must be, and its next version was not either"),
    "sources": (1, "a text rested on articles that were not read, and its next version did too"),
    "ticket": (2, "the ticket kept changing while it was worked"),
}
"""How many turns of a kind are sent back to the model, and why people take over when there is one more."""

_SURELY_NOT = frozenset({CallStatus.FAILED, CallStatus.DENIED})


def _now() -> float:
    return time.monotonic()


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
    replies: int = 0  # calls that reached the customer, or may have, or would have
    payments: dict[str, int] = field(default_factory=dict[str, int])  # tool_use_id → cents, unless it surely failed
    has_ended: bool = False  # closed or escalated by this run, or planned to be
    unknown_payment: str | None = None  # server.tool of a call that may have moved money, and no one can say
    objected: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Turns in which something of a kind was sent back to the model: a text that may not leave, a ticket that moved."""
    asked_back: dict[str, str] = field(default_factory=dict[str, str])
    """What servers wanted to know that a plan holds no answer to, by call."""
    began: float = field(default_factory=time.monotonic)
    used_s: float = 0.0  # by the processes that worked this run before
    clock: Callable[[], float] = field(default=_now, repr=False)  # seconds
    aside: Callable[[], AbstractAsyncContextManager[None]] = field(default=nullcontext, repr=False)
    """Entered while a person is asked: lets others have what this run does not need meanwhile."""
    _known: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)  # the versions at the last reply
    _waits: int = field(default=0, init=False, repr=False)  # questions that a person has before them now
    _waits_since: float = field(default=0.0, init=False, repr=False)

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return self.used_s + self.clock() - self.began

    @property
    def writes(self) -> int:
        """How many calls left, or would have in a dry run, that were not reads."""
        return sum(effect.status in _LEFT for effect in self.effects)

    def begin(self) -> None:
        """Start the run's clock: what was prepared ahead has used nothing of its time yet."""
        self.began = self.clock()

    @property
    def paid_cents(self) -> int:
        """The money that this run has moved, may have moved, or would have in a dry run."""
        return sum(self.payments.values())

    @asynccontextmanager
    async def waiting(self) -> AsyncGenerator[None]:
        """Count the time of the block as waiting for a person; where blocks overlap, it counts once."""
        if self._waits == 0:
            self._waits_since = self.clock()
        self._waits += 1
        try:
            async with self.aside():
                yield
        finally:
            self._waits -= 1
            if self._waits == 0:
                self.waited_s += self.clock() - self._waits_since

    def pay(self, tool_use_id: str, effect: Effect, facts: Mapping[str, Any]) -> None:
        """Count what a call is about to pay, if it is one that moves money."""
        if effect is Effect.MONEY:
            self.payments[tool_use_id] = facts["amount_cents"]

    def settle(self, tool_use_id: str, status: CallStatus) -> None:
        """Count it no more, if the call has surely paid nothing."""
        if status in _SURELY_NOT:
            self.payments.pop(tool_use_id, None)

    def note(self, effect: Effect, report: EffectReport) -> None:
        """Add one call that was not a read, whatever became of it."""
        self.effects.append(report)
        self.replies += effect is Effect.REPLY and report.status in _LEFT
        self.has_ended |= effect in _ENDINGS and report.status in _HAPPENED
        if effect is Effect.MONEY and report.status is CallStatus.UNCERTAIN:
            self.unknown_payment = report.qualified

    def hear(self) -> None:
        """Take a reply of the model: what its calls ask was asked with the versions of now in view."""
        self.turns += 1
        self._known = dict(self.versions)

    def reread(self, told: Iterable[ToolResult]) -> None:
        """Take the versions that the last reply's results, in their order, have shown the model.

        Where a write of that same reply has moved a version, that one stands: the write was asked for before the
        model had seen the text. But a write that was sent back because the ticket had moved comes with its new text.
        """
        for result in told:
            for owner, version in result.versions.items():
                is_sent_back = result.status is CallStatus.FAILED
                if is_sent_back or self.versions.get(owner) == self._known.get(owner):
                    self.versions[owner] = version
                    self._known[owner] = version

    def object(self, decision: Decision) -> None:
        """Note what a decision on one of the present turn's calls sends back to the model, if it does."""
        for kind in objections(decision):
            self.objected[kind].add(self.turns)

    def rebase(self, ticket_version: Any) -> None:
        """Take the ticket's version where a write of this run has moved it without saying where to."""
        if self.versions.get("ticket") is None:
            self.versions["ticket"] = ticket_version

    def declined(self, tool_use_id: str, server: str, wanted: str) -> None:
        """Note that a server wanted something of this call that nobody answers in this run."""
        self.asked_back.setdefault(tool_use_id, f"{server} wanted {wanted}")

    @property
    def sent_back_too_often(self) -> str | None:
        """Why people take over: the model was sent back for the same kind of thing as often as it may be."""
        return next((why for kind, (most, why) in _PATIENCE.items() if len(self.objected[kind]) > most), None)

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Add what one request to the model used."""
        self.usage += usage
        self.cost_usd = None if cost_usd is None or self.cost_usd is None else self.cost_usd + cost_usd
