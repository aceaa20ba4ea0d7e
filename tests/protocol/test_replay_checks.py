"""Runs whose texts were sent back, whose ticket moved, and that only drafted come out the same again."""

from pathlib import Path

import pytest

from agent.models.scripted import ScriptedModel, Turn
from agent.records import RunMode
from agent.replay import Cause, Difference, replay
from agent.settings import Texts
from tests.fakes.runs import CLOSE, RESOLUTION, Bench, Worked, bench, closes, does, says
from tests.protocol.test_moving import Meanwhile

LEAK = "Hi, please write to bob@example.com instead. — Support Team"
LONG = "Hi, this is one. This is two. This is three. — Support Team"
SEARCH = ("ticketing__search_knowledge_base", {"query": "login"})
SOURCED = does((CLOSE, {"resolution": RESOLUTION, "sources": ["kb://login"]}))


async def is_same(desk: Bench, worked: Worked) -> bool:
    return (await replay(worked.entries, desk.session.settings)).difference is None


@pytest.mark.parametrize(
    "turns",
    [
        [closes(LEAK), closes(), says()],
        [closes(LEAK), closes(LEAK)],
        [closes(LONG), closes(), says()],
        [SOURCED, does(SEARCH), SOURCED, says()],
    ],
)
@pytest.mark.parametrize("mode", [RunMode.LIVE, RunMode.DRY_RUN, RunMode.DRAFT])
async def test_a_run_whose_texts_were_sent_back_replays(home: Path, mode: RunMode, turns: list[Turn]):
    async with bench(home) as desk:
        worked = await desk.work(model=ScriptedModel(turns), mode=mode)
        assert await is_same(desk, worked)


async def test_a_run_whose_ticket_moved_replays(home: Path):
    async with bench(home) as desk:
        worked = await desk.work(model=Meanwhile([closes(), closes(), says()], {1: desk.by_colleague}))
        assert await is_same(desk, worked)


async def test_a_run_whose_ticket_was_taken_by_others_replays(home: Path):
    async with bench(home) as desk:
        worked = await desk.work(model=Meanwhile([closes()], {1: desk.closed_by_colleague}))
        assert await is_same(desk, worked)


async def test_another_contract_shows_where_it_decides_otherwise(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LONG), closes(), says())
        tickets = desk.session.settings.tickets.model_copy(update={"texts": Texts()})
        settings = desk.session.settings.model_copy(update={"tickets": tickets})
        replayed = await replay(worked.entries, settings)
    assert isinstance(replayed.difference, Difference)
    assert replayed.difference.cause is Cause.CONFIGURATION
    assert "tickets.texts" in replayed.difference.because
