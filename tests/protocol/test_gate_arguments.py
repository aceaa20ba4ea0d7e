"""What the model may put into a call, and what the host puts there instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.records import CallStatus, EntryKind, OutcomeKind, Reply
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, NOTE, RESOLUTION, Replies, Worked, bench, closes, does, says


async def test_bound_arguments_are_the_cases_whatever_the_model_sends(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(
            does((NOTE, {"ticket_id": "43", "expected_version": 99, "body": "x"})), closes(), says()
        )
        assert desk.notes("42") == ["x"]
        assert desk.notes("43") == []
    attempt = worked.bodies(EntryKind.ATTEMPT)[0]
    assert attempt["arguments"] == {"ticket_id": "42", "expected_version": 1, "body": "x"}


async def test_an_attempt_to_send_bound_arguments_is_recorded_and_told(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"ticket_id": "43", "body": "x"})), closes(), says())
    assert [body["stripped"] for body in worked.bodies(EntryKind.DECISION)] == [["ticket_id"], []]
    assert "ticket_id: set by the host; yours was ignored." in worked.told(0)
    assert "ignored" not in worked.told(1)


async def test_the_model_is_not_even_shown_bound_arguments(home: Path):
    async with bench(home) as desk:
        tools = {tool["name"]: tool["input_schema"]["properties"] for tool in desk.session.catalog.definitions}
    assert set(tools[CLOSE]) == {"resolution", "sources"}  # the second is the host's own question
    assert "requester" not in tools["ticketing__search_tickets"]


async def work_one_call(home: Path, name: str, arguments: Any) -> Worked:
    """Let a model make one call that cannot be made, then close; nothing of the first call may have happened."""
    block = {"type": "tool_use", "id": "one", "name": name, "input": arguments}
    close = {"type": "tool_use", "id": "two", "name": CLOSE, "input": {"resolution": RESOLUTION}}
    model = Replies(
        Reply(content=[block], stop_reason="tool_use", model="replies", cost_usd=0.0)
        for block in (json.loads(json.dumps(block)), close)
    )
    async with bench(home) as desk:
        worked = await desk.work(model=model)
        assert desk.changes() == ["closed"]
    assert model.broken == []
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    return worked


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("close_everything", {}, "There is no tool 'close_everything'. There are: customers__get_customer, "),
        ("ticketing__list_tickets", {}, "There is no tool 'ticketing__list_tickets'."),
        ("ticketing.close_ticket", {"resolution": "x"}, "There is no tool 'ticketing.close_ticket'."),
        ("x" * 1_000_000, {}, "There is no tool 'xxxx"),
        (NOTE, {"body": 7}, "argument body: 7 is not of type 'string'"),
        (NOTE, {"body": None}, "argument body: None is not of type 'string'"),
        (NOTE, {}, "'body' is a required property"),
        (NOTE, {"body": "x", "urgent": True}, "urgent"),
        (NOTE, {"body": "x" * 10_000_000}, "at most 100,000 are accepted."),
        (NOTE, {"body": float("nan")}, "without NaN or infinity"),
        (NOTE, ["x"], "The arguments must be a JSON object."),
        (NOTE, "x", "The arguments must be a JSON object."),
        (NOTE, None, "The arguments must be a JSON object."),
        ("read_resource", ["ticket://42"], "Denied: Only this run's own ticket and customer"),
        ("read_resource", {"uri": 42}, "Denied: Only this run's own ticket and customer"),
    ],
)
async def test_a_call_that_cannot_be_made_comes_back_as_a_result_and_nothing_leaves(
    home: Path, name: str, arguments: Any, said: str
):
    worked = await work_one_call(home, name, arguments)
    assert said in worked.told(0)
    assert len(worked.told(0)) < 2_000
    assert worked.statuses[0] in {"failed", "denied"}
    assert [body["tool_use_id"] for body in worked.bodies(EntryKind.ATTEMPT)] == ["two"]


async def test_an_unusable_write_is_among_the_effects_with_what_was_wrong_with_it(home: Path):
    worked = await work_one_call(home, NOTE, {"text": "x"})
    first = worked.report.effects[0]
    assert (first.tool, first.status, first.key) == ("add_internal_note", CallStatus.FAILED, None)
    assert first.arguments == {"text": "x"}
    assert first.reasons == (worked.told(0),)


async def test_lone_surrogates_are_replaced_before_a_call_leaves(home: Path):
    async with bench(home) as desk:
        block = {"type": "tool_use", "id": "one", "name": NOTE, "input": {"body": "half \ud83d of it"}}
        model = Replies([Reply(content=[block], stop_reason="tool_use", model="replies", cost_usd=0.0)])
        worked = await desk.work(model=model)
        assert desk.notes()[0] == "half ? of it"
    assert worked.statuses[0] == "done"
    assert model.broken == []


async def test_what_the_server_refuses_comes_back_in_its_own_words(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": " "})), closes(), says())
    assert worked.statuses[0] == "failed"
    assert worked.told(0) == "The note is empty: write 1 to 10,000 characters."
    failed = worked.report.effects[0]
    assert failed.reasons == ("The note is empty: write 1 to 10,000 characters.",)
    assert failed.key == f"{worked.report.run_id}/2/{worked.bodies(EntryKind.ATTEMPT)[0]['tool_use_id']}"


async def test_a_tool_about_the_customer_cannot_be_called_for_a_requester_without_a_record(home: Path):
    rows = [ticket(50, "stranger@example.com")]
    async with bench(home, rows=rows) as desk:
        worked = await desk.play(does(("customers__list_invoices", {})), closes(), says(), ticket_id="50")
    assert worked.statuses[0] == "failed"
    assert "the requester may be in no customer record" in worked.told(0)
    assert worked.about("customers.list_invoices") == [EntryKind.RESULT]
