"""Servers that die, hang or break their word while they are used."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.errors import CallUncertain, ServerLost, ServerProtocolError
from agent.host import Host, NotFound
from agent.settings import ServerSettings
from tests.fakes.hosting import (
    HANGS_AFTER_S,
    Notes,
    bad,
    call,
    is_running,
    let_pass,
    make_gate,
    numbers,
    open_gate,
    settings_for,
    until,
)

CALL_S = ServerSettings().call_timeout_s
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
Started = Callable[..., AbstractAsyncContextManager[tuple[Host, Notes]]]


@pytest.fixture
def started(home: Path, tmp_path: Path) -> Started:
    @asynccontextmanager
    async def start(*faults: str, era: str = "modern", **server: Any) -> AsyncIterator[tuple[Host, Notes]]:
        notes = Notes()
        transport = bad(*faults, "--era", era, "--folder", tmp_path)
        with anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings_for(home, {"bad": transport}, **server), notes) as host:
                yield host, notes

    return start


@ERAS
async def test_a_repeatable_call_whose_server_dies_is_made_again_with_its_key(
    started: Started, tmp_path: Path, era: str
):
    async with started(era=era) as (host, notes):
        result = await call(host, "die_once", arguments={"amount": 5}, key="run/1/a", is_repeatable=True)
    assert result.content[0].text == "done the second time"
    made = {"tool": "die_once", "arguments": {"amount": 5}, "key": "run/1/a"}
    assert numbers(tmp_path, "calls") == [made, made]
    assert notes.notices == ["bad has exited with status 7.", "bad is started again (1 of 2)."]


@ERAS
async def test_a_write_without_a_key_whose_server_dies_is_uncertain_and_not_repeated(
    started: Started, tmp_path: Path, era: str
):
    async with started(era=era) as (host, _):
        with pytest.raises(CallUncertain, match="bad has exited with status 7; whether the call took effect"):
            await call(host, "die_once")
        assert [made["key"] for made in numbers(tmp_path, "calls")] == [None]
        assert (await call(host, "echo")).content[0].text == "{}"


async def test_a_call_that_kills_its_server_twice_is_uncertain(started: Started, tmp_path: Path):
    async with started() as (host, _):
        with pytest.raises(CallUncertain, match="status 7"):
            await call(host, "die", key="k", is_repeatable=True)
        assert len(numbers(tmp_path, "calls")) == 2
        assert len(numbers(tmp_path, "starts")) == 2


async def test_a_server_is_started_again_no_more_often_than_configured(started: Started, tmp_path: Path):
    async with started(restarts=1) as (host, notes):
        for _ in range(2):
            with pytest.raises(CallUncertain):
                await call(host, "die")
        with pytest.raises(ServerLost, match="was started again 1 times already; it is not started again"):
            await call(host, "echo", key="k", is_repeatable=True)
    assert len(numbers(tmp_path, "starts")) == 2
    assert len(notes.about("is started again")) == 1


async def test_a_call_in_flight_is_uncertain_when_its_server_cannot_come_back(started: Started):
    async with started(restarts=0) as (host, _):
        with pytest.raises(CallUncertain, match="it is not started again"):
            await call(host, "die", key="k", is_repeatable=True)
        with pytest.raises(ServerLost):
            await call(host, "echo")


async def test_a_restart_that_fails_says_why(started: Started):
    async with started("once", restarts=1) as (host, _):
        with pytest.raises(CallUncertain, match="no token"):
            await call(host, "die_once", key="k", is_repeatable=True)
        with pytest.raises(ServerLost):
            await call(host, "echo")


@ERAS
async def test_a_server_that_died_between_calls_is_started_again_by_the_next(
    started: Started, tmp_path: Path, era: str
):
    async with started(era=era) as (host, notes):
        assert not (await call(host, "echo_and_die")).is_error
        await notes.wait_for("bad has exited with status 7.")
        # Not even repeatable: it has certainly not been made on the connection that was gone.
        assert (await call(host, "echo", arguments={"a": 1})).content[0].text == '{"a": 1}'
    assert len(numbers(tmp_path, "starts")) == 2


async def test_a_server_that_was_killed_is_told_by_its_signal(started: Started, tmp_path: Path):
    async with started() as (host, notes):
        os.kill(numbers(tmp_path, "starts")[0], signal.SIGKILL)
        await notes.wait_for("bad has been ended by SIGKILL.")
        assert not (await call(host, "echo")).is_error


async def test_a_server_whose_own_child_holds_its_stdout_is_still_seen_dying(started: Started, tmp_path: Path):
    async with started("litter") as (host, notes):
        os.kill(numbers(tmp_path, "starts")[0], signal.SIGKILL)
        await notes.wait_for("bad has been ended by SIGKILL.")
        assert not (await call(host, "echo")).is_error
    assert not any(is_running(pid) for pid in numbers(tmp_path, "litter"))


@ERAS
async def test_calls_in_flight_together_share_one_restart_and_each_keeps_its_rule(
    started: Started, tmp_path: Path, era: str
):
    gate = make_gate(tmp_path)
    fates: dict[str, str] = {}

    async with started(era=era) as (host, _):

        async def make(tool: str, name: str, **rest: Any) -> None:
            try:
                fates[name] = (await call(host, tool, **rest)).content[0].text
            except CallUncertain:
                fates[name] = "uncertain"

        async with anyio.create_task_group() as calls:
            calls.start_soon(lambda: make("die_when_released", "killer"))
            await until(lambda: len(numbers(tmp_path, "calls")) == 1)
            calls.start_soon(lambda: make("echo", "write"))
            calls.start_soon(lambda: make("echo", "read", key="k", is_repeatable=True))
            # The server reads nothing while it waits: in the modern era both are in its pipe, in the legacy
            # era they have not left.
            await anyio.wait_all_tasks_blocked()
            await open_gate(gate)
    expected = {"killer": "uncertain", "write": "uncertain" if era == "modern" else "{}", "read": "{}"}
    assert fates == expected
    assert len(numbers(tmp_path, "starts")) == 2


async def test_a_server_that_dies_leaves_the_calls_of_another_alone(home: Path, tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    gate = make_gate(two)
    transports = {"one": bad("--folder", one), "two": bad("--folder", two)}
    notes = Notes()
    texts: list[str] = []
    with anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, transports, restarts=0), notes) as host:

            async def wait() -> None:
                texts.append((await call(host, "answer_when_released", server="two")).content[0].text)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await until(lambda: len(numbers(two, "calls")) == 1)
                with pytest.raises(CallUncertain):
                    await call(host, "die", server="one")
                await open_gate(gate)
    assert texts == ["released"]
    assert not notes.about("two has")


async def outwait(folder: Path, name: str, *counts: int) -> None:
    """Each time that so many calls (or reads) have arrived, let more time pass than one may take."""
    for count in counts:
        await until(lambda count=count: len(numbers(folder, name)) == count)
        await let_pass(CALL_S)


async def test_a_call_that_takes_too_long_is_uncertain(started: Started, tmp_path: Path):
    async with started() as (host, _):
        async with anyio.create_task_group() as clock:
            clock.start_soon(outwait, tmp_path, "calls", 1)
            with pytest.raises(CallUncertain, match="bad has not answered within 60 s"):
                await call(host, "hang")
        assert not (await call(host, "echo")).is_error


@ERAS
async def test_a_repeatable_call_that_takes_too_long_is_made_once_more(started: Started, tmp_path: Path, era: str):
    async with started(era=era) as (host, _), anyio.create_task_group() as clock:
        clock.start_soon(outwait, tmp_path, "calls", 1, 3, 4)
        result = await call(host, "hang_once", key="k", is_repeatable=True)
        assert result.content[0].text == "answered the second time"
        assert [made["key"] for made in numbers(tmp_path, "calls")] == ["k", "k"]
        with pytest.raises(CallUncertain):
            await call(host, "hang", key="k", is_repeatable=True)
        assert len(numbers(tmp_path, "calls")) == 4


async def test_what_the_server_refuses_is_a_result_that_the_model_can_read(started: Started):
    async with started() as (host, notes):
        for tool, sentence in (("refused", "You may not do this."), ("no_such_tool", "Unknown tool")):
            result = await call(host, tool)
            assert result.is_error
            assert result.content[0].text == sentence
    assert notes.notices == []


@ERAS
async def test_a_result_that_breaks_its_own_schema_leaves_the_effect_uncertain(started: Started, era: str):
    async with started(era=era) as (host, _):
        for tool in ("breaks_schema", "malformed"):
            with pytest.raises(CallUncertain, match=f"whether bad.{tool} took effect is not known"):
                await call(host, tool, key="k", is_repeatable=True)
        assert not (await call(host, "echo")).is_error


async def test_large_and_broken_texts_arrive(started: Started):
    async with started() as (host, notes):
        assert len((await call(host, "big")).content[0].text) == 10_000_000
        assert (await call(host, "surrogates")).content[0].text == "half ? of it"
        assert (await call(host, "not_utf8")).content[0].text == "caf\ufffd"
    assert notes.notices == []


async def test_lone_surrogates_leave_as_question_marks(started: Started, tmp_path: Path):
    async with started() as (host, _):
        await call(host, "echo", arguments={"a": "\ud83d", "b": ["\udc00"]})
        await host.read_resource("bad", "note://\ud83d")
        prompt = await host.get_prompt("bad", "greeting", {"name": "\ud83d"})
        assert getattr(prompt.messages[0].content, "text", None) == "?"
    assert numbers(tmp_path, "calls")[0]["arguments"] == {"a": "?", "b": ["?"]}
    assert numbers(tmp_path, "reads") == ["note://?"]


async def test_ten_megabytes_of_arguments_reach_the_server(started: Started, tmp_path: Path):
    async with started() as (host, _):
        await call(host, "refused", arguments={"text": "x" * 10_000_000})
    assert len(numbers(tmp_path, "calls")[0]["arguments"]["text"]) == 10_000_000


async def test_warnings_of_the_server_are_told_and_its_chatter_is_not(started: Started):
    async with started() as (host, notes):
        await call(host, "logs")
        await notes.wait_for("the error")
        assert notes.about("bad says (error): the error\\x1b[2J")
        assert len(notes.about("has changed what it offers")) == 1
        assert not notes.about("the info")


QUESTIONS = {
    "a reply of the model": {
        "method": "sampling/createMessage",
        "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}], "maxTokens": 5},
    },
    "an answer of the operator": {
        "method": "elicitation/create",
        "params": {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}},
    },
}


@pytest.mark.parametrize("what", QUESTIONS)
async def test_a_server_that_asks_when_no_call_is_in_flight_is_refused(started: Started, tmp_path: Path, what: str):
    async with started(era="legacy") as (host, notes):
        await call(host, "ask_out_of_turn", arguments=QUESTIONS[what])
        await notes.wait_for(f"bad asked for {what} outside of a ticket's tool calls; it was refused.")
        await call(host, "echo")
    [answer] = numbers(tmp_path, "answers")
    assert answer["error"]["message"] == f"There is no tool call that could ask for {what}."


class Losing:
    """Answers for a run that another worker has taken."""

    async def list_roots(self) -> None:
        raise ServerProtocolError("journal", "The run is another's.")


async def test_a_failure_while_answering_counts_even_when_the_server_goes_on(started: Started):
    async with started(era="legacy") as (host, _):
        with pytest.raises(ServerProtocolError, match="The run is another's"):
            await call(host, "ask_and_shrug", answers=Losing())


async def test_a_read_is_made_again_when_its_server_dies(started: Started, tmp_path: Path):
    async with started() as (host, _):
        read = await host.read_resource("bad", "note://deadly")
        assert getattr(read.contents[0], "text", None) == "read 2"
        assert len(numbers(tmp_path, "starts")) == 2


async def test_every_read_reaches_the_server(started: Started, tmp_path: Path):
    async with started() as (host, _):
        for number in (1, 2):
            read = await host.read_resource("bad", "note://first")
            assert getattr(read.contents[0], "text", None) == f"read {number}"


async def test_a_resource_that_is_not_there_is_told_apart_from_one_that_cannot_be_read(
    started: Started, tmp_path: Path
):
    async with started() as (host, _):
        with pytest.raises(NotFound, match="bad does not give note://nothing: Resource not found"):
            await host.read_resource("bad", "note://nothing")
        async with anyio.create_task_group() as clock:
            clock.start_soon(outwait, tmp_path, "reads", 2, 3)
            with pytest.raises(ServerProtocolError, match="has not answered within 60 s") as failure:
                await host.read_resource("bad", "note://silent")
            assert not isinstance(failure.value, NotFound)


async def test_a_server_that_is_not_configured_is_lost(started: Started):
    async with started() as (host, _):
        with pytest.raises(ServerLost, match="There is no server other"):
            await call(host, "echo", server="other")
