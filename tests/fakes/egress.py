"""What is hidden in texts, and how: the ways in which a reader still sees a thing that a search for it does not."""

# ruff: noqa: RUF001 - characters that look like others are what is made here

from collections.abc import Callable

from hypothesis import strategies as st

from agent.egress import Egress
from agent.settings import Company

COMPANY = Company(
    domains=("thistle.example.com",),
    addresses=("support@thistle.example.com", "no-reply@thistle.example.com"),
    phones=("+1 206 555 0123",),
    regions=("US", "DE"),
)


def egress(
    *own: str,
    seen: tuple[str, ...] = (),
    secrets: tuple[str, ...] = (),
    prompts: tuple[str, ...] = (),
    company: Company = COMPANY,
    schemes: tuple[str, ...] = (),
) -> Egress:
    """Return what knows one run, in which these texts were read."""
    made = Egress(company=company, secrets=secrets, prompts=prompts, schemes=schemes)
    for text in own:
        made.own(text)
    for text in seen:
        made.seen(text)
    return made


def rules(made: Egress, text: str) -> list[str]:
    """Return the rules that a text breaks, without what they have in common."""
    return [violation.rule.removeprefix("leaves.") for violation in made.violations(text)]


def found(made: Egress, text: str) -> list[tuple[str, str]]:
    """Return the rules that a text breaks, and with what."""
    return [(violation.rule.removeprefix("leaves."), violation.found) for violation in made.violations(text)]


def full_width(char: str) -> str:
    return chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char


_SCRIPT_DIGITS = ("٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")

DISGUISES: tuple[Callable[[str], str], ...] = (
    lambda char: char,
    full_width,
    lambda char: f"{char}\u200b",
    lambda char: f"\u2060{char}\u00ad",
    lambda char: f"{char}\u202e\u202c",
    lambda char: f"&#{ord(char)};",
    lambda char: f"&#x{ord(char):X};",
    lambda char: f"&#{ord(full_width(char))};",
    lambda char: f"&amp;#{ord(char)};",
    lambda char: f"%{ord(char):02X}",
    lambda char: f"%25{ord(char):02x}",
    lambda char: chr(ord(char) + 0x1D5D4 - ord("A")) if "A" <= char <= "Z" else char,
    lambda char: chr(ord(char) + 0x1D5EE - ord("a")) if "a" <= char <= "z" else char,
    lambda char: _SCRIPT_DIGITS[0][int(char)] if char.isdecimal() else char,
    lambda char: _SCRIPT_DIGITS[1][int(char)] if char.isdecimal() else char,
    lambda char: _SCRIPT_DIGITS[2][int(char)] if char.isdecimal() else char,
    lambda char: f"{char}\ufe0f\u20e3" if char.isdecimal() else char,
    lambda char: {"@": "﹫", ".": "․"}.get(char, char),
)
"""Ways to write one ASCII character so that it is read as that character."""


@st.composite
def disguised(draw: st.DrawFn, text: str) -> str:
    """Draw a way to write a text so that it is read as that text."""
    ways = draw(st.lists(st.sampled_from(DISGUISES), min_size=1, max_size=8))
    return "".join(ways[place % len(ways)](char) if char.isascii() else char for place, char in enumerate(text))


_ORDINARY = (
    "we have looked into your account and the app is fine again please restart it once Grüße wir haben das geprüft "
    "merci beaucoup nous avons señor está listo お世話になっております — “quoted” (really) 42 2026-11-16 14:30 "
    "v2.1.10 €9.00 USD 84.00 README.md 50% & #3 <b> * _ ~"
)
WORDS = st.lists(st.sampled_from(_ORDINARY.split()), max_size=8).map(" ".join)
"""What stands around a hidden thing: nothing in it is to be found."""

EDGES = st.sampled_from([" ", "\n", "(", '"', "“", ": ", "> ", "<", "**", "\t", "、", "「", "= "])
ENDS = st.sampled_from([" ", "\n", ")", '"', "”", ". ", ", ", ">", "** ", "! ", "。", "」", "; "])


@st.composite
def around(draw: st.DrawFn, thing: st.SearchStrategy[str]) -> str:
    """Draw a text in which a thing stands, between ordinary words."""
    return f"{draw(WORDS)}{draw(EDGES)}{draw(thing)}{draw(ENDS)}{draw(WORDS)}"


def hidden(thing: str) -> st.SearchStrategy[str]:
    """Return texts that hold this ASCII thing in disguise."""
    return around(disguised(thing))
