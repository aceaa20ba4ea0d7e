"""A person's yes: to exactly these arguments, decided again with what is known after it, and once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer

from agent.documents import digest
from agent.records import CallStatus, Effect, EntryKind, RunMode
from agent.settings import FactSettings, Settings, ToolSettings
from tests.fakes.judging import DEFAULT, rules
from tests.fakes.runs import Person, Worked, bench, closes, does, says

LARGE, HUGE = 20_000, 60_000
GIVE_BACK = does(("billing__give_back", {"order": "A1"}))

DECISION, APPROVAL = EntryKind.DECISION, EntryKind.APPROVAL
ATTEMPT, RESULT = EntryKind.ATTEMPT, EntryKind.RESULT


class Billing:
    """A server of somebody else whose prices change; it says what it was asked to pay."""

    def __init__(self, cents: int = LARGE) -> None:
        self.cents = cents
        self.reads = 0
        self.paid: list[tuple[str, int]] = []
        self.server = MCPServer("billing")
        self.server.tool()(self.price_of)
        self.server.tool()(self.give_back)

    def price_of(self, order: str, account: str) -> dict[str, Any]:
        self.reads += 1
        return {"cents": self.cents, "unit": "USD"}

    def give_back(self, order: str, account: str, cents: int) -> dict[str, Any]:
        self.paid.append((order, cents))
        return {"ok": True}


def fact(path: str) -> FactSettings:
    return FactSettings(tool="billing.price_of", arguments={"order": "$order"}, path=path)


TOOLS = {
    "billing.price_of": ToolSettings(effect=Effect.READ, bind={"account": "customer.id"}, offer=False),
    "billing.give_back": ToolSettings(
        effect=Effect.MONEY,
        bind={"account": "customer.id", "cents": "facts.amount_cents"},
        facts={"amount_cents": fact("/cents"), "currency": fact("/unit")},
        changes={"order.status": "refunded", "order.note": "$note"},
    ),
}


async def played(
    home: Path,
    billing: Billing,
    approver: Any,
    *,
    mode: RunMode = RunMode.LIVE,
    settings: Callable[[Settings], Settings] = lambda settings: settings,
) -> Worked:
    shape = {"targets": {"billing": billing.server}, "tools": TOOLS, "settings": settings}
    async with bench(home, **shape) as desk:
        return await desk.play(GIVE_BACK, closes(), says(), approver=approver, mode=mode)


def meanwhile(change: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def changed() -> None:
        change()

    return changed


def verdicts(worked: Worked) -> list[tuple[str, bool]]:
    about = [body for body in worked.bodies(DECISION) if body["tool"] == "billing.give_back"]
    return [(body["verdict"], body["is_approved"]) for body in about]


async def test_after_a_yes_the_facts_are_read_and_the_call_is_decided_again(home: Path):
    billing = Billing()
    worked = await played(home, billing, Person())
    assert verdicts(worked) == [("ask", False), ("allow", True)]
    assert worked.about("billing.give_back") == [DECISION, APPROVAL, DECISION, ATTEMPT, RESULT]
    assert billing.reads == 2
    assert billing.paid == [("A1", LARGE)]


async def test_a_person_is_shown_what_was_read_and_what_would_change(home: Path):
    person = Person()
    await played(home, Billing(), person)
    [proposal] = person.proposals
    assert proposal.facts == {"amount_cents": LARGE, "currency": "USD"}
    assert proposal.changes == {"order.status": "refunded"}


async def test_a_yes_to_another_amount_counts_nothing_and_the_person_is_asked_once_more(home: Path):
    billing = Billing()
    person = Person(meanwhile=meanwhile(lambda: setattr(billing, "cents", LARGE + 1)))
    worked = await played(home, billing, person)
    assert [proposal.arguments["cents"] for proposal in person.proposals] == [LARGE, LARGE + 1]
    assert verdicts(worked) == [("ask", False), ("ask", False), ("allow", True)]
    assert billing.paid == [("A1", LARGE + 1)]


async def test_what_changes_with_every_question_is_denied_after_two(home: Path):
    billing = Billing()

    def dearer() -> None:
        billing.cents += 1

    person = Person(meanwhile=meanwhile(dearer))
    worked = await played(home, billing, person)
    assert len(person.proposals) == 2
    assert billing.paid == []
    assert worked.told(0).endswith("What it would do was different each time that it was asked about.")
    assert worked.report.effects[0].status is CallStatus.DENIED


async def test_what_is_never_allowed_by_then_is_not_made_although_a_person_has_said_yes(home: Path):
    billing = Billing()
    person = Person(meanwhile=meanwhile(lambda: setattr(billing, "cents", HUGE)))
    worked = await played(home, billing, person)
    assert verdicts(worked) == [("ask", False), ("deny", False)]
    assert billing.paid == []
    assert "More than 500.00 in one run" in worked.told(0)


async def test_what_needs_no_person_any_more_is_made_without_another_question(home: Path):
    billing = Billing()
    person = Person(meanwhile=meanwhile(lambda: setattr(billing, "cents", 500)))
    worked = await played(home, billing, person)
    assert verdicts(worked) == [("ask", False), ("allow", False)]
    assert len(person.proposals) == 1
    assert billing.paid == [("A1", 500)]


async def test_a_yes_is_good_for_one_call(home: Path):
    billing, person = Billing(), Person()
    async with bench(home, targets={"billing": billing.server}, tools=TOOLS) as desk:
        worked = await desk.play(GIVE_BACK, GIVE_BACK, closes(), says(), approver=person)
    assert len(person.proposals) == 2
    assert len({body["tool_use_id"] for body in worked.bodies(APPROVAL)}) == 2
    assert len({body["digest"] for body in worked.bodies(APPROVAL)}) == 1


async def test_a_no_is_final_for_the_call_and_names_who_said_it(home: Path):
    billing = Billing()
    worked = await played(home, billing, Person(grants=False))
    assert verdicts(worked) == [("ask", False)]
    [answer] = worked.bodies(APPROVAL)
    assert (answer["is_granted"], answer["by"]) == (False, "dana")
    assert billing.paid == []


async def test_a_limit_that_no_approval_lifts_is_said_before_anyone_is_asked(home: Path):
    billing, person = Billing(), Person()

    def poorer(settings: Settings) -> Settings:
        return settings.model_copy(
            update={"limits": settings.limits.model_copy(update={"refunds_per_day_cents": LARGE - 1})}
        )

    worked = await played(home, billing, person, settings=poorer)
    assert person.proposals == []
    assert worked.bodies(DECISION)[0]["reasons"][0]["rule"] == "limits.refunds_per_day_cents"
    assert billing.paid == []


async def test_a_dry_run_makes_no_read_that_a_person_would_have_to_allow(home: Path):
    policy = DEFAULT.replace(
        "when { context.call.confined };", "when { context.approved && context.call.confined };", 1
    )
    assert policy != DEFAULT
    async with bench(home, settings=lambda settings: settings.model_copy(update={"policy": policy})) as desk:
        worked = await desk.play(
            does(("customers__list_invoices", {})), closes(), says(), approver=Person(), mode=RunMode.DRY_RUN
        )
    assert worked.statuses == ["denied", "planned"]
    assert worked.told(0).endswith("A dry run asks nobody.")


async def test_a_policy_of_ones_own_takes_the_defaults_place(home: Path):
    policy = rules('permit (principal, action in Action::"close", resource);')
    async with bench(home, settings=lambda settings: settings.model_copy(update={"policy": policy})) as desk:
        worked = await desk.play(does(("customers__list_invoices", {})), closes(), says())
    assert worked.statuses == ["denied", "done"]
    assert worked.told(0) == "Denied: No rule of the policy permits this call of customers.list_invoices (read)."


async def test_the_answer_is_recorded_for_exactly_what_was_asked(home: Path):
    worked = await played(home, Billing(), Person())
    [answer] = worked.bodies(APPROVAL)
    assert answer["digest"] == digest({"order": "A1", "account": "cus_1001", "cents": LARGE})
