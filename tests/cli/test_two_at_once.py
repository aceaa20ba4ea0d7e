"""Two processes on one helpdesk: who works a ticket, what the other is told, what comes of a killed or a frozen one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from agent.account import operator_account
from tests.cli.shell import DEADLINE_S, FAKES, Ended, Shell, bad, call, claude, turn
from tests.fakes.answers import Answer, by_turn, calls, says
from tests.fakes.gates import Gate
from tests.fakes.hosting import make_gate, numbers, open_gate, until
from tests.fakes.messages_api import MessagesApi

NOTED = calls(("ticketing__add_internal_note", {"body": "Looked at it."}))
REPLIED = calls(("ticketing__reply_to_customer", {"body": "Hi, which browser is it? — Support Team"}))
CLOSED = calls(("ticketing__close_ticket", {"resolution": "Hi, sign in again. — Support Team"}))
ESCALATED = calls(("ticketing__escalate_ticket", {"reason": "A person must look."}))


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that works a ticket, in the middle of its run."""

    shell: Shell
    process: "subprocess.Popen[str]"

    @property
    def run_id(self) -> str:
        [(run_id,)] = self.shell.query("journal", "SELECT run_id FROM runs")
        return run_id

    @property
    def named(self) -> str:
        """What others call it, as a pattern."""
        return re.escape(f"process {self.process.pid} of {operator_account()} on {os.uname().nodename}")

    async def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)
        await until(lambda: self.shell.processes() == [])  # its servers end when they hear no more of it

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.until_frozen()

    def until_frozen(self) -> None:
        stopped = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped is not None
        assert stopped.si_code == os.CLD_STOPPED

    def go_on(self) -> Ended:
        """Let it go on after it was frozen, to its end."""
        self.process.send_signal(signal.SIGCONT)
        return self.shell.ended(self.process)


def told(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a command's end, while others of the same helpdesk still run."""
    with process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in out + err
    return Ended(code=process.returncode, out=out, err=err)


@asynccontextmanager
async def owner(shell: Shell, api: MessagesApi, gate: Gate, *command: str, requests: int = 2) -> AsyncGenerator[Owner]:
    """Start a command, and yield it when the model has been asked so often; in the end the model answers everything."""
    with anyio.fail_after(DEADLINE_S), gate, shell.start(*command, **claude(api)) as process:
        await api.seen(requests)
        try:
            yield Owner(shell=shell, process=process)
        except BaseException:
            process.kill()
            raise


def kinds(shell: Shell, ticket_id: str) -> list[str]:
    return [kind for kind, _ in shell.acts(ticket_id)]


# Two at the same ticket, or queue.


async def test_of_two_runs_of_a_ticket_one_works_it_and_the_other_says_who_has_it(shell: Shell):
    gate = Gate()
    script = by_turn([NOTED, replace(CLOSED, until=gate), says("Closed.")])
    with MessagesApi(script) as api:
        async with owner(shell, api, gate, "run", "--ticket", "42") as first:
            run_id = first.run_id
            commands = (
                ("run", "--ticket", "42"),
                ("run", "--ticket", "42", "--fresh", "--json"),
                ("runs", "resume", run_id),
            )
            others = [shell.start(*command, **claude(api)) for command in commands]
            on_screen, in_json, resumed = [told(other) for other in others]
            gate.open()
            ended = shell.ended(first.process)
        assert len(api.requests) == 3
    sentence = on_screen.err.removeprefix("error: ").rstrip("\n")
    assert re.fullmatch(
        rf"Ticket 42 is being worked by {first.named} \(run {run_id}, since .* UTC\)\. "
        rf"If it is gone or hangs: `support-agent runs resume {run_id} --take-over`\.",
        sentence,
    )
    assert (on_screen.code, on_screen.out) == (1, "")
    assert (in_json.code, in_json.document) == (1, {"error": sentence})
    assert (resumed.code, resumed.out, resumed.err) == (1, "", on_screen.err)
    assert (ended.code, ended.err) == (0, "")
    assert [key.split("/")[0] for _, key in shell.acts("42") if key] == [run_id, run_id]
    assert kinds(shell, "42") == ["note_added", "closed"]


async def test_a_queue_that_another_process_has_is_skipped_by_name_and_no_failure(shell: Shell):
    shell.query("ticketing", "UPDATE tickets SET assignee = 'Maria' WHERE number NOT IN (42, 43)")
    alice = "alice@example.com"
    shell.query("ticketing", "UPDATE tickets SET requester = ?, requester_key = ? WHERE number = 43", alice, alice)
    gate = Gate()
    with MessagesApi(by_turn([NOTED, replace(CLOSED, until=gate), says("Closed.")])) as api:
        async with owner(shell, api, gate, "run", "--ticket", "42") as first:
            others = [shell.start("triage-all", *options, **claude(api)) for options in ((), ("--json",))]
            on_screen, in_json = [told(other) for other in others]
            gate.open()
            shell.ended(first.process)
        assert len(api.requests) == 3
    by = rf"is being worked by {first.named} \(run {first.run_id}, since .* UTC\)\."
    assert (on_screen.code, on_screen.err) == (0, "")
    *said, totals = on_screen.out.splitlines()
    assert len(said) == 2
    assert re.fullmatch(rf"  ! Skipped: Ticket 42 {by}", said[0])
    assert re.fullmatch(rf"  ! Skipped: Ticket 43 has to wait: ticket 42 of its customer {by}", said[1])
    assert re.fullmatch(r"0 tickets · 2 skipped · 0 turns · \$0 · \d+\.\d s", totals)
    assert (in_json.code, in_json.document["runs"]) == (0, [])
    assert in_json.document["skipped"] == [
        {"ticket_id": ticket, "reason": line.removeprefix("  ! Skipped: ")}
        for ticket, line in zip(("42", "43"), said, strict=True)
    ]


class Sides:
    """The models of two processes: each holds its first reply back until both were asked; customers never overlap."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.overlaps: list[str] = []
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        self._at_work: Counter[str] = Counter()

    def script(self, side: int) -> Callable[[dict[str, Any]], Answer]:
        def answer(body: dict[str, Any]) -> Answer:
            [requester] = set(re.findall(r'<untrusted origin="customer ([^"]+)"', str(body["messages"][0])))
            with self._lock:
                self._seen.add(side)
                if len(self._seen) == 2:
                    self.gate.open()
                if len(body["messages"]) > 1:
                    self._at_work[requester] -= 1
                    return says("Escalated.")
                self._at_work[requester] += 1
                self.overlaps += [requester] if self._at_work[requester] > 1 else []
                return replace(ESCALATED, until=self.gate)

        return answer


def test_two_passes_over_a_queue_at_the_same_time_work_each_ticket_once(shell: Shell):
    # More customers than one process takes ahead, two of them with several tickets.
    customers = [*["alice"] * 3, *["bob"] * 2, "carol", "david", "erin", "farid", "grace", "ivan"]
    shell.query("ticketing", "UPDATE tickets SET assignee = 'Maria'")
    known = [address for (address,) in shell.query("customers", "SELECT email FROM customers ORDER BY id")]
    addresses = dict(zip(dict.fromkeys(customers), known, strict=False))
    queued = [str(number) for number in range(42, 42 + len(customers))]
    for ticket, name in zip(queued, customers, strict=True):
        shell.query(
            "ticketing",
            "UPDATE tickets SET assignee = NULL, requester = ?, requester_key = lower(?), status = 'open' "
            "WHERE number = ?",
            *(addresses[name], addresses[name], int(ticket)),
        )
    sides = Sides()
    with MessagesApi(sides.script(1)) as one, MessagesApi(sides.script(2)) as two, sides.gate:
        command = ("triage-all", "--concurrency", "1", "--json")
        processes = [shell.start(*command, **claude(api)) for api in (one, two)]
        first, second = told(processes[0]), told(processes[1])
    assert (first.code, second.code, first.err, second.err) == (0, 0, "", "")
    worked = [[run["ticket_id"] for run in ended.document["runs"]] for ended in (first, second)]
    assert all(worked)
    assert sorted(worked[0] + worked[1]) == queued
    assert {ticket: kinds(shell, ticket) for ticket in queued} == {ticket: ["escalated"] for ticket in queued}
    assert sides.overlaps == []
    for ended, tickets in zip((first, second), worked, strict=True):
        skipped = {item["ticket_id"]: item["reason"] for item in ended.document["skipped"]}
        assert sorted([*tickets, *skipped]) == queued
        assert all(f" {ticket} " in reason and "process " in reason for ticket, reason in skipped.items())
    shell.check_traces("")


# A process that is killed.


async def test_the_runs_of_a_killed_process_are_taken_up_at_once_by_every_command(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
):
    shell.query("ticketing", "UPDATE tickets SET assignee = 'Maria' WHERE number NOT IN (42, 43, 46, 63)")
    gate, end = Gate(), replace(says("Done."), until=None)

    def script(body: dict[str, Any]) -> Answer:
        ticket = re.findall(r'<untrusted origin="ticket ([^"]+)"', str(body["messages"][0]))[0]
        replies = [REPLIED, end] if ticket == "63" else [NOTED, CLOSED, end]
        answer = by_turn(replies)(body)
        return answer if len(body["messages"]) == 1 else replace(answer, until=gate)

    with MessagesApi(script) as api:
        async with owner(shell, api, gate, "triage-all", requests=8) as first:
            await first.kill()
        assert (shell.status("63"), kinds(shell, "63")) == ("pending", ["replied"])
        ids = dict(shell.query("journal", "SELECT ticket_id, run_id FROM runs WHERE outcome IS NULL"))
        assert set(ids) == {"42", "43", "46", "63"}

        again = shell.run("run", "--ticket", "42", **claude(api))
        assert (again.code, again.err) == (0, "")
        assert again.out.startswith(f"  ! resuming run {ids['42']}, 1 turn done\n")
        by_name = shell.run("runs", "resume", ids["43"], "--json", **claude(api))
        assert (by_name.code, by_name.document["run_id"], by_name.document["outcome"]) == (0, ids["43"], "closed")

        copy = replace(shell, data=tmp_path_factory.mktemp("copy") / "data")
        shutil.copytree(shell.data, copy.data)
        copy = replace(copy, environment={**shell.environment, "SUPPORT_AGENT_HOME": str(copy.data)})
        queue = shell.run("triage-all", "--json", **claude(api))
        every = copy.run("runs", "resume", "--all", "--json", **claude(api))
    for ended, place in ((queue, shell), (every, copy)):
        assert (ended.code, ended.document["skipped"]) == (0, [])
        assert {(run["ticket_id"], run["run_id"], run["outcome"]) for run in ended.document["runs"]} == {
            ("46", ids["46"], "closed"),
            ("63", ids["63"], "pending"),
        }
        assert [kinds(place, ticket) for ticket in ("42", "43", "46")] == [["note_added", "closed"]] * 3
        assert kinds(place, "63") == ["replied"]


# A process that is frozen.


async def test_a_frozen_owner_keeps_its_ticket_until_a_person_takes_it_over_and_then_loses_it(shell: Shell):
    gate = Gate()
    script = iter([NOTED, replace(CLOSED, until=gate), ESCALATED, says("Escalated.")])
    with MessagesApi(lambda _: next(script)) as api:
        async with owner(shell, api, gate, "run", "--ticket", "42") as first:
            run_id = first.run_id
            first.freeze()
            refused = told(shell.start("runs", "resume", run_id, **claude(api)))
            taker = shell.start("runs", "resume", run_id, "--take-over", "--json", **claude(api))
            taken = told(taker)
            gate.open()
            lost = first.go_on()
        assert len(api.requests) == 4
    assert refused.code == 1
    assert f"`support-agent runs resume {run_id} --take-over`" in refused.err
    assert (taken.code, taken.document["run_id"], taken.document["outcome"]) == (0, run_id, "escalated")
    assert lost.code == 1
    assert lost.err == (
        f"error: Run {run_id} was taken over by process {taker.pid} on {os.uname().nodename} "
        f"(user {operator_account()}): this process does nothing more for it.\n"
    )
    assert kinds(shell, "42") == ["note_added", "escalated"]
    assert shell.run("runs", "verify").code == 0


def test_a_late_call_of_a_cancelled_run_does_not_act(shell: Shell):
    script = shell.script(turn(call("ticketing.close_ticket", resolution="Hi, sign in again. — Support Team")))
    before = shell.status("42")
    process = subprocess.Popen(
        [sys.executable, FAKES / "stopping.py", "close_ticket", "run", "--ticket", "42", "--model", script, "--trace"],
        cwd=shell.work,
        env=dict(shell.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    frozen = Owner(shell=shell, process=process)
    with process:
        try:
            frozen.until_frozen()
            run_id = frozen.run_id
            cancelled = told(shell.start("runs", "cancel", run_id, "--because", "wrong customer", "--json"))
            lost = frozen.go_on()
        finally:
            process.kill()
    assert (cancelled.code, cancelled.document["model"], cancelled.document["turns"]) == (0, "scripted", 1)
    assert (cancelled.document["outcome"], cancelled.document["reason"]) == (
        "unresolved",
        f"Cancelled by {operator_account()}: wrong customer.",
    )
    [effect] = cancelled.document["effects"]
    assert (effect["tool"], effect["status"]) == ("close_ticket", "failed")
    assert effect["reasons"] == ["Cancelled before it was carried out; it never will be."]
    assert lost.code == 1
    assert "This call was cancelled before it was made, so nothing was done" in lost.err
    assert lost.err.splitlines()[-1].startswith(f"error: Run {run_id} was taken over by process ")
    assert (shell.status("42"), shell.acts("42")) == (before, [])
    again = shell.run("runs", "cancel", run_id)
    assert (again.code, again.err) == (2, f"error: Run {run_id} of ticket 42 has ended already: unresolved.\n")


async def test_cancelling_a_live_run_names_the_call_whose_fate_nobody_knows(shell: Shell):
    shell.servers(mine=bad("--folder", shell.work))
    gate = make_gate(shell.work)
    script = shell.script(turn(call("mine.answer_when_released")))
    with (
        anyio.fail_after(DEADLINE_S),
        shell.start("run", "--ticket", "42", "--approve", "always", "--model", script) as process,
    ):
        await until(lambda: numbers(shell.work, "calls") != [])
        cancelled = told(shell.start("runs", "cancel", "last"))
        await open_gate(gate)
        lost = shell.ended(process)
    assert (cancelled.code, cancelled.err) == (0, "")
    assert cancelled.out.startswith("#42 Cannot log in after password change\n    scripted · run ")
    assert "mine.answer_when_released  uncertain\n" in cancelled.out
    assert "Its fate is unknown: the run was cancelled meanwhile.\n" in cancelled.out
    assert f"unresolved  Cancelled by {operator_account()}: no reason.\n" in cancelled.out
    assert lost.code == 1
    assert "was taken over by process " in lost.err.splitlines()[-1]
