"""A plan carried out: exactly its calls, once, without a model; what is left out is left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.applying import Applied
from agent.errors import PlanRefused, TicketTaken
from agent.models.scripted import Turn
from agent.planning import plan_of
from agent.records import EntryKind, OutcomeKind, RunMode
from agent.settings import Settings
from tests.fakes.applies import (
    NOTED,
    RAISED,
    RESET,
    SEARCHED,
    SORTED,
    Silent,
    apply,
    apply_id,
    begin,
    planned,
    statuses,
)
from tests.fakes.helpdesk import TICKETS
from tests.fakes.runs import (
    CLOSE,
    ESCALATE,
    NOTE,
    REPLY,
    RESOLUTION,
    bench,
    closes,
    does,
    says,
)

# What is done.


async def test_exactly_the_recorded_calls_are_made_with_keys_of_the_plan_and_no_model_is_asked(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, SORTED), does(RESET), closes(), says())
        before = desk.everything()
        worked = await apply(desk, plan)
        made = plan_of(plan.entries).calls
        assert before != desk.everything()
        assert desk.changes() == ["note_added", "classified", "closed"]
        assert (desk.ticket().status, desk.ticket().resolution) == ("closed", RESOLUTION)
        [verified] = await desk.journal.verify([apply_id(plan)])
    attempts = worked.bodies(EntryKind.ATTEMPT)
    assert [body["tool"] for body in attempts] == [call.tool for call in made]
    moving = {"expected_version"}
    for body, call in zip(attempts, made, strict=True):
        assert {name: body["arguments"][name] for name in body["arguments"] if name not in moving} == {
            name: call.arguments[name] for name in call.arguments if name not in moving
        }
        assert body["key"] == f"{apply_id(plan)}/{call.seq}/{call.tool_use_id}"
    assert [body["arguments"].get("expected_version") for body in attempts] == [1, 2, None, 3]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert worked.report.outcome.reason == "Read back from the helpdesk: status closed."
    assert (worked.report.mode, worked.report.model, worked.report.turns) == (RunMode.APPLY, "none", 0)
    assert (worked.report.cost_usd, worked.report.usage.output_tokens) == (0.0, 0)
    assert verified.is_sound


async def test_the_record_of_an_apply_has_the_plan_and_each_call_from_its_decision_to_its_result(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        worked = await apply(desk, plan)
        recorded = await desk.journal.entries(apply_id(plan))
        summary = await desk.journal.run(apply_id(plan))
    way = [EntryKind.DECISION, EntryKind.ATTEMPT, EntryKind.RESULT]
    assert worked.kinds == [EntryKind.CASE, *way, *way, EntryKind.OUTCOME]
    assert list(recorded) == worked.entries
    carried = recorded[0].body["plan"]
    assert (carried["run_id"], carried["digest"]) == (plan.run.recorder.run_id, plan_of(plan.entries).digest)
    assert [call["tool"] for call in carried["calls"]] == ["ticketing.add_internal_note", "ticketing.close_ticket"]
    assert Applied.from_json(carried).as_json() == carried
    assert summary is not None
    assert (summary.mode, summary.outcome, summary.model) == (RunMode.APPLY, OutcomeKind.CLOSED, "none")


@pytest.mark.parametrize(
    ("turns", "kind", "status"),
    [
        ([does((REPLY, {"body": "Hi, which browser is it? — Support Team"})), says()], OutcomeKind.PENDING, "pending"),
        ([does((ESCALATE, {"reason": "A lawyer should read this."})), says()], OutcomeKind.ESCALATED, "open"),
        ([does(NOTED), says("I wonder."), says("I still wonder.")], OutcomeKind.ESCALATED, "open"),
    ],
)
async def test_the_outcome_is_read_from_the_helpdesk(home: Path, turns: list[Turn], kind: OutcomeKind, status: str):
    async with bench(home) as desk:
        worked = await apply(desk, await planned(desk, *turns))
        assert desk.ticket().status == status
    assert worked.report.outcome.kind is kind
    assert worked.report.outcome.reason.startswith("Read back from the helpdesk: ")


async def test_a_hand_over_that_the_host_has_planned_is_made_word_for_word(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), says("I wonder."), says("Is it the browser?"))
        [_, handing] = plan_of(plan.entries).calls
        worked = await apply(desk, plan)
        assert desk.notes() == ["Looked at it.", handing.arguments["reason"].strip()]
    assert handing.is_by_host
    assert worked.bodies(EntryKind.ATTEMPT)[-1]["key"].endswith("/planned-host-1")
    assert not worked.bodies(EntryKind.HANDOVER)


async def test_what_the_plan_was_refused_is_no_part_of_what_is_done(home: Path):
    refused = ("ticketing__close_ticket", {"no": "such argument"})
    async with bench(home) as desk:
        worked = await apply(desk, await planned(desk, does(refused, SEARCHED), closes(), says()))
    assert statuses(worked) == [("close_ticket", "done")]


async def test_a_plan_without_any_end_is_handed_to_people_when_it_was_carried_out(home: Path):
    def nowhere(settings: Settings) -> Settings:
        outcome = {**settings.tickets.outcome, "closed": {"status": ("buried",)}}
        return settings.model_copy(update={"tickets": settings.tickets.model_copy(update={"outcome": outcome})})

    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        run = await begin(desk, plan)
        run.helpdesk = type(run.helpdesk)(desk.session.host, nowhere(desk.session.settings))
        finished = await desk.finish(run)
    # It is closed, and so cannot be handed over: that is said.
    assert finished.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert "the plan was carried out, and the ticket is not at its end" in finished.report.outcome.reason


# Once.


async def test_a_plan_is_applied_once_and_whoever_tries_again_is_told_by_which_run(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        await apply(desk, plan)
        left, runs = desk.everything(), await desk.journal.runs()
        with pytest.raises(PlanRefused) as refused:
            await apply(desk, plan)
        assert (left, runs) == (desk.everything(), await desk.journal.runs())
    run_id = plan.run.recorder.run_id
    assert str(refused.value) == f"The plan of run {run_id} has been applied, by run {run_id}-apply: closed."


async def test_two_who_apply_the_same_plan_at_once_do_it_once(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        run = await begin(desk, plan)
        with pytest.raises(TicketTaken, match="Ticket 42 is being worked by process"):
            await begin(desk, plan)
        await desk.finish(run)
        assert desk.changes() == ["note_added", "closed"]


# Actions that are left out.


async def test_what_is_left_out_is_not_made_and_the_others_are(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, RAISED), closes(), says())
        worked = await apply(desk, plan, left_out=["ticketing.set_priority"])
        assert desk.changes() == ["note_added", "closed"]
        assert desk.ticket().priority == "high"
    assert [status for _, status in statuses(worked)] == ["done", "denied", "done"]
    assert worked.report.effects[1].reasons == ("It was left out of the apply.",)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_without_its_ending_a_plan_leaves_the_ticket_open_and_hands_nothing_over(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        worked = await apply(desk, plan, left_out=["ticketing.close_ticket"])
        assert desk.changes() == ["note_added"]
        assert (desk.ticket().status, desk.ticket().group) == ("new", "support")
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason == (
        "Applied but for ticketing.close_ticket: the ticket is left as the other calls have it."
    )


# What leaves is judged again, by what the plan's run has read.


async def test_a_text_is_checked_again_before_it_leaves(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        [entry, *others] = await desk.journal.entries(plan.run.recorder.run_id)
        applied = Applied.of([entry, *others])
        [call] = applied.calls
        leak = "Hi, ask bob@example.com. — Support Team"
        forged = replace(applied, calls=(replace(call, arguments=call.arguments | {"resolution": leak}),))
        intake = desk.intake(model=Silent(), mode=RunMode.APPLY)
        run = await intake.apply(entry, forged)
        finished = await intake.work(run)
        intake.release(run)
        assert desk.ticket().status == "open"
        assert "bob@example.com" not in "".join(desk.notes())
    assert finished.report.outcome.kind is OutcomeKind.ESCALATED


LINKED = "https://help.elsewhere.example/login"


def linking(settings: Settings) -> Settings:
    company = settings.company.model_copy(update={"article_link": "https://help.elsewhere.example/{slug}"})
    return settings.model_copy(update={"company": company})


async def test_sources_of_the_plan_are_sources_of_the_apply_and_their_links_are_sent_once(home: Path):
    closing = (CLOSE, {"resolution": RESOLUTION, "sources": ["kb://login"]})
    async with bench(home, settings=linking) as desk:
        note = (NOTE, {"body": "As kb://login has it."})
        plan = await planned(desk, does(SEARCHED), does(note), does(closing), says())
        worked = await apply(desk, plan)
        resolution = desk.ticket().resolution
    assert worked.report.outcome.kind is OutcomeKind.CLOSED, worked.report.outcome.reason
    assert resolution.count(LINKED) == 1
    assert worked.bodies(EntryKind.DECISION)[-1]["sources"] == ["kb://login"]


PHONE = "+1 415 555 0134"


async def test_what_the_plans_run_has_read_of_the_requester_is_the_requesters_when_it_is_applied(home: Path):
    rows = [{**row, "subject": f"Call me: {PHONE}"} if row["id"] == "44" else row for row in TICKETS]
    async with bench(home, rows=rows) as desk:
        looked = ("ticketing__search_tickets", {"query": "call"})
        named = f"Hi, we will call {PHONE}. — Support Team"
        plan = await planned(desk, does(looked), closes(named), says())
        assert plan.report.outcome.kind is OutcomeKind.PLANNED
        worked = await apply(desk, plan)
        assert desk.ticket().resolution == named, worked.report.outcome.reason
