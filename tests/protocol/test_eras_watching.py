"""What a run is told while it works: that its ticket has changed, and that it has not done so itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest

from agent.models.scripted import ScriptedModel, Turn
from agent.records import ModelRequest, Reply
from agent.settings import Settings
from agent.tickets import Helpdesk
from agent.wire.transports import InProcess
from tests.fakes.helpdesk import TicketDesk, ticket_desk
from tests.fakes.runs import NOTE, Bench, bench, closes, does, says

ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
CHANGED = "Ticket 42 has just been changed by someone else."


class Pausing:
    """A model that lets something happen before one of its replies."""

    def __init__(self, turns: Sequence[Turn], meanwhile: Mapping[int, Callable[[], Awaitable[None]]]) -> None:
        self._model = ScriptedModel(turns)
        self._meanwhile = meanwhile  # by the number of the reply
        self._replies = 0

    @property
    def name(self) -> str:
        return self._model.name

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        self._replies += 1
        if self._replies in self._meanwhile:
            await self._meanwhile[self._replies]()
        return await self._model.reply(request, on_text)

    async def aclose(self) -> None:
        await self._model.aclose()


async def note_by_host(on: Bench, ticket_id: str) -> None:
    """Let somebody change a ticket through the same server."""
    arguments = {"ticket_id": ticket_id, "body": "I am on it."}
    await on.session.host.call_tool(
        "ticketing", "add_internal_note", arguments, key=None, is_repeatable=False, answers=None
    )


async def watching_is_set_up(on: Bench) -> None:
    """Wait until a change is told: a stream of changes opens while the run is under way already."""
    told = anyio.Event()
    with on.session.host.watching("ticketing", ["ticket://43"], told.set):
        while not told.is_set():
            await note_by_host(on, "43")
            with anyio.move_on_after(0.1):
                await told.wait()


async def until_told(on: Bench) -> None:
    while not on.observer.notices:
        await anyio.lowlevel.checkpoint()


def desk(folder: Path) -> AbstractContextManager[TicketDesk]:
    folder.mkdir()
    return ticket_desk(folder)


@ERAS
async def test_a_ticket_that_someone_else_changes_is_told_once(home: Path, tmp_path: Path, era: str):
    with desk(tmp_path / "desk") as tickets:
        target = InProcess(server=tickets.server, mode=era)
        async with bench(home, targets={"ticketing": target}) as on:

            async def change() -> None:
                await note_by_host(on, "42")
                await until_told(on)
                await note_by_host(on, "42")

            turns = [does((NOTE, {"body": "Looking."})), says("…"), says("…")]
            await on.work(model=Pausing(turns, {1: lambda: watching_is_set_up(on), 2: change}))
            assert on.observer.notices == [CHANGED]


@ERAS
async def test_what_the_run_does_itself_is_not_told(home: Path, tmp_path: Path, era: str):
    with desk(tmp_path / "desk") as tickets:
        target = InProcess(server=tickets.server, mode=era)
        async with bench(home, targets={"ticketing": target}) as on:
            notes = [does((NOTE, {"body": f"Note {number}."})) for number in range(3)]

            model = Pausing([*notes, closes(), says()], {1: lambda: watching_is_set_up(on)})
            worked = await on.work(model=model)
            assert worked.statuses == ["done"] * 4
            assert on.observer.notices == []


async def test_a_helpdesk_that_is_read_by_tools_is_not_watched(home: Path):
    def by_tools(settings: Settings) -> Settings:
        tool = {"tool": "x", "arguments": {}}
        return Settings.model_validate(
            settings.model_dump()
            | {"tickets": settings.tickets.model_dump(by_alias=True) | {"record": tool, "context": tool}}
        )

    async with bench(home) as on:
        assert Helpdesk(on.session.host, by_tools(on.session.settings)).resources("42") == []
        assert on.session.helpdesk.resources("4/2") == ["ticket://4%2F2/record", "ticket://4%2F2"]
