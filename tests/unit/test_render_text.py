"""What untrusted text may do to a screen: nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from agent.render.text import compact, excerpt, excerpt_block, fair_shares, visible, visible_block


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb", r"a\r\nb"),
        ("tab\there", r"tab\there"),
        ("nul\x00", r"nul\x00"),
        ("vertical\x0btab", r"vertical\x0btab"),
        ("back\x08space", r"back\x08space"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eevil\u202c", "<U+202E>evil<U+202C>"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("line\u2028separator", "line<U+2028>separator"),
        ("lone\ud83dsurrogate", r"lone\ud83dsurrogate"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("blank\u3164letter", "blank<U+3164>letter"),
        ("smuggled\U000e0101", "smuggled<U+E0101>"),
        ("private\ue000", "private<U+E000>"),
        ("soft\xadhyphen", r"soft\xadhyphen"),
    ],
)
def test_what_would_steer_a_terminal_or_hide_is_shown_instead(hostile: str, shown: str):
    assert visible(hostile) == shown


@pytest.mark.parametrize(
    "innocent",
    [
        "Müller & Søn",
        "パスワードを変更",
        "می\u200cروم",
        "👩\u200d💻 ❤\ufe0f",
        "naïve café",
        "[bold]not markup[/bold]",
        "क्\u200dष",
    ],
)
def test_ordinary_writing_of_any_script_is_left_as_it_is(innocent: str):
    assert visible(innocent) == innocent


def test_a_joiner_between_latin_letters_is_shown_because_it_joins_nothing():
    assert visible("ad\u200dmin") == "ad<U+200D>min"


def test_a_tower_of_accents_is_taken_down_to_what_a_letter_can_carry():
    shown = visible("a" + "\u0301" * 50)
    assert shown.count("\u0301") == 4
    assert shown.count("<U+0301>") == 46


@given(st.text())
def test_nothing_invisible_and_no_control_is_ever_left_on_a_line(text: str):
    categories = {unicodedata.category(char) for char in visible(text) if char not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text())
def test_every_line_can_be_printed_in_ascii(text: str):
    assert visible(text, "ascii").isascii()
    assert excerpt(text, 20, "ascii").isascii()


def test_a_block_keeps_its_line_breaks_and_nothing_else_that_moves_the_cursor():
    assert visible_block("one\r\ntwo\tx\rthree\x1b[2J") == "one\ntwo x\\rthree\\x1b[2J"


def test_a_long_text_says_how_much_of_it_was_left_out():
    assert excerpt("x" * 1000, 20) == "x" * 13 + "…(+987)"
    assert excerpt_block("y" * 1000, 10) == "y" * 10 + "…(+990)"


def test_a_text_that_fits_is_not_shortened():
    assert excerpt("exactly ten", 11) == "exactly ten"


@given(st.text(max_size=200), st.integers(min_value=12, max_value=100))
def test_an_excerpt_never_needs_more_columns_than_there_are(text: str, columns: int):
    assert cell_len(excerpt(text, columns)) <= columns


def test_wide_characters_count_for_two_columns():
    assert cell_len(excerpt("ログインできません" * 10, 30)) <= 30


def test_ten_million_characters_are_shortened_without_being_walked_through():
    pieces = compact({"body": "\x1b" * 10_000_000, "id": "42"}, 80)
    assert pieces[0][1].endswith(")")
    assert len(pieces[0][1]) < 80
    assert pieces[1] == ("id", '"42"')


def test_the_longest_argument_gives_way_and_the_short_ones_stay_whole():
    pieces = dict(compact({"ticket_id": "42", "body": "word " * 100, "version": 3}, 60))
    assert pieces["ticket_id"] == '"42"'
    assert pieces["version"] == "3"
    assert "…(+" in pieces["body"]
    assert sum(len(name) + len(value) + 2 for name, value in pieces.items()) <= 60


@given(st.lists(st.integers(min_value=0, max_value=100), max_size=8), st.integers(min_value=0, max_value=300))
def test_shares_never_exceed_the_wants_or_the_total(wants: list[int], total: int):
    shares = fair_shares(wants, total)
    assert sum(shares) <= max(total, 0)
    assert all(share <= want for share, want in zip(shares, wants, strict=True))
    if sum(wants) <= total:
        assert shares == wants
