"""Calls that only a person may allow, from shells without a person in front of them."""

from typing import Any

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, bad, call, turn

PAID = [("inv_4209", "paid"), ("inv_4210", "paid")]
REFUNDED = [("inv_4209", "paid"), ("inv_4210", "refunded")]


def worked(shell: Shell, *options: str) -> tuple[Ended, Shell]:
    """Ask for a refund, for an unnamed tool and for a deletion on ticket 45, and close it all the same."""
    shell.servers(mine=bad("--folder", shell.work))
    shell.write("support-agent.toml", '[tools."mine.big"]\neffect = "deletion"\n')
    script = shell.script(
        turn(
            call("customers.issue_refund", invoice_id="inv_4210", reason="Cancelled within 14 days."),
            call("mine.echo"),
            call("mine.big"),
        ),
        turn(call("ticketing.close_ticket", resolution="Hi,\n\nDone.\n\n— Support Team"), expect=["Denied: "]),
        turn(text="Closed."),
    )
    return shell.run("run", "--ticket", "45", "--model", script, "--json", *options), shell


def effects(ended: Ended) -> dict[str, Any]:
    return {effect["tool"]: effect for effect in ended.document["effects"]}


def invoices(shell: Shell) -> list[tuple[str, str]]:
    return shell.query("customers", "SELECT id, status FROM invoices WHERE id LIKE 'inv_42%' ORDER BY id")


def test_without_a_person_money_and_unnamed_tools_are_denied_and_the_run_goes_on(shell: Shell, once: Once):
    ended, there = once("nobody", lambda: worked(shell, "--approve", "ask"))
    assert (ended.code, ended.document["outcome"], ended.err) == (0, "closed", "")
    assert {name: (effect["status"], effect["key"] is None) for name, effect in effects(ended).items()} == {
        "issue_refund": ("denied", True),
        "echo": ("denied", True),
        "big": ("denied", True),
        "close_ticket": ("done", False),
    }
    assert invoices(there) == PAID
    assert not (there.work / "calls").exists()


def test_the_reasons_of_a_denial_stand_in_the_report(shell: Shell, once: Once):
    ended, _ = once("nobody", lambda: worked(shell, "--approve", "ask"))
    unasked = "It was not given: no person is there to ask."
    assert effects(ended)["issue_refund"]["reasons"] == [
        "A refund beyond what the agent may give by itself needs a person's approval.",
        unasked,
    ]
    assert effects(ended)["echo"]["reasons"] == ["No configuration vouches for what this tool does.", unasked]
    assert effects(ended)["big"]["reasons"] == ["Nothing is deleted by this agent."]


def test_the_amount_of_a_refund_is_read_by_the_host(shell: Shell, once: Once):
    ended, _ = once("nobody", lambda: worked(shell, "--approve", "ask"))
    assert effects(ended)["issue_refund"]["arguments"] == {
        "customer_id": "cus_1004",
        "invoice_id": "inv_4210",
        "reason": "Cancelled within 14 days.",
        "expected_amount_cents": 24000,
    }


def test_approve_always_makes_the_refund_and_says_so_beforehand(shell: Shell, once: Once):
    ended, there = once("always", lambda: worked(shell, "--approve", "always"))
    assert ended.err == "! Every call that needs a person's approval gets it (--approve always).\n"
    assert ended.code == 0
    assert (effects(ended)["issue_refund"]["status"], effects(ended)["echo"]["status"]) == ("done", "done")
    assert invoices(there) == REFUNDED
    assert there.query("customers", "SELECT invoice, amount_cents FROM refunds") == [("inv_4210", 24000)]
    assert there.query("customers", "SELECT kind, key FROM customer_events WHERE key IS NOT NULL") == [
        ("refunded", effects(ended)["issue_refund"]["key"])
    ]


def test_nothing_is_deleted_even_where_everything_is_approved(shell: Shell, once: Once):
    ended, there = once("always", lambda: worked(shell, "--approve", "always"))
    assert (effects(ended)["big"]["status"], effects(ended)["big"]["reasons"]) == (
        "denied",
        ["Nothing is deleted by this agent."],
    )
    assert '"big"' not in (there.work / "calls").read_text()
