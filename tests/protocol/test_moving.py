"""A ticket that moves under the run that works it: the next write is not made, the run reads again and goes on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.models.scripted import ScriptedModel, Turn
from agent.records import EntryKind, ModelRequest, OutcomeKind, Reply, RunMode
from servers.effects import Call as Effect
from tests.fakes.runs import NOTE, Bench, bench, closes, does, says

ANSWER = "Hi, which device is it? — Support Team"


class Meanwhile(ScriptedModel):
    """A scripted model during whose replies, by their number, something happens elsewhere."""

    def __init__(self, turns: list[Turn], acts: dict[int, Callable[[], object]]) -> None:
        super().__init__(turns)
        self._acts = acts
        self._number = 0

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        self._number += 1
        self._acts.get(self._number, lambda: None)()
        return await super().reply(request, on_text)


def customer_writes(desk: Bench, body: str = "It works again, thank you.") -> None:
    desk.tickets.hear_customer(Effect(tool="receive_customer_reply", arguments={}, actor="customer"), "42", body)


async def test_a_customer_who_writes_during_the_run_is_heard_before_anything_is_written(home: Path):
    async with bench(home) as desk:
        turns = [closes(), closes("Hi, good to hear that. — Support Team"), says()]
        worked = await desk.work(model=Meanwhile(turns, {1: partial(customer_writes, desk)}))
        assert desk.ticket().resolution == "Hi, good to hear that. — Support Team"
    assert "It works again, thank you." in worked.told(0)
    assert worked.statuses == ["failed", "done"]
    refused = worked.bodies(EntryKind.DECISION)[0]
    assert [reason["rule"] for reason in refused["reasons"]] == ["ticket.moved"]
    assert len(worked.bodies(EntryKind.ATTEMPT)) == 1


async def test_a_call_about_the_customer_alone_is_held_back_too(home: Path):
    async with bench(home) as desk:
        reset = ("customers__send_password_reset", {})
        turns = [does(reset), does(reset), closes(), says()]
        worked = await desk.work(model=Meanwhile(turns, {1: desk.by_colleague}))
    assert worked.statuses == ["failed", "done", "done"]


async def test_what_moves_twice_is_read_twice_and_the_third_time_people_take_over(home: Path):
    async with bench(home) as desk:
        every_time = {1: desk.by_colleague, 2: desk.by_colleague, 3: desk.by_colleague}
        worked = await desk.work(model=Meanwhile([closes(), closes(), closes()], {**every_time}))
        assert desk.ticket().group == "people"
    assert worked.statuses == ["failed", "failed", "failed", "done"]
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "the ticket kept changing while it was worked" in worked.report.outcome.reason


async def test_a_ticket_that_a_colleague_closes_during_the_run_is_left_alone(home: Path):
    async with bench(home) as desk:
        worked = await desk.work(model=Meanwhile([closes()], {1: desk.closed_by_colleague}))
        assert desk.changes() == ["closed"]
        assert desk.ticket().resolution == "Done by phone."
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason.startswith("Someone else has taken the ticket over while this run worked it")


async def test_a_run_that_was_stopped_after_a_move_knows_what_it_was_shown(home: Path):
    async with bench(home) as desk:
        turns = [closes(), Turn(unavailable="overloaded"), closes(), says()]
        model = Meanwhile(turns, {1: desk.by_colleague})
        run = await desk.prepare(model=model)
        stopped = await desk.finish(run)
        assert stopped.failure is not None
        worked = await desk.work(model=model)
        assert worked.statuses == ["failed", "done"]
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_the_runs_own_writes_are_no_move(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": "one"}), (NOTE, {"body": "two"})), closes(), says())
    assert worked.statuses == ["done", "done", "done"]


async def test_a_dry_run_plans_against_the_ticket_as_it_is_now(home: Path):
    async with bench(home) as desk:
        model = Meanwhile([closes(), closes(), says()], {1: desk.by_colleague})
        worked = await desk.work(model=model, mode=RunMode.DRY_RUN)
    assert worked.statuses == ["failed", "planned"]


async def test_a_pending_ticket_whose_customer_has_answered_is_in_the_queue_with_the_exchange_in_view(home: Path):
    async with bench(home) as desk:
        asked = await desk.play(does(("ticketing__reply_to_customer", {"body": ANSWER})), says())
        assert asked.report.outcome.kind is OutcomeKind.PENDING
        assert "42" not in [item.ticket_id for item in await desk.session.helpdesk.queue()]
        customer_writes(desk, "The MacBook.")
        assert "42" in [item.ticket_id for item in await desk.session.helpdesk.queue()]
        worked = await desk.play(closes(), says())
        opening = "".join(block["text"] for block in worked.bodies(EntryKind.CASE)[0]["messages"][0]["content"])
    assert ANSWER in opening
    assert "The MacBook." in opening
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
