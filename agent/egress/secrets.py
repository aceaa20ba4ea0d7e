"""Secrets in a text: the configuration's own in every form that is easily made, and what looks like a key."""

import base64
import re
from collections.abc import Iterator, Sequence

from agent.egress.reading import Reading
from agent.egress.values import Find, Rule
from agent.secrecy import SHORTEST

_SHAPES = re.compile(
    r"sk-ant-[\w-]{8,}"
    r"|(?<![A-Za-z0-9])(?:sk|pk|rk)[-_](?=[\w-]{0,40}[0-9])[\w-]{16,400}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|AIza[\w-]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{8,4000}\.[\w-]{8,8000}(?:\.[\w-]{0,4000})?"
    r"|(?i:\bbearer\s{1,3})(?=[\w.~+/-]{0,60}[0-9])[\w.~+/-]{16,4000}={0,2}"
    r"|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=:,.\-\s]{0,8000}?-----END [A-Z0-9 ]{0,40}KEY-----)?",
)
_HINT = re.compile(
    r"sk-|[spr]k_|pk-|rk-|A[KS]IA|gh[pousr]_|github_pat_|glpat-|npm_|hf_|xox|xapp-|AIza|SG\.|eyJ|earer|EARER|-----BEGIN"
)

_SURE = 12
"""Characters: a value as long as this, or with a digit in it, is no word, and is looked for in any case and spacing."""


class Secrets:
    """Finds given values, and the shapes of well-known keys."""

    def __init__(self, values: Sequence[str]) -> None:
        known = {value for value in values if len(value.strip()) >= SHORTEST}
        self._exact = frozenset(value for value in known if not _is_sure(value))
        self._loose = frozenset(_compact(Reading(value).text) for value in known if _is_sure(value)) | frozenset(
            _compact(value) for value in known if _is_sure(value)
        )
        self._coded = frozenset(form for value in known for form in _coded(value.encode("utf-8", "replace")))

    def find(self, reading: Reading) -> Iterator[Find]:
        """Yield the secrets of a reading; their keys tell nothing."""
        text = reading.text
        if _HINT.search(text):
            for found in _SHAPES.finditer(text):
                yield Find(Rule.SECRET, found.start(), found.end(), "")
        for value in self._exact:
            for start in _places(text, value):
                yield Find(Rule.SECRET, start, start + len(value), "")
        if self._loose or self._coded:
            yield from self._spread(text)

    def _spread(self, text: str) -> Iterator[Find]:
        """Find values between whose characters there is space."""
        tight = "".join(text.split())
        small = _small(tight)
        coded = tight.translate(_URL_SAFE)
        found = [(start, len(form)) for form in self._loose for start in _places(small, form)]
        found += [(start, len(form)) for form in self._coded for start in _places(coded, form)]
        if not found:
            return
        places = [place for place, char in enumerate(text) if not char.isspace()]
        for start, length in found:
            yield Find(Rule.SECRET, places[start], places[start + length - 1] + 1, "")


_URL_SAFE = str.maketrans("-_", "+/")


def _is_sure(value: str) -> bool:
    return len(value) >= _SURE or any(char.isdecimal() for char in value)


def _compact(value: str) -> str:
    return _small("".join(value.split()))


def _small(text: str) -> str:
    """Return the text in small letters, each in its place."""
    small = text.lower()
    return (
        small if len(small) == len(text) else "".join(low if len(low := char.lower()) == 1 else char for char in text)
    )


def _places(text: str, value: str) -> Iterator[int]:
    start = text.find(value) if value else -1
    while start >= 0:
        yield start
        start = text.find(value, start + len(value))


def _coded(value: bytes) -> Iterator[str]:
    """Yield what of a value stands in base64 and hexadecimal of any text that it is a part of."""
    for before in range(3):
        code = base64.b64encode(bytes(before) + value).decode()
        # The first and the last signs depend on what stands around the value.
        first = (0, 2, 3)[before]
        last = len(code.rstrip("=")) - (1 if (len(value) + before) % 3 else 0)
        yield code[first:last]
    yield value.hex()
    yield value.hex().upper()
