"""Whatever a text is made of, looking through it ends, finds places that are there, and what is withheld is clean."""

# ruff: noqa: RUF001 - characters that look like others are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.egress.reading import Reading
from tests.fakes.egress import disguised, egress

_SIGNS = "@.:/\\#?&;%<>()[]{}+-_=,。．＠․ \n\t0123456789abcdehmopstxwv\u200b\u200d\u0301\u0338\ufe0f\u20e3"
SIGNS = st.text(st.one_of(st.sampled_from(_SIGNS), st.characters(exclude_categories=("Cs",))), max_size=60)
_PIECES = (
    "https:// thistle.example.com evil.com bob@ @evil.com alice@example.com inv_2043 4111 1111 +49 170 7654321 "
    "206-555-0100 &#64; &amp; &lt; %40 %2 ]( ) <a href= javascript: // \\\\ .com www. 。 \n \u200b (at) dot GB82 WEST "
    "xn-- sk-ant- [withheld: a link] Tr0ub4dor -----BEGIN"
)
PIECES = st.lists(st.sampled_from(_PIECES.split(" ")), max_size=12).map("".join)


def made():
    return egress(
        "alice@example.com, 4242 4242 4242 4242",
        seen=("inv_2043 10023 JIRA-77",),
        secrets=("Tr0ub4dor&3/horse", "withheld"),
        prompts=("one two three four five six seven eight nine ten eleven twelve thirteen",),
    )


@given(text=st.one_of(SIGNS, PIECES, st.lists(st.one_of(SIGNS, PIECES), max_size=4).map("".join)))
def test_of_any_text_what_is_found_stands_in_it_and_what_is_withheld_is_clean(text: str):
    known = made()
    for violation in known.violations(text):
        assert violation.found in text
        assert bool(violation.found) == (violation.rule not in {"leaves.secret", "leaves.prompt"})
    withheld = known.withheld(text)
    assert known.violations(withheld) == ()
    if not known.violations(text):
        assert withheld == text


@given(text=st.text(st.characters()))
def test_a_text_with_lone_surrogates_is_looked_through_too(text: str):
    known = made()
    assert known.violations(known.withheld(text)) == ()


@given(text=SIGNS)
def test_every_character_of_a_reading_has_its_place_in_the_original(text: str):
    reading = Reading(text)
    ends = [reading.origin(place, place + 1) for place in range(len(reading.text))]
    assert all(0 <= start < end <= len(text) for start, end in ends)
    assert ends == sorted(ends)
    assert not reading.text or reading.found(0, len(reading.text)) in text


@given(text=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=40), data=st.data())
def test_a_disguised_text_is_read_as_the_text(text: str, data: st.DataObject):
    text = text.replace("&", "").replace("%", "")
    assert Reading(data.draw(disguised(text))).text == text


SLOW = [
    *["a", "0", "1 ", "4111 ", "0170 ", "+1 ", "@", "a@", "a@b.", "a.b@", "a.", "a-", "_", "http:", "http:a."],
    *[
        "http://",
        "https://a@",
        "//a",
        "\\",
        "](a.",
        "href=",
        "&amp;",
        "&#64;",
        "%25",
        "\u200b",
        "a\u0301\u0316",
        "\ufdfa",
    ],
    *["あ", "あ.", "あa", "。", "(at)", " at ", " dot ", "a\n.", "\n", "GB82 ", "a1-", "inv_", "eyJa", "eyJaaaaaaaa."],
    *["bearer ", "sk-", "-----BEGIN PRIVATE KEY-----", "j a v a", "one two three ", "[withheld: a link]", "a@b.co "],
    *["evil.com ", "https://evil.com ", "inv_2043 ", "206-555-0100 ", "4111111111111111, ", "GB82WEST12345698765432 "],
]
"""Make expressions slow that go back and begin again."""


@pytest.mark.parametrize("piece", SLOW)
def test_many_signs_made_to_be_slow_are_looked_through(piece: str):
    assert isinstance(made().violations(piece * (20_000 // len(piece))), tuple)


def test_a_hundred_thousand_signs_made_to_be_slow_are_looked_through_and_withheld():
    text = "".join(piece * (2_000 // len(piece)) for piece in SLOW)
    known = made()
    assert len(text) > 100_000
    assert known.violations(text)
    assert known.violations(known.withheld(text)) == ()
