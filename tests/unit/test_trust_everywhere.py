"""No command reads a folder past the question whether it is trusted."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from agent.cli import app
from tests.unit.test_layers import imports, modules

WITHOUT_QUESTION = {f"agent.configuration.{name}" for name in ("load", "read_folder", "read_here", "settings_of")}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words; the groups that hold them left out."""
    if not (inner := getattr(command, "commands", None)):
        yield path, command
    for name, below in (inner or {}).items():
        yield from leaves(below, f"{path} {name}".strip())


COMMANDS = dict(leaves(typer.main.get_command(app)))


def test_the_commands_are_found():
    assert {"run", "triage-all", "tickets list", "servers approve", "doctor", "serve"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_told_that_the_folder_is_trusted(name: str):
    assert "--trust" in {option for parameter in COMMANDS[name].params for option in parameter.opts}


def test_only_the_frame_and_its_question_read_the_folder():
    reading = {
        name
        for name, tree in modules("agent").items()
        if not name.startswith("agent.configuration") and WITHOUT_QUESTION & set(imports(tree))
    }
    assert reading == {"agent.commands.frame", "agent.commands.trusting"}
