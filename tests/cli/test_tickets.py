"""`support-agent tickets`: the queue, single tickets, and what arrives in the built-in helpdesk."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell

PLAIN = {"subject": "The app is slow", "body": "It takes a minute to start.", "requester": "alice@example.com"}


def test_the_queue_is_listed_most_urgent_first(shell: Shell):
    ended = shell.run("tickets", "list")
    head, *rows = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert head.split() == ["id", "priority", "status", "requester", "subject", "updated"]
    assert [row.split()[:3] for row in rows[:2]] == [["63", "urgent", "new"], ["42", "high", "new"]]
    assert rows[-1] == "24 tickets"


def test_a_limit_holds_for_the_list(shell: Shell):
    ended = shell.run("tickets", "list", "--limit", "2", "--json")
    assert [ticket["id"] for ticket in ended.document["tickets"]] == ["63", "42"]
    assert ended.document["tickets"][1]["subject"] == "Cannot log in after password change"


def test_a_ticket_is_shown_with_its_conversation_and_events(shell: Shell):
    ended = shell.run("tickets", "show", "60")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("#60 How do I turn on dark mode?\n")
    assert re.search(r"^status +solved$", ended.out, re.MULTILINE)
    assert "  │ Is there a dark mode? My eyes would be grateful.\n" in ended.out
    assert re.search(r"^events \(1\)\n.*\n.* demo +created ", ended.out, re.MULTILINE)


def imported(shell: Shell) -> tuple[Ended, Shell]:
    shell.write("new.json", [PLAIN, {**PLAIN, "priority": "urgent", "tags": ["Speed"]}])
    return shell.run("tickets", "import", "new.json", "--json"), shell


def test_a_json_array_is_imported_and_the_new_ids_are_told(shell: Shell, once: Once):
    ended, there = once("array", lambda: imported(shell))
    assert (ended.code, ended.document["ids"]) == (0, ["69", "70"])
    assert there.query("ticketing", "SELECT subject, requester, status, priority FROM tickets WHERE number > 68") == [
        ("The app is slow", "alice@example.com", "new", "normal"),
        ("The app is slow", "alice@example.com", "new", "urgent"),
    ]


def test_one_ticket_a_line_is_imported(shell: Shell):
    # The first line ends in a separator that is a line's end for Python, and none for JSON.
    lines = [json.dumps({**PLAIN, "subject": "a\u2028b"}, ensure_ascii=False), "", json.dumps(PLAIN)]
    shell.write("new.jsonl", "\ufeff" + "\r\n".join(lines))
    ended = shell.run("tickets", "import", "new.jsonl")
    assert ended == Ended(code=0, out="2 tickets imported.\n", err="")


def test_an_import_that_the_helpdesk_refuses_in_part_imports_nothing(shell: Shell):
    shell.write("new.json", [PLAIN, {**PLAIN, "subject": "No address", "requester": "nobody"}])
    before = shell.rows()
    ended = shell.run("tickets", "import", "new.json")
    assert ended.err == (
        "error: Ticket 'No address' was not imported, nor was any other. "
        "The requester is not an e-mail address: write it as name@example.com.\n"
    )
    assert ended.code == 2
    assert shell.rows() == before


BAD_FILES = {
    '["a"]': "new.json holds no tickets: expected objects with at least subject, body and requester.",
    '{"subject": 1}\n{"subject": \n': "new.json, line 2, column 13: this is not JSON: expecting value "
    "(expected an array of tickets, or one ticket a line).",
    b"\xff\xfe": "new.json is not UTF-8 text.",
    "[" * 100_000: "new.json: a value in this file is nested too deeply or too large.",
}


@pytest.mark.parametrize(("content", "sentence"), BAD_FILES.items(), ids=range(len(BAD_FILES)))
def test_a_file_that_holds_no_tickets_is_named_with_what_is_expected(bare: Shell, content: str | bytes, sentence: str):
    bare.write("new.json", content)
    assert bare.run("tickets", "import", "new.json") == Ended(code=2, out="", err=f"error: {sentence}\n")


def test_a_file_that_is_not_there_is_named(bare: Shell):
    ended = bare.run("tickets", "import", "none.json")
    assert ended == Ended(code=2, out="", err="error: none.json cannot be read: no such file or directory.\n")
    assert not Path(bare.data, "ticketing.sqlite").exists()


def test_a_customers_reply_opens_a_pending_ticket_again(shell: Shell):
    assert shell.status("59") == "pending"
    ended = shell.run("tickets", "reply", "59", "It was the blue button.", "--as-customer")
    assert ended == Ended(code=0, out="The reply is on ticket 59.\n", err="")
    assert shell.status("59") == "open"
    sql = "SELECT author, kind, body FROM ticket_messages WHERE ticket = 59 ORDER BY id DESC LIMIT 1"
    assert shell.query("ticketing", sql) == [("priya@example.com", "customer", "It was the blue button.")]


def test_a_reply_to_a_ticket_that_is_not_there_is_refused(shell: Shell):
    ended = shell.run("tickets", "reply", "590", "Hello?", "--as-customer", "--json")
    assert (ended.code, ended.document) == (2, {"error": "There is no ticket 590."})


def test_a_reply_is_only_written_in_the_customers_name(bare: Shell):
    ended = bare.run("tickets", "reply", "59", "Hello")
    assert (ended.code, ended.out) == (2, "")
    assert "Only a customer's reply is recorded here: add --as-customer." in ended.err
