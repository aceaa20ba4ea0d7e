"""Configuration, servers and data that are wrong: one clear sentence, the right exit code, nothing half-done."""

import shutil
import sys
from dataclasses import replace

import pytest

from tests.cli.shell import DATABASES, FAKES, Ended, Shell, bad
from tests.fakes.hosting import make_gate

RUN = ("run", "--ticket", "42", "--model", "offline")

CONFIGURATIONS = {
    ".mcp.json: no JSON": (
        ".mcp.json",
        '{\n  "mcpServers": {\n    "crm": crm\n  }\n}\n',
        "line 3, column 12: this is not JSON: expecting value (comments and trailing commas are none).",
    ),
    ".mcp.json: a missing variable": (
        ".mcp.json",
        '{"mcpServers": {\n "crm": {"command": "crm",\n  "env": {"TOKEN": "${CRM_TOKEN}"}}}}\n',
        'line 3: server "crm" env.TOKEN needs the variable CRM_TOKEN: set it in the environment or in .env.',
    ),
    "support-agent.toml: no TOML": (
        "support-agent.toml",
        "[limits]\nturns = = 3\n",
        "line 2, column 9: this is not TOML: invalid value.",
    ),
    "support-agent.toml: a wrong value": (
        "support-agent.toml",
        "[limits]\nusd = 1\nturns = 0\n",
        "line 3: [limits] turns must be greater than 0, not 0.",
    ),
    "support-agent.toml: not UTF-8": (
        "support-agent.toml",
        b"[limits]\n# caf\xe9\n",
        "line 2: this is not UTF-8 text: save the file as UTF-8.",
    ),
    ".env: NUL": (".env", b"A=b\nC=\0\n", "line 2: a NUL character stands here: is this a text file?"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_mistake_in_a_file_is_told_with_its_line(bare: Shell, name: str, content: str | bytes, sentence: str):
    path = bare.write(name, content)
    assert bare.run(*RUN) == Ended(code=3, out="", err=f"error: {path}, {sentence}\n")
    assert list(bare.data.iterdir()) == []


def refused(shell: Shell) -> str:
    """Run ticket 42 to a failure that leaves everything untouched, and return its sentence."""
    before = shell.rows()
    ended = shell.run(*RUN)
    assert (ended.code, ended.out) == (3, "")
    assert shell.rows() == before
    return ended.err


def test_a_server_command_that_does_not_exist_is_named(shell: Shell):
    shell.servers(crm={"command": "/nowhere/crm"})
    assert refused(shell) == "error: crm did not start: /nowhere/crm was not found.\n"


def test_the_last_words_of_a_server_that_exits_at_once_are_told(shell: Shell):
    shell.servers(crm=bad("exit"))
    assert refused(shell) == (
        "error: crm did not start: it exited with status 3.\n"
        "      first line\n"
        "      ConfigError: \\x1b[31mno token\\x1b[0m\n"
        f"  (all of it: {shell.data}/logs/crm.log)\n"
    )


def test_a_server_that_never_answers_is_given_up(shell: Shell):
    shell.servers(crm=bad("silent"))
    shell.write("support-agent.toml", "[servers.crm]\nstart_timeout_s = 0.5\n")
    assert refused(shell) == "error: crm did not start: it was not ready within 0.5 s.\n"


def test_a_server_that_prints_garbage_is_quoted(shell: Shell):
    shell.servers(crm=bad("garbage", "silent"))
    patient = "".join(f"[servers.{name}]\nstart_timeout_s = 7200\n" for name in DATABASES)
    shell.write("support-agent.toml", f"{patient}[servers.crm]\nstart_timeout_s = 10\n")
    ended = replace(shell, program=(sys.executable, FAKES / "impatient.py")).run(*RUN)
    assert ended.code == 3
    assert ended.err == (
        "error: crm did not start: it was not ready within 10 s; "
        "it writes what is not JSON-RPC to its stdout: Welcome to bad 1.0\\x1b[2J.\n"
    )
    assert shell.status("42") == "new"


def test_a_server_that_starts_slowly_and_chats_is_waited_for_and_remarked_upon(shell: Shell):
    gate = make_gate(shell.work)
    shell.servers(crm=bad("slow", "chatty", "--folder", shell.work))
    with shell.start(*RUN) as process:
        gate.open("wb").close()  # returns when the server waits there, and lets it go on
        ended = shell.ended(process)
    assert (ended.code, ended.err, shell.status("42")) == (0, "", "closed")
    assert "crm writes what is not JSON-RPC to its stdout; it is ignored: Listening on port 8080" in ended.out
    assert "\x1b" not in ended.out


def test_a_data_folder_that_cannot_be_one_is_named(bare: Shell):
    place = bare.write("file", "") / "data"
    ended = bare.run(*RUN, SUPPORT_AGENT_HOME=str(place))
    assert (ended.code, ended.out) == (3, "")
    assert str(place) in ended.err
    assert "not a directory" in ended.err.lower()


def test_a_database_that_is_newer_than_the_program_is_left_as_it_is(shell: Shell):
    shell.query("ticketing", "UPDATE schema_versions SET version = 99")
    said = refused(shell)
    assert said.startswith("error: ticketing did not start: it exited with status 3.\n")
    assert (
        f"{shell.data}/ticketing.sqlite is newer than this program (schema 99 there, 1 here): "
        "use the support-agent version that wrote it, or set another SUPPORT_AGENT_HOME.\n"
    ) in said


def test_a_file_that_is_no_database_is_left_as_it_is(bare: Shell, demo):
    shutil.copytree(demo, bare.data, dirs_exist_ok=True)
    place = bare.data / "customers.sqlite"
    place.write_text("Dear diary, " * 100)
    ended = bare.run(*RUN)
    assert (ended.code, ended.out) == (3, "")
    assert f"{place} cannot be used as a database: file is not a database.\n" in ended.err
    assert place.read_text().startswith("Dear diary, ")
