"""An apply that was stopped or killed goes on where it was left; its record replays, and is forgotten."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Paused, PlanRefused
from agent.models.scripted import Turn
from agent.records import Entry, EntryKind, OutcomeKind, RunMode
from agent.replay import replay
from agent.settings import Settings
from tests.fakes.applies import (
    CHANGED,
    NOTED,
    PRIORITY,
    RAISED,
    REFUNDED,
    Silent,
    apply,
    apply_id,
    begin,
    planned,
    statuses,
)
from tests.fakes.runs import (
    NOTE,
    REPLY,
    Bench,
    Person,
    Worked,
    bench,
    closes,
    does,
    says,
)


def limited(settings: Settings, writes: int = 9) -> Settings:
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"writes": writes})})


# Stopped, and gone on with.


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


async def killed_at(desk: Bench, plan: Worked, kind: EntryKind, number: int = 1, **options: Any) -> None:
    """Apply the plan in a process that dies when this entry is recorded."""
    seen: list[Entry] = []

    def dies(_: str, entry: Entry) -> None:
        if entry.kind is kind:
            seen.append(entry)
        if len(seen) == number:
            raise Killed("gone")

    run = await begin(desk, plan, **options)
    desk.observer.on_entry = dies
    with pytest.raises(Killed, match="gone"):
        await desk.finish(run)
    desk.observer.on_entry = lambda _ticket, _entry: None


async def test_an_apply_that_was_paused_goes_on_later_and_nobody_is_asked_twice(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            await desk.journal.pause(by="dana", reason="maintenance")

        person = Person(meanwhile=meanwhile)
        replied = (REPLY, {"body": "Hi, we are at it. — Support Team"})
        plan = await planned(desk, does(replied, CHANGED), closes(), says())
        worked = await apply(desk, plan, approver=person)
        assert isinstance(worked.finished.failure, Paused)
        # The customer was written to; that is no end while something of the plan is left.
        assert worked.kinds[-1] is EntryKind.STOPPED
        with pytest.raises(Paused):
            await apply(desk, plan)
        await desk.journal.unpause()
        again = await apply(desk, plan, approver=person)
        assert desk.changes() == ["replied", "closed"]
    assert again.report.outcome.kind is OutcomeKind.CLOSED
    assert len(person.proposals) == 1


async def test_after_a_kill_it_is_said_which_call_has_asked(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, (PRIORITY, {})), closes(), says())
        await killed_at(desk, plan, EntryKind.ELICITATION)
        worked = await apply(desk, plan)
        assert desk.changes() == ["note_added", "escalated"]
        [verified] = await desk.journal.verify([apply_id(plan)])
    assert "ticketing.set_priority asked for what the plan holds no answer to" in worked.report.outcome.reason
    assert [status for _, status in statuses(worked)] == ["done", "failed", "denied", "done"]
    assert len(worked.bodies(EntryKind.ELICITATION)) == 1
    assert verified.is_sound


@pytest.mark.parametrize("mode", [RunMode.APPLY, RunMode.LIVE])
async def test_whoever_works_the_ticket_next_goes_on_with_the_apply(home: Path, mode: RunMode):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        await killed_at(desk, plan, EntryKind.RESULT)
        assert desk.changes() == ["note_added"]
        worked = await (apply(desk, plan) if mode is RunMode.APPLY else desk.work(model=Silent(), mode=mode))
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.run_id == apply_id(plan)
    assert worked.kinds.count(EntryKind.CLAIM) == 1


async def test_a_ticket_that_was_taken_while_the_apply_was_interrupted_is_left_alone(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        await killed_at(desk, plan, EntryKind.ATTEMPT)
        desk.closed_by_colleague()
        worked = await apply(desk, plan)
        assert desk.changes() == ["closed"]
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert "while this run was interrupted: it is closed." in worked.report.outcome.reason
    # What had been under way has its answer all the same.
    assert [status for _, status in statuses(worked)] == ["failed"]


async def test_an_apply_that_was_interrupted_can_be_ended_instead(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        await killed_at(desk, plan, EntryKind.ATTEMPT)
        intake = desk.intake(model=Silent())
        await intake.cancel(apply_id(plan), because="She called.")
        assert desk.changes() == []
        with pytest.raises(PlanRefused, match=r"has been applied, by run .*-apply: unresolved"):
            await apply(desk, plan)
        assert (await desk.play(closes(), says())).report.outcome.kind is OutcomeKind.CLOSED


async def test_an_apply_goes_on_only_as_it_was_agreed_to(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, RAISED), closes(), says())
        await killed_at(desk, plan, EntryKind.RESULT, left_out=["ticketing.set_priority"])
        with pytest.raises(PlanRefused) as refused:
            await apply(desk, plan)
        worked = await apply(desk, plan, left_out=["ticketing.set_priority"])
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert str(refused.value) == (
        f"Run {apply_id(plan)} has begun to apply this plan without ticketing.set_priority, "
        "and goes on only as it was agreed to."
    )


# Replayed.


async def test_an_apply_replays_and_so_does_every_beginning_of_it(home: Path):
    person = Person()
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, RAISED, REFUNDED, CHANGED), closes(), says())
        await apply(desk, plan, approver=person, left_out=["ticketing.set_priority"])
        entries = await desk.journal.entries(apply_id(plan))
        settings = desk.session.settings
    for end in range(1, len(entries) + 1):
        replayed = await replay(entries[:end], settings)
        assert replayed.difference is None, (end, replayed.difference)
        assert replayed.compared == end


REPLAYED: dict[str, tuple[list[Turn], Callable[[Bench], object] | None, int]] = {
    "a call that needed a person": ([does(NOTED, CHANGED), closes()], None, 0),
    "a call that asked back": ([does(NOTED, (PRIORITY, {})), closes()], None, 0),
    "a hand-over that was planned": ([does(NOTED), says()], None, 0),
    "a ticket that moved": ([does(NOTED, CHANGED), closes()], Bench.by_colleague, 0),
    # That only the helpdesk knew: the end is no part of the conversation.
    "a ticket that was taken": ([does(NOTED, CHANGED), closes()], Bench.closed_by_colleague, 1),
}


@pytest.mark.parametrize("way", REPLAYED)
async def test_an_apply_replays_however_it_ended(home: Path, way: str):
    turns, change, outside = REPLAYED[way]
    async with bench(home) as desk:

        async def meanwhile() -> None:
            if change is not None:
                change(desk)

        plan = await planned(desk, *turns, says())
        worked = await apply(desk, plan, approver=None if change is None else Person(meanwhile=meanwhile))
        entries = await desk.journal.entries(apply_id(plan))
        replayed = await replay(entries, desk.session.settings)
    assert replayed.difference is None, (worked.kinds, replayed.difference)
    assert replayed.compared == sum(entry.kind is not EntryKind.ELICITATION for entry in entries) - outside


async def test_an_apply_without_its_ending_replays_to_its_end(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        await apply(desk, plan, left_out=["ticketing.close_ticket"])
        entries = await desk.journal.entries(apply_id(plan))
        replayed = await replay(entries, desk.session.settings)
    assert (replayed.difference, replayed.compared) == (None, len(entries))


async def test_an_apply_that_was_gone_on_with_replays(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        await killed_at(desk, plan, EntryKind.ATTEMPT, 2)
        worked = await apply(desk, plan)
        replayed = await replay(await desk.journal.entries(apply_id(plan)), desk.session.settings)
    assert (replayed.difference, replayed.compared) == (None, len(worked.entries) - 1)


async def test_a_replay_shows_what_has_become_of_the_rules_since(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, RAISED), closes(), says())
        await apply(desk, plan)
        entries = await desk.journal.entries(apply_id(plan))
        replayed = await replay(entries, limited(desk.session.settings, writes=1))
    assert replayed.difference is not None
    assert (replayed.difference.found.kind, replayed.changed) == (EntryKind.DECISION, ("limits.writes",))


# Forgotten.


async def test_of_a_forgotten_apply_no_text_of_its_plan_is_left(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does((NOTE, {"body": "A very own remark."})), closes(), says())
        await apply(desk, plan)
        await desk.journal.forget(customer="alice@example.com", before=None, by="dana")
        [verified] = await desk.journal.verify([apply_id(plan)])
    assert verified.is_sound
    assert b"A very own remark." not in (home / "journal.sqlite").read_bytes()
