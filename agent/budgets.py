"""What `[limits]` lets a run do and a day pay: it holds whatever the policy says, and no approval lifts it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.records import Effect, Reason, Spent
from agent.settings import Limits

_ENDINGS = frozenset({Effect.CLOSE, Effect.ESCALATE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """What has been used by the time a call is judged; a dry run counts what it has planned."""

    writes: int  # by the run: calls that were no reads
    replies: int  # of them, those that reached the customer
    spent: Spent  # by all runs since midnight UTC


def over_budget(effect: Effect, facts: Mapping[str, Any], used: Used, limits: Limits) -> tuple[Reason, ...]:
    """Return what keeps a call of this effect from being made, in sentences; nothing where every limit leaves room.

    `facts` say what the call itself would pay, if it is one that pays.
    """
    amount = facts.get("amount_cents") if effect is Effect.MONEY else None
    # What is no number, the policy refuses.
    payments = _of_the_day(amount, used, limits) if isinstance(amount, int) else ()
    return () if effect is Effect.READ else (*_of_the_run(effect, used, limits), *payments)


def _of_the_run(effect: Effect, used: Used, limits: Limits) -> Iterator[Reason]:
    if used.writes >= limits.writes and effect not in _ENDINGS:
        because = f"This run has made its {limits.writes} writes ([limits] writes); only closing or escalating is left."
        yield Reason(rule="limits.writes", because=because)
    if effect is Effect.REPLY and used.replies >= limits.replies:
        because = f"This run has sent its {limits.replies} messages to the customer ([limits] replies)."
        yield Reason(rule="limits.replies", because=because)


def _of_the_day(amount_cents: int, used: Used, limits: Limits) -> Iterator[Reason]:
    for name, most, spent, whom in (
        (
            "refunds_per_customer_day_cents",
            limits.refunds_per_customer_day_cents,
            used.spent.customer_cents,
            "one customer",
        ),
        ("refunds_per_day_cents", limits.refunds_per_day_cents, used.spent.all_cents, "all customers"),
    ):
        if spent + amount_cents > most:
            because = (
                f"{_money(amount_cents)} more would exceed the {_money(most)} that a day may pay to {whom} "
                f"([limits] {name}): {_money(spent)} are used."
            )
            yield Reason(rule=f"limits.{name}", because=because)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
