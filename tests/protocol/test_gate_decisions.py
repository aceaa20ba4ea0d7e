"""What the gate reads, decides and asks before a call leaves, and what it leaves undone."""

from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from agent import approval
from agent.documents import digest
from agent.records import CallStatus, Effect, EntryKind, OutcomeKind, RunMode, Verdict
from agent.settings import FactSettings, ToolSettings
from servers.calls import KEY
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, ESCALATE, NOTE, REFUND, REPLY, Person, bench, closes, does, says

SMALL = (REFUND, {"invoice_id": "inv_1001", "reason": "Charged twice."})
ASKED = (REFUND, {"invoice_id": "inv_1003", "reason": "Charged twice."})
"""Yen: the default policy lets the agent give back dollars and euros by itself, and asks about all else."""

REFUSAL = "A refund beyond what the agent may give by itself needs a person's approval."
DECIDED = [EntryKind.DECISION, EntryKind.ATTEMPT, EntryKind.RESULT]
GRANTED = [EntryKind.DECISION, EntryKind.APPROVAL, *DECIDED]


def refunds(desk: Any, email: str = "alice@example.com") -> list[tuple[str, int]]:
    return [(refund.invoice_id, refund.amount_cents) for refund in desk.customers.record(email).refunds]


# Facts.


async def test_the_amount_of_a_refund_is_read_by_the_host_judged_recorded_and_bound(home: Path):
    async with bench(home) as desk:
        lied = (REFUND, {"invoice_id": "inv_1001", "reason": "Charged twice.", "expected_amount_cents": 1})
        worked = await desk.play(does(lied), closes(), says())
        assert refunds(desk) == [("inv_1001", 8400)]
    decision = worked.bodies(EntryKind.DECISION)[0]
    assert decision["facts"] == {"amount_cents": 8400, "currency": "USD"}
    assert decision["stripped"] == ["expected_amount_cents"]
    assert worked.bodies(EntryKind.ATTEMPT)[0]["arguments"]["expected_amount_cents"] == 8400


async def test_an_invoice_of_another_customer_is_refused_and_nothing_is_called(home: Path):
    person = Person()
    async with bench(home) as desk:
        before = desk.everything()
        worked = await desk.play(
            does((REFUND, {"invoice_id": "inv_2001", "reason": "Please."})), closes(), says(), approver=person
        )
        assert [line for line in desk.everything() if "refund" in line] == [line for line in before if "refund" in line]
    assert worked.statuses[0] == "failed"
    assert "customers.get_invoice could not be read for this call" in worked.told(0)
    assert worked.about("customers.issue_refund") == [EntryKind.RESULT]
    assert person.proposals == []


async def test_a_call_without_the_argument_that_its_facts_need_says_so(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((REFUND, {"reason": "Please."})), closes(), says())
    assert worked.told(0) == "The argument 'invoice_id' is missing."


def billing(reads: list[Any], paid: list[Any]) -> MCPServer:
    """A billing server of somebody else: a refund under another name, judged by what `price_of` says."""
    server = MCPServer("billing")

    @server.tool()
    def price_of(order: str, account: str) -> dict[str, Any]:
        reads.append((order, account))
        if order == "broken":
            raise ToolError("The ledger is closed.")
        if order == "unpriced":
            return {"money": None}
        return {"money": {"cents": 500, "unit": "USD"}}

    @server.tool()
    def give_back(order: str, account: str, cents: int, ctx: Context) -> dict[str, Any]:
        paid.append((order, account, cents, (ctx.request_context.meta or {}).get(KEY)))
        return {"ok": True}

    return server


BILLING = {
    "billing.price_of": ToolSettings(effect=Effect.READ, bind={"account": "customer.id"}, offer=False),
    "billing.give_back": ToolSettings(
        effect=Effect.MONEY,
        bind={"account": "customer.id", "cents": "facts.amount_cents"},
        facts={
            "amount_cents": FactSettings(tool="billing.price_of", arguments={"order": "$order"}, path="/money/cents"),
            "currency": FactSettings(tool="billing.price_of", arguments={"order": "$order"}, path="/money/unit"),
        },
    ),
}


async def test_two_facts_of_one_read_make_one_read(home: Path):
    reads: list[Any] = []
    paid: list[Any] = []
    async with bench(home, targets={"billing": billing(reads, paid)}, tools=BILLING) as desk:
        worked = await desk.play(
            does(("billing__give_back", {"order": "A1"})), closes(), says(), approver=approval.always()
        )
    assert reads == [("A1", "cus_1001")]
    assert paid == [("A1", "cus_1001", 500, None)]
    assert worked.bodies(EntryKind.DECISION)[0]["facts"] == {"amount_cents": 500, "currency": "USD"}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("broken", "billing.price_of could not be read for this call: Error executing tool price_of: The ledger"),
        ("unpriced", "billing.price_of does not say the amount_cents that billing.give_back is judged by."),
    ],
)
async def test_a_call_whose_facts_cannot_be_had_is_not_made(home: Path, order: str, said: str):
    paid: list[Any] = []
    async with bench(home, targets={"billing": billing([], paid)}, tools=BILLING) as desk:
        worked = await desk.play(
            does(("billing__give_back", {"order": order})), closes(), says(), approver=approval.always()
        )
    assert worked.told(0).startswith(said)
    assert worked.statuses[0] == "failed"
    assert paid == []


async def test_a_fact_source_that_is_no_configured_read_judges_nothing(home: Path):
    paid: list[Any] = []
    reads: list[Any] = []
    tools = {**BILLING, "billing.price_of": ToolSettings(effect=Effect.WRITE, bind={"account": "customer.id"})}
    async with bench(home, targets={"billing": billing(reads, paid)}, tools=tools) as desk:
        worked = await desk.play(
            does(("billing__give_back", {"order": "A1"})), closes(), says(), approver=approval.always()
        )
    assert worked.told(0) == "billing.price_of, which this call is judged by, is not there to be read."
    assert (reads, paid) == ([], [])


async def test_facts_are_those_of_the_call_that_leaves_not_of_what_the_model_sent(home: Path):
    reads: list[Any] = []
    paid: list[Any] = []
    asked = {"order": "$order", "account": "$account"}
    facts = {
        "amount_cents": FactSettings(tool="billing.price_of", arguments=asked, path="/money/cents"),
        "currency": FactSettings(tool="billing.price_of", arguments=asked, path="/money/unit"),
    }
    tools = {
        "billing.price_of": ToolSettings(effect=Effect.READ, public=True, offer=False),
        "billing.give_back": BILLING["billing.give_back"].model_copy(update={"facts": facts}),
    }
    async with bench(home, targets={"billing": billing(reads, paid)}, tools=tools) as desk:
        await desk.play(
            does(("billing__give_back", {"order": "A1", "account": "cus_cheap"})),
            closes(),
            says(),
            approver=approval.always(),
        )
    assert reads == [("A1", "cus_1001")]
    assert [call[:3] for call in paid] == [("A1", "cus_1001", 500)]


# Approval.


async def test_a_person_sees_exactly_the_arguments_that_leave(home: Path):
    person = Person()
    async with bench(home) as desk:
        worked = await desk.play(does(ASKED), closes(), says(), approver=person)
    [proposal] = person.proposals
    assert proposal.tool == "customers.issue_refund"
    assert proposal.effect is Effect.MONEY
    assert proposal.case.ticket.id == "42"
    assert proposal.decision.verdict is Verdict.ASK
    assert proposal.arguments == worked.bodies(EntryKind.ATTEMPT)[0]["arguments"]
    assert proposal.arguments["customer_id"] == "cus_1001"


async def test_a_granted_call_is_made_once_under_the_key_of_run_reply_and_call(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(ASKED), closes(), says(), approver=Person())
        assert refunds(desk) == [("inv_1003", 1200)]
    reply = next(entry for entry in worked.entries if entry.kind is EntryKind.REPLY)
    attempt = worked.bodies(EntryKind.ATTEMPT)[0]
    assert attempt["key"] == f"{worked.report.run_id}/{reply.seq}/{attempt['tool_use_id']}"
    assert worked.report.effects[0].key == attempt["key"]
    assert worked.about("customers.issue_refund") == GRANTED
    [approval_] = worked.bodies(EntryKind.APPROVAL)
    assert approval_ == {
        "tool_use_id": attempt["tool_use_id"],
        "tool": "customers.issue_refund",
        "digest": digest(attempt["arguments"]),
        "is_granted": True,
        "by": "dana",
        "because": "I looked",
        "seconds": approval_["seconds"],
    }


async def test_the_key_reaches_a_server_that_honours_keys_and_no_other(home: Path):
    paid: list[Any] = []
    async with bench(home, targets={"billing": billing([], paid)}, tools=BILLING) as desk:
        worked = await desk.play(
            does(("billing__give_back", {"order": "A1"})), closes(), says(), approver=approval.always()
        )
        keys = [event.key for event in desk.tickets.record("42").events]
    assert paid[0][3] is None
    assert keys[-1] == worked.report.effects[-1].key


async def test_a_refused_call_is_never_made_and_says_who_did_not_want_it(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(ASKED), closes(), says(), approver=Person(grants=False))
        assert refunds(desk) == []
    assert worked.told(0) == (f"Denied: {REFUSAL} It was not given: I would not.")
    assert worked.about("customers.issue_refund") == [EntryKind.DECISION, EntryKind.APPROVAL, EntryKind.RESULT]
    denied = worked.report.effects[0]
    assert (denied.status, denied.key) == (CallStatus.DENIED, None)
    assert denied.reasons == (
        REFUSAL,
        "It was not given: I would not.",
    )


async def test_without_a_person_the_standing_answer_is_recorded_as_one(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(ASKED), closes(), says(), approver=approval.never())
    assert worked.bodies(EntryKind.APPROVAL)[0]["by"] == "--approve never"
    assert "no person is there to ask" in worked.told(0)


def crypt() -> tuple[MCPServer, list[str]]:
    """A server that deletes, under a name of its own, and has a tool that no configuration names."""
    server, done = MCPServer("crypt"), []

    @server.tool()
    def bury(account: str) -> str:
        done.append(f"buried {account}")
        return "gone"

    @server.tool()
    def whisper(text: str) -> str:
        done.append(text)
        return "said"

    return server, done


async def test_nothing_is_deleted_even_with_every_approval(home: Path):
    server, done = crypt()
    tools = {"crypt.bury": ToolSettings(effect=Effect.DELETION, bind={"account": "customer.id"})}
    async with bench(home, targets={"crypt": server}, tools=tools) as desk:
        worked = await desk.play(does(("crypt__bury", {})), closes(), says(), approver=approval.always())
    assert worked.told(0) == "Denied: Nothing is deleted by this agent."
    assert worked.statuses[0] == "denied"
    assert done == []


async def test_a_tool_that_no_configuration_names_needs_a_person(home: Path):
    server, done = crypt()
    person = Person(grants=False)
    async with bench(home, targets={"crypt": server}) as desk:
        await desk.play(does(("crypt__whisper", {"text": "hello"})), closes(), says(), approver=person)
    assert [(proposal.tool, proposal.effect) for proposal in person.proposals] == [("crypt.whisper", Effect.UNNAMED)]
    assert done == []


# Limits.


async def test_only_closing_or_escalating_is_left_when_the_writes_are_used(home: Path):
    async with bench(home, limits={"writes": 2}) as desk:
        worked = await desk.play(
            does((NOTE, {"body": "one"}), (NOTE, {"body": "two"}), (NOTE, {"body": "three"})), closes(), says()
        )
        assert desk.notes() == ["one", "two"]
        assert desk.ticket().status == "closed"
    assert worked.statuses == ["done", "done", "denied", "done"]
    assert "This run has made its 2 writes" in worked.told(2)


@pytest.mark.parametrize(
    "second", [(CLOSE, {"resolution": "Again."}), (ESCALATE, {"reason": "x"}), (REPLY, {"body": "x"})]
)
async def test_a_run_ends_its_ticket_once(home: Path, second: tuple[str, dict[str, Any]]):
    async with bench(home) as desk:
        worked = await desk.play(closes(), does(second), says())
        assert desk.changes() == ["closed"]
    assert worked.statuses == ["done", "denied"]
    assert worked.told(1) == "Denied: This run has already ended its ticket."


async def test_an_ending_that_the_server_refused_may_be_tried_again(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(" "), closes(), says())
    assert worked.statuses == ["failed", "done"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


# A dry run.


async def test_a_dry_run_reads_for_real_writes_nothing_and_asks_nobody(home: Path):
    person = Person()
    async with bench(home) as desk:
        before = desk.everything()
        worked = await desk.play(
            does(("ticketing__search_knowledge_base", {"query": "login password"}), ASKED, (NOTE, {"body": "x"})),
            closes(),
            says(),
            mode=RunMode.DRY_RUN,
            approver=person,
        )
        assert desk.everything() == before
    assert worked.statuses == ["done", "planned", "planned", "planned"]
    assert "kb://login" in worked.told(0)
    assert person.proposals == []
    assert worked.bodies(EntryKind.DECISION)[1]["verdict"] == "ask"
    assert worked.bodies(EntryKind.DECISION)[1]["facts"]["amount_cents"] == 1200


async def test_a_dry_run_says_that_the_call_is_recorded_and_not_executed(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": "x", "ticket_id": "43"})), closes(), says(), mode=RunMode.DRY_RUN)
    assert worked.told(0).startswith("Recorded, not executed: this is a dry run.")
    assert "ticket_id: set by the host" in worked.told(0)
    assert EntryKind.ATTEMPT not in worked.kinds
    assert [(effect.tool, effect.status, effect.key) for effect in worked.report.effects] == [
        ("add_internal_note", CallStatus.PLANNED, None),
        ("close_ticket", CallStatus.PLANNED, None),
    ]
    assert worked.report.effects[1].arguments["ticket_id"] == "42"


async def test_a_dry_run_denies_what_a_live_run_denies(home: Path):
    server, done = crypt()
    tools = {"crypt.bury": ToolSettings(effect=Effect.DELETION, bind={"account": "customer.id"})}
    async with bench(home, targets={"crypt": server}, tools=tools, limits={"writes": 1}) as desk:
        worked = await desk.play(
            does(("crypt__bury", {}), (NOTE, {"body": "one"}), (NOTE, {"body": "two"})),
            closes(),
            closes(),
            says(),
            mode=RunMode.DRY_RUN,
        )
    assert worked.statuses == ["denied", "planned", "denied", "planned", "denied"]
    assert done == []


async def test_a_dry_run_finds_the_wrong_arguments_that_a_live_run_would_find(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"text": "x"})), closes(), says(), mode=RunMode.DRY_RUN)
    assert worked.statuses[0] == "failed"
    assert worked.report.outcome.kind is OutcomeKind.PLANNED


# What is recorded.


async def test_every_way_through_the_gate_is_recorded_in_its_order(home: Path):
    server, _ = crypt()
    tools = {"crypt.bury": ToolSettings(effect=Effect.DELETION, bind={"account": "customer.id"})}
    async with bench(home, targets={"crypt": server}, tools=tools) as desk:
        worked = await desk.play(
            does(
                ("ticketing__search_tickets", {"query": ""}),
                (NOTE, {"body": "x"}),
                (NOTE, {"body": ""}),
                (NOTE, {}),
                ("crypt__bury", {}),
                ("crypt__whisper", {"text": "x"}),
                ("nobody__knows", {}),
            ),
            closes(),
            says(),
        )
    asked = [entry.body["tool_use_id"] for entry in worked.entries if entry.kind is EntryKind.RESULT]
    way = {id_: [entry.kind.value for entry in worked.entries if entry.body.get("tool_use_id") == id_] for id_ in asked}
    assert list(way.values()) == [
        ["decision", "attempt", "result"],
        ["decision", "attempt", "result"],
        ["decision", "attempt", "result"],
        ["result"],
        ["decision", "result"],
        ["decision", "approval", "result"],
        ["result"],
        ["decision", "attempt", "result"],
    ]
    assert worked.statuses == ["done", "done", "failed", "failed", "denied", "denied", "failed", "done"]


async def test_the_attempt_is_recorded_before_the_server_hears_of_the_call(home: Path):
    seen: list[tuple[EntryKind, int]] = []
    async with bench(home) as desk:
        desk.observer.on_entry = lambda _, entry: seen.append((entry.kind, len(desk.notes())))
        await desk.play(does((NOTE, {"body": "x"})), closes(), says())
    decided = [(kind, notes) for kind, notes in seen if kind in DECIDED]
    assert decided[:3] == [(EntryKind.DECISION, 0), (EntryKind.ATTEMPT, 0), (EntryKind.RESULT, 1)]


async def test_the_report_lists_every_call_that_was_no_read(home: Path):
    async with bench(home, rows=[ticket(42, "alice@example.com")]) as desk:
        worked = await desk.play(
            does(("customers__list_invoices", {}), ASKED, (NOTE, {"body": "x"}), (NOTE, {"body": ""})),
            closes(),
            says(),
        )
    assert [(effect.server, effect.tool, effect.status.value) for effect in worked.report.effects] == [
        ("customers", "issue_refund", "denied"),
        ("ticketing", "add_internal_note", "done"),
        ("ticketing", "add_internal_note", "failed"),
        ("ticketing", "close_ticket", "done"),
    ]
    assert worked.report.effects[1].reasons == ("It acts on the run's own ticket and requester.",)
