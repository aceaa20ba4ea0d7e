"""The built-in servers as processes: how they start, what they refuse to start on, and how they end."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from servers.ticketing.arrivals import insert_demo
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.databases import NewDatabase
from tests.fakes.helpdesk import TICKETS, call, filled, read

SERVERS = ("ticketing", "customers")
TIMEOUT_S = 600


def command(server: str, *options: str) -> list[str]:
    return [sys.executable, "-P", "-m", f"servers.{server}", *options]


def run(server: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a server whose client leaves at once."""
    return subprocess.run(
        command(server, *options),
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def client(server: str, home: Path, *options: str, mode: str = "auto") -> Client:
    executable, *arguments = command(server, *options)
    parameters = StdioServerParameters(command=executable, args=arguments, env={"SUPPORT_AGENT_HOME": str(home)})
    return Client(stdio_client(parameters), mode=mode)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence with which a server did not start."""
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_demo_helpdesk_is_served_over_stdio(home: Path, mode: str):
    with anyio.fail_after(TIMEOUT_S):
        async with client("ticketing", home, "--demo", mode=mode) as tickets:
            records = [json.loads(await read(tickets, f"ticket://{number}/record")) for number in (42, 43)]
            found = await call(tickets, "search_knowledge_base", query="password")
        async with client("customers", home, "--demo", mode=mode) as customers:
            tiers = [
                json.loads(await read(customers, f"customer://{name}%40example.com/record"))["account_tier"]
                for name in ("alice", "bob")
            ]
    assert [record["requester"] for record in records] == ["alice@example.com", "bob@example.com"]
    assert tiers == ["pro", "free"]
    assert found.structured_content["passages"]


async def test_two_copies_of_each_server_may_start_at_once_on_a_fresh_home(home: Path):
    homes = home / "new"
    queues: list[list[str]] = []

    async def tickets() -> None:
        async with client("ticketing", homes, "--demo") as desk:
            listed = await call(desk, "list_tickets", limit=200)
            queues.append([ticket["id"] for ticket in listed.structured_content["tickets"]])
            found = await call(desk, "search_knowledge_base", query="password")
            assert await read(desk, found.structured_content["passages"][0]["uri"])

    async def customers() -> None:
        async with client("customers", homes, "--demo") as desk:
            assert json.loads(await read(desk, "customer://alice%40example.com/record"))["version"] == 1

    with anyio.fail_after(TIMEOUT_S):
        async with anyio.create_task_group() as group:
            for start in (tickets, tickets, customers, customers):
                group.start_soon(start)
    assert queues[0] == queues[1]
    assert len(set(queues[0])) == len(queues[0]) > 1
    assert {path.name.split("-")[0] for path in homes.iterdir()} == {
        "ticketing.sqlite",
        "customers.sqlite",
        "knowledge",
    }


def test_what_is_created_belongs_to_its_owner_alone(home: Path):
    new = home / "a" / "b"
    assert run("ticketing", "--demo", SUPPORT_AGENT_HOME=str(new)).returncode == 0
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert stat.S_IMODE((new / "ticketing.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_ends_cleanly_and_quietly_when_its_client_leaves(home: Path, server: str):
    done = run(server, "--demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in home.glob("*.sqlite*")) == [f"{server}.sqlite"]


async def test_without_demo_the_helpdesk_is_empty_and_demo_does_not_touch_it_later(home: Path):
    assert run("ticketing").returncode == 0
    with anyio.fail_after(TIMEOUT_S):
        async with client("ticketing", home, "--demo") as desk:
            listed = await call(desk, "list_tickets")
    assert listed.structured_content["tickets"] == []


def test_an_existing_knowledge_folder_is_left_alone(home: Path):
    (home / "knowledge").mkdir()
    assert run("ticketing", "--demo").returncode == 0
    assert list((home / "knowledge").iterdir()) == []


def test_the_knowledge_folder_may_be_elsewhere(home: Path):
    elsewhere = home / "elsewhere" / "kb"
    assert run("ticketing", "--demo", KNOWLEDGE_FOLDER=str(elsewhere)).returncode == 0
    assert list(elsewhere.glob("*.md"))
    assert not (home / "knowledge").exists()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_reset_makes_the_demo_as_new_and_says_so_in_one_line(home: Path, server: str):
    assert run(server, "--demo").returncode == 0
    with sqlite3.connect(home / f"{server}.sqlite") as file:
        file.execute(f"UPDATE {server.replace('ticketing', 'tickets')} SET version = 9")
    file.close()
    done = run(server, "--demo", "--reset")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    file = sqlite3.connect(home / f"{server}.sqlite")
    versions = file.execute(f"SELECT DISTINCT version FROM {server.replace('ticketing', 'tickets')}").fetchall()
    file.close()
    assert versions == [(1,)]


def test_a_reset_restores_the_articles_of_the_home_but_not_a_teams(home: Path):
    assert run("ticketing", "--demo").returncode == 0
    article = next((home / "knowledge").glob("*.md"))
    text = article.read_text()
    article.write_text("changed")
    own = home / "knowledge" / "own.md"
    own.write_text("own")
    assert run("ticketing", "--demo", "--reset", KNOWLEDGE_FOLDER=str(home / "knowledge")).returncode == 0
    assert article.read_text() == "changed"
    assert run("ticketing", "--demo", "--reset").returncode == 0
    assert (article.read_text(), own.read_text()) == (text, "own")


def test_a_reset_without_demo_is_wrong_usage(home: Path):
    done = run("ticketing", "--reset")
    assert done.returncode == 2
    assert "--reset needs --demo" in done.stderr
    assert list(home.iterdir()) == []


def test_a_reset_of_real_data_is_refused(home: Path):
    assert run("customers").returncode == 0
    assert "was not created by --demo" in refused(run("customers", "--demo", "--reset"))


def newer(home: Path) -> None:
    assert run("ticketing").returncode == 0
    file = sqlite3.connect(home / "ticketing.sqlite", isolation_level=None)
    file.execute("UPDATE schema_versions SET version = 99")
    file.close()


def corrupt(home: Path) -> None:
    (home / "ticketing.sqlite").write_bytes(os.urandom(9_000))


def truncated(home: Path) -> None:
    assert run("ticketing", "--demo").returncode == 0
    os.truncate(home / "ticketing.sqlite", 9_000)


def folder_for_file(home: Path) -> None:
    (home / "ticketing.sqlite").mkdir()


def file_for_folder(home: Path) -> None:
    home.rmdir()
    home.write_text("")


def file_for_knowledge(home: Path) -> None:
    (home / "knowledge").write_text("")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (newer, "is newer than this program"),
        (corrupt, "file is not a database"),
        (truncated, "malformed"),
        (folder_for_file, "Is a directory"),
        (file_for_folder, "cannot be used as the data folder"),
        (file_for_knowledge, "is to be the knowledge folder"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--demo",)])
def test_what_cannot_be_served_is_refused_in_one_sentence(
    home: Path, spoil: Callable[[Path], None], sentence: str, options: tuple[str, ...]
):
    spoil(home)
    assert sentence in refused(run("ticketing", *options))


def test_a_home_below_a_file_is_refused_in_one_sentence(home: Path):
    (home / "file").touch()
    line = refused(run("customers", SUPPORT_AGENT_HOME=str(home / "file" / "home")))
    assert line == f"{home / 'file' / 'home'} cannot be used as the data folder: Not a directory."


@pytest.mark.parametrize("server", SERVERS)
def test_without_a_home_a_server_names_the_variable(server: str):
    assert "SUPPORT_AGENT_HOME is not set" in refused(run(server, SUPPORT_AGENT_HOME=""))


@pytest.mark.parametrize("url", ["nonsense", "postgresql+nosuchdriver://localhost/x", "sqlite://"])
def test_a_database_url_that_cannot_be_used_is_refused_by_name(url: str):
    assert "DATABASE_URL" in refused(run("ticketing", DATABASE_URL=url))


def test_a_database_url_is_used_instead_of_the_home(home: Path):
    file = home / "own.sqlite"
    assert run("customers", DATABASE_URL=f"sqlite:///{file}", SUPPORT_AGENT_HOME="").returncode == 0
    assert file.exists()


@pytest.mark.parametrize("option", [(), ("--reset",), ("--upgrade",)])
def test_a_database_that_is_named_never_gets_demo_rows(home: Path, option: tuple[str, ...]):
    file = home / "own.sqlite"
    line = refused(run("customers", "--demo", *option, DATABASE_URL=f"sqlite:///{file}"))
    assert line == (
        "DATABASE_URL names a database of your own, and the demo's rows never go there: "
        "start the server without --demo, or without DATABASE_URL."
    )
    assert list(home.iterdir()) == []


def test_an_upgrade_creates_what_a_start_would_have_created(home: Path):
    said = [run("ticketing", "--demo", "--upgrade") for _ in range(2)]
    assert [(done.returncode, done.stderr) for done in said] == [(0, "")] * 2
    assert [done.stdout for done in said] == [
        f"{home}/ticketing.sqlite: the tables for ticketing were created (schema 1).\n",
        f"{home}/ticketing.sqlite: the tables for ticketing are up to date (schema 1).\n",
    ]
    with closing(sqlite3.connect(home / "ticketing.sqlite")) as file:
        assert file.execute("SELECT is_demo, (SELECT count(*) > 0 FROM tickets) FROM schema_versions").fetchall() == [
            (1, 1)
        ]


def test_a_folder_called_servers_where_the_user_stands_is_not_imported(home: Path):
    Path("servers").mkdir()
    Path("servers/__init__.py").write_text("raise SystemExit('the wrong one')")
    assert run("ticketing").returncode == 0


def start(server: str, home: Path, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(server, *options),
        env={**os.environ, "SUPPORT_AGENT_HOME": str(home), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def request(process: subprocess.Popen[bytes], identifier: int, method: str, **params: Any) -> dict[str, Any]:
    """Send one request and return its response, past any notification."""
    assert process.stdin is not None
    assert process.stdout is not None
    message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == identifier:
            return answer["result"]
    raise AssertionError("the server ended without an answer")


def handshake(process: subprocess.Popen[bytes]) -> None:
    info = {"name": "test", "version": "1"}
    request(process, 0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=info)
    assert process.stdin is not None
    process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')


CLOSE = {
    "name": "close_ticket",
    "arguments": {"ticket_id": "42", "resolution": "Hi, done."},
    "_meta": {"support-agent/idempotency-key": "run/1/a"},
}


def test_a_server_killed_after_its_answer_remembers_key_and_effect(home: Path, new_database: NewDatabase):
    url = new_database(TICKETING)
    filled(url, TICKETING, lambda connection: insert_demo(connection, TICKETS)).close()
    results: list[dict[str, Any]] = []
    for _ in range(2):
        process = start("ticketing", home, DATABASE_URL=url)
        handshake(process)
        results.append(request(process, 1, "tools/call", **CLOSE)["structuredContent"])
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
    assert results == [{"success": True, "closed_ticket_id": "42", "status": "closed", "version": 2}] * 2


def test_an_interrupt_ends_a_server_without_a_traceback(home: Path):
    process = start("customers", home, "--demo")
    handshake(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert b"Traceback" not in said


def test_a_client_that_stops_listening_ends_the_server(home: Path):
    process = start("ticketing", home, "--demo")
    handshake(process)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.close()
    assert process.wait(TIMEOUT_S) is not None
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert b"Traceback" not in said


def test_a_wrong_option_is_wrong_usage():
    done = run("ticketing", "--nonsense")
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_help_names_the_options_and_the_data():
    done = run("ticketing", "--help")
    assert done.returncode == 0
    for word in ("--demo", "--reset", "DATABASE_URL", "SUPPORT_AGENT_HOME"):
        assert word in done.stdout


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare to mount")
def test_a_read_only_folder_is_refused_in_one_sentence(home: Path):
    script = f"mount -t tmpfs -o ro none {home} && exec {' '.join(command('ticketing'))}"
    probe = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", str(home)], check=False, capture_output=True
    )
    if probe.returncode != 0:
        pytest.skip("mounting is not allowed here")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Read-only file system" in refused(done)
