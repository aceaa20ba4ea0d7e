"""A helpdesk of somebody else, by configuration alone: the host knows no names."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigurationError, ServerProtocolError, TicketNotWorkable
from agent.models.scripted import ScriptedModel, Turn
from agent.records import EntryKind, OutcomeKind, RunMode
from agent.settings import ToolReference
from tests.fakes.other_desk import OtherDesk, settings
from tests.fakes.runs import Watching, Worked, Works, does, says, works_over


@asynccontextmanager
async def opened(home: Path, desk: OtherDesk, **tickets: Any) -> AsyncGenerator[Works]:
    async with works_over(settings(home, **tickets), Watching(), {"desk": desk.server}) as works:
        yield works


async def play(works: Works, *turns: Turn, ticket_id: str = "1", mode: RunMode = RunMode.LIVE) -> Worked:
    return await works.play(*turns, ticket_id=ticket_id, mode=mode)


FINISH = does(("desk__finish", {"words": "Hi, done. — Support Team"}))
REREAD = does(("desk__fetch", {}))


async def test_a_case_is_closed_through_tools_of_other_names(home: Path):
    desk = OtherDesk()
    async with opened(home, desk) as works:
        worked = await play(works, REREAD, FINISH, says())
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert desk.log == [("finish", "1")]
    assert desk.cases["1"]["words"] == "Hi, done. — Support Team"
    assert worked.bodies(EntryKind.ATTEMPT)[1]["arguments"] == {
        "case_number": "1",
        "rev": 1,
        "words": "Hi, done. — Support Team",
    }


async def test_without_a_prompt_the_model_is_told_in_a_word_what_to_do(home: Path):
    desk = OtherDesk()
    async with opened(home, desk) as works:
        model = ScriptedModel([FINISH, says()])
        await works.work("1", model=model)
    texts = [block["text"] for block in model.requests[0].messages[0]["content"]]
    assert texts[0] == "Resolve this ticket."
    assert "Story of 1." in texts[1]
    assert [tool["name"] for tool in model.requests[0].tools] == [
        "desk__ask_back",
        "desk__fetch",
        "desk__finish",
        "desk__pass_on",
    ]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (("desk__ask_back", {"words": "Which one?"}), OutcomeKind.PENDING),
        (("desk__pass_on", {"why": "It is beyond me."}), OutcomeKind.ESCALATED),
    ],
)
async def test_its_other_endings_are_known_by_its_own_words(home: Path, call: Any, kind: OutcomeKind):
    desk = OtherDesk()
    async with opened(home, desk) as works:
        worked = await play(works, does(call), says())
    assert worked.report.outcome.kind is kind


async def test_a_run_that_does_not_end_is_handed_over_by_its_own_tool(home: Path):
    desk = OtherDesk()
    async with opened(home, desk) as works:
        worked = await play(works, says(), says("I cannot."))
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "I cannot." in desk.cases["1"]["why"]


async def test_a_case_that_moved_is_read_again_through_its_tool_before_the_next_write(home: Path):
    desk = OtherDesk()

    async def meanwhile() -> None:
        desk.cases["1"]["rev"] = 7

    async with opened(home, desk) as works:
        stale = does(("desk__finish", {"words": "Hi."}), gate=meanwhile)
        worked = await play(works, stale, FINISH, says())
    assert worked.statuses == ["failed", "done"]
    assert "Story of 1." in worked.told(0)
    assert desk.log == [("finish", "1")]


async def test_a_dry_run_is_planned_although_no_changes_are_declared(home: Path):
    desk = OtherDesk()
    async with opened(home, desk) as works:
        worked = await play(works, FINISH, says(), mode=RunMode.DRY_RUN)
    assert worked.report.outcome.kind is OutcomeKind.PLANNED
    assert worked.report.outcome.reason == "It would be closed, by what its tool is for."
    assert desk.log == []


async def test_its_queue_is_read_page_by_page(home: Path):
    desk = OtherDesk(5)
    async with opened(home, desk) as works:
        items = await works.session.helpdesk.queue()
        assert [(item.ticket_id, item.requester) for item in items] == [
            (str(number), f"c{number}@example.com") for number in range(1, 6)
        ]
        assert [item.ticket_id for item in await works.session.helpdesk.queue(3)] == ["1", "2", "3"]


async def test_a_case_in_a_state_that_is_not_workable_is_left_alone(home: Path):
    desk = OtherDesk()
    desk.cases["1"]["state"] = "done"
    async with opened(home, desk) as works:
        with pytest.raises(TicketNotWorkable, match=r"Ticket 1 is done: there is nothing to work."):
            await play(works)


async def test_what_its_tool_refuses_is_said_in_its_own_words(home: Path):
    async with opened(home, OtherDesk()) as works:
        with pytest.raises(ServerProtocolError, match=r"No case 99\."):
            await works.session.helpdesk.open("99")


async def test_a_record_without_what_the_configuration_points_at_is_a_sentence(home: Path):
    desk = OtherDesk()
    desk.cases["1"]["state"] = None
    async with opened(home, desk) as works:
        with pytest.raises(ServerProtocolError, match=r"The record of ticket 1 has no requester or status where"):
            await works.session.helpdesk.open("1")


async def test_what_is_not_configured_says_what_is_missing(home: Path):
    async with opened(home, OtherDesk(), queue=None) as works:
        with pytest.raises(ConfigurationError, match="No queue is configured"):
            await works.session.helpdesk.queue()
        with pytest.raises(ConfigurationError, match="has no `import`"):
            await works.session.helpdesk.import_tickets([])
        with pytest.raises(ConfigurationError, match="has no `customer_reply`"):
            await works.session.helpdesk.customer_reply("1", "x")


async def test_a_placeholder_that_the_host_has_no_value_for_is_a_sentence(home: Path):
    record = ToolReference(tool="fetch", arguments={"case_number": "$number"})
    async with opened(home, OtherDesk(), record=record) as works:
        with pytest.raises(ConfigurationError, match=r"fills fetch with \$number, but the host has \$ticket_id there"):
            await works.session.helpdesk.open("1")
