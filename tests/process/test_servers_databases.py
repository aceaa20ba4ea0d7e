"""The built-in servers as processes on both databases: killed, refused, upgraded, and cut off from PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from servers.ticketing.arrivals import insert_demo
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.databases import NewDatabase, Templates
from tests.fakes.helpdesk import TICKETS, call, filled, read, ticket_desk
from tests.fakes.things import behind
from tests.postgres import PASSWORD, Postgres, running_postgres

TIMEOUT_S = 600


def run(server: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a server whose client leaves at once."""
    return subprocess.run(
        [sys.executable, "-P", "-m", f"servers.{server}", *options],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence with which a server did not start; it never holds the password."""
    assert done.returncode == 3
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def client(server: str, url: str, home: Path, errlog: Any = sys.stderr) -> Client:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", f"servers.{server}"],
        env={"SUPPORT_AGENT_HOME": str(home), "DATABASE_URL": url},
    )
    return Client(stdio_client(parameters, errlog))


def helpdesk(url: str) -> str:
    """Fill a database with the tests' tickets, and return its URL."""
    filled(url, TICKETING, lambda connection: insert_demo(connection, TICKETS)).close()
    return url


# ── killed ──


CRASH = """
import os, signal, sys
from servers.database import open_database
from servers.effects import Call
from servers.ticketing import store, tables

desk = store.TicketStore(open_database(sys.argv[1], tables.SCHEMA))
say = store._say

def say_and_die(*args, **kwargs):
    say(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

store._say = say_and_die
call = Call(tool="reply_to_customer", arguments={"ticket_id": "42", "body": "x"}, actor="test", key="k")
desk.reply(call, "42", "x", None)
"""


def die_in_the_middle_of_a_reply(url: str) -> None:
    script = [sys.executable, "-P", "-c", CRASH, url]
    assert subprocess.run(script, timeout=TIMEOUT_S, check=False).returncode == -signal.SIGKILL


async def test_a_server_killed_in_the_middle_of_a_write_has_written_nothing(home: Path, new_database: NewDatabase):
    url = helpdesk(new_database(TICKETING))
    die_in_the_middle_of_a_reply(url)
    with anyio.fail_after(TIMEOUT_S):
        async with client("ticketing", url, home) as desk:
            before = json.loads(await read(desk, "ticket://42/record"))
            again = await call(desk, "reply_to_customer", key="k", ticket_id="42", body="x")
            after = json.loads(await read(desk, "ticket://42/record"))
    assert before["version"] == 1
    assert again.structured_content["version"] == after["version"] == 2
    assert len(after["messages"]) == len(before["messages"]) + 1


# ── several servers ──


async def test_imports_of_several_servers_at_once_never_share_an_id(home: Path, new_database: NewDatabase):
    url = new_database(TICKETING)
    ids: list[str] = []
    arrival = {"subject": "s", "body": "b", "requester": "c@example.com"}

    async def import_some() -> None:
        async with client("ticketing", url, home) as desk:

            async def once(number: int) -> None:
                result = await call(desk, "import_tickets", key=f"{id(desk)} {number}", tickets=[arrival] * 3)
                ids.extend(result.structured_content["ids"])

            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(once, number)

    with anyio.fail_after(TIMEOUT_S):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(import_some)
    assert sorted(map(int, ids)) == list(range(1, 91))


async def test_the_same_call_to_two_servers_at_once_acts_once(home: Path, new_database: NewDatabase):
    url = helpdesk(new_database(TICKETING))
    results: list[Any] = []
    async with client("ticketing", url, home) as one, client("ticketing", url, home) as two:

        async def close(desk: Client) -> None:
            arguments = {"ticket_id": "42", "resolution": "Hi.", "expected_version": 1}
            results.append((await call(desk, "close_ticket", key="k", **arguments)).structured_content)

        with anyio.fail_after(TIMEOUT_S):
            async with anyio.create_task_group() as group:
                for desk in (one, two, one, two, one, two):
                    group.start_soon(close, desk)
            record = json.loads(await read(one, "ticket://42/record"))
    assert results == [{"success": True, "closed_ticket_id": "42", "status": "closed", "version": 2}] * 6
    assert [event["kind"] for event in record["events"]] == ["created", "closed"]


# ── refused ──


@pytest.fixture
def team(postgres: Postgres, templates: Templates) -> Iterator[str]:
    """The name of a team's database: PostgreSQL with the helpdesk's tables."""
    name = postgres.create(templates.of(TICKETING))
    yield name
    postgres.drop(name)


def test_postgresql_gets_its_tables_from_an_upgrade_only(postgres: Postgres):
    name = postgres.create()
    url, place = postgres.tcp_url(name), f"postgresql://helpdesk@127.0.0.1:{postgres.port}/{name}"
    assert refused(run("customers", DATABASE_URL=url)) == (
        f"{place} has no tables for customers yet: run `support-agent db upgrade`."
    )
    said = [run("customers", "--upgrade", DATABASE_URL=url) for _ in range(2)]
    assert [(done.returncode, done.stdout, done.stderr) for done in said] == [
        (0, f"{place}: the tables for customers {state} (schema 1).\n", "")
        for state in ("were created", "are up to date")
    ]
    served = run("customers", DATABASE_URL=url)
    assert (served.returncode, served.stdout, served.stderr) == (0, "", "")
    assert behind(postgres.url(name), "SELECT count(*) FROM customers") == [(0,)]
    postgres.drop(name)


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (7, "newer")])
def test_tables_of_another_version_are_refused(postgres: Postgres, team: str, version: int, word: str):
    behind(postgres.url(team), f"UPDATE schema_versions SET version = {version}")
    assert f"is {word} than this program (schema {version} there, 1 here)" in refused(
        run("ticketing", DATABASE_URL=postgres.tcp_url(team))
    )


@pytest.mark.parametrize("options", [(), ("--upgrade",)])
def test_a_wrong_password_is_refused_and_not_told(postgres: Postgres, team: str, options: tuple[str, ...]):
    line = refused(run("ticketing", *options, DATABASE_URL=postgres.tcp_url(team, password=f"not {PASSWORD}")))
    assert 'password authentication failed for user "helpdesk"' in line


def test_without_the_driver_the_way_to_it_is_told(postgres: Postgres, team: str, home: Path):
    (home / "broken").mkdir()
    (home / "broken" / "psycopg.py").write_text("raise ImportError('no pq wrapper available')")
    done = run("ticketing", DATABASE_URL=postgres.tcp_url(team), PYTHONPATH=str(home / "broken"))
    assert refused(done) == 'PostgreSQL needs the package psycopg: pip install "support-agent[postgres]".'


# ── cut off ──


@contextmanager
def own_postgres() -> Iterator[tuple[Postgres, str]]:
    """A server that the test may stop, and the URL of a helpdesk in it."""
    with running_postgres() as server:
        name = server.create(Templates(server).of(TICKETING))
        helpdesk(server.url(name))
        yield server, server.tcp_url(name)


async def test_a_server_outlives_restarts_of_postgresql(home: Path):
    with own_postgres() as (server, url), (home / "log").open("w") as log:
        with anyio.fail_after(TIMEOUT_S):
            async with client("ticketing", url, home, log) as desk:
                for number in range(3):
                    noted = await call(desk, "add_internal_note", key=str(number), ticket_id="42", body="x")
                    assert noted.structured_content["version"] == number + 2
                    await anyio.to_thread.run_sync(server.control, "restart", "-m", "fast")
                record = json.loads(await read(desk, "ticket://42/record"))
    assert record["version"] == 4
    assert PASSWORD not in (home / "log").read_text()


async def test_calls_during_a_restart_wait_for_its_end_and_act_once(home: Path):
    versions: list[int] = []
    with own_postgres() as (server, url), anyio.fail_after(TIMEOUT_S):
        async with client("ticketing", url, home) as desk:

            async def note(number: int) -> None:
                result = await call(desk, "add_internal_note", key=str(number), ticket_id="42", body=str(number))
                versions.append(result.structured_content["version"])

            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(note, number)
                await anyio.to_thread.run_sync(server.control, "restart", "-m", "immediate")
            record = json.loads(await read(desk, "ticket://42/record"))
    assert sorted(versions) == list(range(2, 42))
    assert sorted(int(message["body"]) for message in record["messages"][1:]) == list(range(40))


async def test_while_postgresql_is_away_a_call_fails_without_telling_its_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("servers.database.transactions.OUTAGE_DELAYS_S", (0.1, 0.1))
    with own_postgres() as (server, url), ticket_desk(tmp_path, [], url=url) as desk, anyio.fail_after(TIMEOUT_S):
        async with Client(desk.server) as client:
            await anyio.to_thread.run_sync(server.control, "stop", "-m", "fast")
            away = await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
            await anyio.to_thread.run_sync(server.control, "start")
            back = await call(client, "close_ticket", key="k", ticket_id="42", resolution="Hi.")
    assert away.is_error
    assert away.content[0].model_dump()["text"] == "Error executing tool close_ticket"
    assert back.structured_content["version"] == 2
    assert "OperationalError" in caplog.text
    assert PASSWORD not in caplog.text
