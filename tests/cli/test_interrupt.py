"""Ctrl-C: what was in flight is said, nothing is left behind, and the exit code is 130."""

import os
import signal
import subprocess

import anyio

from tests.cli.shell import DEADLINE_S, Ended, Shell, bad, call, claude, turn
from tests.fakes.answers import FaultKind, broken, says
from tests.fakes.hosting import numbers, until
from tests.fakes.messages_api import MessagesApi

SILENCE = broken(says("Never said."), FaultKind.HANG)
AGAIN = "error: Interrupted. The same command begins anew.\n"


def interrupted(shell: Shell, process: "subprocess.Popen[str]") -> Ended:
    """Interrupt a command that is under way, with its servers, and return what it said."""
    assert len(shell.processes()) > 1
    os.kill(process.pid, signal.SIGINT)
    return shell.ended(process)


async def test_a_run_that_waits_for_the_model_ends_at_once_and_leaves_its_ticket(shell: Shell):
    before = shell.rows()
    with (
        anyio.fail_after(DEADLINE_S),
        MessagesApi(lambda _: SILENCE) as api,
        shell.start("run", "--ticket", "42", **claude(api)) as process,
    ):
        await api.seen(1)
        ended = interrupted(shell, process)
    assert (ended.code, ended.err) == (130, f"! Ticket 42 was left after 0 turns.\n{AGAIN}")
    assert shell.rows() == before


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
    _, *said = ended.err.splitlines(keepends=True)
    assert said == [
        "! Ticket 42 was left after 1 turn. In flight: mine.hang; look at the ticket before it is worked again.\n",
        AGAIN,
    ]


async def test_a_queue_names_every_ticket_that_it_leaves(shell: Shell):
    with (
        anyio.fail_after(DEADLINE_S),
        MessagesApi(lambda _: SILENCE) as api,
        shell.start("triage-all", "--concurrency", "3", "--json", **claude(api)) as process,
    ):
        await api.seen(3)
        ended = interrupted(shell, process)
    assert ended.code == 130
    *left, last = ended.err.splitlines(keepends=True)
    assert len(left) == 3
    assert all(sentence.endswith(" was left after 0 turns.\n") for sentence in left)
    assert last == AGAIN
    assert ended.document == {"error": "Interrupted. The same command begins anew."}


async def test_servers_that_are_still_starting_are_stopped(shell: Shell):
    shell.servers(mine=bad("silent", "stubborn", "--folder", shell.work))
    with (
        anyio.fail_after(DEADLINE_S),
        shell.start("run", "--ticket", "42", "--model", "offline", "--json") as process,
    ):
        await until(lambda: numbers(shell.work, "starts") != [])
        ended = interrupted(shell, process)
    assert (ended.code, ended.err) == (130, AGAIN)
    assert ended.document == {"error": "Interrupted. The same command begins anew."}
