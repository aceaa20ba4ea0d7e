"""Servers that flood, contradict themselves, or want what nobody offered: each call hears its own answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.errors import CallUncertain
from agent.host import Host
from agent.settings import ServerSettings
from agent.wire.log import LARGEST_LOG
from agent.wire.notices import MOST_SAID
from tests.fakes.eras import MODERN, speaking
from tests.fakes.hosting import HANGS_AFTER_S, Notes, bad, call, let_pass, numbers, settings_for, until

CALL_S = ServerSettings().call_timeout_s
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
Started = Callable[..., AbstractAsyncContextManager[tuple[Host, Notes]]]


@pytest.fixture
def started(home: Path, tmp_path: Path) -> Started:
    """Start the bad server, and a good one beside it that must still answer when all is over."""

    @asynccontextmanager
    async def start(*faults: str, era: str = "modern", **server: Any) -> AsyncIterator[tuple[Host, Notes]]:
        notes = Notes()
        transports = {"bad": bad(*faults, "--era", era, "--folder", tmp_path), "good": bad()}
        with anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings_for(home, transports, **server), notes) as host:
                yield host, notes
                assert text_of(await call(host, "echo", server="good", arguments={"a": 1})) == '{"a": 1}'

    return start


def text_of(result: Any) -> str:
    assert not result.is_error
    return result.content[0].text


@ERAS
async def test_ten_thousand_notifications_are_survived_and_not_all_told(started: Started, era: str):
    told: list[float] = []
    async with started(era=era) as (host, notes):
        result = await call(host, "flood", on_progress=lambda done, total, message: told.append(done))
        assert text_of(result) == "flooded"
        assert text_of(await call(host, "echo")) == "{}"
    assert len(notes.about("bad says (error)")) == MOST_SAID
    assert notes.about("the next are not shown") == [f"bad has said {MOST_SAID} such things; the next are not shown."]
    assert len(notes.about("has changed what it offers")) == 1
    assert len(notes.notices) == MOST_SAID + 2
    assert set(told) <= set(range(2_500))
    assert told


async def test_a_hundred_megabytes_of_stderr_leave_two_small_files_and_the_last_words(started: Started, home: Path):
    async with started(restarts=0) as (host, _):
        assert text_of(await call(host, "roar", arguments={"megabytes": 100})) == "roared"
        with pytest.raises(CallUncertain):
            await call(host, "die")
    kept = sorted((home / "logs").glob("bad.log*"))
    assert [log.name for log in kept] == ["bad.log", "bad.log.1"]
    assert all(0 < log.stat().st_size <= LARGEST_LOG for log in kept)
    assert kept[0].read_text().endswith("the last words\nout of cheese\n")
    assert all(log.stat().st_mode & 0o077 == 0 for log in kept)


@ERAS
async def test_answers_in_another_order_reach_their_calls(started: Started, tmp_path: Path, era: str):
    answers: dict[int, str] = {}
    async with started(era=era) as (host, _):

        async def ask(number: int) -> None:
            try:
                answers[number] = text_of(await call(host, "swap", arguments={"number": number}))
            except CallUncertain:
                answers[number] = "uncertain"

        async with anyio.create_task_group() as calls:
            for number in range(3):
                calls.start_soon(ask, number)
            if era == "legacy":
                for count in (1, 2):
                    await until(lambda count=count: len(numbers(tmp_path, "calls")) == count)
                    await let_pass(CALL_S)
    if era == "modern":
        assert answers == {number: f'{{"number": {number}}}' for number in range(3)}
    else:  # one at a time: the first two wait for an answer that comes too late, and are nobody's then
        assert sorted(answers.values(), key=len) == ["uncertain", "uncertain", '{"number": 2}']
    assert len(numbers(tmp_path, "calls")) == 3


@ERAS
async def test_the_first_of_two_answers_counts(started: Started, era: str):
    async with started(era=era) as (host, notes):
        for _ in range(3):
            assert text_of(await call(host, "twice")) == "the first answer"
        assert text_of(await call(host, "echo", arguments={"a": 1})) == '{"a": 1}'
    assert notes.notices == []


@ERAS
async def test_answers_to_questions_that_were_never_asked_are_nobodys(started: Started, era: str):
    async with started(era=era) as (host, notes):
        for _ in range(3):
            assert text_of(await call(host, "strangers")) == "for you"
    assert {notice.partition(";")[0] for notice in notes.notices} <= {"bad writes what is not JSON-RPC to its stdout"}


@ERAS
async def test_tools_that_change_take_effect_in_the_next_command(started: Started, era: str):
    async with started(era=era) as (host, notes):
        before = [tool.name for tool in host.servers["bad"].tools]
        assert text_of(await call(host, "change_tools")) == "changed"
        await notes.wait_for("bad has changed what it offers; this command goes on with what it offered at its start.")
        gone = await call(host, "echo")
        assert (gone.is_error, gone.content[0].text) == (True, "Unknown tool")
        assert [tool.name for tool in host.servers["bad"].tools] == before
        assert "echo" in before
    async with started(era=era) as (host, _):
        assert [tool.name for tool in host.servers["bad"].tools] == ["new_tool"]


@ERAS
async def test_what_the_host_does_not_offer_is_refused_and_the_call_goes_on(started: Started, tmp_path: Path, era: str):
    async with started(era=era) as (host, notes):
        assert text_of(await call(host, "demand")) == "demanded"
    answers = {answer["id"]: answer for answer in numbers(tmp_path, "demands")}
    codes = {id_: answer.get("error", {}).get("code") for id_, answer in answers.items()}
    refused = {"demand-1": -32601, "demand-2": -32601, "demand-4": -32601}
    assert refused.items() <= codes.items()
    assert codes["demand-0"] == (None if era == "legacy" else -32601)
    assert codes["demand-3"] is not None
    assert notes.notices == []


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_ten_megabytes_come_over_http_too(home: Path, kind: str):
    version = MODERN if kind == "http" else "2025-11-25"
    with speaking(version, kind) as transport, anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"era": transport}), Notes()) as host:
            arguments = {"text": "x" * (10_000_000 if kind == "http" else 1_000_000)}
            assert len(text_of(await call(host, "echo", server="era", arguments=arguments))) == len(arguments["text"])


async def test_more_than_the_older_http_can_carry_is_a_sentence_and_not_the_end(home: Path):
    with speaking("2025-11-25", "sse") as transport, anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"era": transport}), Notes()) as host:
            with pytest.raises(CallUncertain, match="era has closed the connection; whether the call took effect"):
                await call(host, "echo", server="era", arguments={"text": "x" * 2_000_000})
            assert text_of(await call(host, "echo", server="era", arguments={"text": "small"})) == "small"


async def test_a_batch_is_heard_message_by_message(started: Started):
    async with started(era="legacy") as (host, notes):
        assert text_of(await call(host, "batched")) == "the second of a batch"
        await notes.wait_for("bad says (error): the first of a batch")
        assert not notes.about("JSON-RPC")
