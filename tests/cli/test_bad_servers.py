"""Servers that misbehave while a ticket is worked: the model is told what it can act on, and the run goes on."""

from itertools import pairwise

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, bad, call, turn
from tests.fakes.hosting import numbers

CLOSING = call("ticketing.close_ticket", resolution="Hi,\n\nDone.\n\n— Support Team")


def worked(shell: Shell) -> tuple[Ended, Shell]:
    """Work ticket 42 with a server that answers each call in another wrong way; the script checks what comes of it."""
    shell.servers(mine=bad("bad-tools", "--folder", shell.work))
    reads = "".join(f'[tools."mine.{name}"]\neffect = "read"\npublic = true\n' for name in ("big", "die_once"))
    shell.write("support-agent.toml", f"{reads}[limits]\nresult_chars = 2000\n")
    steps = [
        ("big", "xxx", "10,000,000"),
        ("breaks_schema", "Its fate is unknown: ", "Look before you repeat."),
        ("malformed", "Its fate is unknown: ", "answered with what the protocol does not know"),
        ("surrogates", "half ? of it"),
        ("not_utf8", "caf\ufffd"),
        ("refused", "You may not do this."),
        ("die_once", "done the second time"),
        ("die", "Its fate is unknown: ", "exited with status 7", "Look before you repeat."),
        ("echo", "{}"),
    ]
    turns = [turn(call("mine.big"), offered=["mine__echo"], not_offered=["mine__no_object", "mine__no_schema"])]
    for (_, *expected), (name, *_) in pairwise(steps):
        turns.append(turn(call(f"mine.{name}"), expect=expected))
    turns += [turn(CLOSING, expect=steps[-1][1:]), turn(text="Closed.")]
    ended = shell.run("run", "--ticket", "42", "--approve", "always", "--model", shell.script(*turns))
    return ended, shell


def test_the_run_reaches_its_end_whatever_a_server_answers(shell: Shell, once: Once):
    ended, there = once("bad", lambda: worked(shell))
    assert ended.err == "! Every call that needs a person's approval gets it (--approve always).\n"
    assert ended.code == 0
    assert there.status("42") == "closed"


def test_a_result_that_breaks_its_own_schema_is_uncertain_and_never_repeated(shell: Shell, once: Once):
    ended, there = once("bad", lambda: worked(shell))
    made = [record["tool"] for record in numbers(there.work, "calls")]
    assert [made.count(name) for name in ("breaks_schema", "malformed", "die")] == [1, 1, 1]
    assert "mine.breaks_schema" in ended.out


def test_a_read_whose_server_dies_is_made_again_on_a_new_one(shell: Shell, once: Once):
    ended, there = once("bad", lambda: worked(shell))
    made = [record["tool"] for record in numbers(there.work, "calls")]
    assert made.count("die_once") == 2
    assert len(numbers(there.work, "starts")) == 3
    assert "mine is started again (1 of 2)." in ended.out
    assert "mine is started again (2 of 2)." in ended.out


def test_a_tool_whose_schema_is_no_object_is_left_out_and_named(shell: Shell, once: Once):
    ended, _ = once("bad", lambda: worked(shell))
    assert "mine: tool no_object is left out: " in ended.out
    assert "mine: tool no_schema is left out: " in ended.out


def test_ten_megabytes_of_result_are_cut_on_the_screen_too(shell: Shell, once: Once):
    ended, _ = once("bad", lambda: worked(shell))
    assert len(ended.out) < 50_000
    assert max(len(line) for line in ended.out.splitlines()) <= 2000


def test_two_servers_may_have_tools_of_the_same_name(shell: Shell):
    folders = [shell.work / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    shell.servers(one=bad("--folder", folders[0]), two=bad("--era", "legacy", "--folder", folders[1]))
    script = shell.script(
        turn(call("one.echo"), call("two.echo"), call("two.echo"), offered=["one__echo", "two__echo"]),
        turn(CLOSING),
        turn(text="Closed."),
    )
    ended = shell.run("run", "--ticket", "42", "--approve", "always", "--model", script, "--json")
    assert (ended.code, ended.document["outcome"]) == (0, "closed")
    assert [len(numbers(folder, "calls")) for folder in folders] == [1, 2]


def test_a_server_that_is_gone_for_good_ends_the_run_and_leaves_the_ticket(shell: Shell):
    shell.servers(mine=bad("once", "--folder", shell.work))
    script = shell.script(turn(call("mine.die")), turn(call("mine.echo"), expect=["Its fate is unknown: "]))
    ended = shell.run("run", "--ticket", "42", "--approve", "always", "--model", script, "--json")
    assert (ended.code, ended.document["outcome"]) == (3, "unresolved")
    assert "mine did not start: it exited with status 3." in ended.document["reason"]
    assert shell.acts("42") == []
