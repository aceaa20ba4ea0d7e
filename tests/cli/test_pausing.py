"""`support-agent pause` and `unpause`: everything stops before its next write, and goes on later."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from agent.account import operator_account
from agent.commands import pausing
from agent.commands.frame import Frame
from agent.journal import upgrade_journal
from tests.cli.shell import DEADLINE_S, Ended, Shell, call, claude, turn
from tests.fakes.answers import by_turn, calls, says
from tests.fakes.gates import Gate
from tests.fakes.messages_api import MessagesApi
from tests.journals import KEY, settings_of
from tests.postgres import PASSWORD, Postgres

NOTED = calls(("ticketing__add_internal_note", {"body": "Looked at it."}))
CLOSED = calls(("ticketing__close_ticket", {"resolution": "Hi,\n\nsign in again.\n\n— Support Team"}))
GOING = "Nothing is paused: runs start and write.\n"


def told(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a command's end, while others of the same helpdesk still run."""
    with process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in out + err
    return Ended(code=process.returncode, out=out, err=err)


def since(shell: Shell) -> str:
    """When all runs were paused, as it is said."""
    [(at,)] = shell.query("journal", "SELECT paused_at FROM switch")
    return f"since {at[:10]} {at[11:16]} UTC"


async def test_a_run_that_another_process_pauses_stops_before_its_next_write_and_goes_on_later(shell: Shell):
    gate = Gate()
    with MessagesApi(by_turn([NOTED, replace(CLOSED, until=gate), says("Closed.")])) as api:
        with anyio.fail_after(DEADLINE_S), gate, shell.start("run", "--ticket", "42", **claude(api)) as process:
            await api.seen(2)
            paused = told(shell.start("pause", "--reason", "database maintenance"))
            listed, queue = told(shell.start("runs", "list")), told(shell.start("triage-all", "--json", **claude(api)))
            gate.open()
            stopped = shell.ended(process)
        pause = f"All runs are paused {since(shell)} by {operator_account()}: database maintenance."
        pause += " `support-agent unpause` lets them go on."
        [(run_id,)] = shell.query("journal", "SELECT run_id FROM runs")

        assert paused == Ended(
            code=0,
            out="Paused: no run starts or writes until `support-agent unpause`. "
            "1 run is unfinished: it stops before its next write.\n"
            f"This holds on this machine, for runs in the journal {shell.data}/journal.sqlite.\n",
            err="",
        )
        assert (listed.code, listed.out.splitlines()[0]) == (0, f"! {pause}")
        assert (queue.code, queue.document, queue.err) == (3, {"error": pause}, f"error: {pause}\n")
        assert (stopped.code, stopped.err) == (3, f"error: {pause}\n")
        assert f"stopped: {pause}\n" in stopped.out
        assert f"then, `support-agent runs resume {run_id}` goes on from here\n" in stopped.out
        assert [kind for kind, _ in shell.acts("42")] == ["note_added"]

        ended = shell.run("unpause")
        assert (ended.code, ended.err) == (0, "")
        told_when, told_how = ended.out.splitlines()
        assert told_when.startswith("! Runs start and write again. They were paused since ")
        assert told_how == "1 run is unfinished: `support-agent runs resume --all` goes on from there."
        again = shell.run("run", "--ticket", "42", "--json", **claude(api))
        assert (again.code, again.document["run_id"], again.document["outcome"]) == (0, run_id, "closed")
    assert [kind for kind, _ in shell.acts("42")] == ["note_added", "closed"]
    assert shell.run("runs", "verify").code == 0


def test_pausing_and_unpausing_twice_say_that_nothing_has_changed(bare: Shell):
    assert bare.run("unpause") == Ended(code=0, out=GOING, err="")
    assert list(bare.data.glob("journal*")) == []
    first = bare.run("pause", "--json")
    place = str(bare.data / "journal.sqlite")
    paused = first.document["paused"]
    assert (paused["by"], paused["reason"], paused["is_by_breaker"]) == (operator_account(), None, False)
    assert first.document == {"paused": paused, "was_paused": False, "unfinished": 0, "journal": place}
    assert bare.run("runs", "list", "--json").document == {"runs": [], "has_more": False, "paused": paused}
    when = f"{since(bare)} by {operator_account()}"
    assert bare.run("pause").out == f"! Nothing has changed: all runs are paused {when}.\n"
    again = bare.run("pause", "--reason", "[bold]it[/] takes\n\x1b[31mlonger.")
    assert again.out == rf"! All runs were paused before, and stay so {when}: [bold]it[/] takes \x1b[31mlonger." + "\n"
    ended = bare.run("unpause", "--json")
    assert ended.document == {
        "ended": {**paused, "reason": "[bold]it[/] takes \x1b[31mlonger."},
        "unfinished": 0,
        "journal": place,
    }
    assert bare.run("unpause") == Ended(code=0, out=GOING, err="")


def test_doctor_warns_that_all_runs_are_paused(shell: Shell):
    assert shell.run("pause", "--reason", "maintenance").code == 0
    ended = shell.run("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert {
        "state": "warn",
        "sentence": f"All runs are paused {since(shell)} by {operator_account()}: maintenance",
        "fix": "`support-agent unpause` lets them go on.",
    } in ended.document["checks"]


def test_the_breaker_says_that_it_has_paused_all_runs_and_nothing_begins(shell: Shell):
    shell.write("support-agent.toml", "[limits]\nfailures_in_a_row = 1\n")
    down = shell.script(turn(unavailable="The model is out for lunch."))
    broken = shell.run("run", "--ticket", "42", "--model", down)
    pause = (
        f"The failure breaker has paused all runs {since(shell)}: a run was stopped by infrastructure: The model is "
        "out for lunch. `support-agent unpause` lets them go on."
    )
    assert (broken.code, broken.err) == (3, "error: The model is out for lunch.\n")
    assert f"  ! {pause}\n" in broken.out
    [(run_id,)] = shell.query("journal", "SELECT run_id FROM runs")
    assert f"when that is mended, `support-agent runs resume {run_id}` goes on from here\n" in broken.out
    refused = shell.run("run", "--ticket", "43", "--model", shell.script(turn(call("ticketing.close_ticket"))))
    assert (refused.code, refused.out, refused.err) == (3, "", f"error: {pause}\n")
    assert shell.acts("43") == []


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database."""
    name = postgres.create()
    yield name
    postgres.drop(name)


async def test_a_pause_in_postgresql_holds_on_every_machine_and_shows_no_password(
    postgres: Postgres,
    database: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    url = postgres.tcp_url(database)
    upgrade_journal(settings_of(home, journal=SecretStr(url), journal_key=SecretStr(KEY)))
    monkeypatch.setenv("SUPPORT_AGENT_JOURNAL", url)
    monkeypatch.setenv("SUPPORT_AGENT_JOURNAL_KEY", KEY)
    assert await pausing.pause(Frame(), reason=None) == 0
    said = capsys.readouterr().out
    place = f"postgresql://helpdesk@127.0.0.1:{postgres.port}/{database}"
    assert said.endswith(f"\nThis holds on every machine, for runs in the journal {place}.\n")
    assert PASSWORD not in said
    assert await pausing.unpause(Frame()) == 0
    assert "Runs start and write again." in capsys.readouterr().out
