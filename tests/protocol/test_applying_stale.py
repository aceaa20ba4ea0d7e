"""A plan is not applied where something is other than it was, or where it is no open plan; nothing is done then."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer

from agent.commands.applying import ApplyOptions
from agent.commands.applying import apply as apply_command
from agent.commands.frame import Frame
from agent.errors import JournalError, PlanRefused, UsageError
from agent.models.scripted import Turn
from agent.records import OutcomeKind, RunMode
from agent.settings import Settings
from servers.effects import Call as StoreCall
from tests.fakes import other_desk
from tests.fakes.applies import (
    NOTED,
    SEARCHED,
    apply,
    is_recorded,
    later,
    planned,
)
from tests.fakes.runs import (
    Bench,
    Watching,
    Worked,
    Works,
    bench,
    closes,
    does,
    says,
    works_over,
)


def somebody(tool: str) -> StoreCall:
    return StoreCall(tool=tool, arguments={}, actor="Dana")


# What has changed since.


Change = Callable[[Bench], object]


def customer_changed(desk: Bench) -> None:
    desk.customers.update_account(
        somebody("update_account"),
        "cus_1001",
        plan="free",
        contact_email=None,
        marketing_opt_in=None,
        expected_version=None,
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Bench.by_colleague, "Ticket 42 has changed: it was at version 1, and is at 2."),
        (Bench.closed_by_colleague, "Ticket 42 has changed: it was at version 1, and is at 2."),
        (customer_changed, "The customer record has changed: it was at version 1, and is at 2."),
    ],
)
async def test_a_record_that_has_changed_since_refuses_the_plan_and_nothing_is_done(
    home: Path, change: Change, told: str
):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
        change(desk)
        left = desk.everything()
        with pytest.raises(PlanRefused) as refused:
            await apply(desk, plan)
        assert desk.everything() == left
        assert not await is_recorded(desk, plan)
        # Nobody holds the ticket any more.
        await desk.play(closes(), says(), ticket_id="43")
    run_id = plan.run.recorder.run_id
    assert str(refused.value) == f"The plan of run {run_id} does not hold any more. {told} Make it anew with --dry-run."


def of_tools(settings: Settings, name: str, **changed: Any) -> Settings:
    tools = {**settings.tools, name: settings.tools[name].model_copy(update=changed)}
    return settings.model_copy(update={"tools": tools})


def limited(settings: Settings, writes: int = 9) -> Settings:
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"writes": writes})})


def ruled(settings: Settings) -> Settings:
    return settings.model_copy(update={"policy": settings.policy + "\n// another one\n"})


def instructed(server: MCPServer[Any]) -> None:
    server._lowlevel_server.instructions = "Always be kind."


def prompted(server: MCPServer[Any]) -> None:
    prompts = server._prompt_manager._prompts
    changed = {"fn": lambda ticket_id, account_tier: f"Resolve {ticket_id}, {account_tier}.", "context_kwarg": None}
    prompts["resolution_prompt"] = prompts["resolution_prompt"].model_copy(update=changed)


def described(server: MCPServer[Any]) -> None:
    tool = server._tool_manager._tools["close_ticket"]
    tool.description = "Close it now."


def widened(server: MCPServer[Any]) -> None:
    tool = server._tool_manager._tools["add_internal_note"]
    tool.parameters["properties"]["colour"] = {"type": "string"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (ruled, "The policy has changed."),
        (limited, "The configuration has changed: limits.writes."),
        (
            lambda settings: of_tools(settings, "ticketing.close_ticket", sends=()),
            "The configuration has changed: tools.ticketing.close_ticket.",
        ),
        (
            lambda settings: settings.model_copy(
                update={"company": settings.company.model_copy(update={"domains": ("elsewhere.example",)})}
            ),
            "The configuration has changed: company.domains.",
        ),
    ],
)
async def test_another_configuration_refuses_the_plan(home: Path, settings: Callable[[Settings], Settings], told: str):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        left = desk.everything()
        async with later(desk, settings=settings) as works:
            with pytest.raises(PlanRefused) as refused:
                await apply(works, plan)
        assert desk.everything() == left
        assert not await is_recorded(desk, plan)
    assert f"does not hold any more. {told} Make it anew" in str(refused.value)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (instructed, "The system prompt has changed."),
        (prompted, "The helpdesk's own prompt has changed."),
        (described, "The tools have changed: ticketing.close_ticket.description."),
        (widened, "The tools have changed: ticketing.add_internal_note.inputSchema."),
    ],
)
async def test_another_server_refuses_the_plan(home: Path, server: Callable[[MCPServer[Any]], None], told: str):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        left = desk.everything()
        async with later(desk, server=server) as works:
            with pytest.raises(PlanRefused) as refused:
                await apply(works, plan)
        assert desk.everything() == left
        assert not await is_recorded(desk, plan)
    assert f"does not hold any more. {told} Make it anew" in str(refused.value)


async def test_the_same_in_a_later_command_holds(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        async with later(desk) as works:
            assert (await apply(works, plan)).report.outcome.kind is OutcomeKind.CLOSED
        assert desk.changes() == ["closed"]


async def test_a_plan_that_has_seen_the_ticket_change_holds_for_the_ticket_as_it_saw_it_last(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.by_colleague("I am on it.")

        plan = await planned(desk, does(NOTED, gate=meanwhile), does(NOTED), closes(), says())
        assert desk.ticket().version == 2
        worked = await apply(desk, plan)
        assert desk.changes() == ["note_added", "note_added", "closed"]
        assert worked.report.outcome.kind is OutcomeKind.CLOSED


# A helpdesk of somebody else, whose records have no versions.


def without_versions(settings: Settings) -> Settings:
    fields = {name: pointer for name, pointer in other_desk.TICKETS.fields.items() if name != "version"}
    bind = {"case_number": "ticket.id"}
    tools = {
        name: tool.model_copy(update={"bind": bind}) if tool.bind else tool for name, tool in other_desk.TOOLS.items()
    }
    tickets = settings.tickets.model_copy(update={"fields": fields})
    return settings.model_copy(update={"tickets": tickets, "tools": tools})


@asynccontextmanager
async def elsewhere(home: Path, desk: other_desk.OtherDesk) -> AsyncGenerator[Works]:
    settings = without_versions(other_desk.settings(home))
    async with works_over(settings, Watching(), {"desk": desk.server}) as works:
        yield works


FINISHED = does(("desk__finish", {"words": "Hi, done. — Support Team", "rev": 1}))


async def test_where_records_have_no_versions_what_was_read_is_compared(home: Path):
    desk = other_desk.OtherDesk()
    async with elsewhere(home, desk) as works:
        held = await planned(works, FINISHED, says(), ticket_id="1")
        moved = await planned(works, FINISHED, says(), ticket_id="2")
        desk.cases["2"]["story"] = "Another story."
        worked = await apply(works, held)
        with pytest.raises(PlanRefused, match=r"Ticket 2 has changed\. Make it anew"):
            await apply(works, moved)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert desk.log == [("finish", "1")]


# Plans that cannot be applied.


def options(plan: Worked, **changed: Any) -> ApplyOptions:
    values: dict[str, Any] = {
        "run_ids": [plan.run.recorder.run_id],
        "is_all": False,
        "left_out": (),
        "is_sure": True,
        "approve": None,
    }
    return ApplyOptions(**values | changed)


async def refusal(plan: Worked, **changed: Any) -> str:
    """What the command says before it starts a server."""
    with pytest.raises((PlanRefused, UsageError, JournalError)) as refused:
        await apply_command(Frame(), options(plan, **changed))
    return str(refused.value)


async def test_only_an_open_plan_is_applied(home: Path):
    async with bench(home) as desk:
        older = await planned(desk, closes(), says())
        newer = await planned(desk, closes(), says())
        live = await desk.play(does(NOTED), Turn(unavailable="down"))
        unfinished = await planned(desk, Turn(unavailable="down"), ticket_id="43")
        await desk.journal.reject(newer.run.recorder.run_id, by="dana", because="Too short.")
        drafted = await desk.play(closes(), says(), ticket_id="43", mode=RunMode.DRAFT)
    told = (older, newer, live, unfinished, drafted)
    first, second, third, fourth, fifth = (worked.run.recorder.run_id for worked in told)
    assert (
        await refusal(older) == f"The plan of run {first} is superseded: run {second} has planned for ticket 42 since."
    )
    assert (await refusal(newer)).startswith(f"The plan of run {second} is rejected by dana on ")
    assert (await refusal(newer)).endswith(": Too short. A new dry run makes another plan.")
    assert await refusal(live) == f"Run {third} is no dry run: it has no plan."
    assert await refusal(unfinished) == f"Run {fourth} has left no plan that could be applied: it has not finished."
    assert await refusal(drafted) == f"Run {fifth} has left no plan that could be applied: it is drafted."


async def test_a_plan_whose_record_was_tampered_with_is_not_applied(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
    with sqlite3.connect(home / "journal.sqlite") as database:
        database.execute("UPDATE entries SET body = replace(body, 'Looked', 'Booked') WHERE kind = 'decision'")
    database.close()
    assert "is not as it was written, so nobody can say what it has planned" in await refusal(plan)


async def test_a_ticket_with_an_unfinished_run_is_left_to_that_run(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, closes(), says())
        live = await desk.play(does(SEARCHED), Turn(unavailable="down"))
        with pytest.raises(PlanRefused) as refused:
            await apply(desk, plan)
        assert not await is_recorded(desk, plan)
        # An unfinished dry run has done nothing, and is in nobody's way.
        await desk.play(closes(), says())
    resume = f"`support-agent runs resume {live.run.recorder.run_id}`"
    assert str(refused.value) == f"Ticket 42 has an unfinished run, which must end first: {resume}, or `runs cancel`."


async def test_what_is_left_out_must_be_planned(home: Path):
    async with bench(home) as desk:
        plan = await planned(desk, does(NOTED), closes(), says())
    assert await refusal(plan, left_out=["ticketing.clsoe_ticket"]) == (
        "--except ticketing.clsoe_ticket: no call of that tool is planned. "
        "Planned are: ticketing.add_internal_note, ticketing.close_ticket."
    )
