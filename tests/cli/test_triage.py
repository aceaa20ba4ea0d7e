"""`support-agent triage-all`: the whole queue, from the command to its totals."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, call, claude, turn
from tests.fakes.answers import Answer, calls, says
from tests.fakes.messages_api import MessagesApi

LEFT_ALONE = {"58": "open", "59": "pending", "60": "solved"}
"""Assigned to a person; waiting for the customer; solved."""

OUTCOMES = {"closed", "escalated", "pending", "planned", "drafted", "unresolved"}


def worked(shell: Shell) -> tuple[Ended, Shell]:
    """Work the demo's whole queue for real."""
    return shell.run("triage-all", "--model", "offline", "--json"), shell


def test_every_ticket_of_the_queue_ends_with_an_outcome(shell: Shell, once: Once):
    ended, _ = once("all", lambda: worked(shell))
    assert (ended.code, ended.err) == (0, "")
    outcomes = {run["ticket_id"]: run["outcome"] for run in ended.document["runs"]}
    assert len(outcomes) == 24
    assert set(outcomes.values()) == {"closed", "escalated", "pending"}
    assert outcomes["42"] == outcomes["43"] == "closed"


def test_the_helpdesk_holds_what_the_reports_say(shell: Shell, once: Once):
    ended, there = once("all", lambda: worked(shell))
    held = {str(number): (status, group) for number, status, group in there.query("ticketing", STATES)}
    for run in ended.document["runs"]:
        status, group = held[run["ticket_id"]]
        assert {"closed": status == "closed", "pending": status == "pending", "escalated": group == "people"}[
            run["outcome"]
        ]
        keys = {key for _, key in there.acts(run["ticket_id"])}
        assert keys == {effect["key"] for effect in run["effects"] if effect["server"] == "ticketing"}


STATES = 'SELECT number, status, "group" FROM tickets'


def test_tickets_of_a_person_and_tickets_that_wait_are_left_alone(shell: Shell, once: Once):
    ended, there = once("all", lambda: worked(shell))
    assert LEFT_ALONE.keys().isdisjoint(run["ticket_id"] for run in ended.document["runs"])
    assert {ticket: there.status(ticket) for ticket in LEFT_ALONE} == LEFT_ALONE
    assert [there.acts(ticket) for ticket in LEFT_ALONE] == [[], [], []]


def test_the_totals_add_up(shell: Shell, once: Once):
    ended, _ = once("all", lambda: worked(shell))
    totals = ended.document["totals"]
    assert set(totals) == {*OUTCOMES, "cost_usd", "duration_s"}
    counted = Counter(run["outcome"] for run in ended.document["runs"])
    assert {name: totals[name] for name in OUTCOMES} == {name: counted[name] for name in OUTCOMES}
    assert totals["cost_usd"] == sum(run["cost_usd"] for run in ended.document["runs"])
    assert totals["duration_s"] > 0


def test_without_a_person_only_small_refunds_are_made(shell: Shell, once: Once):
    ended, there = once("all", lambda: worked(shell))
    refunds = [
        effect for run in ended.document["runs"] for effect in run["effects"] if effect["tool"] == "issue_refund"
    ]
    asked = "A refund beyond what the agent may give by itself needs a person's approval."
    assert {(effect["arguments"]["expected_amount_cents"], *effect["reasons"]) for effect in refunds} == {
        (8400, "Paying accounts: up to 100.00 a run and a day without asking."),
        (24000, asked, "It was not given: no person is there to ask."),
    }
    assert there.query("customers", "SELECT id FROM invoices WHERE status = 'refunded'") == [("inv_3102",)]


def test_the_policy_blocks_nothing_that_the_demo_queue_needs(shell: Shell, once: Once):
    ended, _ = once("all", lambda: worked(shell))
    effects = [effect for run in ended.document["runs"] for effect in run["effects"]]
    # What is above a limit, and what only people decide: the rest of the queue is worked.
    assert sorted(effect["tool"] for effect in effects if effect["status"] == "denied") == [
        "issue_refund",
        "update_account",
    ]
    assert {effect["status"] for effect in effects} == {"done", "denied"}


def test_an_empty_queue_is_no_failure(shell: Shell):
    shell.query("ticketing", "UPDATE tickets SET assignee = 'Maria'")
    ended = shell.run("triage-all", "--model", "offline")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"0 tickets · 0 turns · \$0 · \d+\.\d s\n", ended.out)


def test_a_pipe_gets_a_line_a_ticket_and_a_table_at_the_end(shell: Shell):
    ended = shell.run("triage-all", "--model", "offline", "--limit", "2", "--concurrency", "1")
    assert (ended.code, ended.err) == (0, "")
    lines, _, table = ended.out.partition("\n\n")
    assert [line.split()[:3] for line in lines.splitlines()] == [["✓", "#63", "closed"], ["✓", "#42", "closed"]]
    assert re.search(r"^63 +Lost my phone on the train +nadia@example.com +closed ", table, re.MULTILINE)
    assert re.search(r"^42 +Cannot log in after password change +alice@example.com +closed ", table, re.MULTILINE)
    assert re.search(r"^2 tickets · 2 closed · 9 turns · \$0 · \d+\.\d s$", table, re.MULTILINE)
    assert "\x1b" not in ended.out


def test_a_dry_run_of_the_queue_tells_the_model_and_writes_nothing(shell: Shell):
    def conversation(ticket_id: str) -> dict[str, Any]:
        return {
            "match": f"ticket {ticket_id}",
            "turns": [
                turn(call("ticketing.escalate_ticket", reason="A person must look.")),
                turn(text="Done.", expect=["Recorded, not executed: this is a dry run."]),
            ],
        }

    script = shell.script(conversations=[conversation("63"), conversation("42"), conversation("46")])
    before = shell.rows()
    ended = shell.run("triage-all", "--dry-run", "--limit", "3", "--model", script, "--json")
    assert ended.code == 0
    assert [(run["ticket_id"], run["outcome"], run["mode"]) for run in ended.document["runs"]] == [
        ("63", "planned", "dry-run"),
        ("42", "planned", "dry-run"),
        ("46", "planned", "dry-run"),
    ]
    assert ended.document["totals"]["planned"] == 3
    assert shell.rows() == before


def test_a_wrong_key_leaves_every_ticket_untouched(shell: Shell):
    before = shell.rows()
    with MessagesApi() as api:
        ended = shell.run("triage-all", "--json", **claude(api, key="sk-ant-wrong"))
    assert ended.code == 3
    assert ended.err == (
        f"error: The key was refused by {api.url} (401: invalid x-api-key): check ANTHROPIC_API_KEY.\n"
    )
    assert shell.rows() == before
    assert ended.document["totals"]["unresolved"] == 24
    assert {run["outcome"] for run in ended.document["runs"]} == {"unresolved"}


def test_a_model_that_goes_down_leaves_the_rest_of_the_queue_for_another_day(shell: Shell):
    script = shell.script(
        conversations=[
            {"match": "", "turns": [turn(call("ticketing.escalate_ticket", reason="Why.")), turn(text="So.")]},
            {"match": "", "turns": [turn(unavailable="The model is out for lunch.")]},
        ]
    )
    ended = shell.run("triage-all", "--limit", "3", "--concurrency", "1", "--model", script)
    assert ended.code == 1
    assert sorted(len(shell.acts(ticket)) for ticket in ("63", "42", "46")) == [0, 0, 1]
    assert re.search(r"^✗ #\d+ +unresolved .*\n +The model is out for lunch\.$", ended.out, re.MULTILINE)
    assert re.search(r"^✗ #\d+ +unresolved .*\n +not started, because of an earlier failure", ended.out, re.MULTILINE)
    assert re.search(r"^3 tickets · 1 escalated · 2 unresolved · ", ended.out, re.MULTILINE)


class Service:
    """Escalates every ticket in two replies, and knows which tickets were under way at the same time."""

    def __init__(self, *, delay_s: float = 0.05) -> None:
        self.most = 0
        self.shared: set[str] = set()
        """Requesters of two tickets that were under way at the same time."""
        self.begun: list[str] = []
        self._open: dict[str, str] = {}  # requester by ticket
        self._delay_s = delay_s

    def __call__(self, body: dict[str, Any]) -> Answer:
        opening = str(body["messages"][0])
        [ticket] = re.findall(r'<untrusted origin="ticket ([^"]+)"', opening)
        [requester] = re.findall(r'<untrusted origin="customer ([^"]+)"', opening) or [f"the writer of {ticket}"]
        if len(body["messages"]) > 1:
            del self._open[ticket]
            return replace(says("Escalated.", input_tokens=10_000, output_tokens=1000), delay_s=self._delay_s)
        if requester in self._open.values():
            self.shared.add(requester)
        self.begun.append(ticket)
        self._open[ticket] = requester
        self.most = max(self.most, len(self._open))
        return replace(calls(("ticketing__escalate_ticket", {"reason": "Please look."})), delay_s=self._delay_s)


RUN_USD = 10_100 * 2e-6 + 1020 * 10e-6


def test_as_many_tickets_are_worked_at_the_same_time_as_may_be(shell: Shell):
    service = Service()
    with MessagesApi(service) as api:
        ended = shell.run("triage-all", "--limit", "7", "--concurrency", "3", "--json", **claude(api))
    assert (ended.code, ended.document["totals"]["escalated"]) == (0, 7)
    assert service.most == 3
    assert ended.document["totals"]["cost_usd"] == pytest.approx(7 * RUN_USD)


def test_two_tickets_of_one_customer_are_worked_one_after_the_other(shell: Shell):
    owner = "CASE number % 2 WHEN 0 THEN 'alice@example.com' ELSE 'bob@example.com' END"
    shell.query("ticketing", f"UPDATE tickets SET requester = {owner}, requester_key = {owner}")
    service = Service()
    with MessagesApi(service) as api:
        ended = shell.run("triage-all", "--limit", "6", "--json", **claude(api))
    assert (ended.code, ended.document["totals"]["escalated"]) == (0, 6)
    assert service.shared == set()
    assert service.most == 2


def test_no_ticket_is_started_beyond_the_budget(shell: Shell):
    service = Service(delay_s=0)
    with MessagesApi(service) as api:
        ended = shell.run(
            *("triage-all", "--limit", "3", "--concurrency", "1", "--budget-usd", "0.01", "--json"), **claude(api)
        )
    assert ended.code == 1
    report = ended.document
    [done] = [run for run in report["runs"] if run["outcome"] == "escalated"]
    others = [run for run in report["runs"] if run is not done]
    assert {(run["outcome"], run["reason"]) for run in others} == {
        ("unresolved", "not started: the budget of $0.01 is used")
    }
    assert service.begun == [done["ticket_id"]] == ["63"]
    assert report["totals"]["cost_usd"] == done["cost_usd"] == pytest.approx(RUN_USD)
    assert [shell.acts(run["ticket_id"]) for run in others] == [[], []]
