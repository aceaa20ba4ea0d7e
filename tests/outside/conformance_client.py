"""The client that the public MCP conformance suite tests: `agent.host.Host` as a run uses it, on whatever it is given.

The suite starts it once per scenario, with the address of a server of its own as the last argument. There is one
way through for all scenarios: connect, read every resource and prompt that needs no argument, call every tool once.
What the servers ask meanwhile is answered as `support-agent run` answers it: by the run's model, and by a person at
the terminal who takes every default.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio

from agent.binding import UnusableArguments, bind
from agent.callbacks import Answers
from agent.catalog import Catalog, OfferedTool, build_catalog
from agent.errors import CallUncertain, ServerError
from agent.host import Host
from agent.records import JsonObject
from agent.settings import HttpTransport, Limits
from tests.fakes.hosting import Notes, settings_for
from tests.outside.using import answers_of, at_the_terminal, saying

SUITE = "suite"

_SAMPLES: dict[str, Any] = {"string": "text", "integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}}


async def use(url: str, context: JsonObject) -> None:
    """Do with the server at this address what a host does, and everything that it offers."""
    notes = Notes()
    with tempfile.TemporaryDirectory() as home:
        settings = settings_for(Path(home), {SUITE: HttpTransport(type="http", url=url)})
        async with Host(settings, notes) as host:
            server = host.servers[SUITE]
            _say(server.protocol_version)
            await _read(host)
            catalog = build_catalog({SUITE: server.tools}, {SUITE: server.templates}, settings)
            # Some scenarios say which calls they want; the others take any that fit the tools' schemas.
            await _call(host, context.get("toolCalls") or [*_calls(catalog)])
    for notice in notes.notices:
        _say(notice)


async def _read(host: Host) -> None:
    server = host.servers[SUITE]
    for resource in server.resources:
        await host.read_resource(SUITE, resource.uri)
    for prompt in server.prompts:
        if not any(argument.required for argument in prompt.arguments or ()):
            await host.get_prompt(SUITE, prompt.name, {})


async def _call(host: Host, calls: Sequence[JsonObject]) -> None:
    answers = answers_of(saying(*["A reply."] * len(calls)), at_the_terminal(), [Path.cwd()], [])
    async with anyio.create_task_group() as together:
        for number, call in enumerate(calls):
            together.start_soon(_call_one, host, answers, f"call-{number}", call)


async def _call_one(host: Host, answers: Answers, call_id: str, call: JsonObject) -> None:
    try:
        result = await host.call_tool(
            SUITE,
            call["name"],
            call["arguments"],
            key=call_id,
            is_repeatable=False,
            answers=answers.for_call(SUITE, call_id),
        )
        _say(f"{call['name']}: {result.model_dump_json(by_alias=True, exclude_none=True)}")
    except CallUncertain as uncertain:  # the run would go on with its other calls
        _say(f"{call['name']}: {uncertain}")


def _calls(catalog: Catalog) -> Iterator[JsonObject]:
    """Yield a call of every tool that takes samples of the types it names, as the gate lets it through."""
    for tool in catalog.tools:
        try:
            bound = bind(tool, _samples(tool, catalog), lambda _path: None, most_chars=Limits().argument_chars)
            yield {"name": tool.name, "arguments": bound.arguments}
        except UnusableArguments as refused:
            _say(f"not called: {refused}")


def _samples(tool: OfferedTool, catalog: Catalog) -> JsonObject:
    properties: dict[str, JsonObject] = tool.full_schema.get("properties", {})
    wanted: list[str] = tool.full_schema.get("required", [])
    samples = {name: _SAMPLES.get(properties.get(name, {}).get("type", "string")) for name in wanted}
    if "schema" in samples:  # one scenario wants back what it said of its other tool
        samples["schema"] = next(other.full_schema for other in catalog.tools if other.name != tool.name)
    return samples


def _say(sentence: str) -> None:
    print(sentence)  # noqa: T201 - the suite keeps what its clients print; the first line is the version spoken


def main() -> int:
    """Use the server whose address is the last argument; the exit code says whether a run could have."""
    try:
        anyio.run(use, sys.argv[-1], json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"))
    except ServerError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
