"""The host against `server-everything`: all that it offers, over every transport that it has."""

import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest

from agent.content import resource_content
from agent.errors import ServerProtocolError
from agent.host import NotFound
from agent.records import EntryKind, JsonObject
from agent.settings import HttpTransport, StdioTransport
from agent.wire.flight import Flight
from tests.compatibility import Record
from tests.outside.node import Programs, version
from tests.outside.using import MOST_CHARACTERS, NAME, Use, at_the_terminal, listening, saying, using

pytestmark = pytest.mark.outside

PROGRAM = "server-everything"
Says = Callable[[list[JsonObject]], bool]


def says(*fragments: str) -> Says:
    """Whether the texts that the model is given hold these."""
    return lambda blocks: all(
        any(fragment in block["text"] for block in blocks if block["type"] == "text") for fragment in fragments
    )


def shows_the_logo(blocks: list[JsonObject]) -> bool:
    images = [block["source"] for block in blocks if block["type"] == "image"]
    return [(image["media_type"], base64.b64decode(image["data"])[1:4]) for image in images] == [("image/png", b"PNG")]


CALLS: Mapping[str, tuple[JsonObject, Says]] = {
    "echo": ({"message": "Grüße 🙂"}, says("Echo: Grüße 🙂")),
    "get-sum": ({"a": 2, "b": 3.5}, says("5.5")),
    "get-tiny-image": ({}, shows_the_logo),
    "get-annotated-message": ({"messageType": "error", "includeImage": True}, shows_the_logo),
    "get-resource-links": (
        {"count": 2},
        says("Resource Blob Resource 1: demo://resource/dynamic/blob/1", "demo://resource/dynamic/text/2"),
    ),
    "get-resource-reference": (
        {"resourceType": "Text", "resourceId": 7},
        says("demo://resource/dynamic/text/7:\nResource 7: This is a plaintext resource"),
    ),
    "get-structured-content": (
        {"location": "Chicago"},
        lambda blocks: [json.loads(block["text"])["temperature"] for block in blocks] == [36],
    ),
    "get-env": ({}, says('"PATH"')),
    "gzip-file-as-resource": (
        {"name": "note.gz", "data": "data:text/plain,hello", "outputType": "resource"},
        says("[demo://resource/session/note.gz: application/gzip, about 27 bytes, which cannot be shown to you]"),
    ),
    "trigger-long-running-operation": ({"duration": 0.2, "steps": 4}, says("Long running operation completed")),
    "get-roots-list": ({}, says("1. manuals\n   URI: file:///", "Current MCP Roots (1 total)")),
    "trigger-sampling-request": ({"prompt": "Say ahoy.", "maxTokens": 30}, says('"text": "Ahoy."')),
    "trigger-elicitation-request": ({}, says("User provided the requested information", "- Name: Dana Fox")),
    "trigger-url-elicitation": ({"url": "https://example.com/"}, says("User completed the URL elicitation flow")),
    "toggle-simulated-logging": ({}, says("Started simulated, random-leveled logging")),
    "toggle-subscriber-updates": ({}, says("Started simulated resource updated notifications")),
}

AS_TASK = "simulate-research-query"


@asynccontextmanager
async def everything(programs: Programs, home: Path, transport: str = "stdio", **options: Any) -> AsyncGenerator[Use]:
    """Yield the server in use over one of its transports."""
    command = programs.command(PROGRAM)
    if transport == "stdio":
        async with using(home, StdioTransport(command=command[0], args=(*command[1:], "stdio")), **options) as use:
            yield use
        return
    mode, path = {"http": ("streamableHttp", "mcp"), "sse": ("sse", "sse")}[transport]
    with listening([*command, mode], {}, "on port") as port:
        way = HttpTransport(type="sse" if transport == "sse" else "http", url=f"http://127.0.0.1:{port}/{path}")
        async with using(home, way, **options) as use:
            yield use


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
async def test_every_tool_does_what_it_promises(
    programs: Programs, home: Path, tmp_path: Path, transport: str, compatibility: Record
):
    manuals = tmp_path / "manuals"
    manuals.mkdir()
    # The form: a name, the agreement, then every default; then whether it may be sent, and whether the link is visited.
    person = at_the_terminal("Dana Fox", "yes", *[""] * 12, "y")
    async with everything(programs, home, transport, roots=[manuals], model=saying("Ahoy."), operator=person) as use:
        offered = {tool.name for tool in use.catalog.tools if tool.is_offered}
        assert offered == set(CALLS)
        with anyio.fail_after(600):
            for name, (arguments, is_right) in CALLS.items():
                blocks = await use.told(name, **arguments)
                assert is_right(blocks), (name, blocks)
        elicited = use.recorded(EntryKind.ELICITATION)
        assert [(body["mode"], body["action"]) for body in elicited] == [("form", "accept"), ("url", "accept")]
        form = elicited[0]["content"]
        assert (form["name"], form["check"], form["integer"], form["titledMultipleSelectEnum"]) == (
            "Dana Fox",
            True,
            42,
            ["fish-1"],
        )
        assert use.progress == [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0), (4.0, 4.0)]
        [sampled] = use.recorded(EntryKind.SAMPLING)
        assert sampled["request"]["system"] == "You are a helpful test server."
        compatibility(
            "Outside programs",
            [f"{PROGRAM} {version(PROGRAM)}", transport, use.server.protocol_version],
            {
                "tools": f"{len(offered)} of {len(use.server.tools)} called: {AS_TASK} needs tasks",
                "sampling": "answered",
                "elicitation": "form of 13 fields, URL",
                "roots": "told",
                "progress": f"{len(use.progress)} of 4 steps",
            },
        )


async def test_a_tool_that_only_works_as_a_task_is_not_offered(programs: Programs, home: Path):
    async with everything(programs, home) as use:
        assert AS_TASK in {tool.name for tool in use.server.tools}
        left_out = {tool.name: tool.problem for tool in use.catalog.tools if tool.problem is not None}
        assert left_out == {AS_TASK: "it can only be called as a task (taskSupport), which this host does not do"}
        assert "requires task augmentation" in await use.refusal(AS_TASK, topic="python")


async def test_tools_that_appear_while_it_is_asked_for_them_are_there_and_change_nothing(
    programs: Programs, home: Path
):
    async with everything(programs, home) as use:
        # It registers what needs a capability of the client only after the handshake, and says so each time.
        assert {"get-roots-list", "trigger-sampling-request"} <= {tool.name for tool in use.server.tools}
        assert use.notes.about("has changed what it offers") == []


async def test_a_form_may_be_declined_or_cancelled(programs: Programs, home: Path):
    async with everything(programs, home, operator=at_the_terminal("!decline", "!cancel")) as use:
        assert "User declined" in await use.text("trigger-elicitation-request")
        assert "User cancelled" in await use.text("trigger-elicitation-request")
        actions = [body["action"] for body in use.recorded(EntryKind.ELICITATION)]
        assert actions == ["decline", "cancel"]


async def test_a_link_that_must_be_visited_first_is_shown_and_the_call_made_again(programs: Programs, home: Path):
    async with everything(programs, home, operator=at_the_terminal("y", "y")) as use:
        with anyio.fail_after(600):
            said = await use.text("trigger-url-elicitation", url="https://example.com/pay", errorPath=True)
        assert "User completed the URL elicitation flow" in said
        asked = [(body["mode"], body["action"]) for body in use.recorded(EntryKind.ELICITATION)]
        assert asked == [("url", "accept"), ("url", "accept")]


async def test_a_link_that_nobody_visits_is_a_refusal(programs: Programs, home: Path):
    async with everything(programs, home, operator=at_the_terminal("n")) as use:
        said = await use.refusal("trigger-url-elicitation", url="https://example.com/pay", errorPath=True)
        assert "requires browser-based authorization" in said
        assert [body["action"] for body in use.recorded(EntryKind.ELICITATION)] == ["decline"]


async def test_wrong_arguments_come_back_as_what_the_model_can_mend(programs: Programs, home: Path):
    async with everything(programs, home) as use:
        assert "number" in await use.refusal("get-sum", a="two", b=3)


async def test_resources_of_both_kinds_are_read_and_a_missing_one_is_not_found(
    programs: Programs, home: Path, compatibility: Record
):
    async with everything(programs, home) as use:
        for resource in use.server.resources:
            (document,) = resource_content(await use.host.read_resource(NAME, resource.uri), MOST_CHARACTERS)
            assert document["text"].strip()
        text = await use.host.read_resource(NAME, "demo://resource/dynamic/text/3")
        (block,) = resource_content(text, MOST_CHARACTERS)
        assert block["text"].startswith("Resource 3: This is a plaintext resource")
        (blob,) = (await use.host.read_resource(NAME, "demo://resource/dynamic/blob/4")).contents
        assert isinstance(blob, mcp_types.BlobResourceContents)
        assert base64.b64decode(blob.blob).startswith(b"Resource 4: This is a base64 blob")
        with pytest.raises(NotFound, match="not found"):
            await use.host.read_resource(NAME, "demo://resource/nowhere")
        with pytest.raises(ServerProtocolError, match="Unknown resource"):
            await use.host.read_resource(NAME, "demo://resource/dynamic/text/zero")
        found = f"{len(use.server.resources)} and {len(use.server.templates)} templates read"
        row = [f"{PROGRAM} {version(PROGRAM)}", "stdio", use.server.protocol_version]
        compatibility("Outside programs", row, {"resources": found})


async def test_a_resource_that_a_call_made_can_be_read(programs: Programs, home: Path):
    async with everything(programs, home) as use:
        said = await use.text("gzip-file-as-resource", name="note.gz", data="data:text/plain,hello")
        assert said == "Resource note.gz: demo://resource/session/note.gz (application/gzip)"
        (made,) = (await use.host.read_resource(NAME, "demo://resource/session/note.gz")).contents
        assert made.mime_type == "application/gzip"


async def test_prompts_are_filled_in(programs: Programs, home: Path, compatibility: Record):
    async with everything(programs, home) as use:
        wanted = {
            "simple-prompt": ({}, "This is a simple prompt without arguments."),
            "args-prompt": ({"city": "York", "state": "Yorkshire"}, "What's weather in York, Yorkshire?"),
            "completable-prompt": (
                {"department": "Support", "name": "John"},
                "Please promote John to the head of the Support team.",
            ),
            "resource-prompt": ({"resourceType": "Text", "resourceId": "5"}, "Resource 5: This is a plaintext"),
        }
        assert {prompt.name for prompt in use.server.prompts} == set(wanted)
        for name, (arguments, text) in wanted.items():
            found = await use.host.get_prompt(NAME, name, arguments)
            assert text in str([message.content for message in found.messages])
        row = [f"{PROGRAM} {version(PROGRAM)}", "stdio", use.server.protocol_version]
        compatibility("Outside programs", row, {"prompts": f"{len(wanted)} of {len(wanted)}"})


async def test_an_argument_of_a_prompt_is_completed_by_the_one_before_it(programs: Programs, home: Path):
    async with everything(programs, home) as use:
        # The host itself completes nothing; its connection carries what a screen of a later day may want.
        connection = use.host._servers[NAME]._connection
        assert connection is not None
        prompt = mcp_types.PromptReference(name="completable-prompt")

        async def complete(client: Any) -> mcp_types.CompleteResult:
            argument = {"name": "name", "value": "J"}
            return await client.complete(prompt, argument, context_arguments={"department": "Support"})

        found = await connection.ask(complete, Flight(None, 10))
        assert found.completion.values == ["John"]


async def test_what_it_logs_as_a_warning_or_worse_is_told_to_the_operator(
    programs: Programs, home: Path, compatibility: Record
):
    async with everything(programs, home) as use:
        with anyio.fail_after(600):
            while not use.notes.about("outside says ("):  # each start logs once, at a random level
                await use.call("toggle-simulated-logging")
        quiet = [level for level in ("debug", "info", "notice") if use.notes.about(f"({level})")]
        assert quiet == []
        row = [f"{PROGRAM} {version(PROGRAM)}", "stdio", use.server.protocol_version]
        compatibility("Outside programs", row, {"logging": "warnings and worse"})


async def test_a_server_has_only_the_environment_that_it_needs(programs: Programs, home: Path):
    async with everything(programs, home) as use:
        environment = json.loads(await use.text("get-env"))
        assert set(environment) <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}
