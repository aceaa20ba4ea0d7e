"""`plans`: what dry runs would do, listed, shown and rejected."""

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Once
from tests.cli.shell import Shell


@pytest.fixture
def planned(shell: Shell, once: Once, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell whose data folder has the plans of three tickets, and a newer one of ticket 42."""

    def plan() -> Path:
        for command in ("triage-all --dry-run --limit 3", "run --ticket 42 --dry-run"):
            assert shell.run(*command.split(), "--model", "offline").code == 0
        folder = tmp_path_factory.mktemp("planned")
        shutil.copytree(shell.data, folder, dirs_exist_ok=True)
        return folder

    shutil.copytree(once("plans", plan), shell.data, dirs_exist_ok=True)
    return shell


def listed(shell: Shell, *options: str) -> list[tuple[str, str]]:
    """The tickets of the listed plans, and how each stands."""
    document = shell.run("plans", "list", *options, "--json").document
    return [(plan["ticket_id"], plan["standing"]["state"]) for plan in document["plans"]]


def test_without_a_plan_each_command_says_how_one_is_made_and_makes_no_journal(bare: Shell):
    listing, showing = bare.run("plans", "list"), bare.run("plans", "show", "last")
    rejecting = bare.run("plans", "reject", "last", "--because", "no")
    assert (listing.code, showing.code, rejecting.code) == (0, 2, 2)
    for said in (listing.out, showing.err, rejecting.err):
        assert "No plan is recorded yet: `support-agent run --ticket ID --dry-run` makes the first." in said
    assert list(bare.data.glob("journal*")) == []


def test_open_plans_are_listed_the_newest_first_and_all_are_when_that_is_asked_for(planned: Shell):
    ended = planned.run("plans", "list")
    assert ended.code == 0
    rows = [line.split()[0] for line in ended.out.splitlines() if line[:1].isdigit()]
    assert rows[0] == "42"
    assert sorted(rows[:3]) == ["42", "46", "63"]
    assert rows[3:] == ["3"]  # the totals
    assert "superseded" not in ended.out
    assert listed(planned, "--all", "--ticket", "42") == [("42", "open"), ("42", "superseded")]
    assert planned.run("plans", "list", "--limit", "2", "--json").document["has_more"] is True
    assert "No plan of ticket 44 is recorded." in planned.run("plans", "list", "--ticket", "44").out


def test_a_plan_is_shown_by_its_id_and_as_the_last(planned: Shell):
    document = planned.run("plans", "show", "last", "--json").document
    assert (document["ticket_id"], document["mode"], document["outcome"]) == ("42", "dry-run", "planned")
    assert document["would_end"] == "closed"
    assert document["standing"] == {"state": "open", "rejected": None, "applied": None, "newer": None}
    [closing] = [call for call in document["calls"] if call["effect"] == "close"]
    assert closing["sends"]
    assert set(closing["bound"]) <= set(closing["arguments"])
    status = {"field": "ticket.status", "before": "new", "after": "closed", "is_before_known": True}
    assert status in closing["changes"]
    shown = planned.run("plans", "show", document["run_id"])
    assert shown.code == 0
    assert "\nPlan for #42 · Cannot log in after password change\n" in shown.out
    for text in closing["sends"].values():
        assert all(line in shown.out for line in text.splitlines())


def test_a_plan_is_rejected_once_and_keeps_the_reason(planned: Shell):
    run_id = planned.run("plans", "show", "last", "--json").document["run_id"]
    assert planned.run("plans", "reject", "last", "--because", " ").code == 2
    ended = planned.run("plans", "reject", run_id, "--because", "She called.", "--json")
    assert (ended.code, ended.document["standing"]["state"]) == (0, "rejected")
    assert ended.document["standing"]["rejected"]["because"] == "She called."
    again = planned.run("plans", "reject", run_id, "--because", "Really.")
    assert again.code == 2
    assert f"The plan of run {run_id} is rejected by " in again.err
    assert "She called" in again.err
    assert "She called" in planned.run("plans", "show", run_id).out
    assert listed(planned, "--ticket", "42") == []


def test_what_is_no_open_plan_cannot_be_rejected(planned: Shell):
    document = planned.run("plans", "list", "--all", "--ticket", "42", "--json").document
    newer, older = (plan["run_id"] for plan in document["plans"])
    live = planned.run("run", "--ticket", "44", "--model", "offline", "--json").document["run_id"]
    for name, told in (
        (older, f"The plan of run {older} is superseded: run {newer} has planned for ticket 42 since."),
        (live, f"Run {live} is no dry run: it has no plan."),
        ("1999", "There is no plan 1999."),
        (newer[:2], f"Several plans start with {newer[:2]}: "),
    ):
        ended = planned.run("plans", "reject", name, "--because", "no")
        assert (ended.code, told in ended.err) == (2, True), ended.err
    assert len(listed(planned)) == 3
