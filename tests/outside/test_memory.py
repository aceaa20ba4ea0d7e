"""The host against `server-memory`: what is written is there for the next process, and read as structured content."""

from pathlib import Path
from typing import Any

import pytest

from agent.settings import StdioTransport
from tests.compatibility import Record
from tests.outside.node import Programs, version
from tests.outside.using import using

pytestmark = pytest.mark.outside

PROGRAM = "server-memory"
ALICE: dict[str, Any] = {"name": "alice@example.com", "entityType": "customer", "observations": ["has a Pixel 9"]}
LOGIN: dict[str, Any] = {"name": "login", "entityType": "topic", "observations": []}
ASKED: dict[str, Any] = {"from": "alice@example.com", "to": "login", "relationType": "asked about"}


def memory(programs: Programs, file: Path) -> StdioTransport:
    node, *arguments = programs.command(PROGRAM)
    return StdioTransport(command=node, args=tuple(arguments), env={"MEMORY_FILE_PATH": str(file)})


async def test_what_one_process_is_told_the_next_one_knows(
    programs: Programs, home: Path, tmp_path: Path, compatibility: Record
):
    file = tmp_path / "memory.jsonl"
    async with using(home, memory(programs, file)) as use:
        made = await use.call("create_entities", entities=[ALICE, LOGIN])
        assert made.structured_content == {"entities": [ALICE, LOGIN]}
        await use.told("create_relations", relations=[ASKED])
        await use.told(
            "add_observations", observations=[{"entityName": "alice@example.com", "contents": ["prefers e-mail"]}]
        )
    known = {**ALICE, "observations": ["has a Pixel 9", "prefers e-mail"]}
    async with using(home, memory(programs, file)) as use:
        assert (await use.call("read_graph")).structured_content == {"entities": [known, LOGIN], "relations": [ASKED]}
        found = await use.call("search_nodes", query="alice")
        assert found.structured_content == {"entities": [known], "relations": [ASKED]}
        await use.told("delete_entities", entityNames=["alice@example.com"])
        assert (await use.call("open_nodes", names=["alice@example.com"])).structured_content == {
            "entities": [],
            "relations": [],
        }
        compatibility(
            "Outside programs",
            [f"{PROGRAM} {version(PROGRAM)}", "stdio", use.server.protocol_version],
            {"tools": f"{len(use.server.tools)} listed, 7 called", "resources": f"{len(use.server.resources)} listed"},
        )


async def test_the_model_reads_a_result_once_though_it_is_sent_as_text_and_as_structure(
    programs: Programs, home: Path, tmp_path: Path
):
    async with using(home, memory(programs, tmp_path / "memory.jsonl")) as use:
        assert len(await use.told("create_entities", entities=[ALICE])) == 1
        assert len(await use.told("read_graph")) == 1


async def test_what_it_refuses_is_a_result_that_says_why(programs: Programs, home: Path, tmp_path: Path):
    async with using(home, memory(programs, tmp_path / "memory.jsonl")) as use:
        nobody = [{"entityName": "nobody", "contents": ["anything"]}]
        assert "nobody" in await use.refusal("add_observations", observations=nobody)
