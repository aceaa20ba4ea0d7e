"""`support-agent policy`: what is wrong with a policy, and why a call would be allowed, asked about or denied."""

from tests.cli.shell import Shell

WRONG = """\
@id("typo")
@because("Plans are changed by sales.")
forbid (principal, action == Action::"customers.update_account", resource)
when { context.args has plam };

permit (principal, action, resource);
"""


def explained(ticket: str, tool: str, *arguments: str) -> list[str]:
    given = [part for argument in arguments for part in ("--arg", argument)]
    return ["policy", "explain", "--ticket", ticket, "--tool", tool, *given]


def test_a_policy_with_mistakes_is_told_by_file_and_line_and_ends_with_1(shell: Shell):
    shell.write("mine.cedar", WRONG)
    ended = shell.run("policy", "check", "mine.cedar")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert {line.partition(" ")[0] for line in lines} == {"mine.cedar:1:", "mine.cedar:6:"}
    assert any(line.endswith("has context.args.plam. Did you mean plan?") for line in lines)


def test_the_policy_in_use_is_checked_where_none_is_named(shell: Shell):
    ended = shell.run("policy", "check", "--json")
    assert (ended.code, ended.document["findings"], ended.document["tools"]) == (0, [], 21)


def test_a_file_that_is_not_there_is_a_sentence(shell: Shell):
    ended = shell.run("policy", "check", "nothing.cedar")
    assert (ended.code, ended.err) == (2, "error: nothing.cedar: no such file or directory.\n")


def test_an_explanation_names_the_rules_that_decide_and_the_conditions_that_do_not_hold(shell: Shell):
    before = shell.rows()
    ended = shell.run(*explained("45", "customers.issue_refund", "invoice_id=inv_4210", "reason=Too many seats."))
    assert ended.code == 0
    assert "a person is asked\n  A refund beyond what the agent may give by itself" in ended.out
    assert "  facts.amount_cents     24000\n" in ended.out
    assert "refund  permit, line " in ended.out
    assert (
        "    not: context.amount_cents + context.run.refunded_cents <= 10000 "
        "[context.amount_cents = 24000, context.run.refunded_cents = 0]\n"
    ) in ended.out
    assert shell.rows() == before


def test_an_explanation_is_one_json_document_too(shell: Shell):
    text = "Hi, please sign in again. — Support Team"
    ended = shell.run(*explained("42", "ticketing.close_ticket", f"resolution={text}"), "--json")
    assert (ended.document["verdict"], ended.document["is_as_approved"]) == ("allow", False)
    assert [rule["rule"] for rule in ended.document["rules"] if rule["fate"] == "applied"] == ["own-ticket"]
    assert ended.document["arguments"] == {"resolution": text, "ticket_id": "42", "expected_version": 1}


def test_a_text_that_would_be_sent_back_is_explained_like_a_rule(shell: Shell):
    ended = shell.run(*explained("42", "ticketing.close_ticket", "resolution=Hello"), "--json")
    assert ended.document["verdict"] == "deny"
    assert "text.greeting" in [reason["rule"] for reason in ended.document["reasons"]]


def test_what_makes_no_call_is_said_in_the_words_that_the_model_would_hear(shell: Shell):
    ended = shell.run(*explained("42", "ticketing.set_priority", "priority=soon"))
    assert ended.code == 2
    assert ended.err.startswith("error: This makes no call: ticketing.set_priority: argument priority:")
