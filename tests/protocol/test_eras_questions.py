"""What servers ask outside of a ticket's tool calls: the roots are told, nothing else is answered."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.host import Host
from agent.settings import Roots, Settings
from agent.wire.flight import Flight, current
from tests.fakes.eras import Answers, said, speaking, spoken
from tests.fakes.hosting import Notes, bad, call, numbers, settings_for

EACH = pytest.mark.parametrize(("version", "kind"), spoken())


def with_roots(settings: Settings, *folders: Path) -> Settings:
    return settings.model_copy(update={"roots": Roots(knowledge=folders[0], folders=folders[1:])})


def told(*folders: Path) -> dict[str, Any]:
    return {"roots": [{"uri": folder.as_uri(), "name": folder.name} for folder in folders]}


@EACH
async def test_a_call_that_no_one_answers_for_is_told_the_configured_roots(
    home: Path, tmp_path: Path, version: str, kind: str
):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    notes = Notes()
    with speaking(version, kind) as transport, anyio.fail_after(600):
        settings = with_roots(
            settings_for(home, {"era": transport}), tmp_path / "one", tmp_path / "missing", tmp_path / "two"
        )
        async with Host(settings, notes) as host:
            assert said(await call(host, "roots", server="era")) == told(tmp_path / "one", tmp_path / "two")
            refused = await call(host, "sample", server="era", arguments={"about": "tea"})
    assert refused.is_error
    assert notes.notices == ["era asked for a reply of the model outside of a ticket's tool calls; it was refused."]


async def test_roots_that_are_asked_for_right_after_the_start_are_told(home: Path, tmp_path: Path):
    settings = settings_for(home, {"bad": bad("curious", "--era", "legacy", "--folder", tmp_path)})
    notes = Notes()
    async with Host(with_roots(settings, tmp_path), notes) as host:
        assert (await call(host, "echo")).content[0].text == "{}"
    assert [answer["result"] for answer in numbers(tmp_path, "answers")] == [told(tmp_path)]
    assert notes.notices == []


async def test_a_question_of_a_call_that_is_over_is_nobodys(home: Path):
    async with Host(settings_for(home, {"bad": bad("--era", "legacy")}), Notes()) as host:
        connection: Any = host._servers["bad"]._connection
        flight = Flight(Answers("late"), 5)
        token = current.set(flight)
        try:
            assert connection._asking() == (flight, flight.answers)
            flight.is_over = True
            assert connection._asking() is None
        finally:
            current.reset(token)
