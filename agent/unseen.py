"""Characters that nobody sees: taken out of what others wrote before a model reads it, kept where writing needs them.

A person would never find what stands in them, and a model reads it like everything else.
"""

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # needed inside Persian, Hindi and composed emoji
_KEYCAPS = "#*0123456789"
_EMOJI_STYLES = "\ufe0e\ufe0f"

_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f"
"""Choose a form of the character before them: an emoji's colour, a name's ideograph, a Mongolian letter."""

_UNSEEN = re.compile(
    "\r\n?|[\u2028\u2029\u0085]"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # controls, but tab and line feed
    "|[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0]"
    "|[\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    f"|[{_SELECTORS}]"
)
_SELECTOR = re.compile(f"[{_SELECTORS}]")
_BREAKS = frozenset({"\r\n", "\r", "\u2028", "\u2029", "\u0085"})
_SIGNS = "\ufffc\ufffd"  # what stands for an object, or for a character that was none: both are seen


def without_unseen(text: str) -> str:
    """Return the text without invisible, bidirectional and control characters; its lines end in line feeds.

    Joiners between letters that they join, and one selector after a character that has forms, are kept.
    """
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_kept, text)


def _kept(found: re.Match[str]) -> str:
    char = found[0]
    if char in _BREAKS:
        return "\n"
    before = found.string[found.start() - 1 : found.start()]
    after = found.string[found.end() : found.end() + 1]
    is_needed = (
        char in _SIGNS
        or (char in _JOINERS and _is_joined(before) and _is_joined(after))
        or (_SELECTOR.match(char) is not None and _has_form(before, char))
    )
    return char if is_needed else ""


def _is_joined(char: str) -> bool:
    """Whether it is a letter, a mark or a symbol beyond ASCII, which a joiner may join."""
    return not char.isascii() and unicodedata.category(char)[0] in "LMS"


def _has_form(char: str, selector: str) -> bool:
    if char.isascii():
        return char != "" and char in _KEYCAPS and selector in _EMOJI_STYLES
    return unicodedata.category(char)[0] in "LSP"
