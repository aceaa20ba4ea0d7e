"""Calls and what servers ask back, with servers of this process, in both eras of the protocol."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest

from agent.errors import ServerProtocolError
from agent.host import Host, NotFound
from agent.wire.transports import InProcess
from tests.fakes.echo_server import Gates, build
from tests.fakes.hosting import HANGS_AFTER_S, Notes, call, let_pass, settings_for

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
Entered = Callable[..., AbstractAsyncContextManager[tuple[Host, Notes]]]


class Answers:
    """Answers like a run that belongs to one call, and remembers what it was asked."""

    def __init__(self, name: str = "ok") -> None:
        self.name = name
        self.asked: list[str] = []
        self.meanwhile: Callable[[], Any] | None = None

    async def sample(self, params: mcp_types.CreateMessageRequestParams) -> mcp_types.CreateMessageResult:
        self.asked.append("sample")
        if self.meanwhile is not None:
            await self.meanwhile()
        content = mcp_types.TextContent(type="text", text=f"{self.name} says")
        return mcp_types.CreateMessageResult(role="assistant", content=content, model="none")

    async def elicit(self, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
        self.asked.append("elicit")
        return mcp_types.ElicitResult(action="accept", content={"colour": self.name})

    def again(self) -> None:
        pass

    async def list_roots(self) -> mcp_types.ListRootsResult:
        self.asked.append("roots")
        root = mcp_types.Root.model_validate({"uri": "file:///srv/knowledge", "name": self.name})
        return mcp_types.ListRootsResult(roots=[root])


@pytest.fixture
def entered(home: Path) -> Entered:
    @asynccontextmanager
    async def enter(
        era: str = "modern", *, gates: Gates | None = None, trace: Any = None, **server: Any
    ) -> AsyncIterator[tuple[Host, Notes]]:
        notes = Notes()
        mode = "legacy" if era == "legacy" else "auto"
        settings = settings_for(home)
        if server:
            settings = settings.model_copy(
                update={"servers": {"echo": settings.server("echo").model_copy(update=server)}}
            )
        target = InProcess(server=build(gates=gates), mode=mode)
        with anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings, notes, trace=trace, targets={"echo": target}) as host:
                yield host, notes

    return enter


@ERAS
async def test_a_call_brings_its_result(entered: Entered, era: str):
    async with entered(era) as (host, notes):
        assert host.servers["echo"].transport == "in-process"
        assert (await call(host, "echo", server="echo", arguments={"text": "hé"})).content[0].text == "hé"
    assert notes.notices == []


async def test_a_server_object_may_stand_for_a_configured_server(home: Path):
    async with Host(settings_for(home), Notes(), targets={"echo": build()}) as host:
        assert (await call(host, "echo", server="echo", arguments={"text": "x"})).content[0].text == "x"


@ERAS
async def test_a_key_travels_only_when_one_is_given(entered: Entered, era: str):
    async with entered(era) as (host, _):
        await call(host, "keys_seen", server="echo", key="run/1/a")
        seen = await call(host, "keys_seen", server="echo", key=None)
        assert seen.structured_content == {"result": ["run/1/a", None]}


@ERAS
async def test_a_tool_that_fails_brings_its_sentence(entered: Entered, era: str):
    async with entered(era) as (host, _):
        result = await call(host, "refuse", server="echo")
        assert result.is_error
        assert "No. Ask for something else." in result.content[0].text


@ERAS
async def test_wrong_arguments_and_unknown_tools_are_results_too(entered: Entered, era: str):
    async with entered(era) as (host, _):
        assert (await call(host, "echo", server="echo", arguments={"text": {}})).is_error
        assert (await call(host, "nothing", server="echo")).is_error


@ERAS
async def test_progress_is_told_while_the_call_goes_on(entered: Entered, era: str):
    told: list[tuple[float, float | None, str | None]] = []
    async with entered(era) as (host, _):
        result = await call(
            host, "count", server="echo", arguments={"upto": 2}, on_progress=lambda *step: told.append(step)
        )
        assert result.content[0].text == "counted"
    assert told == [(1.0, 2.0, "number 1"), (2.0, 2.0, "number 2")]


@ERAS
async def test_resources_and_prompts_are_read(entered: Entered, era: str):
    async with entered(era) as (host, _):
        assert getattr((await host.read_resource("echo", "note://x")).contents[0], "text", None) == "note x"
        assert getattr(
            (await host.get_prompt("echo", "greeting", {"name": "Bo"})).messages[0].content, "text", None
        ) == ("Greet Bo.")


@ERAS
async def test_a_resource_and_a_prompt_that_are_not_there_are_sentences(entered: Entered, era: str):
    async with entered(era) as (host, _):
        with pytest.raises(NotFound, match="echo does not give other://x"):
            await host.read_resource("echo", "other://x")
        with pytest.raises(ServerProtocolError, match="echo does not give its prompt farewell"):
            await host.get_prompt("echo", "farewell", {})


@ERAS
async def test_what_a_server_asks_is_answered_by_who_answers_for_the_call(entered: Entered, era: str):
    answers = Answers("blue")
    async with entered(era) as (host, notes):
        sampled = await call(host, "ask_model", server="echo", arguments={"about": "tea"}, answers=answers)
        elicited = await call(host, "ask_operator", server="echo", answers=answers)
        roots = await call(host, "ask_roots", server="echo", answers=answers)
    assert sampled.content[0].text == "tea: blue says"
    assert elicited.content[0].text == "accept: blue"
    assert roots.structured_content == {"result": ["blue file:///srv/knowledge"]}
    assert answers.asked == ["sample", "elicit", "roots"]
    assert notes.notices == []


@ERAS
async def test_a_call_that_no_one_answers_for_may_ask_nothing(entered: Entered, era: str):
    async with entered(era) as (host, notes):
        result = await call(host, "ask_model", server="echo", arguments={"about": "tea"})
        assert result.is_error
    assert notes.notices == ["echo asked for a reply of the model outside of a ticket's tool calls; it was refused."]


@ERAS
async def test_concurrent_calls_are_each_answered_by_their_own(entered: Entered, era: str):
    texts: dict[str, str] = {}
    async with entered(era) as (host, _):

        async def ask(name: str) -> None:
            result = await call(
                host, "ask_model", server="echo", arguments={"about": name}, answers=Answers(f"answer {name}")
            )
            texts[name] = result.content[0].text

        async with anyio.create_task_group() as group:
            for name in "abcde":
                group.start_soon(ask, name)
    assert texts == {name: f"{name}: answer {name} says" for name in "abcde"}


@pytest.mark.parametrize(("era", "at_once"), [("legacy", 1), ("modern", 3)])
async def test_calls_overlap_only_where_what_a_server_asks_can_be_credited(entered: Entered, era: str, at_once: int):
    gates = Gates()
    async with entered(era, gates=gates) as (host, _), anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(lambda name=name: call(host, "hold", server="echo", arguments={"text": name}))
        await gates.wait_for(at_once)
        await anyio.wait_all_tasks_blocked()
        assert gates.entered == at_once
        gates.release.set()
    assert gates.entered == 3


@ERAS
async def test_the_clock_of_a_call_stands_while_the_server_waits_for_an_answer(entered: Entered, era: str):
    answers = Answers()
    async with entered(era, call_timeout_s=60) as (host, _):
        answers.meanwhile = lambda: let_pass(80)
        result = await call(host, "ask_model", server="echo", arguments={"about": "tea"}, answers=answers)
    assert result.content[0].text == "tea: ok says"


class Lost(Exception):  # noqa: N818 - reads as the sentence it is
    """What a recorder raises when another worker has taken the run."""


@ERAS
async def test_a_failure_while_answering_is_the_callers_and_not_the_servers(entered: Entered, era: str):
    answers = Answers()

    async def lose() -> None:
        raise Lost

    answers.meanwhile = lose
    async with entered(era) as (host, _):
        with pytest.raises(Lost):
            await call(host, "ask_model", server="echo", arguments={"about": "tea"}, answers=answers)
        assert not (await call(host, "echo", server="echo", arguments={"text": "still here"})).is_error


@ERAS
async def test_a_lone_surrogate_in_an_answer_does_not_end_the_connection(entered: Entered, era: str):
    async with entered(era) as (host, _):
        result = await call(host, "ask_operator", server="echo", answers=Answers("half \ud83d"))
        assert result.content[0].text == "accept: half ?"
        assert not (await call(host, "echo", server="echo", arguments={"text": "x"})).is_error


@ERAS
async def test_every_frame_can_be_traced(entered: Entered, era: str):
    frames: list[tuple[str, str, Any]] = []

    def trace(server: str, direction: str, frame: str) -> None:
        frames.append((server, direction, json.loads(frame)))

    async with entered(era, trace=trace) as (host, _):
        await call(host, "echo", server="echo", arguments={"text": "traced"})
    assert {server for server, _, _ in frames} == {"echo"}
    [request] = [frame for _, way, frame in frames if way == "→" and frame.get("method") == "tools/call"]
    [reply] = [frame for _, way, frame in frames if way == "←" and frame.get("id") == request["id"]]
    assert request["params"]["arguments"] == {"text": "traced"}
    assert reply["result"]["structuredContent"] == {"result": "traced"}
