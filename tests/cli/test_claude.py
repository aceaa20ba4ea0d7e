"""Claude from the command line, played by the local Messages API."""

import socket

import pytest

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, claude
from tests.fakes.answers import calls, says
from tests.fakes.messages_api import MessagesApi

WRONG = "sk-ant-wrong-key"
ARTICLE = {"uri": "kb://login-after-password-change"}
CLOSING = {"resolution": "Hi,\n\nType the new password once more.\n\n— Support Team"}
THREE_REPLIES = [
    calls(("read_resource", ARTICLE), text="I look it up."),
    calls(("ticketing__close_ticket", CLOSING)),
    says("Closed.", input_tokens=1000, output_tokens=100),
]


def worked(shell: Shell) -> tuple[Ended, list[dict]]:
    """Work ticket 42 in three replies, with a key that stands in `.env` only."""
    with MessagesApi(THREE_REPLIES) as api:
        shell.write(".env", f"ANTHROPIC_API_KEY={api.key}\nANTHROPIC_BASE_URL={api.url}\n")
        return shell.run("run", "--ticket", "42", "--json"), api.bodies


def test_three_replies_close_the_ticket_and_are_priced(shell: Shell, once: Once):
    ended, requests = once("42", lambda: worked(shell))
    report = ended.document
    assert (ended.code, report["outcome"], report["turns"]) == (0, "closed", 3)
    assert (report["model"], len(requests)) == ("claude-sonnet-5-5", 3)
    assert report["usage"] == {
        "input_tokens": 1200,
        "output_tokens": 140,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
    }
    # $2 and $10 per million tokens.
    assert report["cost_usd"] == pytest.approx(1200 * 2e-6 + 140 * 10e-6)
    [effect] = report["effects"]
    assert (effect["tool"], effect["status"]) == ("close_ticket", "done")


def test_every_request_repeats_the_whole_conversation(shell: Shell, once: Once):
    _, requests = once("42", lambda: worked(shell))
    first, second, third = (request["messages"] for request in requests)
    assert (len(first), len(second), len(third)) == (1, 3, 5)
    assert "alice@example.com" in str(first)
    assert "Forget saved login" in str(second[2])


def test_claude_is_offered_every_tool_but_those_of_the_host(shell: Shell, once: Once):
    _, requests = once("42", lambda: worked(shell))
    offered = [tool["name"] for tool in requests[0]["tools"]]
    assert offered == sorted(offered)
    assert {"customers__issue_refund", "read_resource", "ticketing__close_ticket"} < set(offered)
    assert not {"ticketing__import_tickets", "ticketing__list_tickets", "ticketing__receive_customer_reply"} & set(
        offered
    )


def refused(shell: Shell, api: MessagesApi, *options: str, **variables: str) -> Ended:
    """Run ticket 42 to an infrastructure failure that leaves everything untouched."""
    before = shell.rows()
    ended = shell.run("run", "--ticket", "42", *options, **{**claude(api), **variables})
    assert ended.code == 3
    assert shell.rows() == before
    return ended


def test_a_wrong_key_is_one_sentence_and_the_ticket_is_untouched(shell: Shell):
    with MessagesApi() as api:
        ended = refused(shell, api, "--json", ANTHROPIC_API_KEY=WRONG)
    assert ended.err == (
        f"error: The key was refused by {api.url} (401: invalid x-api-key): check ANTHROPIC_API_KEY.\n"
    )
    assert (ended.document["outcome"], ended.document["effects"]) == ("unresolved", [])
    assert f"error: {ended.document['reason']}\n" == ended.err
    assert WRONG not in ended.out + ended.err


def test_an_unknown_model_is_one_sentence_that_names_others(shell: Shell):
    with MessagesApi() as api:
        ended = refused(shell, api, "--model", "claude-nonsense-1")
    assert ended.err == (
        f"error: There is no model 'claude-nonsense-1' at {api.url}; "
        "there are, for example, claude-sonnet-5-5, claude-haiku-5-5, claude-opus-5-5.\n"
    )


def test_a_service_that_is_down_is_one_sentence(shell: Shell):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with MessagesApi() as api:
        ended = refused(shell, api, ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}")
    assert ended.err == (
        f"error: claude-sonnet-5-5 gives no reply: no connection to http://127.0.0.1:{port} "
        "(All connection attempts failed) (3 tries).\n"
    )
