"""What a text is written with: its letters, counted by script."""
# ruff: noqa: RUF001 - a sign that looks like another is another here

import re
from bisect import bisect_right
from collections import Counter

_BLOCKS = (
    (0x41, 0x5A, "Latin"),
    (0x61, 0x7A, "Latin"),
    (0xAA, 0xAA, "Latin"),
    (0xBA, 0xBA, "Latin"),
    (0xC0, 0x24F, "Latin"),
    (0x370, 0x3FF, "Greek"),
    (0x400, 0x52F, "Cyrillic"),
    (0x531, 0x58F, "Armenian"),
    (0x591, 0x5F4, "Hebrew"),
    (0x610, 0x6FF, "Arabic"),
    (0x900, 0x963, "Devanagari"),
    (0x971, 0x97F, "Devanagari"),
    (0x980, 0x9FF, "Bengali"),
    (0xA01, 0xA7F, "Gurmukhi"),
    (0xA81, 0xAFF, "Gujarati"),
    (0xB82, 0xBFF, "Tamil"),
    (0xC00, 0xC7F, "Telugu"),
    (0xC80, 0xCFF, "Kannada"),
    (0xD00, 0xD7F, "Malayalam"),
    (0xD81, 0xDFF, "Sinhala"),
    (0xE01, 0xE4E, "Thai"),
    (0xE81, 0xEDF, "Lao"),
    (0x1000, 0x109F, "Burmese"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1780, 0x17D3, "Khmer"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x3041, 0x309F, "Kana"),
    (0x30A1, 0x30FF, "Kana"),
    (0x3400, 0x4DBF, "Han"),
    (0x4E00, 0x9FFF, "Han"),
    (0xAC00, 0xD7A3, "Hangul"),
    (0xF900, 0xFAFF, "Han"),
    (0x20000, 0x3134F, "Han"),
)
_STARTS = tuple(start for start, _, _ in _BLOCKS)

LETTERS_OF_A_WORD = 3
"""In scripts that write a syllable or a word with one sign, a sign says as much as some letters of the others."""

_DENSE = frozenset({"Kana", "Han", "Hangul"})
_MARKS = "\u0300-\u036f\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
_WORD = re.compile(rf"[^\W\d_](?:[{_MARKS}]|[^\W\d_])*")


def script_of(char: str) -> str | None:
    """Return the script of one letter; None for what is no letter, and for scripts that are not told apart here."""
    code = ord(char)
    position = bisect_right(_STARTS, code) - 1
    if position < 0 or code > _BLOCKS[position][1] or char in "×÷":
        return None
    return _BLOCKS[position][2]


def scripts_of(text: str) -> Counter[str]:
    """Return how much of the text is written in each script, in letters; what no script is known of is `other`."""
    found = Counter[str]()
    for char, times in Counter(text).items():
        script = script_of(char) or ("other" if char.isalpha() else None)
        if script is not None:
            found[script] += times * (LETTERS_OF_A_WORD if script in _DENSE else 1)
    return found


def words_of(text: str, script: str) -> list[str]:
    """Return the words that are written in this script, in small letters."""
    return [word for word in _WORD.findall(text.lower()) if script_of(word[0]) == script]
