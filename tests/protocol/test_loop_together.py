"""What runs together and what does not: reads of one reply, writes, and several tickets over the same servers."""

from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from mcp.server.mcpserver import MCPServer, Resolve, Sample
from mcp_types import CreateMessageResult, SamplingMessage, TextContent

from agent import approval
from agent.models.scripted import Call, Conversation, ScriptedModel
from agent.records import Effect, EntryKind, OutcomeKind
from agent.settings import ToolSettings
from agent.wire.transports import InProcess
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import Worked, bench, closes, does, says, summarizing


class Hall:
    """A server whose reads wait until as many are inside as a test wants, and whose writes note who is inside."""

    def __init__(self, *, together: int = 1) -> None:
        self.log: list[str] = []
        self.inside = 0
        self.crowd = 0
        self._together = together
        self._full = anyio.Event()
        self.server = MCPServer("hall")
        self.server.tool()(self.look)
        self.server.tool()(self.change)

    async def look(self, name: str) -> str:
        self.log.append(f"look {name}")
        self._together -= 1
        if self._together <= 0:
            self._full.set()
        await self._full.wait()
        self.log.append(f"seen {name}")
        return name

    async def change(self, name: str) -> str:
        self.inside += 1
        self.crowd = max(self.crowd, self.inside)
        self.log.append(f"change {name}")
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.log.append(f"changed {name}")
        self.inside -= 1
        return name


HALL = {
    "hall.look": ToolSettings(effect=Effect.READ, public=True),
    "hall.change": ToolSettings(effect=Effect.ACCOUNT),
}


def look(name: str) -> tuple[str, dict[str, Any]]:
    return ("hall__look", {"name": name})


def change(name: str) -> tuple[str, dict[str, Any]]:
    return ("hall__change", {"name": name})


async def test_the_reads_of_one_reply_are_made_together(home: Path):
    hall = Hall(together=3)
    async with bench(home, targets={"hall": hall.server}, tools=HALL) as desk:
        worked = await desk.play(does(look("a"), look("b"), look("c")), closes(), says())
    assert hall.log[:3] == ["look a", "look b", "look c"]
    assert worked.statuses == ["done"] * 4


async def test_writes_never_overlap_and_keep_their_order(home: Path):
    hall = Hall()
    async with bench(home, targets={"hall": hall.server}, tools=HALL) as desk:
        await desk.play(does(change("a"), change("b"), change("c")), closes(), says(), approver=approval.always())
    assert hall.crowd == 1
    assert hall.log == ["change a", "changed a", "change b", "changed b", "change c", "changed c"]


async def test_no_read_overtakes_a_write_that_was_asked_for_before_it(home: Path):
    hall = Hall()
    async with bench(home, targets={"hall": hall.server}, tools=HALL) as desk:
        await desk.play(does(look("a"), change("b"), look("c")), closes(), says(), approver=approval.always())
    assert hall.log == ["look a", "seen a", "change b", "changed b", "look c", "seen c"]


async def test_entries_of_calls_made_together_are_numbered_without_gaps(home: Path):
    hall = Hall(together=5)
    async with bench(home, targets={"hall": hall.server}, tools=HALL) as desk:
        worked = await desk.play(does(*[look(name) for name in "abcde"]), closes(), says())
    assert [entry.seq for entry in worked.entries] == list(range(1, len(worked.entries) + 1))
    assert worked.about("hall.look").count(EntryKind.ATTEMPT) == 5


async def test_a_run_with_a_call_in_flight_says_which(home: Path):
    hall = Hall()
    async with bench(home, targets={"hall": hall.server}, tools=HALL) as desk:
        run = await desk.prepare(
            model=ScriptedModel([does(Call(id="one", name="hall__change", arguments={"name": "a"})), closes(), says()]),
            approver=approval.always(),
        )
        with anyio.fail_after(600):
            async with anyio.create_task_group() as working:
                working.start_soon(desk.finish, run)
                await desk.observer.until(lambda: "one" in run.ledger.in_flight)
                working.cancel_scope.cancel()
        assert run.ledger.in_flight == {"one": "hall.change"}
        assert desk.intakes[run.recorder.run_id].active == {run.recorder.run_id: run}


# Several tickets at once.


def rows(count: int) -> list[dict[str, Any]]:
    return [ticket(number, f"customer{number}@example.com") for number in range(1, count + 1)]


async def test_eight_tickets_at_once_are_each_credited_with_what_was_sampled_for_them(home: Path):
    async with bench(home, rows=rows(8)) as desk:
        arrived = 0
        all_there = anyio.Event()

        async def meet() -> None:
            nonlocal arrived
            arrived += 1
            if arrived == 8:
                all_there.set()
            await all_there.wait()

        model = ScriptedModel(
            conversations=[
                talk
                for number in range(1, 9)
                for talk in (
                    Conversation(
                        match=f"Resolve support ticket {number}.",
                        turns=[
                            does(("ticketing__summarize_ticket", {})),
                            closes(expect=[f"Summary of {number}."]),
                            says(),
                        ],
                    ),
                    # All eight are in flight at the same time: no order of arrival can credit them rightly by luck.
                    summarizing(str(number), f"Summary of {number}.", gate=meet),
                )
            ]
        )
        worked: dict[str, Worked] = {}

        async def one(ticket_id: str) -> None:
            run = await desk.prepare(ticket_id, model=model)
            worked[ticket_id] = Worked(run=run, finished=await desk.finish(run))

        with anyio.fail_after(600):
            async with anyio.create_task_group() as tickets:
                for number in range(1, 9):
                    tickets.start_soon(one, str(number))
        await model.aclose()
        for ticket_id, done in worked.items():
            [sampling] = done.bodies(EntryKind.SAMPLING)
            assert sampling["reply"]["content"] == [{"type": "text", "text": f"Summary of {ticket_id}."}]
            assert f"# Ticket {ticket_id}:" in sampling["request"]["messages"][0]["content"][0]["text"]
            [attempt, _] = done.bodies(EntryKind.ATTEMPT)
            assert sampling["tool_use_id"] == attempt["tool_use_id"]
            assert done.report.outcome.kind is OutcomeKind.CLOSED
            assert desk.changes(ticket_id) == ["closed"]


def muse() -> MCPServer:
    server = MCPServer("muse")

    def question(about: str) -> Sample:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=f"A word on {about}?"))
        return Sample([message], max_tokens=20)

    @server.tool()
    async def ponder(about: str, answer: Annotated[CreateMessageResult, Resolve(question)]) -> str:
        assert isinstance(answer.content, TextContent)
        return f"{about}: {answer.content.text}"

    return server


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_of_either_era_is_answered_for_the_run_that_called_it(home: Path, mode: str):
    tools = {"muse.ponder": ToolSettings(effect=Effect.READ, public=True)}
    target = InProcess(server=muse(), mode=mode)
    async with bench(home, rows=rows(3), targets={"muse": target}, tools=tools) as desk:
        model = ScriptedModel(
            conversations=[
                talk
                for number in range(1, 4)
                for talk in (
                    Conversation(
                        match=f"Resolve support ticket {number}.",
                        turns=[
                            does(
                                ("muse__ponder", {"about": f"left{number}"}),
                                ("muse__ponder", {"about": f"right{number}"}),
                            ),
                            closes(
                                expect=[f"left{number}: word of left{number}", f"right{number}: word of right{number}"]
                            ),
                            says(),
                        ],
                    ),
                    Conversation(match=f"left{number}", turns=[says(f"word of left{number}")]),
                    Conversation(match=f"right{number}", turns=[says(f"word of right{number}")]),
                )
            ]
        )
        worked: dict[str, Worked] = {}

        async def one(ticket_id: str) -> None:
            run = await desk.prepare(ticket_id, model=model)
            worked[ticket_id] = Worked(run=run, finished=await desk.finish(run))

        with anyio.fail_after(600):
            async with anyio.create_task_group() as tickets:
                for number in range(1, 4):
                    tickets.start_soon(one, str(number))
        await model.aclose()
    for ticket_id, done in worked.items():
        by_call = {
            body["tool_use_id"]: body["request"]["messages"][0]["content"][0]["text"]
            for body in done.bodies(EntryKind.SAMPLING)
        }
        asked = {body["tool_use_id"]: body["arguments"].get("about") for body in done.bodies(EntryKind.ATTEMPT)[:2]}
        assert by_call == {id_: f"A word on {about}?" for id_, about in asked.items()}
        assert all(about.endswith(ticket_id) for about in asked.values())
        assert done.report.outcome.kind is OutcomeKind.CLOSED
