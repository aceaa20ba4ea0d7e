"""`support-agent run` with outside servers beside the built-in helpdesk, their tools classified as a team would."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Ended, Shell, call, turn
from tests.conftest import CleanEnv
from tests.outside.node import Programs

pytestmark = pytest.mark.outside

RESOLUTION = "Hi, forget the saved login and type the new password. — Support Team"
KNOWN = {"type": "entity", "name": "alice@example.com", "entityType": "customer", "observations": ["has a Pixel 9"]}
NEW: dict[str, Any] = {"name": "ticket 42", "entityType": "ticket", "observations": ["login"]}

CONFIGURATION = """
[roots]
folders = ["./manuals"]

[tools."files.read_text_file"]
effect = "read"
public = true

[tools."files.write_file"]           # the server itself warns that it overwrites: that is believed
effect = "write"

[tools."memory.search_nodes"]
effect = "read"
bind = { query = "ticket.requester" }

[tools."memory.create_entities"]     # nothing binds it to the ticket
effect = "write"

[tools."memory.delete_entities"]
effect = "deletion"

[tools."everything.get-sum"]
effect = "read"
public = true

[tools."everything.get-env"]
effect = "read"
public = true
offer = false
"""


@pytest.fixture
def shell(home: Path, clean_env: CleanEnv, programs: Programs) -> Shell:
    """A shell in a team's folder: three outside servers, what their tools do, a manual, a memory."""
    shell = Shell(work=Path.cwd(), data=home, environment=clean_env())
    memory = shell.write("memory.jsonl", json.dumps(KNOWN) + "\n")
    ways = {
        "files": ("server-filesystem", [], {}),
        "memory": ("server-memory", [], {"MEMORY_FILE_PATH": str(memory)}),
        "everything": ("server-everything", ["stdio"], {}),
    }
    home_variable = {"SUPPORT_AGENT_HOME": "${SUPPORT_AGENT_HOME}"}  # by which the shell finds what is left running
    servers: dict[str, dict[str, Any]] = {}
    for name, (package, arguments, environment) in ways.items():
        node, *words = programs.command(package)
        servers[name] = {"command": node, "args": [*words, *arguments], "env": {**environment, **home_variable}}
    shell.servers(**servers)
    shell.write("support-agent.toml", CONFIGURATION)
    (shell.work / "manuals").mkdir()
    shell.write("manuals/login.md", "Forget the saved login first.")
    shell.write("private.md", "hunter2")
    return shell


def run(shell: Shell, approve: str, *expected: str) -> Ended:
    """Work ticket 42 with a model that uses every server; `expected` is told of its writes."""
    manual, private = shell.work / "manuals" / "login.md", shell.work / "private.md"
    script = shell.script(
        turn(
            call("memory.search_nodes"),
            call("files.read_text_file", path=str(manual)),
            call("everything.get-sum", a=40, b=2),
            text="What is known?",
            offered=["memory__search_nodes", "files__write_file", "everything__echo", "ticketing__close_ticket"],
            not_offered=["everything__get-env", "everything__simulate-research-query", "ticketing__list_tickets"],
        ),
        turn(
            call("memory.create_entities", entities=[NEW]),
            call("files.write_file", path=str(manual), content="Forget it."),
            call("everything.echo", message="Is anybody there?"),
            call("memory.delete_entities", entityNames=["alice@example.com"]),
            call("files.read_text_file", path=str(private)),
            expect=["has a Pixel 9", "Forget the saved login first.", "42"],
        ),
        turn(call("ticketing.close_ticket", resolution=RESOLUTION), expect=["Access denied", *expected]),
        turn(text="Closed."),
    )
    return shell.run("run", "--ticket", "42", "--model", script, "--approve", approve, "--json")


def effects(ended: Ended) -> dict[str, str]:
    """What became of every call that was no read."""
    return {f"{effect['server']}.{effect['tool']}": effect["status"] for effect in ended.document["effects"]}


def test_without_a_person_the_model_reads_from_them_and_closes_the_ticket(shell: Shell):
    ended = run(shell, "never")
    assert (ended.code, ended.document["outcome"]) == (0, "closed"), ended.document
    assert effects(ended) == {
        "memory.create_entities": "denied",
        "files.write_file": "denied",
        "everything.echo": "denied",
        "memory.delete_entities": "denied",
        "ticketing.close_ticket": "done",
    }
    assert shell.status("42") == "closed"
    assert (shell.work / "manuals" / "login.md").read_text() == "Forget the saved login first."
    assert "ticket 42" not in (shell.work / "memory.jsonl").read_text()


def test_what_is_approved_happens_and_what_is_never_done_does_not(shell: Shell):
    ended = run(shell, "always", "Successfully wrote", "Echo: Is anybody there?")
    assert (ended.code, ended.document["outcome"]) == (0, "closed"), ended.document
    assert effects(ended) == {
        "memory.create_entities": "done",
        "files.write_file": "done",
        "everything.echo": "done",
        "memory.delete_entities": "denied",
        "ticketing.close_ticket": "done",
    }
    assert (shell.work / "manuals" / "login.md").read_text() == "Forget it."
    remembered = [json.loads(line) for line in (shell.work / "memory.jsonl").read_text().splitlines()]
    assert [entity["name"] for entity in remembered] == ["alice@example.com", "ticket 42"]


def test_servers_list_names_them_with_what_they_speak(shell: Shell):
    listed = shell.run("servers", "list", "--json").document["servers"]
    assert {server["name"]: (server["is_running"], server["protocol_version"]) for server in listed} == {
        "customers": (True, "2026-07-28"),
        "everything": (True, "2025-11-25"),
        "files": (True, "2025-11-25"),
        "memory": (True, "2025-11-25"),
        "ticketing": (True, "2026-07-28"),
    }


def test_a_tool_that_only_works_as_a_task_is_named_as_left_out(shell: Shell):
    ended = shell.run("run", "--ticket", "42", "--model", "offline")
    assert ended.code == 0
    said = " ".join(ended.out.split())
    assert "everything.simulate-research-query is left out: it can only be called as a task (taskSupport)" in said
