"""What both stores ask of the words they are given, and the one way in which they say no."""

import re
from collections.abc import Sequence

_ADDRESS = re.compile(r"[^@\s\x00]+@[^@\s\x00]+")

_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


class Refused(Exception):  # noqa: N818 - reads as the sentence it is
    """The call cannot be done and nothing was changed; the message says what to do instead."""


def checked_text(value: str, name: str, *, longest: int) -> str:
    """Return `value` without the space around it, 1 to `longest` characters that a database can keep."""
    text = value.strip()
    if not text:
        raise Refused(f"The {name} is empty: write 1 to {longest:,} characters.")
    if len(text) > longest:
        raise Refused(f"The {name} has {len(text):,} characters, and {longest:,} is the most: shorten it.")
    if _NO_CHARACTER.search(text):
        raise Refused(f"The {name} contains NUL or half of a surrogate pair, which is no character: leave it out.")
    return text


def checked_address(value: str, name: str) -> str:
    """Return an e-mail address without the space around it."""
    address = checked_text(value, name, longest=254)
    if not _ADDRESS.fullmatch(address):
        raise Refused(f"The {name} is not an e-mail address: write it as name@example.com.")
    return address


def checked_tags(values: Sequence[str]) -> tuple[str, ...]:
    """Return at most 20 tags of at most 50 characters, each once, in lower case and alphabetical order."""
    tags = tuple(sorted({checked_text(tag, "tag", longest=50).lower() for tag in values}))
    if len(tags) > 20:
        raise Refused(f"There are {len(tags)} tags, and 20 is the most: give fewer.")
    return tags
