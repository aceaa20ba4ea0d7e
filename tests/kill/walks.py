"""Which cases a walk consists of: every boundary that an undisturbed run passes is struck at."""

import random
from collections.abc import Sequence

from tests.kill.places import FIRST, Case
from tests.kill.points import BOTH, HOST, SERVER, Fault, Passed
from tests.kill.stories import COURIER, STORIES

_OPENING = 40  # boundaries that a host passes before it has anything to lose
_WORK = 250  # about as many as it passes then
_SERVED = 25  # about as many as a server passes

_PLUMBING = ("discover", "/list", "listen", "resources/", "prompts/")
_MEANWHILE = ("append sampling", "append roots", "append elicitation", "sampling", "form")


def boundaries(trail: Sequence[Passed]) -> list[Passed]:
    """Return the boundaries of a run, without the protocol's own plumbing and the host's reads around it."""
    return [passed for passed in trail if not any(word in passed.boundary for word in _PLUMBING)]


def is_about_a_call(passed: Passed) -> bool:
    """Whether a server is at work, or about to be."""
    return passed.process != HOST or passed.boundary.startswith(("call", "append attempt", *_MEANWHILE))


def is_about_the_courier(passed: Passed) -> bool:
    """Whether it concerns the server that knows no keys, or something that it does."""
    return passed.process == COURIER or any(tool in passed.boundary for tool in ("send_parcel", "credit"))


def faults(passed: Sequence[Passed], victims: Sequence[str], *, turn: int = 0) -> list[Fault]:
    """Return a fault for each of these boundaries; the victims take turns."""
    return [
        Fault(process=here.process, at=here.boundary, victims=victims[(number + turn) % len(victims)])
        for number, here in enumerate(passed)
    ]


def chains(story: str, wanted: Sequence[Fault], *, longest: int, first: int) -> list[Case]:
    """Return few cases in which all of these faults strike, each as far from the next as can be.

    `longest` is the most kills in one run: each life goes on where the one before was killed.
    """
    count = -(-len(wanted) // longest)
    return at_once(story, [wanted[number::count] for number in range(count)], first=first)


def at_once(story: str, groups: Sequence[Sequence[Fault]], *, first: int) -> list[Case]:
    """Return a case for each of these groups of faults."""
    return [
        Case(number=FIRST + first + number, story=story, seed="killed", faults=group)
        for number, group in enumerate(groups)
    ]


def undisturbed(story: str, count: int) -> list[Case]:
    """Return the cases to which the others are compared, one for each place."""
    return [Case(number=FIRST + number, story=story, seed="undisturbed") for number in range(count)]


def by_chance(*, cases: int, seed: str, story: str = "by-chance", lives: int = 3) -> list[Case]:
    """Return cases in which in each of the first lives somebody is killed somewhere, by this seed alone."""
    chance = random.Random(seed)
    return [
        Case(
            number=FIRST + number,
            story=story,
            seed=f"{seed} {number}",
            faults=[_fault(chance, story, life) for life in range(1, chance.randrange(1, lives + 1) + 1)],
        )
        for number in range(cases)
    ]


def _fault(chance: random.Random, story: str, life: int) -> Fault:
    process = chance.choice([HOST, HOST, *STORIES[story].servers])
    # More often early: what is left for a later life is short.
    at = _OPENING + int(_WORK * chance.random() ** 2) if process == HOST else chance.randrange(1, _SERVED)
    return Fault(process=process, at=at, victims=chance.choice([HOST, SERVER, BOTH]), life=life)
