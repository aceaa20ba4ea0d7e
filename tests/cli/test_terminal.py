"""A person at a terminal: what is asked there, and what the answers do."""

import os
import re
import signal

import pytest
from rich.cells import cell_len

from tests.cli.conftest import Once
from tests.cli.shell import Shell, bad, call, turn
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")

CLOSING = call("ticketing.close_ticket", resolution="Hi,\n\nDone.\n\n— Support Team")
COLOUR = re.compile(r"\x1b\[[0-9;]*(?<![0-9])(3[0-7]|9[0-7]|38;)")


def make_dear(shell: Shell) -> None:
    """Let the invoices of ticket 44 be more than the agent may refund by itself."""
    shell.query("customers", "UPDATE invoices SET amount_cents = 12000 WHERE id LIKE 'inv_31%'")


def refund(invoice_id: str) -> dict:
    return call("customers.issue_refund", invoice_id=invoice_id, reason="Cancelled\nwithin 14 days.")


class Asked:
    """Ticket 44 at a terminal: one refund is allowed, one refused, a priority chosen, and the last question left."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        make_dear(shell)
        shell.servers(mine=bad("--folder", shell.work))
        script = shell.script(
            turn(refund("inv_3101"), refund("inv_3102"), call("ticketing.set_priority"), call("mine.echo")),
            turn(
                CLOSING,
                expect=["Denied: ", "too expensive", "no answer was given at the terminal"],
            ),
            turn(text="Closed."),
        )
        with Terminal(shell, "run", "--ticket", "44", "--model", script) as terminal:
            allowed = "Allow customers.issue_refund on ticket 44? [y/N]"
            self.question = terminal.wait_for(allowed)
            terminal.send("y\r")
            terminal.wait_for(allowed)
            terminal.send("n too expensive\r")
            self.form = terminal.wait_for("priority (required: ")
            terminal.wait_for(":")
            terminal.send("urgent\r")
            self.confirmation = terminal.wait_for("[Y/n, or a to answer again]")
            terminal.send("\r")
            terminal.wait_for("Allow mine.echo on ticket 44? [y/N]")
            terminal.send("\x04")
            self.code = terminal.end()
            self.text = terminal.text
            self.is_restored = terminal.modes_now() == terminal.modes


@pytest.fixture
def asked(shell: Shell, once: Once) -> Asked:
    return once("44", lambda: Asked(shell))


def test_the_run_ends_as_it_would_without_questions(asked: Asked):
    assert asked.code == 0
    assert asked.shell.status("44") == "closed"
    assert "closed  Read back from the helpdesk: status closed." in asked.text
    assert asked.is_restored


def test_a_question_shows_the_tool_its_arguments_and_the_ticket(asked: Asked):
    _, _, shown = asked.question.partition("Your approval is needed\n")
    assert "  call       customers.issue_refund  (money)\n" in shown
    assert "  ticket     #44  Refund for the yearly renewal\n" in shown
    assert "  requester  carol@example.org\n" in shown
    assert (
        "  because    A refund beyond what the agent may give by itself needs a person's approval. [refund]\n" in shown
    )
    assert '  │ invoice_id = "inv_3101"\n' in shown
    assert "  │ expected_amount_cents = 12000\n" in shown
    assert '  read for it\n  │ amount_cents = 12000\n  │ currency = "USD"\n' in shown
    assert '  would change\n  │ invoice.status → "refunded"\n' in shown
    assert '  │ customer_id = "cus_1003"\n' in shown
    assert "  │   ┊ within 14 days.\n" in shown


def test_yes_makes_the_call_and_no_does_not(asked: Asked):
    assert asked.shell.query("customers", "SELECT invoice FROM refunds") == [("inv_3101",)]


def test_the_end_of_the_input_means_no(asked: Asked):
    assert not (asked.shell.work / "calls").exists()


def test_a_server_may_ask_for_a_value_and_is_sent_what_was_confirmed(asked: Asked):
    assert "The server ticketing asks you. The words behind the bar are its own:\n" in asked.form
    assert "!decline says no" in asked.form
    assert '  │ priority = "urgent"\n' in asked.confirmation
    [(priority,)] = asked.shell.query("ticketing", "SELECT priority FROM tickets WHERE number = 44")
    assert priority == "urgent"


def test_approve_never_asks_nobody_at_a_terminal(shell: Shell):
    make_dear(shell)
    script = shell.script(
        turn(refund("inv_3101")), turn(CLOSING, expect=["approvals are switched off"]), turn(text="So.")
    )
    with Terminal(shell, "run", "--ticket", "44", "--approve", "never", "--model", script) as terminal:
        assert terminal.end() == 0
    assert "[y/N]" not in terminal.text


def test_an_interrupted_question_leaves_the_terminal_as_it_was(shell: Shell):
    make_dear(shell)
    script = shell.script(turn(refund("inv_3101")))
    with Terminal(shell, "run", "--ticket", "44", "--model", script) as terminal:
        terminal.wait_for("Allow customers.issue_refund on ticket 44? [y/N]")
        os.kill(terminal.process.pid, signal.SIGINT)
        assert terminal.end() == 130
        assert terminal.modes_now() == terminal.modes
    assert "Ticket 44 was left after 1 turn." in terminal.text
    assert "In flight" not in terminal.text
    assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h")


def test_colours_are_used_only_where_they_are_wanted(bare: Shell):
    with Terminal(bare, "serve", "nope") as plain:
        assert plain.end() == 2
    with Terminal(bare, "serve", "nope", NO_COLOR="") as coloured:
        assert coloured.end() == 2
    assert plain.text == coloured.text
    assert COLOUR.search(coloured.raw)
    assert not COLOUR.search(plain.raw)


def test_a_narrow_terminal_loses_nothing(shell: Shell):
    with Terminal(shell, "run", "--ticket", "42", "--model", "offline", columns=40) as terminal:
        assert terminal.end() == 0
    assert max(cell_len(row) for row in terminal.rows) <= 40
    said = " ".join(terminal.text.split())
    assert "✓ closed Read back from the helpdesk: status closed." in said


def test_the_queue_shows_its_progress_and_a_table(shell: Shell):
    with Terminal(shell, "triage-all", "--model", "offline", "--limit", "3", columns=140) as terminal:
        assert terminal.end() == 0
    assert "3/3" in terminal.text
    _, _, table = terminal.text.rpartition("ticket  subject ")
    assert re.findall(r"^(\d+) {2}", table, re.MULTILINE) == ["63", "42", "46"]
    assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h")
