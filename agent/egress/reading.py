"""A text as its reader sees it: one way of writing for each character, and where each stood in the original."""

import html
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache

from agent.unseen import without_unseen

SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3021-\u30ff\u3100-\u31ff"
    "\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts whose words follow each other, and a foreign word, without a space; a part of a character class."""

_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
"""Are put over, under or through any character."""

_ALTERED = re.compile(
    r"&(?:amp;)*(?:\#[0-9]{1,7};?|\#x[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,30};)"  # HTML's characters by name and number
    r"|(?:%|&percnt;|&\#37;|&\#x25;)(?:25)*(?:[2-7][0-9a-f]|0[9ad])"  # a URL's
    r"|\\(?:u00|x)[2-7][0-9a-f]"  # a program's
    # At most eight marks: putting very many in order takes quadratic time.
    rf"|(?:[^\t\n\x20-\x7e]|[\x20-\x7e](?=[{_MARKS}]))[{_MARKS}]{{0,8}}",
    re.IGNORECASE,
)
_MARK = re.compile(f"[{_MARKS}]")
_CODE = re.compile(r"(?:(?:%|&percnt;|&\#37;|&\#x25;)(?:25)*|\\(?:u00|x))([2-7][0-9a-f]|0[9ad])", re.IGNORECASE)
_AMPERSANDS = re.compile("&(?:amp;)*", re.IGNORECASE)


class Reading:
    """A text without what nobody sees, in compatibility form, with ASCII digits and without encodings."""

    def __init__(self, original: str) -> None:
        self.original = original
        # What is read differently: from and to, and from and to originally.
        self._pieces: list[tuple[int, int, int, int]] = []
        self.text = self._read()
        self._froms = [piece[0] for piece in self._pieces]

    def _read(self) -> str:
        parts: list[str] = []
        length, done = 0, 0
        for found in _ALTERED.finditer(self.original):
            seen = _seen(found[0])
            if seen == found[0]:
                continue
            kept = self.original[done : found.start()]
            start = length + len(kept)
            length, done = start + len(seen), found.end()
            parts += [kept, seen]
            self._pieces.append((start, length, found.start(), done))
        return "".join([*parts, self.original[done:]]) if parts else self.original

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return where these characters, one at least, stand in the original."""
        return self._place(start)[0], self._place(end - 1)[1]

    def found(self, start: int, end: int) -> str:
        """Return these characters as they stand in the original."""
        first, last = self.origin(start, end)
        return self.original[first:last]

    def is_literal(self, start: int, end: int) -> bool:
        """Whether these characters stand in the original as they are read."""
        end = min(end, len(self.text))
        return self.found(start, end) == self.text[start:end]

    def _place(self, position: int) -> tuple[int, int]:
        """Return from where to where the character at this position reaches in the original."""
        number = bisect_right(self._froms, position) - 1
        if number < 0:
            return position, position + 1
        _, until, first, last = self._pieces[number]
        if position < until:
            return first, last
        place = last + position - until
        return place, place + 1


@lru_cache(maxsize=8192)
def _seen(written: str) -> str:
    """Return what a reader sees of one character, or of one encoded character."""
    if written[0] in "&%\\" and len(written) > 1:
        code = _CODE.fullmatch(written)
        decoded = chr(int(code[1], 16)) if code else html.unescape(_AMPERSANDS.sub("&", written, count=1))
        # An entity that is none is read as it stands; one may stand for several characters.
        return decoded if decoded == written or decoded.isascii() else "".join(map(_seen_character, decoded))
    return _seen_character(written)


def _seen_character(cluster: str) -> str:
    visible = "".join(filter(without_unseen, cluster.replace("\r", "\n")))
    seen = ""
    for char in unicodedata.normalize("NFKC", without_unseen(visible)):
        digit = unicodedata.decimal(char, None)
        if digit is not None:
            seen += str(digit)
        elif not _MARK.match(char):  # one that makes no letter of its own with the one before it is an ornament
            seen += without_unseen(char)
    return seen
