"""What every command has in common: help, one JSON document, frames on stderr, pipes and narrow places."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from typer.main import get_command

from agent.cli import app
from tests.cli.shell import DEADLINE_S, PROGRAM, Ended, Shell, bad

PROMISED = {"doctor", "init", "run", "serve", "servers list", "servers show", "triage-all"} | {
    f"tickets {name}" for name in ("import", "list", "reply", "show")
}
HEAVY = ("mcp", "mcp_types", "anthropic", "sqlalchemy", "httpx2", "jsonschema", "genai_prices", "agent.settings")


def commands(group: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command below this one, with what is typed for it."""
    for name, command in getattr(group, "commands", {}).items():
        yield " ".join([*path, name]), command
        yield from commands(command, *path, name)


EVERY = dict(commands(get_command(app)))


def test_the_program_lists_its_commands(bare: Shell):
    ended = bare.run("--help")
    assert (ended.code, ended.err) == (0, "")
    assert set(EVERY) >= PROMISED
    listed = {found[1] for found in re.finditer(r"^│ ([a-z-]+) +[A-Z]", ended.out, re.MULTILINE)}
    assert listed == {name for name in EVERY if " " not in name}


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_command_says_what_it_is_for_and_what_its_options_mean(bare: Shell, name: str):
    ended = bare.run(*name.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    said = " ".join(ended.out.replace("│", " ").split())
    texts = [EVERY[name].help, *(getattr(parameter, "help", None) for parameter in EVERY[name].params)]
    for text in texts:
        assert text
        assert " ".join(text.split()) in said


def test_the_program_says_its_version(bare: Shell):
    assert bare.run("--version") == Ended(code=0, out=f"support-agent {version('support-agent')}\n", err="")


@pytest.mark.parametrize("command", ["", "run", "triage-all", "tickets import", "servers show", "init"])
def test_help_loads_nothing_heavy(bare: Shell, command: str):
    # Typer itself needs pydantic to read a command's options, but not for its own help.
    heavy = {*HEAVY, *(() if command else ("pydantic",))}
    program = (
        "import sys\nfrom agent.cli import main\n"
        "try: main()\nexcept SystemExit as end: code = end.code\n"
        f"print(code, sorted(sys.modules.keys() & {heavy!r}), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *command.split(), "--help"],
        env=bare.environment,
        cwd=bare.work,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert ended.stderr == "0 []\n"


def test_wrong_usage_ends_with_2_and_says_what_was_expected(bare: Shell):
    for arguments, sentence in (
        (("run",), "Missing option '--ticket'."),
        (("run", "--ticket", "42", "--approve", "maybe"), "Invalid value for '--approve'"),
        (("triage-all", "--limit", "0"), "Invalid value for '--limit'"),
        (("nonsense",), "No such command 'nonsense'."),
    ):
        ended = bare.run(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert sentence in ended.err


def test_frames_are_shown_on_stderr_only(bare: Shell):
    bare.servers(mine=bad())
    ended = bare.run("servers", "show", "mine", "--json", "--trace")
    assert (ended.code, ended.document["name"]) == (0, "mine")
    frames = [re.fullmatch(r"mine (→|←) (\{.*\})", line) for line in ended.err.splitlines()]
    assert all(frames)
    traffic = [(frame[1], json.loads(frame[2])) for frame in frames if frame]
    assert ("→", "tools/list") in [(way, message.get("method")) for way, message in traffic]
    assert any(way == "←" and "tools" in message.get("result", {}) for way, message in traffic)


def test_every_call_of_a_run_can_be_traced(shell: Shell):
    ended = shell.run("run", "--ticket", "42", "--model", "offline", "--json", "--trace")
    assert (ended.code, ended.document["outcome"]) == (0, "closed")
    [closing] = [line for line in ended.err.splitlines() if '"name":"close_ticket"' in line and " → " in line]
    server, _, frame = closing.partition(" → ")
    assert server == "ticketing"
    [key] = [effect["key"] for effect in ended.document["effects"] if effect["tool"] == "close_ticket"]
    assert json.loads(frame)["params"]["_meta"]["support-agent/idempotency-key"] == key


@pytest.mark.parametrize("command", ["tickets list --json", "run --ticket 43 --dry-run"])
def test_a_pipe_that_is_closed_early_is_no_failure_of_ours(shell: Shell, command: str):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [PROGRAM, *command.split()],
            cwd=shell.work,
            env=shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=DEADLINE_S,
            check=False,
        )
    finally:
        os.close(writer)
    shell.check_traces(ended.stderr)
    assert ended.stderr == ""
    assert ended.returncode == 1


def test_a_place_without_unicode_gets_ascii(shell: Shell):
    ended = shell.run(
        "run", "--ticket", "54", "--model", "offline", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C"
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.isascii()
    assert "escalated" in ended.out
    assert "\\u30ce\\u30fc\\u30c8" in ended.out
