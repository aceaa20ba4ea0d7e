"""The helpdesk as the host reads it: cases, the queue, and how a ticket stands because of a run."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer

from agent.errors import ServerProtocolError, TicketNotFound, TicketNotWorkable
from agent.models.scripted import ScriptedModel
from agent.records import CallStatus, EffectReport, JsonObject, Outcome, OutcomeKind
from agent.settings import QueueReference
from agent.tickets import Helpdesk
from tests.fakes.helpdesk import ticket
from tests.fakes.other_desk import settings as other_settings
from tests.fakes.runs import Watching, bench, works_over


def effect(
    tool: str, status: CallStatus = CallStatus.DONE, server: str = "ticketing", **arguments: Any
) -> EffectReport:
    return EffectReport(server=server, tool=tool, arguments=arguments, status=status, reasons=(), key=None)


# The case.


async def test_a_case_holds_what_the_configuration_points_at(home: Path):
    async with bench(home) as desk:
        case = await desk.session.helpdesk.open("42")
    assert case.ticket.requester == "alice@example.com"
    assert case.ticket.fields["version"] == 1
    assert case.ticket.context.startswith("# Ticket 42: ")
    assert case.customer is not None
    assert (case.customer.id, case.customer.tier, case.customer.fields["verified"]) == ("cus_1001", "pro", True)


@pytest.mark.parametrize("ticket_id", ["999", "", "list", "042", "42/record", "../42", "4 2", "½", "x" * 2_000])
async def test_an_unknown_ticket_is_not_found(home: Path, ticket_id: str):
    async with bench(home) as desk:
        with pytest.raises(TicketNotFound, match="There is no ticket"):
            await desk.session.helpdesk.open(ticket_id)


async def test_a_ticket_that_is_closed_already_is_not_worked(home: Path):
    async with bench(home) as desk:
        with pytest.raises(TicketNotWorkable, match=r"Ticket 44 is closed: there is nothing to work."):
            await desk.prepare("44", model=ScriptedModel())


async def test_a_requester_in_no_customer_record_makes_a_case_without_one(home: Path):
    async with bench(home, rows=[ticket(50, "stranger@example.com")]) as desk:
        assert (await desk.session.helpdesk.open("50")).customer is None


@pytest.mark.parametrize("missing", ["requester", "status"])
async def test_a_record_that_lacks_a_needed_field_is_a_sentence(home: Path, missing: str):
    def point_at_nothing(settings: Any) -> Any:
        fields = {**settings.tickets.fields, missing: "/nowhere"}
        return settings.model_copy(update={"tickets": settings.tickets.model_copy(update={"fields": fields})})

    async with bench(home, settings=point_at_nothing) as desk:
        with pytest.raises(ServerProtocolError, match="The record of ticket 42 has no requester or status where"):
            await desk.session.helpdesk.open("42")


async def test_a_customer_record_without_an_id_is_a_sentence(home: Path):
    def point_at_nothing(settings: Any) -> Any:
        fields = {**settings.customers.fields, "id": "/nowhere"}
        return settings.model_copy(update={"customers": settings.customers.model_copy(update={"fields": fields})})

    async with bench(home, settings=point_at_nothing) as desk:
        with pytest.raises(ServerProtocolError, match="The customer record has no id where"):
            await desk.session.helpdesk.open("42")


# The queue.


async def test_the_queue_is_what_waits_for_nobody_in_particular(home: Path):
    async with bench(home) as desk:
        items = await desk.session.helpdesk.queue()
    assert [(item.ticket_id, item.requester) for item in items] == [("42", "alice@example.com")]
    assert items[0].summary["subject"] == "Cannot log in"


async def test_a_queue_longer_than_a_page_is_read_to_its_end_in_its_order(home: Path):
    rows = [ticket(number, f"c{number}@example.com") for number in range(1, 121)]
    async with bench(home, rows=rows) as desk:
        ids = [item.ticket_id for item in await desk.session.helpdesk.queue()]
    assert ids == [row["id"] for row in sorted(rows, key=lambda row: (row["created_at"], int(row["id"])))]


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (1, 1), (50, 50), (51, 51), (200, 120)])
async def test_a_limit_cuts_the_queue(home: Path, limit: int, count: int):
    rows = [ticket(number, f"c{number}@example.com") for number in range(1, 121)]
    async with bench(home, rows=rows) as desk:
        whole = [item.ticket_id for item in await desk.session.helpdesk.queue()]
        cut = [item.ticket_id for item in await desk.session.helpdesk.queue(limit)]
    assert cut == whole[:count]


@asynccontextmanager
async def queue_of(home: Path, pages: Sequence[Any]) -> AsyncGenerator[tuple[Helpdesk, list[str | None]]]:
    """A helpdesk whose queue answers with these pages, the last one again and again."""
    server, asked = MCPServer("desk"), []

    @server.tool()
    async def waiting(cursor: str | None = None) -> dict[str, Any]:
        asked.append(cursor)
        return pages[min(len(asked), len(pages)) - 1]

    queue = QueueReference(tool="waiting", items="/cases", id="/n", requester="/who", next_cursor="/next")
    settings = other_settings(home, queue=queue, handoff=None).model_copy(update={"tools": {}})
    async with works_over(settings, Watching(), {"desk": server}) as works:
        yield works.session.helpdesk, asked


def case(number: Any, who: Any = "a@example.com") -> JsonObject:
    return {"n": number, "who": who}


async def test_a_ticket_that_moves_to_the_next_page_meanwhile_is_listed_once(home: Path):
    pages = [{"cases": [case(1), case(2)], "next": "b"}, {"cases": [case(2), case(3)], "next": None}]
    async with queue_of(home, pages) as (helpdesk, asked):
        assert [item.ticket_id for item in await helpdesk.queue()] == ["1", "2", "3"]
    assert asked == [None, "b"]


async def test_a_queue_that_never_ends_is_given_up(home: Path):
    async with queue_of(home, [{"cases": [case(1)], "next": "again"}]) as (helpdesk, asked):
        assert [item.ticket_id for item in await helpdesk.queue()] == ["1"]
    assert asked == [None, "again"]


async def test_a_queue_whose_cursors_never_end_is_given_up_too(home: Path):
    pages = [{"cases": [case(number)], "next": f"page {number}"} for number in range(1_200)]
    async with queue_of(home, pages) as (helpdesk, asked):
        assert len(await helpdesk.queue()) == len(asked) == 1_000


async def test_a_ticket_without_a_requester_has_none(home: Path):
    async with queue_of(home, [{"cases": [case(1, None), case(2, "")], "next": None}]) as (helpdesk, _):
        assert [item.requester for item in await helpdesk.queue()] == ["", ""]


@pytest.mark.parametrize("page", [{}, {"cases": None}, {"cases": "none"}, {"cases": [{"id": 1}]}, {"cases": ["1"]}])
async def test_a_page_that_is_no_list_of_tickets_is_a_sentence(home: Path, page: JsonObject):
    async with queue_of(home, [page]) as (helpdesk, _):
        with pytest.raises(ServerProtocolError, match="waiting gives no list of tickets with ids where"):
            await helpdesk.queue()


# What a run has come to.


async def outcome_after(desk: Any, *effects: EffectReport) -> Outcome | None:
    case = await desk.session.helpdesk.open("42")
    return await desk.session.helpdesk.outcome(case, effects)


@pytest.mark.parametrize("status", list(CallStatus))
async def test_only_a_call_that_happened_or_may_have_can_have_closed_the_ticket(home: Path, status: CallStatus):
    async with bench(home) as desk:
        desk.closed_by_colleague()
        outcome = await outcome_after(desk, effect("close_ticket", status))
    assert (outcome is not None) is (status in {CallStatus.DONE, CallStatus.UNCERTAIN})


async def test_a_closed_ticket_is_not_the_outcome_of_a_run_that_only_wrote_a_note(home: Path):
    async with bench(home) as desk:
        desk.closed_by_colleague()
        assert await outcome_after(desk, effect("add_internal_note")) is None


async def test_a_close_that_the_ticket_system_does_not_show_is_no_outcome(home: Path):
    async with bench(home) as desk:
        assert await outcome_after(desk, effect("close_ticket")) is None


async def test_the_outcome_is_read_past_every_cache(home: Path):
    async with bench(home) as desk:
        case = await desk.session.helpdesk.open("42")
        close = [effect("close_ticket")]
        assert await desk.session.helpdesk.outcome(case, close) is None
        desk.closed_by_colleague()
        outcome = await desk.session.helpdesk.outcome(case, close)
    assert outcome == Outcome(kind=OutcomeKind.CLOSED, reason="Read back from the helpdesk: status closed.")


async def test_a_tool_that_no_configuration_names_may_have_ended_the_ticket(home: Path):
    async with bench(home) as desk:
        desk.closed_by_colleague()
        outcome = await outcome_after(desk, effect("shut", server="elsewhere"))
    assert outcome is not None
    assert outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize(
    ("effects", "would_be"),
    [
        ([], None),
        ([effect("add_internal_note", CallStatus.PLANNED)], None),
        ([effect("close_ticket", CallStatus.DENIED)], None),
        ([effect("close_ticket", CallStatus.FAILED)], None),
        ([effect("close_ticket", CallStatus.PLANNED)], "It would be closed: status closed."),
        ([effect("reply_to_customer", CallStatus.PLANNED)], "It would be pending: status pending."),
        ([effect("escalate_ticket", CallStatus.PLANNED)], "It would be escalated: group people."),
        (
            [effect("reply_to_customer", CallStatus.PLANNED), effect("close_ticket", CallStatus.PLANNED)],
            "It would be closed: status closed.",
        ),
        ([effect("resend_invoice", CallStatus.PLANNED, server="customers")], None),
        ([effect("shut", CallStatus.PLANNED, server="elsewhere")], None),
    ],
)
async def test_a_plan_comes_to_what_its_tools_are_declared_to_change(
    home: Path, effects: list[EffectReport], would_be: str | None
):
    async with bench(home) as desk:
        case = await desk.session.helpdesk.open("42")
        outcome = desk.session.helpdesk.planned_outcome(case, effects)
    assert (outcome.reason if outcome else None) == would_be
    assert outcome is None or outcome.kind is OutcomeKind.PLANNED
