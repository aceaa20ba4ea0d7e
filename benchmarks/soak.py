"""Random kills, as many as one likes: hosts, servers and both, at any boundary, on both databases at once.

What is done here is what `tests/kill` does, without its order: each life of each run is killed by chance, with a model
that does whatever comes to its mind in most of the runs. Every history is looked at in the end; one violation fails.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.machine import describe
from tests.kill.nursery import Found, Nursery
from tests.kill.places import Case, Place
from tests.kill.points import BOTH, HOST, SERVER
from tests.kill.walks import by_chance, undisturbed
from tests.postgres import Postgres, running_postgres

STORIES = ("by-chance", "by-chance", "everything", "without-keys", "handed-over")
BATCH = 40
"""Runs that share their databases."""

LIVES = 6
"""At most so many lives of one run are killed."""

MOST_SHOWN = 10
_MEMORY = Path("/dev/shm")
_NAMES = {HOST: "hosts", SERVER: "servers", BOTH: "host and servers together"}


def main() -> NoReturn:
    """Kill, look, print, and end with 1 if anything was violated."""
    options = _parser().parse_args()
    print(f"Soak: {options.kills:,} random kills, SQLite and PostgreSQL side by side, seed {options.seed}")
    print("\n".join(describe()), flush=True)
    began = time.perf_counter()
    found = _soaked(options.kills, options.seed)
    minutes, seconds = divmod(round(time.perf_counter() - began), 60)
    kills = Counter(fault.victims for one in found for fault in one.struck)
    lives = sum(len(one.endings) for one in found)
    print(f"\n{kills.total():,} kills in {len(found):,} runs and {lives:,} lives of hosts; {minutes} min {seconds} s")
    print("\n".join(f"{_NAMES[victims]:<34}{count:>10,}" for victims, count in kills.most_common()))
    violated = [one for one in found if one.violations]
    print(f"\n{len(violated):,} runs with violations")
    print("\n".join(f"{one}\n  {one.case}" for one in violated[:MOST_SHOWN]))
    sys.exit(1 if violated else 0)


def _soaked(kills: int, seed: int) -> list[Found]:
    found: list[Found] = []
    with running_postgres() as postgres, Nursery() as nursery:
        while sum(len(one.struck) for one in found) < kills:
            batch = len(found) // BATCH
            story = STORIES[batch % len(STORIES)]
            found += _batch(nursery, postgres, story, f"soak {seed} {batch}")
    return found


def _batch(nursery: Nursery, postgres: Postgres, story: str, seed: str) -> list[Found]:
    folder = Path(tempfile.mkdtemp(prefix="support-agent-soak-", dir=_MEMORY if _MEMORY.is_dir() else None))
    database = postgres.create()
    places = [Place(folder=folder / "sqlite"), Place(folder=folder / "postgresql", url=postgres.url(database))]
    try:
        for place in places:
            place.folder.mkdir()
        return nursery.run(places, _cases(story, seed, places))
    finally:
        postgres.drop(database)
        shutil.rmtree(folder)


def _cases(story: str, seed: str, places: Sequence[Place]) -> list[Case]:
    first = undisturbed(story, len(places))
    killed = by_chance(cases=BATCH - len(first), seed=seed, story=story, lives=LIVES)
    return [*first, *(case.moved(len(first)) for case in killed)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Kill hosts, servers and both at random, and look at what is left.",
    )
    parser.add_argument("--kills", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=1, help="of all chance in it")
    return parser


if __name__ == "__main__":
    main()
