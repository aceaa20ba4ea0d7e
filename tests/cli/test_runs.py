"""`runs`: what the journal has recorded, listed, shown, exported, verified and forgotten."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import Shell
from tests.cli.terminal import Terminal
from tests.fakes.recorded import RUN_ID, record

CLOSED = "20261122-180000-aaaaaa"
UNFINISHED = "20261122-190000-bbbbbb"
OF_BOB = "20261122-200000-cccccc"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose journal holds three runs of Alice's ticket, one of them unfinished, and one of Bob's."""
    folder = tmp_path_factory.mktemp("recorded")
    for run_id, options in {
        RUN_ID: {},
        CLOSED: {},
        UNFINISHED: {"first": 9},
        OF_BOB: {"customer": "Bob@example.com", "ticket_id": "43", "mode": "dry-run"},
    }.items():
        record(folder, run_id, **options)
    return folder


@pytest.fixture
def journal(bare: Shell, recorded: Path) -> Shell:
    """A shell whose data folder is such a one."""
    shutil.copytree(recorded, bare.data, dirs_exist_ok=True)
    return bare


def ids(shell: Shell, *options: str) -> list[str]:
    ended = shell.run("runs", "list", *options, "--json")
    assert ended.code == 0
    return [run["run_id"] for run in ended.document["runs"]]


def execute(shell: Shell, sql: str, *values: Any) -> sqlite3.Cursor:
    """Do something to the journal as somebody does who has the file."""
    with closing(sqlite3.connect(shell.data / "journal.sqlite")) as database, database:
        return database.execute(sql, values)


def texts(shell: Shell) -> int:
    """How many entries of finished runs still have their texts."""
    sql = "SELECT count(*) FROM entries JOIN runs USING (run_id) WHERE finished_at IS NOT NULL AND body IS NOT NULL"
    with closing(sqlite3.connect(shell.data / "journal.sqlite")) as database:
        [(count,)] = database.execute(sql).fetchall()
    return count


# Nothing is there.


def test_without_a_journal_a_reading_command_says_so_and_makes_none(bare: Shell):
    listed, exported, shown = (bare.run("runs", *command.split()) for command in ("list", "export --all", "show last"))
    assert (listed.code, exported.code, shown.code) == (0, 0, 2)
    for said in (listed.out, exported.err, shown.err):
        assert "No run is recorded yet" in said
    assert exported.out == ""
    assert bare.run("runs", "verify", "--json").document == {"runs": []}
    assert list(bare.data.glob("journal*")) == []


# list


def test_runs_are_listed_the_newest_first_and_unfinished_ones_are_marked(journal: Shell):
    ended = journal.run("runs", "list")
    lines = ended.out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == [OF_BOB, UNFINISHED, CLOSED, RUN_ID]
    assert "unfinished" in lines[2]
    assert "4 runs · 3 escalated · 1 unfinished" in ended.out
    assert "support-agent runs resume RUN_ID" in ended.out


def test_a_list_can_be_asked_for_less(journal: Shell):
    assert ids(journal, "--outcome", "unfinished") == [UNFINISHED]
    assert ids(journal, "--ticket", "43", "--since", "6h", "--outcome", "escalated") == [OF_BOB]
    assert ids(journal, "--since", "9999-01-01") == []
    newest = journal.run("runs", "list", "--limit", "1", "--json").document
    assert ([run["run_id"] for run in newest["runs"]], newest["has_more"]) == ([OF_BOB], True)


def test_a_listed_run_says_what_it_used_and_who_works_it(journal: Shell):
    [run] = journal.run("runs", "list", "--outcome", "unfinished", "--json").document["runs"]
    assert run["ticket_id"] == "42"
    assert run["outcome"] is run["finished_at"] is run["reason"] is None
    assert run["turns"] == 1
    assert run["usage"]["cache_read_tokens"] == 3000
    assert run["cost_usd"] == pytest.approx(0.0123)
    assert run["owner"]["user"] == "dana"
    assert "alice" not in json.dumps(run)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("list --outcome won", "'won' is no outcome: choose one of closed, escalated"),
        ("export", "Say which runs"),
        ("forget", "--customer EMAIL"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(bare: Shell, options: str, told: str):
    ended = bare.run("runs", *options.split())
    assert ended.code == 2
    assert told in ended.err
    assert ended.out == ""


# show


def test_a_run_is_shown_by_how_its_id_begins_and_as_the_last(journal: Shell):
    shown = [journal.run("runs", "show", name) for name in (OF_BOB[:13], "last")]
    assert {ended.code for ended in shown} == {0}
    assert len({ended.out for ended in shown}) == 1
    assert f"run {OF_BOB}" in shown[0].out
    assert "Turn 1" in shown[0].out


def test_a_run_that_is_not_meant_clearly_is_asked_about(journal: Shell):
    several, none = journal.run("runs", "show", "20261122"), journal.run("runs", "show", "1999")
    assert (several.code, none.code) == (2, 2)
    assert RUN_ID in several.err
    assert CLOSED in several.err
    assert "There is no run 1999." in none.err


def test_a_run_shown_as_json_has_its_summary_and_every_entry(journal: Shell):
    document = journal.run("runs", "show", RUN_ID, "--json").document
    assert document["run"]["run_id"] == RUN_ID
    assert document["run"]["outcome"] == "escalated"
    assert [entry["seq"] for entry in document["entries"]] == list(range(1, 23))
    assert document["entries"][0]["body"]["system"] == "You work for the support team."
    assert document["entries"][0]["kind"] == "case"


def test_all_of_a_run_is_shown_when_it_is_asked_for(journal: Shell):
    assert "You work for the support team." in journal.run("runs", "show", RUN_ID, "--full").out


# export


def test_runs_are_exported_one_entry_a_line_the_oldest_run_first(journal: Shell):
    lines = [json.loads(line) for line in journal.run("runs", "export", "--all").out.splitlines()]
    assert list(dict.fromkeys(line["run_id"] for line in lines)) == [RUN_ID, CLOSED, UNFINISHED, OF_BOB]
    assert [line["seq"] for line in lines if line["run_id"] == RUN_ID] == list(range(1, 23))
    assert {"run_id", "seq", "kind", "at", "body"} <= set(lines[0])


def test_only_some_runs_are_exported(journal: Shell):
    named = journal.run("runs", "export", UNFINISHED, CLOSED).out.splitlines()
    assert [json.loads(line)["run_id"] for line in (named[0], named[-1])] == [UNFINISHED, CLOSED]
    assert len(journal.run("runs", "export", "--since", "1h").out.splitlines()) == 22 * 3 + 9


def test_an_export_that_nobody_reads_to_its_end_just_ends(journal: Shell):
    with journal.start("runs", "export", "--all") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


# verify


def test_records_that_are_as_they_were_written_are_sound(journal: Shell):
    ended = journal.run("runs", "verify")
    assert ended.code == 0
    assert f"✓ {RUN_ID}  sound  22 entries" in ended.out
    assert f"✓ {UNFINISHED}  sound so far, unfinished  9 entries" in ended.out


def test_a_changed_record_is_named_with_its_entry_and_the_exit_code_says_so(journal: Shell):
    execute(journal, "UPDATE entries SET kept = '{}' WHERE run_id = ? AND seq = 3", CLOSED)
    ended = journal.run("runs", "verify")
    assert ended.code == 1
    assert f"✗ {CLOSED}  TAMPERED at entry 3" in ended.out
    assert "4 runs · 3 sound · 1 tampered with" in ended.out
    [one] = journal.run("runs", "verify", CLOSED[:13], "--json").document["runs"]
    assert (one["is_sound"], one["seq"]) == (False, 3)


def test_a_run_that_was_taken_out_of_the_list_is_still_verified_by_its_name(journal: Shell):
    execute(journal, "DELETE FROM runs WHERE run_id = ?", CLOSED)
    ended = journal.run("runs", "verify", CLOSED)
    assert ended.code == 1
    assert "TAMPERED" in ended.out


# forget


def test_without_a_person_nothing_is_deleted_unless_it_was_said_for_sure(journal: Shell):
    ended = journal.run("runs", "forget", "--customer", "alice@example.com")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert texts(journal) == 66


def test_a_customers_texts_are_deleted_and_all_else_stays(journal: Shell):
    before = {run["run_id"]: run for run in journal.run("runs", "list", "--json").document["runs"]}
    ended = journal.run("runs", "forget", "--customer", "ALICE@example.com", "--yes")
    assert ended.code == 0
    assert "The texts of 2 runs (44 entries) were deleted" in ended.out
    assert "1 unfinished run" in ended.out
    for run in journal.run("runs", "list", "--json").document["runs"]:
        is_forgotten = run["run_id"] in {RUN_ID, CLOSED}
        assert run == before[run["run_id"]] | ({"is_forgotten": True, "reason": None} if is_forgotten else {})
    shown = journal.run("runs", "show", RUN_ID).out
    assert "Its texts were deleted." in shown
    assert "charged twice" not in shown
    assert "2 runs · 2 sound" in journal.run("runs", "verify", RUN_ID, OF_BOB).out


def test_old_texts_are_deleted_by_their_date_and_the_document_says_how_many(journal: Shell):
    nothing = journal.run("runs", "forget", "--before", "2001-01-01", "--json")
    assert nothing.document == {"runs": 0, "entries": 0, "left_out": 0}
    ended = journal.run("runs", "forget", "--before", "9999-01-01", "--yes", "--json")
    assert ended.document == {"runs": 3, "entries": 66, "left_out": 1}
    assert texts(journal) == 0


def test_a_person_is_asked_before_texts_are_deleted(journal: Shell):
    for answer, code, said, left in (("", 1, "Nothing was deleted.", 66), ("y", 0, "were deleted", 44)):
        with Terminal(journal, "runs", "forget", "--customer", "bob@example.com", columns=80) as terminal:
            terminal.wait_for("The texts of 1 run")
            terminal.wait_for("Delete them? [y/N]")
            terminal.send(f"{answer}\n")
            terminal.wait_for(said)
            assert terminal.end() == code
        assert texts(journal) == left


# What it costs.


def test_reading_the_journal_loads_no_server_and_no_model(journal: Shell):
    command = journal.start("runs", "show", "last", PYTHONPROFILEIMPORTTIME="1")
    ended = journal.ended(command)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.err.splitlines()}
    assert "sqlalchemy" in loaded
    assert loaded & {"mcp", "mcp_types", "anthropic", "jsonschema", "genai_prices", "httpx2", "filelock"} == set()


def test_a_journal_that_cannot_be_read_is_one_sentence(bare: Shell):
    (bare.data / "journal.sqlite").write_bytes(b"not a database, but long enough to look like a file of some kind" * 9)
    ended = bare.run("runs", "list")
    assert ended.code == 3
    assert ended.err.startswith("error: ")
    assert "journal.sqlite" in ended.err
