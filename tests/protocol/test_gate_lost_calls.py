"""Calls whose server dies under them: what is repeated, what is uncertain, what the model is told."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import approval
from agent.records import CallStatus, Effect, EntryKind, OutcomeKind
from agent.settings import ServerSettings, Settings, StdioTransport, ToolSettings
from tests.fakes.hosting import bad, numbers
from tests.fakes.runs import NOTE, Worked, bench, closes, does, says

MORTAL = Path(__file__).parents[1] / "fakes" / "mortal_ticketing.py"


def with_server(name: str, transport: StdioTransport, **server: object) -> Callable[[Settings], Settings]:
    """Change the settings so that this server is started as a process."""

    def change(settings: Settings) -> Settings:
        known = settings.servers.get(name, ServerSettings())
        return settings.model_copy(
            update={
                "transports": {name: transport},
                "servers": {**settings.servers, name: known.model_copy(update=server)},
            }
        )

    return change


async def work_with_bad_server(home: Path, tool: str, setting: ToolSettings, **server: object) -> Worked:
    async with bench(
        home, settings=with_server("bad", bad("--folder", home), **server), tools={f"bad.{tool}": setting}
    ) as desk:
        return await desk.play(does((f"bad__{tool}", {})), closes(), says(), approver=approval.always())


async def test_a_write_whose_server_died_is_uncertain_and_not_made_again(home: Path):
    worked = await work_with_bad_server(home, "die", ToolSettings(effect=Effect.ACCOUNT))
    assert worked.statuses == ["uncertain", "done"]
    assert worked.told(0).startswith("Its fate is unknown: ")
    assert worked.told(0).endswith("Look before you repeat.")
    assert len(numbers(home, "calls")) == 1
    lost = worked.report.effects[0]
    assert (lost.status, lost.reasons) == (CallStatus.UNCERTAIN, (worked.told(0),))
    assert lost.key is not None
    assert worked.about("bad.die") == [
        EntryKind.DECISION,
        EntryKind.APPROVAL,
        EntryKind.DECISION,
        EntryKind.ATTEMPT,
        EntryKind.RESULT,
    ]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_read_whose_server_died_is_made_again(home: Path):
    worked = await work_with_bad_server(home, "die_once", ToolSettings(effect=Effect.READ, public=True))
    assert worked.statuses == ["done", "done"]
    assert worked.told(0) == "done the second time"
    assert len(numbers(home, "calls")) == 2


async def test_a_read_that_stays_without_an_answer_failed_and_changed_nothing(home: Path):
    worked = await work_with_bad_server(home, "die", ToolSettings(effect=Effect.READ, public=True))
    assert worked.statuses == ["failed", "done"]
    assert worked.told(0).endswith("Nothing was changed by it; you may try again.")
    assert worked.report.effects[0].tool == "close_ticket"


async def test_a_tool_that_may_be_repeated_is_made_again_without_a_key(home: Path):
    worked = await work_with_bad_server(home, "die_once", ToolSettings(effect=Effect.ACCOUNT, idempotent=True))
    assert worked.statuses[0] == "done"
    assert [call["key"] for call in numbers(home, "calls")] == [None, None]


async def test_where_keys_are_honoured_the_call_is_made_again_with_the_same_key(home: Path):
    worked = await work_with_bad_server(home, "die_once", ToolSettings(effect=Effect.ACCOUNT), idempotency="meta")
    assert worked.statuses[0] == "done"
    first, second = numbers(home, "calls")
    assert first["key"] == second["key"] == worked.report.effects[0].key


async def test_an_answer_that_breaks_its_own_schema_leaves_the_call_uncertain(home: Path):
    worked = await work_with_bad_server(home, "breaks_schema", ToolSettings(effect=Effect.ACCOUNT))
    assert worked.statuses[0] == "uncertain"
    assert len(numbers(home, "calls")) == 1


async def test_a_server_that_is_gone_for_good_ends_the_run_and_the_call_was_not_made(home: Path):
    async with bench(home, settings=with_server("bad", bad("--folder", home), restarts=0), tools={}) as desk:
        worked = await desk.play(does(("bad__die", {})), does(("bad__echo", {})), approver=approval.always())
        assert desk.changes() == []
    assert [call["tool"] for call in numbers(home, "calls")] == ["die"]
    assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
    assert worked.finished.failure is not None
    assert "bad has ended" in worked.report.outcome.reason
    assert worked.about("bad.echo")[-2:] == [EntryKind.ATTEMPT, EntryKind.RESULT]
    assert worked.told().startswith("Not made: bad has ended")
    assert [(effect.tool, effect.status.value) for effect in worked.report.effects] == [
        ("die", "uncertain"),
        ("echo", "failed"),
    ]
    assert worked.run.ledger.in_flight == {}
    assert worked.kinds[-1] is EntryKind.STOPPED


@pytest.mark.parametrize(("idempotency", "status"), [("meta", "done"), ("none", "uncertain")])
async def test_a_write_that_happened_before_its_server_died_happens_once(home: Path, idempotency: str, status: str):
    url = f"sqlite:///{home / 'ticketing.sqlite'}"
    started = StdioTransport(
        command=sys.executable,
        args=("-P", str(MORTAL), url, str(home / "knowledge"), "add_note", str(home / "witness")),
    )
    change = with_server("ticketing", started, idempotency=idempotency)
    async with bench(home, settings=change, targets={"ticketing": None}) as desk:
        again = does(("read_resource", {"uri": "ticket://42"}))
        worked = await desk.play(does((NOTE, {"body": "only once"})), again, closes(), says())
        assert desk.notes() == ["only once"]
        assert desk.changes() == ["note_added", "closed"]
        assert (home / "witness").read_text() == (worked.report.effects[0].key if idempotency == "meta" else "no key")
    assert worked.statuses == [status, "done", "done"]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert [notice for notice in desk.observer.notices if "is started again" in notice]
