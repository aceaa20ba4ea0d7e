"""`support-agent run`: one ticket, from the command to its outcome."""

import re

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, call, turn

CLOSED = ("run", "--ticket", "42", "--model", "offline")
REPORT = {
    "run_id": str,
    "ticket_id": str,
    "mode": str,
    "model": str,
    "outcome": str,
    "reason": str,
    "turns": int,
    "effects": list,
    "usage": dict,
    "cost_usd": float,
    "duration_s": float,
}
EFFECT = {"server": str, "tool": str, "arguments": dict, "status": str, "reasons": list, "key": str}
USAGE = {"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"}


def worked(shell: Shell) -> tuple[Ended, Ended]:
    """Work ticket 42 for real, and show it afterwards."""
    return shell.run(*CLOSED, "--json"), shell.run("tickets", "show", "42", "--json")


def test_the_offline_model_closes_ticket_42_for_real(shell: Shell, once: Once):
    run, shown = once("42", lambda: worked(shell))
    assert (run.code, run.document["outcome"]) == (0, "closed")
    assert shown.document["status"] == "closed"
    assert shown.document["resolution"].startswith("Hi,")
    assert shown.document["resolution"].endswith("— Support Team")


def test_the_events_of_a_ticket_say_who_did_what_under_which_key(shell: Shell, once: Once):
    run, shown = once("42", lambda: worked(shell))
    arrival, *changes = shown.document["events"]
    assert (arrival["actor"], arrival["kind"], arrival["key"]) == ("demo", "created", None)
    assert [(event["actor"], event["kind"]) for event in changes] == [
        ("support-agent", "classified"),
        ("support-agent", "note_added"),
        ("support-agent", "closed"),
    ]
    assert [event["key"] for event in changes] == [effect["key"] for effect in run.document["effects"]]
    assert len({event["key"] for event in changes}) == 3
    assert changes[-1]["before"]["status"] == "new"
    assert changes[-1]["after"]["status"] == "closed"


def test_json_is_the_documented_shape_and_nothing_else(shell: Shell, once: Once):
    run, _ = once("42", lambda: worked(shell))
    report = run.document
    assert {name: type(value) for name, value in report.items()} == REPORT
    for effect in report["effects"]:
        assert {name: type(value) for name, value in effect.items()} == EFFECT
    assert report["usage"] == dict.fromkeys(USAGE, 0)
    assert (report["ticket_id"], report["mode"], report["model"]) == ("42", "live", "offline")
    assert (report["turns"], report["cost_usd"]) == (4, 0)
    assert {effect["status"] for effect in report["effects"]} == {"done"}
    assert all(effect["key"].startswith(f"{report['run_id']}/") for effect in report["effects"])
    assert run.err == ""


def test_a_pipe_gets_a_line_for_everything_that_happens(shell: Shell):
    ended = shell.run(*CLOSED)
    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert lines[:3] == [
        "#42 Cannot log in after password change",
        "    alice@example.com · pro",
        "    offline model: rules and retrieval, not an LLM",
    ]
    calls = [found[1] for line in lines if (found := re.match(r" {4}✓ (\S+) ", line))]
    assert calls[-3:] == ["ticketing.classify_ticket", "ticketing.add_internal_note", "ticketing.close_ticket"]
    assert lines[-2] == "  ✓ closed  Read back from the helpdesk: status closed."
    assert re.fullmatch(r" {4}4 turns · \d+\.\d s · no tokens · \$0", lines[-1])
    assert "\x1b" not in ended.out


def test_a_closed_ticket_is_not_worked_again(shell: Shell):
    shell.query("ticketing", "UPDATE tickets SET status = 'closed' WHERE number = 42")
    ended = shell.run(*CLOSED)
    assert ended == Ended(code=2, out="", err="error: Ticket 42 is closed: there is nothing to work.\n")


def test_an_unknown_ticket_is_named_on_the_screen_and_in_json(shell: Shell):
    ended = shell.run("run", "--ticket", "42/record", "--model", "offline", "--json")
    assert (ended.code, ended.document) == (2, {"error": "There is no ticket 42/record."})
    assert ended.err == "error: There is no ticket 42/record.\n"


def test_a_ticket_that_is_assigned_to_a_person_is_worked_when_it_is_named(shell: Shell):
    ended = shell.run("run", "--ticket", "58", "--model", "offline", "--json")
    assert ended.code == 0
    assert ended.document["outcome"] in {"closed", "escalated", "pending"}
    assert shell.acts("58") != []


def planned(shell: Shell) -> tuple[Ended, bool]:
    before = shell.rows()
    ended = shell.run("run", "--ticket", "43", "--dry-run")
    return ended, shell.rows() == before


def test_a_dry_run_writes_nothing(shell: Shell, once: Once):
    ended, is_untouched = once("43", lambda: planned(shell))
    assert ended.code == 0
    assert is_untouched


def test_a_dry_run_shows_a_plan(shell: Shell, once: Once):
    ended, _ = once("43", lambda: planned(shell))
    head, _, plan = ended.out.partition("\nPlan for #43 · Invoice PDF not loading\n")
    assert "    DRY RUN  nothing is written; effects are only planned\n" in head
    assert "  ○ planned  It would be closed: status closed.\n" in head
    assert "\n4 calls would be made · nothing was written\n" in plan
    assert re.findall(r"^\d  (\w+\.\w+)  \w+$", plan, re.MULTILINE) == [
        "ticketing.classify_ticket",
        "customers.resend_invoice",
        "ticketing.add_internal_note",
        "ticketing.close_ticket",
    ]
    assert re.search(r"^4  ticket\.status +new → closed$", plan, re.MULTILINE)
    assert re.search(r"^  support-agent apply \S+$", plan, re.MULTILINE)


def test_a_dry_run_without_a_key_says_that_it_uses_the_offline_model(shell: Shell, once: Once):
    ended, _ = once("43", lambda: planned(shell))
    assert ended.out.startswith("No key and no model are configured: this dry run uses the offline model.\n")
    assert "    offline model: rules and retrieval, not an LLM\n" in ended.out


def test_the_model_of_a_dry_run_is_told_that_its_calls_were_recorded_and_not_executed(shell: Shell):
    script = shell.script(
        turn(
            call("ticketing.add_internal_note", body="Looked at it."),
            call("ticketing.close_ticket", resolution="Hi,\n\nDone.\n\n— Support Team"),
            not_offered=["ticketing__list_tickets", "ticketing__import_tickets", "ticketing__receive_customer_reply"],
        ),
        turn(text="Closed.", expect=["Recorded, not executed: this is a dry run. Go on as if it had been done."]),
    )
    before = shell.rows()
    ended = shell.run("run", "--ticket", "42", "--dry-run", "--model", script, "--json")
    report = ended.document
    assert (ended.code, report["outcome"], report["mode"]) == (0, "planned", "dry-run")
    assert [(effect["tool"], effect["status"], effect["key"]) for effect in report["effects"]] == [
        ("add_internal_note", "planned", None),
        ("close_ticket", "planned", None),
    ]
    assert report["effects"][1]["arguments"] == {
        "ticket_id": "42",
        "expected_version": 1,
        "resolution": "Hi,\n\nDone.\n\n— Support Team",
    }
    assert shell.rows() == before


def test_a_run_whose_model_stops_without_an_outcome_is_handed_over_to_people(shell: Shell):
    script = shell.script(
        turn(call("ticketing.add_internal_note", body="I see.")),
        turn(text="I am done."),
        turn(text="Truly, I am.", expect=["The ticket is not finished"]),
    )
    ended = shell.run("run", "--ticket", "42", "--model", script, "--json")
    assert (ended.code, ended.document["outcome"]) == (0, "escalated")
    assert ended.document["reason"] == "Handed over to people: the model stopped without ending the ticket."
    [(reason,)] = shell.query(
        "ticketing", "SELECT body FROM ticket_messages WHERE ticket = 42 ORDER BY id DESC LIMIT 1"
    )
    assert "Truly, I am." in reason
    assert [kind for kind, _ in shell.acts("42")] == ["note_added", "escalated"]


def test_an_outcome_that_somebody_else_brought_about_is_not_claimed(shell: Shell):
    script = shell.script(turn(text="It is closed."), turn(text="It really is."))
    ended = shell.run("run", "--ticket", "59", "--model", script, "--json")
    # Ticket 59 was pending before: only what this run did may count.
    assert ended.document["outcome"] == "escalated"
    assert [effect["tool"] for effect in ended.document["effects"]] == ["escalate_ticket"]


def test_no_key_and_no_model_names_both_ways_on(bare: Shell):
    ended = bare.run("run", "--ticket", "42")
    assert ended == Ended(
        code=3,
        out="",
        err="error: No model is configured: set ANTHROPIC_API_KEY (in the environment or in .env) to use Claude, "
        "or add --model offline to work without a key.\n",
    )
    assert list(bare.data.iterdir()) == []
