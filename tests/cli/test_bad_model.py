"""A model that asks for what it may not, or for nothing that makes sense: each call is answered, and none does harm."""

from typing import Any

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, claude
from tests.fakes.answers import Answer, calls, says
from tests.fakes.messages_api import MessagesApi

NOTE = "ticketing__add_internal_note"
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown": ("ticketing__delete_everything", {}),
    "types": ("ticketing__escalate_ticket", {"reason": 7}),
    "extra": (NOTE, {"body": "Blue.", "colour": "blue"}),
    "foreign": (NOTE, {"body": "Mine.", "ticket_id": "43", "expected_version": 99}),
    "nul": (NOTE, {"body": "a\0b"}),
    "huge": (NOTE, {"body": "x" * 10_000_000}),
    "other": ("read_resource", {"uri": "ticket://43"}),
    "person": ("read_resource", {"uri": "customer://bob@example.com/record"}),
    "host": ("ticketing__list_tickets", {}),
}
BROKEN = calls((NOTE, {"body": "half \ud83d of it"}))
TWICE = [
    {"type": "tool_use", "id": "toolu_same", "name": NOTE, "input": {"body": "First."}},
    {"type": "tool_use", "id": "toolu_same", "name": NOTE, "input": {"body": "Second."}},
]


def worked(shell: Shell) -> tuple[Ended, dict[str, Any], Shell]:
    """Work ticket 42 with all of this in one reply; return the results that the model was given, by name."""
    spoken = {"type": "text", "text": "Let me see \ud83d."}
    blocks = [
        {"type": "tool_use", "id": f"toolu_{name}", "name": tool, "input": arguments}
        for name, (tool, arguments) in ASKED.items()
    ]
    closing = {"resolution": "Hi,\n\nDone.\n\n— Support Team"}
    answers = [
        BROKEN,
        Answer(content=[spoken, *blocks, *TWICE]),
        calls(("ticketing__close_ticket", closing)),
        says("Closed."),
    ]
    with MessagesApi(answers) as api:
        ended = shell.run("run", "--ticket", "42", **claude(api))
    assert api.bodies[0] == api.bodies[1]
    _, _, answered = api.bodies[2]["messages"]
    return ended, {block["tool_use_id"].removeprefix("toolu_"): block for block in answered["content"]}, shell


def text(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def test_the_run_reaches_its_end_whatever_the_model_asks_for(shell: Shell, once: Once):
    ended, results, there = once("42", lambda: worked(shell))
    assert (ended.code, ended.err) == (0, "")
    assert there.status("42") == "closed"
    assert list(results) == [*ASKED, "same"]


def test_an_unknown_tool_is_answered_with_those_that_there_are(shell: Shell, once: Once):
    _, results, _ = once("42", lambda: worked(shell))
    assert results["unknown"]["is_error"]
    assert text(results["unknown"]).startswith("There is no tool 'ticketing__delete_everything'. There are: ")
    assert "ticketing__close_ticket" in text(results["unknown"])


def test_the_tools_of_the_host_are_unknown_to_the_model(shell: Shell, once: Once):
    _, results, _ = once("42", lambda: worked(shell))
    assert text(results["host"]).startswith("There is no tool 'ticketing__list_tickets'.")


def test_wrong_types_are_answered_with_what_is_expected(shell: Shell, once: Once):
    _, results, _ = once("42", lambda: worked(shell))
    assert results["types"]["is_error"]
    assert text(results["types"]) == "ticketing.escalate_ticket: argument reason: 7 is not of type 'string'"


def test_an_extra_argument_is_named(shell: Shell, once: Once):
    _, results, there = once("42", lambda: worked(shell))
    assert results["extra"]["is_error"]
    assert text(results["extra"]).startswith("ticketing.add_internal_note")
    assert "colour" in text(results["extra"])
    assert there.query("ticketing", "SELECT count(*) FROM ticket_messages WHERE body = 'Blue.'") == [(0,)]


def test_the_id_of_another_ticket_is_not_listened_to(shell: Shell, once: Once):
    _, results, there = once("42", lambda: worked(shell))
    assert "is_error" not in results["foreign"]
    assert "(expected_version, ticket_id: set by the host; yours was ignored.)" in text(results["foreign"])
    assert there.query("ticketing", "SELECT ticket FROM ticket_messages WHERE body = 'Mine.'") == [(42,)]
    assert there.acts("43") == []


def test_another_customers_ticket_and_record_cannot_be_read(shell: Shell, once: Once):
    _, results, _ = once("42", lambda: worked(shell))
    for name in ("other", "person"):
        assert results[name]["is_error"]
        assert text(results[name]).startswith("Denied: Only this run's own ticket and customer, ")


def test_a_call_with_half_a_surrogate_pair_is_no_call_and_is_asked_for_again(shell: Shell, once: Once):
    ended, _, there = once("42", lambda: worked(shell))
    assert there.query("ticketing", "SELECT count(*) FROM ticket_messages WHERE body LIKE 'half%'") == [(0,)]
    assert " 1  │ Let me see ?.\n" in ended.out


def test_nul_is_refused_with_a_sentence(shell: Shell, once: Once):
    _, results, _ = once("42", lambda: worked(shell))
    assert results["nul"]["is_error"]
    assert text(results["nul"]).startswith("The note contains NUL ")


def test_ten_megabytes_of_argument_are_refused_with_the_limit(shell: Shell, once: Once):
    ended, results, _ = once("42", lambda: worked(shell))
    assert text(results["huge"]) == "The arguments are 10,000,012 characters long; at most 100,000 are accepted."
    assert len(ended.out) < 50_000


def test_a_call_id_that_comes_twice_is_answered_once(shell: Shell, once: Once):
    _, results, there = once("42", lambda: worked(shell))
    assert "is_error" not in results["same"]
    sql = "SELECT body FROM ticket_messages WHERE body IN ('First.', 'Second.')"
    assert there.query("ticketing", sql) == [("First.",)]
