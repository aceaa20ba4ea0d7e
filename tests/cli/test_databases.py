"""`support-agent db upgrade`, and a team's helpdesk on PostgreSQL from the first table to a closed ticket."""

import sys
from collections.abc import Iterator

import pytest

from tests.cli.shell import Shell
from tests.fakes.things import behind
from tests.postgres import PASSWORD, Postgres

ARRIVALS = [
    {"subject": "Cannot log in after password change", "body": "It says my password is wrong.", "requester": who}
    for who in ("alice@example.com", "nobody@example.com")
]

ALICE = (
    "INSERT INTO customers VALUES ('cus_1', 'Alice@example.com', 'alice@example.com', 'Alice', 'pro', true, 'yearly', "
    "'alice@example.com', false, 1)"
)


def built_in(name: str, *options: str, **env: str) -> dict[str, object]:
    """Return a team's entry of `.mcp.json` for a built-in server."""
    return {
        "command": "${SUPPORT_AGENT_PYTHON}",
        "args": ["-P", "-m", f"servers.{name}", *options],
        "env": {"SUPPORT_AGENT_HOME": "${SUPPORT_AGENT_HOME}", **env},
    }


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database."""
    name = postgres.create()
    yield name
    postgres.drop(name)


@pytest.fixture
def team(bare: Shell, postgres: Postgres, database: str) -> Shell:
    """A folder whose built-in servers keep their data in PostgreSQL, as docs/databases.md says."""
    bare.servers(
        ticketing=built_in("ticketing", DATABASE_URL="${TICKETING_DATABASE_URL}"),
        customers=built_in("customers", DATABASE_URL="${CUSTOMERS_DATABASE_URL}"),
    )
    url = postgres.tcp_url(database)
    names = ("TICKETING_DATABASE_URL", "CUSTOMERS_DATABASE_URL", "SUPPORT_AGENT_JOURNAL")
    bare.write(".env", "".join(f"{name}={url}\n" for name in names))
    return bare


def test_an_upgrade_makes_the_demo_of_a_folder_without_files(bare: Shell):
    first, second = (bare.run("db", "upgrade") for _ in range(2))
    assert (first.code, first.err, second.code, second.err) == (0, "", 0, "")
    assert first.out == (
        f"{bare.data}/customers.sqlite: the tables for customers were created (schema 1).\n"
        f"{bare.data}/ticketing.sqlite: the tables for ticketing were created (schema 1).\n"
        f"{bare.data}/journal.sqlite: the tables for the journal were created (schema 2).\n"
    )
    assert second.out == first.out.replace("were created", "are up to date")
    assert bare.status("42") == "new"


def test_a_team_starts_on_postgresql_and_closes_its_first_ticket(team: Shell, postgres: Postgres, database: str):
    upgraded = team.run("db", "upgrade", "--json")
    place = f"postgresql://helpdesk@127.0.0.1:{postgres.port}/{database}"
    assert (upgraded.code, upgraded.err) == (0, "")
    assert upgraded.document == {
        "databases": [
            {"server": name, "sentence": f"{place}: the tables for {name} were created (schema 1)."}
            for name in ("customers", "ticketing")
        ],
        "journal": f"{place}: the tables for the journal were created (schema 2).",
    }
    behind(postgres.url(database), ALICE)
    team.write("new.json", ARRIVALS)
    assert team.run("tickets", "import", "new.json", "--json").document["ids"] == ["1", "2"]
    knowledge = team.data / "knowledge"
    knowledge.mkdir()
    (knowledge / "login.md").write_text(
        "# Logging in after a password change\nTags: login, password\n\nAfter a password change every device is signed "
        "out, and an old saved login says that the password is wrong.\n\n## What to do\n\nChoose “Forget saved login” "
        "and type the new password.\n"
    )
    worked = team.run("run", "--ticket", "1", "--model", "offline", "--json")
    assert (worked.code, worked.err) == (0, "")
    assert worked.document["outcome"] == "closed"
    assert behind(postgres.url(database), "SELECT number, status FROM tickets ORDER BY number") == [
        (1, "closed"),
        (2, "new"),
    ]
    assert not list(team.data.glob("*.sqlite"))


def test_before_the_upgrade_every_command_says_what_is_missing(team: Shell, postgres: Postgres, database: str):
    ended = team.run("tickets", "list")
    assert (ended.code, ended.out) == (3, "")
    assert f"{database} has no tables for" in ended.err
    assert "yet: run `support-agent db upgrade`." in ended.err
    assert PASSWORD not in ended.err


def test_an_upgrade_that_cannot_reach_its_database_says_which_and_why(team: Shell, postgres: Postgres, database: str):
    ended = team.run("db", "upgrade", "--json", CUSTOMERS_DATABASE_URL=postgres.tcp_url(database, password="wrong"))
    assert ended.code == 3
    assert ended.document["error"] == (
        f"customers: postgresql://helpdesk@127.0.0.1:{postgres.port}/{database} cannot be used as a database: "
        f'connection to server at "127.0.0.1", port {postgres.port} failed: '
        'FATAL: password authentication failed for user "helpdesk".'
    )


def test_the_shells_own_database_url_is_not_the_helpdesks(bare: Shell):
    ended = bare.run("db", "upgrade", DATABASE_URL="postgresql://someone:else@127.0.0.1:1/else")
    assert (ended.code, ended.err) == (0, "")
    assert (bare.data / "ticketing.sqlite").exists()


def test_a_folder_without_built_in_servers_has_the_journal_to_upgrade(bare: Shell):
    witness = bare.work / "witness"
    bare.servers(
        ticketing={"command": sys.executable, "args": ["-c", f"open({str(witness)!r}, 'w')"]},
        customers={"type": "http", "url": "http://127.0.0.1:9/mcp"},
    )
    ended = bare.run("db", "upgrade")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{bare.data}/journal.sqlite: the tables for the journal were created (schema 2).\n"
    assert not witness.exists()
