"""What a run may use, and what becomes of its ticket when it may use no more or cannot go on."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import approval
from agent.errors import ModelRejected, ModelUnavailable
from agent.models.scripted import Conversation, ScriptedModel, Turn
from agent.records import CallStatus, EntryKind, FormAnswer, OutcomeKind, Reply, RunMode, Usage
from agent.settings import Settings
from tests.fakes.runs import (
    CLOSE,
    ESCALATE,
    NOTE,
    REFUND,
    RESOLUTION,
    Person,
    Replies,
    bench,
    closes,
    does,
    says,
    summarizing,
)


class Clock:
    """The run's clock: it stands still until a test moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("agent.ledger.time", SimpleNamespace(monotonic=lambda: self.now))

    async def pass_an_hour(self) -> None:
        self.now += 3_600


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# Turns, seconds, dollars.


async def test_a_run_that_has_used_its_turns_is_handed_over(home: Path):
    async with bench(home, limits={"turns": 2}) as desk:
        worked = await desk.play(does((NOTE, {"body": "one"})), does((NOTE, {"body": "two"})))
    assert worked.report.turns == 2
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert worked.report.outcome.reason == "Handed over to people: the run has used its 2 turns."


async def test_a_ticket_closed_in_the_last_turn_is_closed(home: Path):
    async with bench(home, limits={"turns": 1}) as desk:
        worked = await desk.play(closes())
        assert desk.changes() == ["closed"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_run_that_has_used_its_seconds_is_handed_over(home: Path, clock: Clock):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": "x"}), gate=clock.pass_an_hour))
    assert worked.report.outcome.reason == "Handed over to people: the run has used its 300 seconds."
    assert worked.report.duration_s == 3_600


async def test_a_model_that_is_cut_off_because_the_time_is_up_is_no_failure_of_the_model(home: Path, clock: Clock):
    async with bench(home) as desk:
        worked = await desk.play(Turn(unavailable="cut off", gate=clock.pass_an_hour))
    assert worked.finished.failure is None
    assert worked.report.outcome.reason == "Handed over to people: the run has used its 300 seconds."


@pytest.mark.parametrize(("seconds", "most"), [(50, 50), (1_000, 120)])
async def test_a_reply_may_take_no_longer_than_the_run_has_left(home: Path, clock: Clock, seconds: float, most: float):
    async with bench(home, limits={"seconds": seconds}) as desk:
        model = ScriptedModel([closes(), says()])
        await desk.work(model=model)
    assert [request.timeout_s for request in model.requests] == [most, most]


async def test_the_time_that_a_person_takes_over_an_approval_is_not_the_runs(home: Path, clock: Clock):
    person = Person(meanwhile=clock.pass_an_hour)
    async with bench(home) as desk:
        refund = does((REFUND, {"invoice_id": "inv_1003", "reason": "Charged twice."}))
        worked = await desk.play(refund, closes(), says(), approver=person)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert len(person.proposals) == 1


async def test_the_time_that_a_person_takes_over_a_servers_question_is_not_the_runs(home: Path, clock: Clock):
    person = Person(meanwhile=clock.pass_an_hour, form=FormAnswer(action="accept", content={"priority": "low"}))
    async with bench(home) as desk:
        worked = await desk.play(does(("ticketing__set_priority", {})), closes(), says(), operator=person)
        assert desk.ticket().priority == "low"
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert len(person.questions) == 1


async def test_a_run_that_waited_for_its_turn_has_all_of_its_time(home: Path, clock: Clock):
    async with bench(home) as desk:
        run = await desk.prepare(model=ScriptedModel([closes(), says()]))
        await clock.pass_an_hour()
        finished = await desk.finish(run)
    assert finished.report.outcome.kind is OutcomeKind.CLOSED
    assert finished.report.duration_s == 0


def priced(cost_usd: float | None, *content: dict[str, Any]) -> Reply:
    stop = "tool_use" if content[0]["type"] == "tool_use" else "end_turn"
    usage = Usage(input_tokens=100, output_tokens=10)
    return Reply(content=list(content), stop_reason=stop, model="replies", usage=usage, cost_usd=cost_usd)


def use(id_: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


async def test_a_run_that_has_used_its_dollars_is_handed_over(home: Path):
    async with bench(home, limits={"usd": 0.5}) as desk:
        model = Replies([priced(0.3, use("a", NOTE, body="x")), priced(0.2, use("b", NOTE, body="y"))])
        worked = await desk.work(model=model)
    assert len(model.requests) == 2
    assert worked.report.outcome.reason == "Handed over to people: the run has used its $0.50."
    assert worked.report.cost_usd == 0.5
    assert worked.report.usage.input_tokens == 200


async def test_what_a_server_asks_of_the_model_is_paid_by_the_run(home: Path):
    async with bench(home, limits={"usd": 0.5}) as desk:
        summary = priced(0.3, {"type": "text", "text": "Alice cannot log in."})
        model = Replies([priced(0.3, use("a", "ticketing__summarize_ticket")), summary])
        worked = await desk.work(model=model)
    assert worked.told(0).startswith("Alice cannot log in.")
    assert worked.bodies(EntryKind.SAMPLING)[0]["cost_usd"] == 0.3
    assert worked.report.cost_usd == 0.6
    assert worked.report.turns == 1
    assert worked.report.outcome.reason == "Handed over to people: the run has used its $0.50."


async def test_an_unknown_price_is_reported_as_unknown_and_never_as_nothing(home: Path):
    async with bench(home) as desk:
        model = Replies(
            [priced(None, use("a", CLOSE, resolution=RESOLUTION)), priced(0.1, {"type": "text", "text": "Ok"})]
        )
        worked = await desk.work(model=model)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert worked.report.cost_usd is None


# Failures.


@pytest.mark.parametrize("error", [ModelUnavailable("It is down."), ModelRejected("The key is wrong.")])
async def test_a_model_that_cannot_be_asked_leaves_the_ticket_as_it_is(home: Path, error: Exception):
    class Broken(Replies):
        async def reply(self, request: Any, on_text: Any) -> Reply:
            raise error

    async with bench(home) as desk:
        before = desk.everything()
        worked = await desk.work(model=Broken([]))
        assert desk.everything() == before
    assert worked.finished.failure is error
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason == str(error)
    assert worked.kinds == [EntryKind.CASE, EntryKind.STOPPED]


async def test_a_model_that_fails_after_a_write_leaves_the_ticket_to_another_run(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": "x"})), Turn(unavailable="It is down."))
        assert desk.changes() == ["note_added"]
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert [effect.status for effect in worked.report.effects] == [CallStatus.DONE]


async def test_a_model_that_fails_after_it_closed_the_ticket_has_closed_it(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(), Turn(unavailable="It is down."))
    assert worked.finished.failure is None
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert worked.kinds.count(EntryKind.OUTCOME) == 1


async def test_a_dry_run_whose_model_fails_after_it_planned_the_end_is_planned(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(), Turn(unavailable="It is down."), mode=RunMode.DRY_RUN)
    assert worked.report.outcome.kind is OutcomeKind.PLANNED


async def test_an_unresolved_run_is_no_longer_among_the_active_ones(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(Turn(unavailable="It is down."))
        assert desk.intakes[worked.report.run_id].active == {}


# The hand-off.


async def test_the_hand_off_tells_people_what_was_done_what_was_not_and_the_last_words(home: Path):
    async with bench(home) as desk:
        refund = (REFUND, {"invoice_id": "inv_1003", "reason": "Charged twice."})
        worked = await desk.play(
            does((NOTE, {"body": "Looked into it."}), refund),
            does((NOTE, {"body": ""})),
            says("I give up."),
            says("I really do."),
            approver=approval.never("approvals are switched off"),
        )
        [_, note] = desk.notes()
    done, _, open_ = note.partition("Not done, and why:")
    assert "the model stopped without ending the ticket." in done
    assert "ticketing.add_internal_note(" in done
    assert "'Looked into it.'" in done
    assert "customers.issue_refund(" in open_
    assert (
        "(denied: A refund beyond what the agent may give by itself needs a person's approval. "
        "It was not given: approvals are switched off.)" in open_
    )
    assert "(failed: The note is empty: write 1 to 10,000 characters.)" in open_
    assert open_.endswith("I really do.")
    assert worked.report.effects[-1].tool == "escalate_ticket"


async def test_the_hand_off_passes_the_gate_under_a_key_of_its_own(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says(), says())
        [event] = desk.tickets.record("42").events[1:]
    replies = [entry.seq for entry in worked.entries if entry.kind is EntryKind.REPLY]
    assert event.key == worked.report.effects[0].key == f"{worked.report.run_id}/{replies[-1]}/host-1"
    host_call = [entry.kind for entry in worked.entries if entry.body.get("tool_use_id") == "host-1"]
    assert host_call == [EntryKind.DECISION, EntryKind.ATTEMPT, EntryKind.RESULT]


async def test_the_hand_off_works_although_somebody_else_wrote_meanwhile(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.by_colleague()

        worked = await desk.play(says(), says(gate=meanwhile))
        assert desk.changes() == ["note_added", "escalated"]
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_the_hand_off_is_made_although_the_writes_are_used(home: Path):
    async with bench(home, limits={"writes": 0}) as desk:
        worked = await desk.play(does((NOTE, {"body": "x"})), says(), says())
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_a_run_of_many_denied_calls_can_still_be_handed_over(home: Path):
    notes: Sequence[Any] = [(NOTE, {"body": f"{number}" * 500}) for number in range(100)]
    async with bench(home, limits={"writes": 0}) as desk:
        worked = await desk.play(does(*notes), says("w" * 5_000), says("w" * 5_000))
        [note] = desk.notes()
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "90 others before these" in note


async def test_last_words_with_characters_that_no_helpdesk_takes_do_not_stop_the_hand_off(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says(), says("I \x00 give \x1b[2J up."))
        assert desk.notes()[0].endswith("I  give [2J up.")
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_a_call_that_the_model_names_like_the_hosts_own_does_not_stand_in_its_way(home: Path):
    async with bench(home, limits={"turns": 1}) as desk:
        worked = await desk.work(model=Replies([priced(0.0, use("host-1", NOTE, body="x"))]))
        assert desk.changes() == ["note_added", "escalated"]
    assert len({effect.key for effect in worked.report.effects}) == 2
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_a_hand_off_in_a_dry_run_is_planned(home: Path):
    async with bench(home) as desk:
        before = desk.everything()
        worked = await desk.play(says(), says(), mode=RunMode.DRY_RUN)
        assert desk.everything() == before
    assert worked.report.outcome.kind is OutcomeKind.PLANNED
    assert worked.report.outcome.reason == (
        "It would be handed over to people: the model stopped without ending the ticket."
    )
    assert [(effect.tool, effect.status) for effect in worked.report.effects] == [
        ("escalate_ticket", CallStatus.PLANNED)
    ]


def without_handoff(settings: Settings) -> Settings:
    return settings.model_copy(update={"tickets": settings.tickets.model_copy(update={"handoff": None})})


async def test_without_a_hand_off_the_run_says_that_none_is_configured(home: Path):
    async with bench(home, settings=without_handoff) as desk:
        worked = await desk.play(says(), says())
        assert desk.changes() == []
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason == (
        "No hand-off is configured, and the model stopped without ending the ticket."
    )
    assert worked.finished.failure is None


async def test_a_run_that_escalated_by_itself_is_not_handed_over_again(home: Path):
    async with bench(home, limits={"turns": 1}) as desk:
        worked = await desk.play(does((ESCALATE, {"reason": "A person must look."})))
        assert desk.changes() == ["escalated"]
    assert worked.report.outcome.reason.startswith("Read back from the helpdesk")


# What servers ask of the model.


async def test_a_server_may_ask_the_model_only_so_often_in_a_run(home: Path):
    async with bench(home, limits={"sampling_calls": 1}) as desk:
        model = ScriptedModel(
            conversations=[
                Conversation(
                    match="Resolve support ticket 42",
                    turns=[
                        does(("ticketing__summarize_ticket", {})),
                        does(("ticketing__summarize_ticket", {})),
                        closes(),
                        says(),
                    ],
                ),
                summarizing("42", "Alice cannot log in."),
            ]
        )
        worked = await desk.work(model=model)
    assert worked.statuses == ["done", "failed", "done"]
    assert [("reply" in body, "error" in body) for body in worked.bodies(EntryKind.SAMPLING)] == [
        (True, False),
        (False, True),
    ]
    assert {body["tool_use_id"] for body in worked.bodies(EntryKind.SAMPLING)} == {
        body["tool_use_id"] for body in worked.bodies(EntryKind.ATTEMPT)[:2]
    }
