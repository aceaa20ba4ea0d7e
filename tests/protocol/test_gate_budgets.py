"""What a run and a day may use: counted over crashes and runs, and stopped at the gate whatever the policy says."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.mcpserver import MCPServer

from agent import approval
from agent.journal import RunRecord
from agent.models.scripted import ScriptedModel, Turn
from agent.protocols import SpentMeanwhile
from agent.records import Effect, EntryKind, JsonObject, RunMode
from agent.settings import FactSettings, ToolSettings
from tests.fakes.helpdesk import ticket
from tests.fakes.judging import rules
from tests.fakes.runs import NOTE, REPLY, RESOLUTION, Bench, Worked, bench, closes, does, says

NOTE_X = (NOTE, {"body": "x"})
SEARCH = ("ticketing__search_knowledge_base", {"query": "log in"})
URI = ("read_resource", {"uri": "ticket://42"})
PERMISSIVE = rules("permit (principal, action, resource);")
"""Everything is permitted: what is denied here, `[limits]` denies."""


def permissive(settings: Any) -> Any:
    return settings.model_copy(update={"policy": PERMISSIVE})


def denied_by(worked: Worked) -> list[str]:
    decisions = worked.bodies(EntryKind.DECISION)
    return [reason["rule"] for body in decisions if body["verdict"] == "deny" for reason in body["reasons"]]


# The same call again and again.


@pytest.mark.parametrize("call", [SEARCH, NOTE_X, URI], ids=["read", "write", "resource"])
async def test_the_same_call_is_made_three_times_and_then_stopped(home: Path, call: tuple[str, JsonObject]):
    async with bench(home) as desk:
        worked = await desk.play(*[does(call)] * 5, closes(), says())
    assert worked.statuses == ["done"] * 3 + ["denied"] * 2 + ["done"]
    assert worked.told(3) == (
        "Denied: This run has made exactly this call 3 times ([limits] same_calls): what it says is known."
    )
    assert denied_by(worked) == ["limits.same_calls"] * 2


async def test_the_same_call_in_one_reply_is_stopped_too(home: Path):
    async with bench(home, limits={"same_calls": 1}) as desk:
        worked = await desk.play(does(SEARCH, SEARCH, NOTE_X, NOTE_X), closes(), says())
        assert desk.notes() == ["x"]
    assert sorted(worked.statuses) == ["denied", "denied", "done", "done", "done"]


async def test_arguments_that_the_host_sets_make_no_call_another_one(home: Path):
    lies = [(NOTE, {"body": "x", "ticket_id": str(number)}) for number in range(5)]
    async with bench(home) as desk:
        worked = await desk.play(*map(does, lies), closes(), says())
        assert desk.notes() == ["x"] * 3
    assert denied_by(worked) == ["limits.same_calls"] * 2


async def test_what_makes_no_call_is_read_no_facts_for_again_and_again(home: Path):
    foreign = does(("customers__issue_refund", {"invoice_id": "inv_2001", "reason": "Please."}))
    async with bench(home) as desk:
        worked = await desk.play(*[foreign] * 4, closes(), says())
    assert worked.statuses == ["failed"] * 3 + ["denied", "done"]


async def test_other_arguments_and_other_runs_count_for_themselves(home: Path):
    different = [does((NOTE, {"body": str(number)})) for number in range(5)]
    async with bench(home) as desk:
        worked = await desk.play(*different, says(), says())
        again = await desk.play(*different, closes(), says())
    assert denied_by(worked) == denied_by(again) == []


async def test_a_run_that_goes_on_still_knows_what_it_has_asked_for(home: Path):
    async with bench(home) as desk:
        first = await desk.play(*[does(NOTE_X)] * 2, Turn(unavailable="down"))
        assert first.finished.failure is not None
        worked = await desk.play(*[does(NOTE_X)] * 4, closes(), says())
        assert desk.notes() == ["x"] * 3
    assert worked.statuses == ["done"] * 3 + ["denied", "done"]


# Writes and replies, whatever the policy says.


async def test_no_policy_lifts_the_limits_of_a_run(home: Path):
    notes = [(NOTE, {"body": str(number)}) for number in range(3)]
    replies = [(REPLY, {"body": RESOLUTION}), (REPLY, {"body": f"Hi, and {RESOLUTION}"})]
    async with bench(home, limits={"writes": 3, "replies": 1}, settings=permissive) as desk:
        worked = await desk.play(does(*replies), does(*notes), closes(), says())
    assert worked.statuses == ["done", "denied", "done", "done", "denied", "done"]
    assert denied_by(worked) == ["limits.replies", "limits.writes"]


# Money over runs.


class Till:
    """A server that pays what an order's name says; a payment may be made to wait, to fail, or to be the last."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.server = MCPServer("till")
        self.server.tool()(self.price_of)
        self.server.tool()(self.pay)

    def price_of(self, order: str, account: str) -> dict[str, Any]:
        return {"cents": int(order.removeprefix("fails-")), "unit": "USD"}

    def pay(self, order: str, account: str, cents: int) -> str:
        if order.startswith("fails"):
            raise ValueError("no")
        self.paid.append(cents)
        return "paid"


def fact(path: str) -> FactSettings:
    return FactSettings(tool="till.price_of", arguments={"order": "$order"}, path=path)


TOOLS = {
    "till.price_of": ToolSettings(effect=Effect.READ, bind={"account": "ticket.requester"}, offer=False),
    "till.pay": ToolSettings(
        effect=Effect.MONEY,
        bind={"account": "ticket.requester", "cents": "facts.amount_cents"},
        facts={"amount_cents": fact("/cents"), "currency": fact("/unit")},
    ),
}


def pays(*orders: int | str) -> Turn:
    return does(*[("till__pay", {"order": str(order)}) for order in orders])


def till_shape(till: Till, **limits: int) -> dict[str, Any]:
    rows = [ticket(number, f"user{number}@example.com") for number in range(1, 6)] + [ticket(6, "USER1@example.com")]
    shape = {"rows": rows, "targets": {"till": till.server}, "tools": TOOLS, "settings": permissive}
    return {**shape, "limits": {"refunds_per_customer_day_cents": 1000, "refunds_per_day_cents": 1500, **limits}}


async def paid(desk: Bench, ticket_id: str, *orders: int | str, **options: Any) -> list[str]:
    return (await desk.play(pays(*orders), closes(), says(), ticket_id=ticket_id, **options)).statuses[:-1]


async def test_a_customers_day_is_counted_over_all_their_runs(home: Path):
    till = Till()
    async with bench(home, **till_shape(till)) as desk:
        assert await paid(desk, "1", 600, 401, 400, 1) == ["done", "denied", "done", "denied"]
        assert await paid(desk, "6", 1) == ["denied"]
        assert await paid(desk, "2", 500) == ["done"]
    assert till.paid == [600, 400, 500]


async def test_a_day_pays_all_customers_together_no_more_than_it_may(home: Path):
    till = Till()
    async with bench(home, **till_shape(till)) as desk:
        assert await paid(desk, "1", 900) == ["done"]
        assert await paid(desk, "2", 601, 600) == ["denied", "done"]
        assert await paid(desk, "3", 1) == ["denied"]


async def test_what_has_surely_failed_uses_nothing_up(home: Path):
    till = Till()
    async with bench(home, **till_shape(till)) as desk:
        assert await paid(desk, "1", "fails-1000", 1000) == ["failed", "done"]


async def test_what_a_dry_run_plans_counts_in_it_and_nowhere_else(home: Path):
    till = Till()
    async with bench(home, **till_shape(till)) as desk:
        assert await paid(desk, "1", 600, 401, 400, mode=RunMode.DRY_RUN) == ["planned", "denied", "planned"]
        assert await paid(desk, "1", 1000) == ["done"]
        assert await paid(desk, "2", 501, 500, mode=RunMode.DRY_RUN) == ["denied", "planned"]
    assert till.paid == [1000]


async def test_runs_that_pay_at_the_same_time_never_pay_more_than_the_day_may(home: Path):
    till = Till()
    async with bench(home, **till_shape(till, refunds_per_day_cents=700)) as desk:
        runs = [
            await desk.prepare(
                str(number), model=ScriptedModel([pays(200), pays(201), closes(), says()]), approver=approval.never()
            )
            for number in range(1, 6)
        ]
        with anyio.fail_after(600):
            async with anyio.create_task_group() as together:
                for run in runs:
                    together.start_soon(desk.finish, run)
    # Three of 200 fit, or with 201 among them: whatever order they come in, less than that is left.
    assert 600 <= sum(till.paid) <= 700


async def test_a_payment_is_judged_anew_when_another_run_has_paid_since(home: Path, monkeypatch: pytest.MonkeyPatch):
    till = Till()
    refused: list[EntryKind] = []
    append = RunRecord.append

    async def late(record: RunRecord, kind: EntryKind, body: JsonObject, **options: Any) -> Any:
        if kind is EntryKind.ATTEMPT and body["tool"] == "till.pay" and not refused:
            refused.append(kind)
            raise SpentMeanwhile
        return await append(record, kind, body, **options)

    monkeypatch.setattr(RunRecord, "append", late)
    async with bench(home, **till_shape(till)) as desk:
        worked = await desk.play(pays(600), closes(), says(), ticket_id="1")
    about = [body["verdict"] for body in worked.bodies(EntryKind.DECISION) if body["tool"] == "till.pay"]
    assert about == ["allow", "allow"]
    assert till.paid == [600]


async def test_a_run_that_is_never_alone_in_paying_gives_up_the_call(home: Path, monkeypatch: pytest.MonkeyPatch):
    till = Till()
    append = RunRecord.append

    async def late(record: RunRecord, kind: EntryKind, body: JsonObject, **options: Any) -> Any:
        if options.get("spent") is not None:
            raise SpentMeanwhile
        return await append(record, kind, body, **options)

    monkeypatch.setattr(RunRecord, "append", late)
    async with bench(home, **till_shape(till)) as desk:
        worked = await desk.play(pays(600), closes(), says(), ticket_id="1")
    assert worked.statuses == ["failed", "done"]
    assert "Other runs are paying at this moment" in worked.told(0)
    assert till.paid == []


async def test_the_decision_says_by_which_totals_it_was_taken(home: Path):
    till = Till()
    async with bench(home, **till_shape(till)) as desk:
        await paid(desk, "2", 500)
        worked = await desk.play(pays(100, 200), closes(), says(), ticket_id="1")
    assert [body["spent"] for body in worked.bodies(EntryKind.DECISION)] == [
        {"customer_cents": 0, "all_cents": 500},
        {"customer_cents": 100, "all_cents": 600},
        {"customer_cents": 300, "all_cents": 800},
    ]
