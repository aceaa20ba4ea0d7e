"""How a run goes on from each way in which a reply can end."""

from pathlib import Path
from typing import Any

import pytest

from agent.loop import MAX_PAUSES, NUDGE
from agent.models.scripted import Call, ScriptedModel, Turn
from agent.records import EntryKind, JsonObject, OutcomeKind, Reply
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, ESCALATE, NOTE, REPLY, RESOLUTION, Bench, Replies, Worked, bench, closes, does, says


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def use(id_: str, name: str = NOTE, **arguments: Any) -> JsonObject:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def reply(*content: JsonObject, stop: str | None = None) -> Reply:
    has_calls = any(block["type"] == "tool_use" for block in content)
    return Reply(
        content=list(content), stop_reason=stop or ("tool_use" if has_calls else "end_turn"), model="r", cost_usd=0.0
    )


async def run_of(desk: Bench, *replies: Reply) -> tuple[Worked, Replies]:
    """Work ticket 42 with these replies; every request must have been one that the API reads."""
    model = Replies(replies)
    worked = await desk.work(model=model)
    assert model.broken == []
    return worked, model


# Endings.


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ((CLOSE, {"resolution": RESOLUTION}), OutcomeKind.CLOSED),
        ((REPLY, {"body": "Hi, which browser is it? — Support Team"}), OutcomeKind.PENDING),
        ((ESCALATE, {"reason": "A person must look."}), OutcomeKind.ESCALATED),
    ],
)
async def test_a_run_ends_as_the_ticket_system_has_it(home: Path, call: tuple[str, JsonObject], kind: OutcomeKind):
    async with bench(home) as desk:
        worked = await desk.play(does(call), says())
    assert worked.report.outcome.kind is kind
    assert worked.report.outcome.reason.startswith("Read back from the helpdesk: ")
    assert worked.report.turns == 2
    assert worked.entries[-1].body == {"outcome": kind.value, "reason": worked.report.outcome.reason}
    assert [entry.seq for entry in worked.entries] == list(range(1, len(worked.entries) + 1))


async def test_a_stop_sequence_ends_a_reply_like_any_end(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(), says(stop_reason="stop_sequence"))
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_model_that_says_done_without_acting_is_asked_once_and_then_handed_over(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says("I closed the ticket."), says("It is closed.", expect=[NUDGE]))
        assert desk.ticket().group == "people"
        [note] = desk.notes()
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert worked.report.outcome.reason == "Handed over to people: the model stopped without ending the ticket."
    assert worked.bodies(EntryKind.NUDGE) == [{"text": NUDGE}]
    assert "It is closed." in note


async def test_a_model_that_acts_when_it_is_asked_ends_the_ticket_itself(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says("It seems fine."), closes(expect=[NUDGE]), says())
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert worked.kinds.count(EntryKind.NUDGE) == 1


async def test_it_is_asked_once_in_a_run_however_often_it_stops(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says(), does((NOTE, {"body": "x"})), says())
    assert worked.kinds.count(EntryKind.NUDGE) == 1
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_a_ticket_that_somebody_else_closed_is_not_this_runs_outcome(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.closed_by_colleague()

        worked = await desk.play(does((NOTE, {"body": "x"})), says(gate=meanwhile), says())
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert "The hand-off did not succeed" in worked.report.outcome.reason
    assert "is closed and can no longer be changed" in worked.report.outcome.reason


async def test_an_invoice_sent_again_does_not_make_a_pending_ticket_this_runs(home: Path):
    rows = [ticket(42, "alice@example.com", status="pending")]
    async with bench(home, rows=rows) as desk:
        worked = await desk.play(
            does(("customers__resend_invoice", {"invoice_id": "inv_1001"})), says(), says(expect=[NUDGE])
        )
    assert worked.statuses[0] == "done"
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


# Replies that are not over.


async def test_a_reply_cut_off_at_its_limit_goes_on(home: Path):
    async with bench(home) as desk:
        cut = says("Let me think", stop_reason="max_tokens")
        worked = await desk.play(cut, closes(expect=["cut off at its token limit"]), says())
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize(("stop", "told"), [("max_tokens", "cut off at its token limit"), ("end_turn", NUDGE)])
async def test_the_calls_of_a_reply_that_did_not_stop_for_them_are_not_made(home: Path, stop: str, told: str):
    async with bench(home) as desk:
        half = does((NOTE, {"body": "one"}), (NOTE, {"body": "two"}), stop_reason=stop)
        worked = await desk.play(half, closes(expect=["Not run", told]), says())
        assert desk.notes() == []
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert [effect.tool for effect in worked.report.effects] == ["close_ticket"]


async def test_a_paused_reply_goes_on_unchanged_as_one_message(home: Path):
    async with bench(home) as desk:
        paused, rest = reply(text("I look"), stop="pause_turn"), reply(text("it up."), use("a", body="x"))
        worked, model = await run_of(
            desk, paused, rest, reply(use("b", CLOSE, resolution=RESOLUTION)), reply(text("Ok"))
        )
    assert model.requests[1] == [*model.requests[0], {"role": "assistant", "content": [text("I look")]}]
    assert model.requests[2][1]["content"] == [text("I look"), text("it up."), use("a", body="x")]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_reply_that_pauses_again_and_again_is_handed_over(home: Path):
    async with bench(home) as desk:
        worked, model = await run_of(desk, *[reply(text(f"p{n}"), stop="pause_turn") for n in range(9)])
    assert len(model.requests) == MAX_PAUSES + 1
    assert worked.report.outcome.reason == "Handed over to people: the model paused again and again."


async def test_pauses_are_counted_in_a_row(home: Path):
    async with bench(home) as desk:
        pauses = [reply(text("p"), stop="pause_turn")] * MAX_PAUSES
        worked, _ = await run_of(
            desk,
            *pauses,
            reply(use("a", body="x")),
            *pauses,
            reply(use("b", CLOSE, resolution=RESOLUTION)),
            reply(text("Ok")),
        )
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize(
    ("stop", "because"),
    [
        ("refusal", "the model refused to go on"),
        ("model_context_window_exceeded", "the conversation outgrew the model's context window"),
        ("daydream", "the model stopped for a reason unknown here (daydream)"),
    ],
)
async def test_a_reply_that_cannot_go_on_is_handed_over_and_its_calls_are_not_made(home: Path, stop: str, because: str):
    async with bench(home) as desk:
        worked, model = await run_of(desk, reply(use("a", body="never"), stop=stop))
        assert [note for note in desk.notes() if note == "never"] == []
        assert desk.ticket().group == "people"
    assert len(model.requests) == 1
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert worked.report.outcome.reason == f"Handed over to people: {because}."


async def test_a_refusal_after_the_ticket_was_closed_leaves_it_closed(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(), Turn(text="No.", stop_reason="refusal"))
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_tool_use_without_a_call_is_an_end_like_any_other(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says(stop_reason="tool_use"), closes(expect=[NUDGE]), says())
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


# Replies that cannot be sent back as they are.


async def test_an_empty_reply_is_asked_on(home: Path):
    async with bench(home) as desk:
        worked, model = await run_of(desk, reply(), reply(use("a", CLOSE, resolution=RESOLUTION)), reply(text("Ok")))
    assert model.requests[1][1] == {"role": "assistant", "content": [text("(no answer)")]}
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_blank_texts_are_left_out_of_what_is_sent_back(home: Path, blank: str):
    async with bench(home) as desk:
        worked, model = await run_of(
            desk, reply(text(blank), use("a", CLOSE, resolution=RESOLUTION)), reply(text("Ok"))
        )
    assert model.requests[1][1]["content"] == [use("a", CLOSE, resolution=RESOLUTION)]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_tool_use_id_twice_in_one_reply_is_one_call(home: Path):
    async with bench(home) as desk:
        twice = reply(use("same", body="first"), use("same", body="second"))
        worked, model = await run_of(desk, twice, reply(use("b", CLOSE, resolution=RESOLUTION)), reply(text("Ok")))
        assert desk.notes() == ["first"]
    assert [block["tool_use_id"] for block in model.requests[1][2]["content"]] == ["same"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_tool_use_id_of_an_earlier_reply_is_another_call_under_another_id_and_key(home: Path):
    async with bench(home) as desk:
        worked, _ = await run_of(
            desk,
            reply(use("same", body="first")),
            reply(use("same", body="second")),
            reply(use("same", CLOSE, resolution=RESOLUTION)),
            reply(text("Ok")),
        )
        assert desk.notes() == ["first", "second"]
    ids = [body["tool_use_id"] for body in worked.bodies(EntryKind.RESULT)]
    assert len(set(ids)) == 3
    assert len({effect.key for effect in worked.report.effects}) == 3
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize("id_", ["", "a b", "x" * 300, "host-1", "½"])
async def test_a_tool_use_id_that_no_request_may_hold_is_replaced(home: Path, id_: str):
    async with bench(home) as desk:
        worked, _ = await run_of(desk, reply(use(id_, body="x")), reply(text("Hm")), reply(text("Hm")))
        assert desk.notes()[0] == "x"
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


# One message answers a reply.


async def test_one_message_answers_all_calls_of_a_reply_in_their_order(home: Path):
    async with bench(home) as desk:
        calls = [
            Call(id="c", name=NOTE, arguments={"body": "x"}),
            Call(id="a", name="ticketing__search_tickets", arguments={"query": ""}),
            Call(id="d", name="nobody__knows", arguments={}),
            Call(id="b", name="customers__list_invoices", arguments={}),
        ]
        model = ScriptedModel([does(*calls), closes(), says()])
        await desk.work(model=model)
    answer = model.requests[1].messages[-1]
    assert answer["role"] == "user"
    assert [(block["type"], block["tool_use_id"]) for block in answer["content"]] == [
        ("tool_result", id_) for id_ in ("c", "a", "d", "b")
    ]
    assert [block.get("is_error", False) for block in answer["content"]] == [False, False, True, False]


async def test_thinking_is_sent_back_as_it_came(home: Path):
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    async with bench(home) as desk:
        _, model = await run_of(desk, reply(thought, use("a", CLOSE, resolution=RESOLUTION)), reply(text("Ok")))
    assert model.requests[1][1]["content"][0] == thought
