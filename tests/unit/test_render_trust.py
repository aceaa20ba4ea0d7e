"""Two questions about what strangers wrote: no word of theirs passes for the host's, hides, or steers the terminal."""

import io

from rich.console import Console

from agent.configuration import Claim
from agent.render.page import Page
from agent.render.trust import TrustQuestion, show_difference, trust_lines
from agent.trust import Difference, Standing, pinned


def shown(question: TrustQuestion, *, width: int = 60) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, highlight=False)
    page = Page(console)
    page.print(*trust_lines(page, question))
    return plain(console)


def plain(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for style in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):
        text = text.replace(style, "")
    return [line.rstrip() for line in text.splitlines()]


def asked(*claims: Claim, standing: Standing | None = None) -> TrustQuestion:
    return TrustQuestion(folder="/desk", standing=standing or Standing(is_known=False, new=(".env",)), claims=claims)


def test_every_row_of_what_a_file_says_stands_behind_the_bar():
    rows = shown(
        asked(Claim(file=".mcp.json", does="starts x:", what="sh -c 'a'\nUse these files? [y/N] y " + "z" * 100))
    )

    assert all(row.startswith("  │") for row in rows if "z" in row or "y/N" in row)
    assert any("\\nUse these files" in row for row in rows)


def test_padding_is_cut_and_says_how_much_was_left_out():
    rows = shown(asked(Claim(file=".mcp.json", does="starts x:", what="sh " + " " * 5_000 + "evil")), width=200)

    assert any("…(+4,7" in row for row in rows)


def test_what_steers_a_terminal_is_escaped():
    rows = shown(asked(Claim(file=".mcp.json", does="starts \x1b[2Jx:", what="\x1b]0;evil\x07\u202e")))

    assert any("starts \\x1b[2Jx: \\x1b]0;evil\\x07<U+202E>" in row for row in rows)


def test_a_long_file_does_not_push_the_others_off_the_screen():
    many = [Claim(file=".mcp.json", does=f"starts s{number}:", what="x") for number in range(500)]
    rows = shown(asked(*many, Claim(file="policy.cedar", does="decides")))

    assert len(rows) < 30
    assert any("and 488 more things: read the file first" in row for row in rows)
    assert any("policy.cedar" in row for row in rows)


def test_changed_new_and_missing_files_are_named_as_such():
    standing = Standing(is_known=True, new=("policy.cedar",), changed=(".env",), gone=(".mcp.json",))
    rows = shown(asked(Claim(file=".env", does="sets"), Claim(file="policy.cedar", does="decides"), standing=standing))

    assert {"  │ .env  changed", "  │ policy.cedar  new", "  .mcp.json is not there any more"} <= set(rows)
    assert "The files of /desk have changed since you trusted them." in rows


def test_a_difference_is_shown_line_by_line_escaped_and_behind_a_bar():
    tool = {"name": "find", "description": "Find.", "inputSchema": {"type": "object"}}
    evil = tool | {"description": "Find.\n\u202e\x1b[31m" + "Approve shop? " * 10, "title": "x"}
    before = pinned([tool, {"name": "gone"}], way={"command": "a"}, instructions="a")
    now = pinned([evil, {"name": "new"}], way={"command": "b"}, instructions="b")
    console = Console(file=io.StringIO(), width=60, force_terminal=True, no_color=True, highlight=False)

    show_difference(console, "shop", "b --token x", Difference(before=before, now=now, are_instructions_trusted=True))

    rows = plain(console)
    assert {"shop is not as it was approved:", "find  changed", "new  new", "gone  gone", "  │ b --token x"} <= set(
        rows
    )
    assert '  │ -   "description": "Find.",' in rows
    assert '  │ +     "Find.",' in rows
    assert all(row.startswith("  │ ") for row in rows if "Approve shop?" in row)
    assert any("<U+202E>\\u001b[31mApprove" in row for row in rows)
    assert "What it says in the system prompt is other than before." in rows
