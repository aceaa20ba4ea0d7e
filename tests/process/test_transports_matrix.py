"""Every version of the protocol over every transport that speaks it, one capability after the other.

Each question is asked by two calls at once: each must be answered by those who answer for its own call.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types
import pytest

from agent.host import Host
from agent.settings import HttpTransport
from tests.compatibility import Record
from tests.fakes.eras import MODERN, Answers, listening, said, speaking, spoken
from tests.fakes.hosting import FAKES, HANGS_AFTER_S, Frames, Notes, call, echo, settings_for

SECTION = "Protocol versions and transports"
RAW, SDK = "frame by frame", "Python SDK"
WORKS = "works"

Entered = Callable[..., AbstractAsyncContextManager[tuple[Host, Notes]]]


def each(since: str = "2024-11-05") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("version", "kind"), spoken(since))


@pytest.fixture
def entered(home: Path, tmp_path: Path) -> Entered:
    @asynccontextmanager
    async def enter(version: str, kind: str, frames: Frames | None = None) -> AsyncIterator[tuple[Host, Notes]]:
        notes = Notes()
        with speaking(version, kind) as transport, anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings_for(home, {"era": transport}), notes, trace=frames) as host:
                assert host.servers["era"].protocol_version == version
                assert host.servers["era"].transport == kind
                yield host, notes

    return enter


async def ask_twice(host: Host, tool: str, **arguments: Any) -> dict[str, tuple[Any, list[Any]]]:
    """Call the tool twice at the same time, each with its own answers; return result and questions of each."""
    found: dict[str, tuple[Any, list[Any]]] = {}

    async def ask(name: str) -> None:
        answers = Answers(name)
        result = await call(host, tool, server="era", arguments={"about": name, **arguments}, answers=answers)
        found[name] = said(result), answers.asked

    async with anyio.create_task_group() as calls:
        for name in ("one", "two"):
            calls.start_soon(ask, name)
    return found


@each()
async def test_tools_are_listed_and_called(entered: Entered, compatibility: Record, version: str, kind: str):
    async with entered(version, kind) as (host, notes):
        assert "echo" in {tool.name for tool in host.servers["era"].tools}
        assert said(await call(host, "echo", server="era", arguments={"text": "hé"})) == "hé"
        assert notes.notices == []
    compatibility(SECTION, [version, kind, RAW], {"tools": WORKS})


@each()
async def test_each_call_gets_the_reply_that_it_asked_of_the_model(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    async with entered(version, kind) as (host, _):
        found = await ask_twice(host, "sample")
    for name, (answer, [question]) in found.items():
        assert question.messages[0].content.text == name
        assert (question.system_prompt, question.max_tokens) == ("Be brief.", 50)
        assert answer["content"]["text"] == f"{name} says"
    compatibility(SECTION, [version, kind, RAW], {"sampling": WORKS})


@each(since="2025-11-25")
async def test_the_model_may_be_given_tools_of_the_server(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    async with entered(version, kind) as (host, _):
        found = await ask_twice(host, "sample_with_tools")
    for name, (answer, [question]) in found.items():
        assert ([tool.name for tool in question.tools], question.tool_choice.mode) == (["look"], "auto")
        [use] = answer["content"]
        assert (use["type"], use["input"], answer["stopReason"]) == ("tool_use", {"for": name}, "toolUse")
    compatibility(SECTION, [version, kind, RAW], {"sampling with tools": WORKS})


@each(since="2025-06-18")
async def test_each_call_gets_the_form_that_was_filled_in_for_it(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    async with entered(version, kind) as (host, _):
        found = await ask_twice(host, "fill_form")
    for name, (answer, [question]) in found.items():
        assert question.message == f"Which colour for {name}?"
        assert answer == {"action": "accept", "content": {"colour": name}}
    compatibility(SECTION, [version, kind, RAW], {"form elicitation": WORKS})


@each(since="2025-11-25")
async def test_an_address_is_shown_to_the_operator(entered: Entered, compatibility: Record, version: str, kind: str):
    async with entered(version, kind) as (host, _):
        found = await ask_twice(host, "visit")
    for name, (answer, [question]) in found.items():
        assert isinstance(question, mcp_types.ElicitRequestURLParams)
        assert (question.message, question.url) == (f"Confirm {name}.", "https://example.com/confirm")
        assert answer == {"action": "accept"}
    compatibility(SECTION, [version, kind, RAW], {"URL elicitation": WORKS})


@each()
async def test_each_call_gets_the_roots_of_its_run(entered: Entered, compatibility: Record, version: str, kind: str):
    async with entered(version, kind) as (host, _):
        found = await ask_twice(host, "roots")
    for name, (answer, asked) in found.items():
        assert asked == ["roots"]
        assert answer == {"roots": [{"uri": "file:///srv/knowledge", "name": name}]}
    compatibility(SECTION, [version, kind, RAW], {"roots": WORKS})


@each()
async def test_progress_reaches_the_call_that_makes_it(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    told: dict[str, list[Any]] = {"one": [], "two": []}
    async with entered(version, kind) as (host, _), anyio.create_task_group() as calls:
        for steps in told.values():
            progress = lambda *step, steps=steps: steps.append(step)  # noqa: E731 - one for each call
            calls.start_soon(lambda progress=progress: call(host, "count", server="era", on_progress=progress))
    messages = [None, None] if version == "2024-11-05" else ["number 1", "number 2"]
    for steps in told.values():
        assert steps == [(1.0, 2.0, messages[0]), (2.0, 2.0, messages[1])]
    compatibility(SECTION, [version, kind, RAW], {"progress": WORKS})


@each()
async def test_warnings_are_asked_for_and_told_and_chatter_is_neither(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    async with entered(version, kind) as (host, notes):
        while (
            said(await call(host, "log", server="era")) != "warning"
        ):  # what is asked at the start may still be on its way
            pass
        assert await notes.wait_for("era says") == "era says (warning): this is warning"
        assert not notes.about("this is info")
    compatibility(SECTION, [version, kind, RAW], {"logging": WORKS})


@each()
async def test_a_list_that_changes_is_told(entered: Entered, compatibility: Record, version: str, kind: str):
    async with entered(version, kind) as (host, notes):
        async with grown(host, notes, "era"):
            pass
        assert "grown" not in {tool.name for tool in host.servers["era"].tools}
    compatibility(SECTION, [version, kind, RAW], {"list_changed": WORKS})


@each()
async def test_a_resource_that_changes_is_told_while_it_is_watched(
    entered: Entered, compatibility: Record, version: str, kind: str
):
    frames = Frames()
    async with entered(version, kind, frames) as (host, _):
        await assert_updates_are_told(host, "era", frames)
    compatibility(SECTION, [version, kind, RAW], {"resources/updated": WORKS})


@asynccontextmanager
async def grown(host: Host, notes: Notes, server: str) -> AsyncIterator[None]:
    """Let the server gain a tool, again and again until it is told: a stream of changes may open after the call."""
    while not notes.about("has changed what it offers"):
        await call(host, "grow", server=server)
        with anyio.move_on_after(0.1):
            await notes.wait_for("has changed what it offers")
    yield


async def assert_updates_are_told(host: Host, server: str, frames: Frames) -> None:
    """Watch one resource; its changes are told, and those of another are not."""
    told: list[str] = []

    def is_watched() -> bool:
        can = host.servers[server].capabilities.resources
        if can is None or not can.subscribe:
            return True  # it tells unasked
        if host.servers[server].protocol_version == MODERN:
            return "note://1" in str(frames.came(server, "notifications/subscriptions/acknowledged"))
        return frames.are_answered(server, "resources/subscribe")

    def updates() -> list[str]:
        return [message["params"]["uri"] for message in frames.came(server, "notifications/resources/updated")]

    with host.watching(server, ["note://1"], lambda: told.append("1")):
        await frames.until(is_watched)
        for uri in ("note://1", "note://2", "note://1"):
            await call(host, "touch", server=server, arguments={"uri": uri})
        await frames.until(lambda: updates().count("note://1") == 2)
        await anyio.wait_all_tasks_blocked()  # what has come was told to whom it concerns
        assert told == ["1", "1"]


# The same against the SDK's own server, as far as it goes.


@pytest.mark.parametrize("kind", ["stdio", "http", "sse"])
async def test_a_server_of_the_sdk_works_over_every_transport(home: Path, compatibility: Record, kind: str):
    version = "2025-11-25" if kind == "sse" else MODERN
    notes, frames = Notes(), Frames()
    with listening() as port, anyio.fail_after(HANGS_AFTER_S):
        transport = echo()
        if kind != "stdio":
            port.start(["-P", str(FAKES / "echo_server.py"), kind])
            async with httpx2.AsyncClient(timeout=HANGS_AFTER_S) as anyone:
                await anyone.get(f"http://127.0.0.1:{port.number}/")  # after ten seconds the SDK tries an older version
            path = {"http": "/mcp", "sse": "/sse"}[kind]
            transport = HttpTransport.model_validate({"type": kind, "url": f"http://127.0.0.1:{port.number}{path}"})
        async with Host(settings_for(home, {"echo": transport}), notes, trace=frames) as host:
            assert host.servers["echo"].protocol_version == version
            assert said(await call(host, "echo", server="echo", arguments={"text": "hé"})) == "hé"
            answers = Answers("blue")
            about = {"about": "tea"}
            assert said(await call(host, "ask_model", server="echo", arguments=about, answers=answers)) == (
                "tea: blue says"
            )
            assert said(await call(host, "ask_model_with_tools", server="echo", answers=answers)) == "look"
            assert said(await call(host, "ask_operator", server="echo", answers=answers)) == "accept: blue"
            roots = await call(host, "ask_roots", server="echo", answers=answers)
            assert roots.structured_content == {"result": ["blue file:///srv/knowledge"]}
            told: list[Any] = []
            await call(host, "count", server="echo", arguments={"upto": 1}, on_progress=lambda *step: told.append(step))
            assert told == [(1.0, 1.0, "number 1")]
            async with grown(host, notes, "echo"):
                pass
            await assert_updates_are_told(host, "echo", frames)
    works = ("tools", "sampling", "sampling with tools", "form elicitation", "roots", "progress")
    cells = dict.fromkeys([*works, "list_changed", "resources/updated"], WORKS)
    compatibility(SECTION, [version, kind, SDK], cells)
