"""An apply stops at a call that is not as it was planned, or needs what nobody gives, and people are told."""

import sqlite3
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Elicit, ElicitationResult, MCPServer, Resolve, Sample
from mcp_types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

from agent.records import Effect, EntryKind, FormAnswer, OutcomeKind
from agent.settings import ToolSettings
from tests.fakes.applies import (
    CHANGED,
    NOTED,
    PRIORITY,
    RAISED,
    REFUNDED,
    apply,
    make_dear,
    planned,
    statuses,
)
from tests.fakes.runs import (
    NOTE,
    REFUND,
    REPLY,
    Person,
    bench,
    closes,
    does,
    says,
)

# Calls that only a person may allow.


async def test_a_call_that_asks_is_asked_about_when_the_plan_is_applied(home: Path):
    person = Person()
    async with bench(home) as desk:
        make_dear(desk)
        plan = await planned(desk, does(NOTED, REFUNDED), closes(), says())
        worked = await apply(desk, plan, approver=person)
        [refund] = desk.customers.record("alice@example.com").refunds
    assert refund.amount_cents == 12_000
    [proposal] = person.proposals
    assert (proposal.tool, proposal.effect, proposal.facts["amount_cents"]) == (
        "customers.issue_refund",
        Effect.MONEY,
        12_000,
    )
    [approval] = worked.bodies(EntryKind.APPROVAL)
    assert (approval["is_granted"], approval["by"]) == (True, "dana")
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_without_a_yes_the_apply_stops_and_people_are_told_what_was_done_and_what_not(home: Path):
    async with bench(home) as desk:
        make_dear(desk)
        plan = await planned(desk, does(NOTED, REFUNDED, RAISED), closes(), says())
        worked = await apply(desk, plan)
        assert desk.customers.record("alice@example.com").refunds == ()
        assert (desk.ticket().status, desk.ticket().group) == ("open", "people")
        _, note = desk.notes()
    assert statuses(worked) == [
        ("add_internal_note", "done"),
        ("issue_refund", "denied"),
        ("set_priority", "denied"),
        ("close_ticket", "denied"),
        ("escalate_ticket", "done"),
    ]
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert worked.report.outcome.reason == (
        "Handed over to people: the plan could be carried out only up to customers.issue_refund (A refund beyond what "
        "the agent may give by itself needs a person's approval. It was not given: no person is there to ask)."
    )
    done, _, rest = note.partition("- customers.issue_refund")
    assert "- ticketing.add_internal_note(body='Looked at it.'" in done
    assert "ticketing.set_priority(priority='urgent'" in rest
    assert "(denied: The apply had stopped before it.)" in rest
    assert "ticketing.close_ticket(resolution=" in rest


async def test_money_of_others_counts_for_the_budget_of_the_day(home: Path):
    async with bench(home, limits={"refunds_per_day_cents": 8_600}) as desk:
        plan = await planned(desk, does(REFUNDED), closes(), says())
        with_500 = (REFUND, {"invoice_id": "inv_2001", "reason": "Never used."})
        paid = await desk.play(does(with_500), closes(), says(), ticket_id="43")
        assert ("issue_refund", "done") in statuses(paid)
        worked = await apply(desk, plan)
        assert desk.customers.record("alice@example.com").refunds == ()
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "the plan could be carried out only up to customers.issue_refund (" in worked.report.outcome.reason


# What is other when a call's turn has come.


async def test_a_call_is_not_made_when_a_fact_that_it_was_judged_by_is_another_one(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), does(REFUNDED), closes(), says())
        make_dear(desk, 8_500)
        worked = await apply(desk, plan, approver=Person())
        assert desk.customers.record("alice@example.com").refunds == ()
    assert statuses(worked)[:2] == [("add_internal_note", "done"), ("issue_refund", "denied")]
    assert worked.report.outcome.reason == (
        "Handed over to people: the plan could be carried out only up to customers.issue_refund "
        "(amount_cents was 8400 in the plan, and is 8500 now)."
    )


async def test_a_fact_counts_that_no_argument_takes(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(REFUNDED), closes(), says())
        with sqlite3.connect(desk.home / "customers.sqlite") as database:
            database.execute("UPDATE invoices SET currency = 'EUR' WHERE id = 'inv_1001'")
        database.close()
        worked = await apply(desk, plan)
        assert desk.customers.record("alice@example.com").refunds == ()
    assert "(currency was 'USD' in the plan, and is 'EUR' now)" in worked.report.outcome.reason


async def test_a_ticket_that_moves_under_the_apply_is_given_to_people(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.by_colleague()

        plan = await planned(desk, does(NOTED, CHANGED), closes(), says())
        worked = await apply(desk, plan, approver=Person(meanwhile=meanwhile))
        assert desk.changes() == ["note_added", "note_added", "escalated"]
    assert worked.report.outcome.reason == (
        "Handed over to people: the plan could be carried out only up to customers.update_account "
        "(The ticket has changed since it was read, so this was not done)."
    )


async def test_a_ticket_that_a_colleague_ends_under_the_apply_is_left_alone(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.closed_by_colleague()

        plan = await planned(desk, does(NOTED, CHANGED), closes(), says())
        worked = await apply(desk, plan, approver=Person(meanwhile=meanwhile))
        assert desk.changes() == ["note_added", "closed"]
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.report.outcome.reason == (
        "Someone else has taken the ticket over while the plan was applied: it is closed."
    )
    assert [status for _, status in statuses(worked)] == ["done", "failed", "denied"]


async def test_a_call_that_fails_stops_the_apply(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, (NOTE, {"body": "x" * 10_001})), closes(), says())
        worked = await apply(desk, plan)
        assert desk.changes() == ["note_added", "escalated"]
    assert [status for _, status in statuses(worked)] == ["done", "failed", "denied", "done"]
    assert "only up to ticketing.add_internal_note (The note has 10,001 characters, and" in worked.report.outcome.reason


async def test_a_reply_that_was_sent_does_not_hide_that_the_rest_was_not_done(home: Path):
    async with bench(home) as desk:
        turns = [does((REPLY, {"body": "Hi, we are at it. — Support Team"})), does((PRIORITY, {})), closes(), says()]
        worked = await apply(desk, await planned(desk, *turns))
        assert desk.changes() == ["replied", "escalated"]
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


# What servers ask back.


class Colour(BaseModel):
    name: str


def asking() -> MCPServer[Any]:
    """A server whose writes ask: the model for words, the person for a colour, and then do without."""
    server = MCPServer[Any]("extra")

    async def words(ticket_id: str) -> Sample:
        about = TextContent(type="text", text=f"Words for {ticket_id}?")
        return Sample([SamplingMessage(role="user", content=about)], max_tokens=50)

    async def describe(ticket_id: str, said: Annotated[CreateMessageResult, Resolve(words)]) -> str:
        """Describe it."""
        return f"described as {said.content}"

    async def which() -> Elicit[Colour]:
        return Elicit("Which colour?", Colour)

    async def colour(ticket_id: str, answer: Annotated[ElicitationResult[Colour], Resolve(which)]) -> str:
        """Give it a colour."""
        return f"the colour of {ticket_id} was {answer.action}d"

    server.tool()(describe)
    server.tool()(colour)
    return server


_OWN = ToolSettings(effect=Effect.WRITE, bind={"ticket_id": "ticket.id"})
EXTRA: dict[str, Any] = {"tools": {"extra.describe": _OWN, "extra.colour": _OWN}}


async def test_a_form_is_declined_and_the_apply_stops_there(home: Path):
    person = Person(form=FormAnswer(action="accept", content={"priority": "urgent"}))
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED, (PRIORITY, {})), closes(), says())
        worked = await apply(desk, plan, operator=person)
        assert desk.changes() == ["note_added", "escalated"]
    assert person.questions == []
    [asked] = worked.bodies(EntryKind.ELICITATION)
    assert asked["action"] == "decline"
    assert [status for _, status in statuses(worked)] == ["done", "failed", "denied", "done"]
    assert worked.report.outcome.reason == (
        "Handed over to people: ticketing.set_priority asked for what the plan holds no answer to "
        "(ticketing wanted elicitation), so the plan was left there."
    )


async def test_a_sampling_request_is_declined_and_no_model_is_asked(home: Path):
    async with bench(home, targets={"extra": asking()}, **EXTRA) as desk:
        plan = await planned(desk, does(("extra__describe", {})), closes(), says())
        worked = await apply(desk, plan)
        assert desk.changes() == ["escalated"]
    [asked] = worked.bodies(EntryKind.SAMPLING)
    assert (asked["error"], "reply" in asked) == ("Nothing is answered while a plan is applied.", False)
    assert "(extra wanted sampling)" in worked.report.outcome.reason


async def test_a_call_that_was_done_without_its_answer_is_the_last_one(home: Path):
    async with bench(home, targets={"extra": asking()}, **EXTRA) as desk:
        plan = await planned(desk, does(("extra__colour", {})), closes(), says())
        worked = await apply(desk, plan)
        [_, note] = ["", *desk.notes()]
    assert [status for _, status in statuses(worked)] == ["done", "denied", "done"]
    assert "- extra.colour(ticket_id='42')\n" in note.partition("Not done")[0]
    assert "(extra wanted elicitation)" in worked.report.outcome.reason
