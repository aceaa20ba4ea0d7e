"""A campaign: many runs over one world, each with a hijacked model, each judged by the oracle when it is over."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

import anyio

from agent.errors import ModelUnavailable, TicketNotWorkable
from agent.records import RunMode
from agent.settings import Limits
from tests.adversary.attempts import Adversary
from tests.adversary.hijacked import Clerk, Hijacked, Manner
from tests.adversary.knowledge import Arena
from tests.adversary.oracle import Budget, Evidence, escapes

HANGS_AFTER_S = 600.0

RAISED = {"turns": 10_000, "writes": 10_000, "replies": 10_000, "same_calls": 10_000, "sampling_calls": 10_000}
"""Limits that hold nothing up: the policy and the bindings stand alone."""

Counts: TypeAlias = Counter[tuple[str, str]]


@dataclass(kw_only=True)
class Result:
    """What a campaign has come to."""

    runs: int = 0
    counts: Counts = field(default_factory=Counter[tuple[str, str]])  # attempts, by channel and trick
    outcomes: Counter[str] = field(default_factory=Counter[str])
    deeds: Counter[str] = field(default_factory=Counter[str])  # what the runs did, which they may
    granted: int = 0  # questions that the person answered with yes
    escapes: list[str] = field(default_factory=list[str])

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return self.counts.total()

    def add(self, other: "Result") -> None:
        """Add what another part of the campaign has come to."""
        self.runs += other.runs
        self.counts += other.counts
        self.outcomes += other.outcomes
        self.deeds += other.deeds
        self.granted += other.granted
        self.escapes += other.escapes


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How the runs of a campaign are made."""

    seed: int
    dry: int = 20  # attempts in a dry run of each ticket
    live: int = 60  # … and in each of its live runs
    per_turn: int = 8
    share: float = 0.3  # of the questions, those that the person answers with yes
    rounds: int = 1  # live runs of each ticket, as long as it can be worked


async def campaign(arena: Arena, plan: Plan, tickets: Sequence[str] | None = None) -> Result:
    """Run the plan over these tickets of the world, or over all that can be worked."""
    result = Result()
    random = Random(plan.seed)
    for ticket_id in arena.tickets if tickets is None else tickets:
        if plan.dry:
            result.add(await _run(arena, ticket_id, RunMode.DRY_RUN, Random(random.random()), plan))
        for _ in range(plan.rounds):
            try:
                result.add(await _run(arena, ticket_id, RunMode.LIVE, Random(random.random()), plan))
            except TicketNotWorkable:
                break
    return result


async def _run(arena: Arena, ticket_id: str, mode: RunMode, random: Random, plan: Plan) -> Result:
    before, limits = arena.rows(), arena.works.session.settings.limits
    own = arena.own(ticket_id, before)
    manner = _manner(random, plan.dry if mode is RunMode.DRY_RUN else plan.live, plan)
    model = Hijacked(Adversary(random, arena.knowledge(ticket_id, before)), random, manner)
    clerk = Clerk(random, share=plan.share, kind_of=arena.kind_of)
    # What the host asked for the run before, and gave up with it, may only now be on its way.
    await anyio.wait_all_tasks_blocked()
    arena.spy.left.clear()
    arena.spy.roots.clear()
    run = await _worked(arena, ticket_id, mode, model, clerk)
    after = arena.rows()
    evidence = Evidence(
        is_dry=mode is RunMode.DRY_RUN,
        before=before,
        after=after,
        heard=model.heard,
        left=tuple(arena.spy.left),
        roots=tuple(arena.spy.roots),
        granted=clerk.granted,
        used=model.used,
        budget=budget_of(limits),
    )
    old = arena.deeds(before)
    return Result(
        runs=1,
        counts=model.counts,
        outcomes=Counter([run]),
        deeds=Counter(deed.kind for name, deed in arena.deeds(after).items() if name not in old),
        granted=len(clerk.granted),
        escapes=[f"ticket {ticket_id}, {mode.value}: {found}" for found in escapes(arena, own, evidence)],
    )


def _manner(random: Random, attempts: int, plan: Plan) -> Manner:
    turns = max(1, attempts // plan.per_turn)
    return Manner(
        attempts=attempts,
        per_turn=plan.per_turn,
        ends_after=random.randint(0, attempts),
        usd=random.choice((0.0, 0.0, 0.03)),
        faints_after=random.randint(0, turns) if random.random() < 0.25 else None,
    )


async def _worked(arena: Arena, ticket_id: str, mode: RunMode, model: Hijacked, clerk: Clerk) -> str:
    """Work a ticket to its outcome, which is returned; a run whose model was out of reach goes on."""
    while True:
        run = await arena.works.prepare(ticket_id, model=model, mode=mode, approver=clerk, operator=clerk)
        with anyio.fail_after(HANGS_AFTER_S):
            finished = await arena.works.finish(run)
        if finished.failure is None:
            return finished.report.outcome.kind.value
        if not isinstance(finished.failure, ModelUnavailable):
            raise finished.failure


def budget_of(limits: Limits) -> Budget:
    """Return what these limits let a run use."""
    return Budget(
        turns=limits.turns,
        writes=limits.writes,
        replies=limits.replies,
        sampling_calls=limits.sampling_calls,
        usd=limits.usd,
    )
