"""Whoever is killed at whatever boundary of a run, the same command again comes to what an undisturbed run comes to.

An undisturbed run shows which boundaries there are; then each of them is struck, on both databases. What is looked at
in the end are the databases and the logs alone (`checking.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.databases import KINDS
from tests.kill import walks
from tests.kill.fixtures import NewPlaces
from tests.kill.nursery import Nursery
from tests.kill.places import Case, Place
from tests.kill.points import BOTH, HOST, SERVER, Fault, Passed, read_trail

Record = Callable[[str, object], None]


class Walk:
    """One test's walk over boundaries: it lives through cases, and accounts for every fault."""

    def __init__(self, nursery: Nursery, new_places: NewPlaces, record_property: Record) -> None:
        self._nursery, self._new_places, self._record = nursery, new_places, record_property

    def learned(self, story: str, *faults: Fault) -> list[Passed]:
        """Return what a run passes that nobody disturbs, or only by these faults; on both databases it is the same."""
        known = self._nursery.trails
        if (story, faults) not in known:
            (place, *_) = self._new_places()
            [undisturbed] = walks.undisturbed(story, 1)
            [case] = walks.at_once(story, [faults], first=1)
            self._lived([place], [undisturbed, case])
            known[story, faults] = read_trail(place.of(case) / "trail")
        return known[story, faults]

    def strike(self, story: str, faults: Sequence[Fault], *, longest: int = 8) -> None:
        """Strike at every one of these boundaries, several in each run."""
        chained = walks.chains(story, faults, longest=longest, first=0)
        missed = self.live(story, chained)
        # Reads that run together may overtake each other, and then a chain has gone by.
        still = self.live(story, walks.at_once(story, [[fault] for fault in missed], first=0)) if missed else []
        assert still == []

    def live(self, story: str, cases: Sequence[Case]) -> list[Fault]:
        """Live through these cases, beside an undisturbed one in each place; return the faults that did not strike."""
        places = self._new_places()
        moved = [case.moved(len(places)) for case in cases]
        return self._lived(places, [*walks.undisturbed(story, len(places)), *moved])

    def _lived(self, places: Sequence[Place], cases: Sequence[Case]) -> list[Fault]:
        found = self._nursery.run(places, cases)
        if broken := [str(one) for one in found if one.violations]:
            pytest.fail("\n".join(broken[:8]), pytrace=False)
        assert len(found) == len(cases)
        self._record("runs", len(found))
        self._record("kills", sum(len(one.struck) for one in found))
        return [fault for one in found for fault in one.missed]


@pytest.fixture
def walk(nursery: Nursery, new_places: NewPlaces, record_property: Any) -> Walk:
    return Walk(nursery, new_places, record_property)


def test_a_run_goes_on_wherever_its_host_is_killed(walk: Walk, kind: str):
    passed = walks.boundaries(walk.learned("everything"))
    assert len(passed) > 200
    walk.strike("everything", walks.faults(passed, (HOST, BOTH), turn=KINDS.index(kind)))


def test_a_run_goes_on_wherever_a_server_is_killed(walk: Walk):
    passed = [here for here in walks.boundaries(walk.learned("everything")) if walks.is_about_a_call(here)]
    assert len(passed) > 100
    # A call is made once more when its server has died, and no more: two kills are to hit two calls.
    walk.strike("everything", walks.faults(passed, (SERVER,)), longest=4)


def test_a_run_that_is_handed_over_goes_on_wherever_its_host_is_killed(walk: Walk, kind: str):
    passed = walks.boundaries(walk.learned("handed-over"))
    assert any("append attempt ticketing.escalate_ticket" in here.boundary for here in passed)
    walk.strike("handed-over", walks.faults(passed, (BOTH, HOST), turn=KINDS.index(kind)))


def test_a_plan_is_carried_out_exactly_once_wherever_the_host_is_killed(walk: Walk, kind: str):
    passed = walks.boundaries(walk.learned("applied"))
    assert len(passed) > 60
    walk.strike("applied", walks.faults(passed, (HOST, BOTH), turn=KINDS.index(kind)))


def test_a_plan_is_carried_out_exactly_once_wherever_a_server_is_killed(walk: Walk):
    passed = [here for here in walks.boundaries(walk.learned("applied")) if here.process != HOST]
    assert len(passed) > 10
    walk.strike("applied", walks.faults(passed, (SERVER,)), longest=4)


def test_what_a_server_without_keys_was_told_is_never_repeated_blindly(walk: Walk, kind: str):
    passed = [here for here in walks.boundaries(walk.learned("without-keys")) if walks.is_about_the_courier(here)]
    assert len(passed) > 30
    faults = walks.faults(passed, (HOST, SERVER, BOTH), turn=KINDS.index(kind))
    # One at a time: whoever is killed over a payment ends the run.
    assert walk.live("without-keys", walks.at_once("without-keys", [[fault] for fault in faults], first=0)) == []


def test_a_run_goes_on_whoever_is_killed_while_a_server_is_being_started_again(walk: Walk, kind: str):
    paid = Fault(process="customers", at="effect issue_refund after", victims=SERVER)
    passed = [here for here in walk.learned("everything", paid) if "again" in here.boundary]
    assert len(passed) > 10
    faults = walks.faults(passed, (HOST, SERVER, BOTH), turn=KINDS.index(kind))
    for story, victims in (("everything", {HOST, BOTH}), ("given-up", {SERVER})):
        pairs = [[paid, fault] for fault in faults if fault.victims in victims]
        assert walk.live(story, walks.at_once(story, pairs, first=0)) == []


def test_whatever_the_model_does_runs_go_on_whoever_is_killed_whenever(walk: Walk, kind: str):
    walk.live("by-chance", walks.by_chance(cases=10, seed=kind))
