"""A run that a person cancels, whoever works it: what was under way never acts any more, is done, or is uncertain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer

from agent.errors import RunLost, RunNotFound, ServerLost
from agent.host import Host
from agent.records import CallStatus, Effect, EntryKind, OutcomeKind, RunReport
from agent.settings import ServerSettings, Settings
from tests.fakes.processes import Halt, at_work, killed_at, process
from tests.fakes.runs import NOTE, Bench, bench, closes, does, says

NOTED = does((NOTE, {"body": "Looked at it."}))
FROZEN_BEFORE, FROZEN_AFTER = "before it leaves", "after it has acted"


def freezing(monkeypatch: pytest.MonkeyPatch, tool: str, halt: Halt, *, when: str = FROZEN_BEFORE) -> None:
    """Let whoever calls this tool halt: its attempt is recorded, and its result is not."""
    call_tool = Host.call_tool

    async def frozen(host: Host, server: str, name: str, *args: Any, **more: Any) -> Any:
        if name != tool:
            return await call_tool(host, server, name, *args, **more)
        if when == FROZEN_BEFORE:
            await halt()
        answer = await call_tool(host, server, name, *args, **more)
        if when == FROZEN_AFTER:
            await halt()
        return answer

    monkeypatch.setattr(Host, "call_tool", frozen)


def effects(report: RunReport) -> list[tuple[str, CallStatus]]:
    return [(effect.tool, effect.status) for effect in report.effects]


async def cancelled_body(desk: Bench, run_id: str) -> Any:
    return next(entry.body for entry in await desk.journal.entries(run_id) if entry.kind is EntryKind.CANCEL)


async def test_a_late_call_of_a_frozen_owner_does_not_act_and_then_it_loses(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    halt = Halt()
    freezing(monkeypatch, "close_ticket", halt)
    async with bench(home) as desk:
        owner = await at_work(process(desk, 11, NOTED, closes(), says()), halt)
        report = await process(desk, 22).cancel(owner.run_id, because="wrong customer")
        assert report.outcome.kind is OutcomeKind.UNRESOLVED
        assert report.outcome.reason == "Cancelled by ann: wrong customer."
        assert effects(report) == [("add_internal_note", CallStatus.DONE), ("close_ticket", CallStatus.FAILED)]
        assert report.effects[1].reasons == ("Cancelled before it was carried out; it never will be.",)
        assert report.turns == 2
        body = await cancelled_body(desk, owner.run_id)
        assert (body["voided"], body["uncertain"]) == ([report.effects[1].key], [])
        halt.go_on.set()
        with pytest.raises(RunLost):
            await owner.end()
        assert desk.changes() == ["note_added"]
        assert desk.ticket().status == "new"


async def test_a_call_that_had_acted_already_is_recorded_as_done_with_its_first_result(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    halt = Halt()
    freezing(monkeypatch, "close_ticket", halt, when=FROZEN_AFTER)
    async with bench(home) as desk:
        owner = await at_work(process(desk, 11, closes(), says()), halt)
        report = await process(desk, 22).cancel(owner.run_id, because="too late")
        assert effects(report) == [("close_ticket", CallStatus.DONE)]
        [result] = [entry.body for entry in await desk.journal.entries(owner.run_id) if entry.kind is EntryKind.RESULT]
        assert '"closed_ticket_id": "42"' in result["content"][0]["text"]
        halt.go_on.set()
        with pytest.raises(RunLost):
            await owner.end()
        assert desk.changes() == ["closed"]


async def test_a_live_owner_loses_at_its_next_append_and_nothing_more_is_called(home: Path):
    halt = Halt()
    async with bench(home) as desk:
        owner = await at_work(process(desk, 11, NOTED, closes(gate=halt)), halt)
        report = await process(desk, 22).cancel(owner.run_id, because="no reason")
        assert effects(report) == [("add_internal_note", CallStatus.DONE)]
        halt.go_on.set()
        with pytest.raises(RunLost, match="was taken over by process 22"):
            await owner.end()
        assert desk.changes() == ["note_added"]


class Crate:
    """A third-party server: it knows no keys, and a configuration has a word for its tools."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.server = MCPServer("crate")
        self.server.tool()(self.ship)
        self.server.tool()(self.weigh)

    async def ship(self, ticket_id: str) -> str:
        """Send the thing."""
        self.calls.append("ship")
        return "sent"

    async def weigh(self, ticket_id: str) -> str:
        """Weigh the thing."""
        self.calls.append("weigh")
        return "3 kg"


def with_crate(effect: Effect) -> Callable[[Settings], Settings]:
    def change(settings: Settings) -> Settings:
        tool = settings.tools["ticketing.add_internal_note"].model_copy(update={"effect": effect})
        bound = tool.model_copy(update={"bind": {"ticket_id": "ticket.id"}, "changes": {}, "idempotent": False})
        tools = {**settings.tools, "crate.ship": bound, "crate.weigh": bound}
        return settings.model_copy(update={"servers": {**settings.servers, "crate": ServerSettings()}, "tools": tools})

    return change


@pytest.mark.parametrize(("tool", "effect"), [("ship", Effect.WRITE), ("weigh", Effect.READ)])
async def test_an_unanswered_write_of_a_server_that_knows_no_keys_is_uncertain_and_a_read_is_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, tool: str, effect: Effect
):
    halt, crate = Halt(), Crate()
    freezing(monkeypatch, tool, halt)
    async with bench(home, targets={"crate": crate.server}, settings=with_crate(effect)) as desk:
        run_id = await killed_at(process(desk, 11, does((f"crate__{tool}", {})), closes()), halt)
        report = await process(desk, 22).cancel(run_id, because="no reason")
        body = await cancelled_body(desk, run_id)
    assert crate.calls == []
    if effect is Effect.READ:
        assert (effects(report), body["voided"], body["uncertain"]) == ([], [], [])
    else:
        assert effects(report) == [("ship", CallStatus.UNCERTAIN)]
        assert report.effects[0].reasons == ("Its fate is unknown: the run was cancelled meanwhile.",)
        assert (body["voided"], body["uncertain"]) == ([], [report.effects[0].key])


async def test_a_run_whose_server_cannot_be_asked_is_as_it_was_and_can_be_cancelled_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    halt = Halt()
    freezing(monkeypatch, "close_ticket", halt)
    async with bench(home) as desk:
        run_id = await killed_at(process(desk, 11, closes(), says()), halt)

        async def gone(*_: object, **__: object) -> None:
            raise ServerLost("ticketing", "ticketing has ended.")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Host, "void", gone)
            with pytest.raises(ServerLost):
                await process(desk, 22).cancel(run_id, because="no reason")
        assert (await desk.journal.find(run_id)).outcome is None
        report = await process(desk, 33).cancel(run_id, because="no reason")
        assert effects(report) == [("close_ticket", CallStatus.FAILED)]
        assert desk.changes() == []


async def test_what_has_ended_or_never_was_cannot_be_cancelled(home: Path):
    halt = Halt()
    async with bench(home) as desk:
        run_id = await killed_at(process(desk, 11, NOTED, closes(gate=halt)), halt)
        intake = process(desk, 22)
        await intake.cancel(run_id, because="no reason")
        with pytest.raises(RunNotFound) as twice:
            await intake.cancel(run_id, because="no reason")
        assert str(twice.value) == f"Run {run_id} of ticket 42 has ended already: unresolved."
        with pytest.raises(RunNotFound, match=r"^There is no run 1999\.$"):
            await intake.cancel("1999", because="no reason")


async def test_a_beginning_that_several_runs_share_names_them(home: Path):
    halts = [Halt(), Halt()]
    async with bench(home) as desk:
        first = await killed_at(process(desk, 11, NOTED, closes(gate=halts[0])), halts[0])
        second = await killed_at(process(desk, 11, NOTED, closes(gate=halts[1])), halts[1], "43")
        with pytest.raises(RunNotFound) as several:
            await process(desk, 22).cancel("2", because="no reason")
        assert first in str(several.value)
        assert second in str(several.value)
