"""Ctrl-C: what was in flight is said, nothing is left behind, and the exit code is 130."""

import os
import re
import signal
import subprocess

import anyio

from tests.cli.shell import DEADLINE_S, Ended, Shell, bad, call, claude, turn
from tests.fakes.answers import FaultKind, broken, by_turn, calls, says
from tests.fakes.hosting import numbers, until
from tests.fakes.messages_api import MessagesApi

NOTED = calls(("ticketing__add_internal_note", {"body": "Looked at it."}))
CLOSED = calls(("ticketing__close_ticket", {"resolution": "Hi, sign in again. — Support Team"}))
SILENCE = broken(says("Never said."), FaultKind.HANG)
ANEW = "error: Interrupted. The same command begins anew.\n"
ONWARD = "error: Interrupted. The same command goes on from there.\n"
LEFT = re.compile(
    r"! Ticket (\d+) was left after (\d+ turns?)\.(?: In flight: ([\w.]+)\.)? "
    r"`support-agent runs resume ([\w-]+)` goes on from there\.\n"
)
"""Ticket, turns, calls in flight, run."""


def interrupted(shell: Shell, process: "subprocess.Popen[str]") -> Ended:
    """Interrupt a command that is under way, with its servers, and return what it said."""
    assert len(shell.processes()) > 1
    os.kill(process.pid, signal.SIGINT)
    return shell.ended(process)


def left_behind(line: str) -> tuple[str, ...]:
    found = LEFT.fullmatch(line)
    assert found is not None, line
    return found.groups()


async def test_a_run_that_waits_for_the_model_ends_at_once_and_leaves_its_ticket(shell: Shell):
    before = shell.rows()
    with (
        anyio.fail_after(DEADLINE_S),
        MessagesApi(lambda _: SILENCE) as api,
        shell.start("run", "--ticket", "42", **claude(api)) as process,
    ):
        await api.seen(1)
        ended = interrupted(shell, process)
    left, last = ended.err.splitlines(keepends=True)
    assert (ended.code, left_behind(left)[:3], last) == (130, ("42", "0 turns", None), ONWARD)
    assert shell.rows() == before


async def test_what_is_said_about_going_on_is_so(shell: Shell):
    with (
        anyio.fail_after(DEADLINE_S),
        MessagesApi(by_turn([NOTED, SILENCE])) as api,
        shell.start("run", "--ticket", "42", **claude(api)) as process,
    ):
        await api.seen(2)
        ended = interrupted(shell, process)
    ticket, turns, _, run_id = left_behind(ended.err.splitlines(keepends=True)[0])
    assert (ticket, turns) == ("42", "1 turn")
    with MessagesApi(by_turn([NOTED, CLOSED, says("Closed.")])) as api:
        ended = shell.run("runs", "resume", run_id, "--json", **claude(api))
        assert len(api.requests) == 2
    assert (ended.code, ended.document["run_id"], ended.document["outcome"]) == (0, run_id, "closed")
    assert [kind for kind, _ in shell.acts("42")] == ["note_added", "closed"]


async def test_a_write_in_flight_is_named(shell: Shell):
    shell.servers(mine=bad("--folder", shell.work))
    script = shell.script(turn(call("mine.hang")))
    with (
        anyio.fail_after(DEADLINE_S),
        shell.start("run", "--ticket", "42", "--approve", "always", "--model", script) as process,
    ):
        await until(lambda: numbers(shell.work, "calls") != [])
        ended = interrupted(shell, process)
    assert ended.code == 130
    _, left, last = ended.err.splitlines(keepends=True)
    assert (left_behind(left)[:3], last) == (("42", "1 turn", "mine.hang"), ONWARD)


async def test_a_queue_names_every_ticket_that_it_leaves_and_goes_on_with_them(shell: Shell):
    command = ("triage-all", "--concurrency", "3", "--limit", "3", "--json")
    with (
        anyio.fail_after(DEADLINE_S),
        MessagesApi(lambda _: SILENCE) as api,
        shell.start(*command, **claude(api)) as process,
    ):
        await api.seen(3)
        ended = interrupted(shell, process)
    assert ended.code == 130
    *lines, last = ended.err.splitlines(keepends=True)
    left = [left_behind(line) for line in lines]
    assert [turns for _, turns, _, _ in left] == ["0 turns"] * 3
    assert last == ONWARD
    assert ended.document == {"error": "Interrupted. The same command goes on from there."}
    with MessagesApi(by_turn([CLOSED, says("Closed.")])) as api:
        again = shell.run(*command, **claude(api))
    assert {(run["ticket_id"], run["run_id"], run["outcome"]) for run in again.document["runs"]} == {
        (ticket, run_id, "closed") for ticket, _, _, run_id in left
    }


async def test_servers_that_are_still_starting_are_stopped(shell: Shell):
    shell.servers(mine=bad("silent", "stubborn", "--folder", shell.work))
    with (
        anyio.fail_after(DEADLINE_S),
        shell.start("run", "--ticket", "42", "--model", "offline", "--json") as process,
    ):
        await until(lambda: numbers(shell.work, "starts") != [])
        ended = interrupted(shell, process)
    assert (ended.code, ended.err) == (130, ANEW)
    assert ended.document == {"error": "Interrupted. The same command begins anew."}
