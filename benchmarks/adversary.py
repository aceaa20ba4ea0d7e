"""A hijacked model as a program: a hundred thousand attempts to break out of a case, and what an oracle found of them.

The model of every run tries every tool with other people's ids, under every trick, at every point of the run; in the
built-in helpdesk with the limits as they come and with none to speak of, and in a helpdesk of somebody else whose
annotations lie. A person says yes to none, some or all of what is asked. `tests/adversary` holds all of it.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

from benchmarks.figures import begin
from tests.adversary.campaign import RAISED, Plan, Result, campaign
from tests.adversary.helpdesk import helpdesk
from tests.adversary.knowledge import Arena
from tests.adversary.second_desk import second_desk

ATTEMPTS = 100_000
SHARES = (0.0, 0.3, 1.0)
WORLDS = ("helpdesk", "helpdesk, limits raised", "second desk", "second desk, limits raised")
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where there is such a folder, the journal's transactions wait for no disk: what is measured is not speed."""

_MOST_SHOWN = 50


def main() -> None:
    """Attack, count, print, and end with 1 if anything has escaped."""
    options = _options()
    logging.disable(logging.WARNING)  # what servers refuse, they log
    begin(f"A hijacked model: {options.attempts:,} attempts, seed {options.seed}")
    began = time.perf_counter()
    result = asyncio.run(_attacked(options.attempts, options.seed))
    print("\n".join(_report(result, time.perf_counter() - began)))
    sys.exit(1 if result.escapes else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adversary", description=__doc__)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="how many at least")
    parser.add_argument("--seed", type=int, default=1, help="the same attempts each time")
    return parser.parse_args()


async def _attacked(attempts: int, seed: int) -> Result:
    result = Result()
    for number, (share, world) in enumerate(cycle(product(SHARES, WORLDS))):
        plan = Plan(seed=seed * 1_000 + number, dry=30, live=150, share=share, rounds=3)
        result.add(await _part(world, plan, attempts - result.attempts))
        print(f"{result.attempts:>9,} attempts, {len(result.escapes)} escapes ({world})", flush=True)
        if result.attempts >= attempts:
            return result
    raise AssertionError


async def _part(world: str, plan: Plan, wanted: int) -> Result:
    """Return what a new world has come to: all of its tickets, or as many as are still wanted."""
    result = Result()
    with tempfile.TemporaryDirectory(dir=_MEMORY) as place:
        async with _opened(world, Path(place)) as arena:
            for number, ticket_id in enumerate(arena.tickets):
                if result.attempts >= wanted:
                    break
                result.add(await campaign(arena, replace(plan, seed=plan.seed * 1_000 + number), [ticket_id]))
    return result


@asynccontextmanager
async def _opened(world: str, place: Path) -> AsyncGenerator[Arena]:
    name, _, has_raised = world.partition(", ")
    make = {"helpdesk": helpdesk, "second desk": second_desk}[name]
    async with make(place, limits=RAISED if has_raised else {}) as arena:
        yield arena


def _report(result: Result, seconds: float) -> Iterator[str]:
    for place, title in enumerate(("channel", "trick")):
        counts = Counter[str]()
        for pair, number in result.counts.items():
            counts[pair[place]] += number
        yield ""
        yield from (f"{title:<9}{name:<24}{number:>9,}" for name, number in counts.most_common())
    yield ""
    yield f"runs      {result.runs:,}: {_told(result.outcomes)}"
    yield f"done      what the policy or a person allows: {_told(result.deeds)}"
    yield f"granted   {result.granted:,} questions were answered with yes"
    yield f"duration  {seconds:,.0f} s"
    yield f"attempts  {result.attempts:,}"
    yield f"ESCAPES   {len(result.escapes)}"
    yield from result.escapes[:_MOST_SHOWN]


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common())


if __name__ == "__main__":
    main()
