"""Ids in a text: which tokens are somebody's, and where they stand however they are written."""

import re
from collections.abc import Iterator, Set

from agent.egress.reading import SPACELESS
from agent.egress.values import Find, Rule

_UUID = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE)
_LETTER = rf"[^\W_{SPACELESS}]"
_TOKEN = re.compile(rf"(?<!{_LETTER})[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*(?!{_LETTER})")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])(?:T[0-9]{2,6}Z?)?", re.IGNORECASE)
_MEASURE = re.compile("[0-9]{1,4}[_-]?[A-Za-z]+(?:[_-][A-Za-z]+)*")  # 24h, 90-day, 250MB, 2FA
_COUNTED = re.compile("(?P<name>[A-Za-z]+)(?P<sign>[_-]?)(?P<number>[0-9]+)")
_CHANGES = re.compile("(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")

_TRADE_NAMES = (
    "aes sha md ssl tls rsa utf iso rfc ieee din en http https ipv ip oauth wpa usb mp h x v es ecma base pdf status "
    "error code step level version page port top type art article section covid windows macos ios android utf8mb q fy "
    "ean iban xml html css sql python java node"
)
_TRADE = frozenset(_TRADE_NAMES.split())
"""Names of standards, products and places in a text that numbers follow: those are nobody's."""

_SHORTEST_NUMBER = 5
_SHORTEST_KEY = 4
_MOST_WORDS = 6

_DIGIT = re.compile("[0-9]")
_WORD = re.compile(rf"[^\W_{SPACELESS}]+")
_BETWEEN = re.compile(r"[\s_\-‐-―/#:]{0,3}")  # noqa: RUF001 - every dash


def id_keys(text: str) -> Iterator[str]:
    """Yield the ids of a reading, each as its letters and digits in small letters."""
    for found in _UUID.finditer(text):
        yield _key(found[0])
    for found in _TOKEN.finditer(text):
        if _is_id(found[0]):
            yield _key(found[0])


def _key(token: str) -> str:
    return re.sub("[_-]", "", token).lower()


def _is_id(token: str) -> bool:
    if not any(char.isdecimal() for char in token) or _DATE.match(token) or _MEASURE.fullmatch(token):
        return False
    parts = re.split("[_-]", token)
    if all(part.isdecimal() for part in parts):
        return any(len(part) >= _SHORTEST_NUMBER for part in parts)
    if counted := _COUNTED.fullmatch(token):
        return _is_counted(counted)
    if parts[0].lower() in _TRADE:
        return False
    if len(parts) > 1:
        return sum(char.isdecimal() for char in token) >= 2
    return len(token) >= _SHORTEST_NUMBER and len(_CHANGES.findall(token)) > 1


def _is_counted(token: re.Match[str]) -> bool:
    """Whether a name with a number after it, such as `inv_2043` or `JIRA-77`, is an id."""
    name, sign, number = token["name"], token["sign"], token["number"]
    if name.lower() in _TRADE:
        return len(number) >= _SHORTEST_NUMBER
    match sign:
        case "_":
            return len(number) >= 2
        case "-":
            return len(number) >= (2 if name.isupper() else 4)
        case _:
            return len(number) >= 4


Written = tuple[int, int, str]
"""From where to where something stands in a reading, and its key."""


def ids(text: str, known: Set[str]) -> list[Find]:
    """Return where these ids stand in a reading: of those that overlap, the first and longest."""
    found: list[Find] = []
    for start, end, key in sorted((one for one in written(text) if one[2] in known), key=lambda one: (one[0], -one[1])):
        if not found or start >= found[-1].end:
            found.append(Find(Rule.ID, start, end, key))
    return found


def written(text: str) -> Iterator[Written]:
    """Yield every way to read words of a reading that follow each other as one id, if there is a digit in it."""
    if not _DIGIT.search(text):
        return
    words = [word.span() for word in _WORD.finditer(text)]
    numbered = [number for number, (start, end) in enumerate(words) if _DIGIT.search(text, start, end)]
    for number in numbered:
        first, last = number, number
        while number - first < _MOST_WORDS - 1 and first and _are_near(text, words[first - 1], words[first]):
            first -= 1
        while (
            last - number < _MOST_WORDS - 1 and last + 1 < len(words) and _are_near(text, words[last], words[last + 1])
        ):
            last += 1
        yield from _together(text, words[first : last + 1], number - first)


def _together(text: str, words: list[tuple[int, int]], number: int) -> Iterator[Written]:
    """Yield what the word of this number makes with those before and after it."""
    for first in range(number + 1):
        key = ""
        for last in range(first, min(first + _MOST_WORDS, len(words))):
            key += text[words[last][0] : words[last][1]]
            if last >= number and len(key) >= _SHORTEST_KEY:
                yield words[first][0], words[last][1], key.lower()


def _are_near(text: str, one: tuple[int, int], other: tuple[int, int]) -> bool:
    return other[0] - one[1] <= 3 and _BETWEEN.fullmatch(text, one[1], other[0]) is not None
