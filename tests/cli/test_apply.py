"""`apply`: plans of dry runs, carried out exactly, from scripts and at a terminal."""

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Once
from tests.cli.shell import Shell
from tests.cli.terminal import Terminal

NEEDS_TERMINAL = pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")


@pytest.fixture
def planned(shell: Shell, once: Once, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose data folder has the plans of tickets 42, 46 and 63, and one of 45 that would ask."""

    def plan() -> Path:
        for command in ("triage-all --dry-run --limit 3", "run --ticket 45 --dry-run"):
            assert shell.run(*command.split(), "--model", "offline").code == 0
        folder = tmp_path_factory.mktemp("planned")
        shutil.copytree(shell.data, folder, dirs_exist_ok=True)
        return folder

    shutil.copytree(once("plans", plan), shell.data, dirs_exist_ok=True)
    return shell


def plan_of(shell: Shell, ticket_id: str) -> str:
    """The id of the run that has planned for this ticket."""
    [(run_id,)] = shell.query("journal", "SELECT run_id FROM runs WHERE ticket_id = ? AND mode = 'dry-run'", ticket_id)
    return run_id


def test_a_plan_is_applied_once_and_its_run_can_be_read_and_replayed(planned: Shell):
    plan = plan_of(planned, "42")
    ended = planned.run("apply", plan, "--yes")
    assert (ended.code, ended.err) == (0, "")
    shown, _, told = ended.out.partition(f"APPLY  exactly the calls of dry run {plan}\n")
    assert "\nPlan for #42 · Cannot log in after password change\n" in shown
    assert "no model is asked" in shown
    assert "  ✓ closed  Read back from the helpdesk: status closed.\n" in told
    assert "turn" not in told
    assert planned.status("42") == "closed"
    kinds, keys = zip(*planned.acts("42"), strict=True)
    assert kinds == ("classified", "note_added", "closed")
    assert all(key.startswith(f"{plan}-apply/") for key in keys)

    left = planned.rows()
    again = planned.run("apply", plan, "--yes")
    sentence = f"error: The plan of run {plan} has been applied, by run {plan}-apply: closed.\n"
    assert (again.code, again.err, again.out) == (1, sentence, "")
    assert planned.rows() == left

    record = planned.run("runs", "show", f"{plan}-apply").out
    assert f"Carries out a plan  dry run {plan} · 3 calls\n" in record
    replayed = planned.run("runs", "replay", f"{plan}-apply")
    assert (replayed.code, "replays to the byte" in replayed.out) == (0, True)


def test_every_open_plan_is_applied_and_a_call_that_needs_a_person_stops_its_own(planned: Shell):
    ended = planned.run("apply", "--all", "--yes", "--json")
    assert ended.code == 0
    runs = {run["ticket_id"]: run for run in ended.document["runs"]}
    assert {ticket: run["outcome"] for ticket, run in runs.items()} == {
        "42": "closed",
        "45": "escalated",
        "46": "escalated",
        "63": "closed",
    }
    assert {run["mode"] for run in runs.values()} == {"apply"}
    assert {run["model"] for run in runs.values()} == {"none"}
    assert "only up to customers.issue_refund" in runs["45"]["reason"]
    assert runs["46"]["reason"].startswith("Read back from the helpdesk: ")
    assert ended.document["totals"]["closed"] == 2
    assert planned.query("customers", "SELECT count(*) FROM refunds") == [(0,)]
    again = planned.run("apply", "--all", "--yes")
    assert (again.code, again.out) == (0, "No plan is open.\n")


def test_an_action_can_be_left_out(planned: Shell):
    ended = planned.run("apply", plan_of(planned, "42"), "--yes", "--except", "ticketing.close_ticket", "--json")
    document = ended.document
    assert (ended.code, document["outcome"], document["mode"]) == (1, "unresolved", "apply")
    assert document["reason"].startswith("Applied but for ticketing.close_ticket: ")
    assert [effect["status"] for effect in document["effects"]] == ["done", "done", "denied"]
    assert planned.status("42") == "new"
    assert [kind for kind, _ in planned.acts("42")] == ["classified", "note_added"]


def test_a_ticket_that_has_changed_since_is_left_alone(planned: Shell):
    planned.query("ticketing", "UPDATE tickets SET version = version + 1 WHERE number = 42")
    plan, left = plan_of(planned, "42"), planned.rows()
    ended = planned.run("apply", plan, "--yes", "--json")
    assert (ended.code, planned.rows()) == (1, left)
    sentence = (
        f"The plan of run {plan} does not hold any more. Ticket 42 has changed: it was at version 1, and is at 2. "
        "Make it anew with --dry-run."
    )
    assert (ended.document, ended.err) == ({"error": sentence}, f"error: {sentence}\n")


def test_every_mistake_gets_its_sentence_and_nothing_is_done(planned: Shell):
    plan, left = plan_of(planned, "42"), planned.rows()
    tools = "ticketing.add_internal_note, ticketing.classify_ticket, ticketing.close_ticket"
    for options, told in (
        ([], "Say which plans: the ids of their runs, or --all."),
        ([plan], "A plan is applied once a person has agreed to it, and nobody is here to ask: say --yes."),
        (["1999", "--yes"], "There is no plan 1999."),
        (
            [plan, "--yes", "--except", "ticketing.close"],
            f"--except ticketing.close: no call of that tool is planned. Planned are: {tools}.",
        ),
    ):
        ended = planned.run("apply", *options)
        assert (ended.code, ended.err, ended.out) == (2, f"error: {told}\n", "")
    assert planned.rows() == left


def test_before_the_first_dry_run_there_is_nothing_to_apply(bare: Shell):
    one, every = bare.run("apply", "last", "--yes"), bare.run("apply", "--all", "--yes")
    assert (one.code, "No plan is recorded yet: `support-agent run --ticket ID --dry-run`" in one.err) == (2, True)
    assert (every.code, every.out) == (0, "No plan is open.\n")
    assert list(bare.data.glob("journal*")) == []


# At a terminal.


@NEEDS_TERMINAL
def test_a_person_sees_the_plan_agrees_to_it_and_is_asked_about_money_once_more(planned: Shell):
    with Terminal(planned, "apply", plan_of(planned, "45")) as terminal:
        shown = terminal.wait_for("Apply this plan? [y/N]")
        terminal.send("y\r")
        asked = terminal.wait_for("Allow customers.issue_refund on ticket 45? [y/N]")
        terminal.send("y\r")
        code = terminal.end()
        assert "✓ closed  Read back from the helpdesk: status closed." in terminal.text
        assert terminal.modes_now() == terminal.modes
    assert "Plan for #45 · Please refund ten extra seats" in shown
    assert "Would be sent, word for word" in shown
    assert shown.index("Rests on") < shown.index("Exactly 4 calls will be made for ticket 45, and no model is asked")
    assert "expected_amount_cents = 24000" in asked
    assert code == 0
    assert planned.query("customers", "SELECT invoice, amount_cents FROM refunds") == [("inv_4210", 24000)]


@NEEDS_TERMINAL
def test_whatever_is_no_clear_yes_applies_nothing(planned: Shell):
    left = planned.rows()
    with Terminal(planned, "apply", plan_of(planned, "42")) as terminal:
        terminal.wait_for("Apply this plan? [y/N]")
        terminal.send("\r")
        assert terminal.end() == 0
        assert "Nothing was done." in terminal.text
    assert planned.rows() == left


@NEEDS_TERMINAL
def test_a_plan_that_is_rejected_while_a_person_reads_it_is_not_applied(planned: Shell):
    plan, left = plan_of(planned, "42"), planned.rows()
    with Terminal(planned, "apply", plan) as terminal:
        terminal.wait_for("Apply this plan? [y/N]")
        with planned.start("plans", "reject", plan, "--because", "She called.") as rejecting:
            rejecting.communicate()
        terminal.send("y\r")
        assert terminal.end() == 1
        assert f"The plan of run {plan} is rejected by " in " ".join(terminal.text.split())
    assert planned.rows() == left
