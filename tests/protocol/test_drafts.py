"""`--draft`: what a run would do is put on the ticket as one internal note, and nothing else is written."""

from pathlib import Path

import pytest

from agent.models.scripted import ScriptedModel, Turn
from agent.records import EntryKind, OutcomeKind, RunMode
from tests.fakes.runs import ESCALATE, NOTE, RESOLUTION, bench, closes, does, says

RESET = ("customers__send_password_reset", {})


async def test_a_draft_is_one_internal_note_with_what_would_be_sent_and_done(home: Path):
    async with bench(home) as desk:
        before = desk.customers.record("alice@example.com")
        turns = [does(RESET), closes(), says("The login article covers it.")]
        worked = await desk.play(*turns, mode=RunMode.DRAFT)
        assert desk.changes() == ["note_added"]
        assert desk.ticket().status == "new"
        assert desk.customers.record("alice@example.com") == before
        [note] = desk.notes()
    assert note.startswith("Drafted by the support agent: nothing below has been sent or done.")
    assert f"> {RESOLUTION}" in note
    assert "customers.send_password_reset" in note
    assert "> The login article covers it." in note
    assert worked.report.outcome.kind is OutcomeKind.DRAFTED
    assert [effect.status.value for effect in worked.report.effects] == ["planned", "planned", "done"]


async def test_a_second_draft_replaces_the_first(home: Path):
    async with bench(home) as desk:
        await desk.play(closes(), says(), mode=RunMode.DRAFT)
        await desk.play(closes("Hi, please sign in again. — Support Team"), says(), mode=RunMode.DRAFT)
        [note] = desk.notes()
    assert "> Hi, please sign in again. — Support Team" in note
    assert RESOLUTION not in note


async def test_a_draft_leaves_other_notes_alone(home: Path):
    async with bench(home) as desk:
        desk.by_colleague("Mine.")
        await desk.play(closes(), says(), mode=RunMode.DRAFT)
        notes = desk.notes()
    assert notes[0] == "Mine."
    assert len(notes) == 2


async def test_a_run_that_gives_up_leaves_a_draft_instead_of_escalating(home: Path):
    async with bench(home) as desk:
        turns = [says("I do not know."), says("I really do not know.")]
        worked = await desk.play(*turns, mode=RunMode.DRAFT)
        assert desk.ticket().group == "support"
        [note] = desk.notes()
    assert "It could not finish this ticket: the model stopped without ending the ticket." in note
    assert "> I really do not know." in note
    assert worked.report.outcome.kind is OutcomeKind.DRAFTED


async def test_an_escalation_is_proposed_and_not_made(home: Path):
    async with bench(home) as desk:
        turns = [does((ESCALATE, {"reason": "A lawyer should read this."})), says()]
        await desk.play(*turns, mode=RunMode.DRAFT)
        assert desk.ticket().group == "support"
        [note] = desk.notes()
    assert "A lawyer should read this." in note


async def test_what_the_policy_refused_stands_in_the_draft_with_the_reason(home: Path):
    refused = ("ticketing__set_priority", {"priority": "low"})
    async with bench(home, limits={"writes": 0}) as desk:
        worked = await desk.play(does(refused), says(), says(), mode=RunMode.DRAFT)
        [note] = desk.notes()
    assert worked.report.outcome.kind is OutcomeKind.DRAFTED
    assert "ticketing.set_priority(priority='low'" in note


async def test_a_draft_run_that_was_stopped_puts_its_note_there_once(home: Path):
    async with bench(home) as desk:
        turns = [does((NOTE, {"body": "x"})), Turn(unavailable="overloaded"), closes(), says()]
        model = ScriptedModel(turns)
        run = await desk.prepare(model=model, mode=RunMode.DRAFT)
        assert (await desk.finish(run)).failure is not None
        assert desk.notes() == []
        worked = await desk.work(model=model, mode=RunMode.DRAFT)
        assert len(desk.notes()) == 1
    assert [body["tool"] for body in worked.bodies(EntryKind.ATTEMPT)] == ["ticketing.add_internal_note"]


@pytest.mark.parametrize("mode", [RunMode.DRAFT, RunMode.DRY_RUN])
async def test_a_run_that_only_plans_asks_nobody(home: Path, mode: RunMode):
    change = ("customers__update_account", {"plan": "free"})
    async with bench(home) as desk:
        worked = await desk.play(does(change), closes(), says(), mode=mode)
    assert worked.bodies(EntryKind.APPROVAL) == []
    assert worked.statuses[:2] == ["planned", "planned"]
