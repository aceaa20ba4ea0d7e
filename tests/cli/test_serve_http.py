"""`support-agent serve NAME --http PORT`, and the host that works a ticket through servers that it serves."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import DATABASES, DEADLINE_S, Ended, Shell

TOKEN = "0123456789abcdefghijklmnopqrstuv"
VARIABLE = "SUPPORT_AGENT_SERVER_TOKEN"


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """A command that serves, and the file for clients that it has written to stderr."""

    process: "subprocess.Popen[str]"
    servers: Mapping[str, Any]

    def ended(self, number: signal.Signals) -> tuple[int, str, str]:
        """End it with a signal, and return its exit code and what else it printed."""
        os.kill(self.process.pid, number)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


@contextmanager
def serving(shell: Shell, name: str, **variables: str) -> Iterator[Serving]:
    with shell.start("serve", name, "--http", "0", **variables) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not said.endswith("\n}\n"):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield Serving(process=process, servers=json.loads(said[said.index("{\n") :])["mcpServers"])
        finally:
            process.kill()


@pytest.fixture
def desk(shell: Shell) -> Shell:
    """A shell elsewhere that serves the data of `shell`."""
    away = shell.work.parent / "away"
    (away / "work").mkdir(parents=True)
    # Under another name, so that the servers are not taken for what a command of `shell` leaves behind.
    (away / "data").symlink_to(shell.data)
    environment = {**shell.environment, "SUPPORT_AGENT_HOME": str(away / "data")}
    return replace(shell, work=away / "work", data=away / "data", environment=environment)


@contextmanager
def connected(shell: Shell, desk: Shell, token: str = TOKEN) -> Iterator[None]:
    """Serve both servers, and configure them in the folder of `shell`, whose `.env` holds this token."""
    with serving(desk, "ticketing", **{VARIABLE: TOKEN}) as one, serving(desk, "customers", **{VARIABLE: TOKEN}) as two:
        shell.servers(**one.servers, **two.servers)
        shell.write(".env", f"{VARIABLE}={token}\n")
        yield


def test_a_ticket_is_closed_through_two_servers_over_http(shell: Shell, desk: Shell):
    with connected(shell, desk):
        listed = shell.run("servers", "list", "--json").document["servers"]
        ended = shell.run("run", "--ticket", "42", "--model", "offline", "--json")
    assert [(server["name"], server["transport"], server["protocol_version"]) for server in listed] == [
        (name, "http", "2026-07-28") for name in sorted(DATABASES)
    ]
    assert (ended.code, ended.err) == (0, "")
    assert (ended.document["outcome"], shell.status("42")) == ("closed", "closed")
    assert {effect["status"] for effect in ended.document["effects"]} == {"done"}
    assert [kind for kind, key in shell.acts("42") if key].count("closed") == 1
    assert TOKEN not in ended.out


def test_a_wrong_token_is_one_clear_sentence_and_the_ticket_stays_as_it_is(shell: Shell, desk: Shell):
    before = shell.rows()
    with connected(shell, desk, token=TOKEN[::-1]):
        ended = shell.run("run", "--ticket", "42", "--model", "offline")
    [sentence] = ended.err.splitlines()
    assert ended.code == 3
    assert "answers HTTP 401: it wants other credentials: see its `headers` in .mcp.json" in sentence
    assert TOKEN[::-1] not in ended.out + ended.err
    assert shell.rows() == before


def test_a_token_that_is_missing_is_named_by_its_variable(shell: Shell, desk: Shell):
    with connected(shell, desk):
        (shell.work / ".env").unlink()
        ended = shell.run("run", "--ticket", "42", "--model", "offline")
    assert ended.code == 3
    assert f"needs the variable {VARIABLE}: set it in the environment or in .env." in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serving_ends_with_a_signal(shell: Shell, number: signal.Signals, code: int):
    with serving(shell, "customers") as served:
        ended = served.ended(number)
    assert ended == (code, "", "")
    assert shell.processes() == []


def test_the_token_of_the_environment_is_handed_on_and_is_no_argument(shell: Shell):
    with serving(shell, "customers", **{VARIABLE: TOKEN}) as served:
        command = Path(f"/proc/{served.process.pid}/cmdline").read_text()
    assert "servers.customers" in command
    assert TOKEN not in command
    assert served.servers["customers"]["headers"] == {"Authorization": f"Bearer ${{{VARIABLE}}}"}


def test_over_stdio_no_token_is_handed_on(bare: Shell):
    bare.servers(mine={"command": "/usr/bin/env", "args": []})
    printed = bare.run("serve", "mine", **{VARIABLE: TOKEN}).out
    assert "PATH=" in printed
    assert TOKEN not in printed


PRINTS_USAGE = "import argparse; argparse.ArgumentParser(prog='mine').parse_args()"


def test_a_server_that_knows_no_http_says_so_itself(bare: Shell):
    bare.servers(mine={"command": "${SUPPORT_AGENT_PYTHON}", "args": ["-c", PRINTS_USAGE]})
    ended = bare.run("serve", "mine", "--http", "8931")
    assert ended == Ended(code=2, out="", err="usage: mine [-h]\nmine: error: unrecognized arguments: --http 8931\n")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_wrong_usage(bare: Shell, port: str):
    ended = bare.run("serve", "ticketing", f"--http={port}")
    assert (ended.code, ended.out) == (2, "")
    assert "--http" in ended.err
