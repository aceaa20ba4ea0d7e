"""Untrusted text made safe to show: what would steer a terminal or mislead a reader becomes visible instead.

Everything that came from tickets, tools, models, servers or arguments passes here before it is printed.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})

_BLANK = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)
"""Letters and marks that show nothing: whole messages can hide in a row of them."""

_JOINERS = "\u200c\u200d"  # needed inside Persian, Hindi and composed emoji
_EMOJI_STYLE = "\ufe0f"

MOST_MARKS = 4
"""Accents on one letter that are still writing; a tower of them paints over the lines above."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, encoding: str = "utf-8") -> str:
    r"""Return the text on one line: controls as `\n` and `\x1b`, invisible and bidirectional ones as `<U+202E>`.

    What `encoding` cannot print is escaped as well.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_pieces(text, encoding))


def visible_block(text: str, encoding: str = "utf-8") -> str:
    """Return the text with its own line breaks, tabs as spaces, and every line as `visible` shows it."""
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(visible(line, encoding) for line in lines)


def excerpt(text: str, columns: int, encoding: str = "utf-8") -> str:
    """Return the text on one line of at most `columns` columns; its end says how many characters were left out."""
    kept: list[str] = []
    used = 0
    for piece in _pieces(text, encoding):
        kept.append(piece)
        used += cell_len(piece)
        if used > columns:
            break
    else:
        return "".join(kept)
    while kept and used + len(_left_out(len(text) - len(kept), encoding)) > columns:
        used -= cell_len(kept.pop())
    return "".join(kept) + _left_out(len(text) - len(kept), encoding)


def excerpt_block(text: str, characters: int, encoding: str = "utf-8") -> str:
    """Return the text as `visible_block` shows it, cut after so many characters, with how many were left out."""
    if len(text) <= characters:
        return visible_block(text, encoding)
    return visible_block(text[:characters], encoding) + _left_out(len(text) - characters, encoding)


def as_json(value: Any) -> str:
    """Return a value as one line of JSON; text stays readable, whatever its script."""
    return json.dumps(value, ensure_ascii=False, default=str)


def compact(arguments: Mapping[str, Any], columns: int, encoding: str = "utf-8") -> list[tuple[str, str]]:
    """Return names and JSON values that stand in `columns` columns as `name=value name=value`.

    The longest values give way first, and each says how much of it was left out. Names are never cut, so
    many arguments may still need more room than there is.
    """
    names = [visible(name, encoding) for name in arguments]
    values = [as_json(value) for value in arguments.values()]
    room = columns - sum(cell_len(name) + 2 for name in names)
    shares = fair_shares([_shown_columns(value, columns, encoding) for value in values], room)
    shown = [excerpt(value, max(share, 8), encoding) for value, share in zip(values, shares, strict=True)]
    return list(zip(names, shown, strict=True))


def fair_shares(wants: Sequence[int], total: int) -> list[int]:
    """Return what each gets of `total`: small wants whole, the large ones an equal part of what is left."""
    shares = [0] * len(wants)
    left = max(total, 0)
    order = sorted(range(len(wants)), key=lambda index: wants[index])
    for place, index in enumerate(order):
        shares[index] = min(wants[index], left // (len(order) - place))
        left -= shares[index]
    return shares


def _shown_columns(value: str, most: int, encoding: str) -> int:
    # Beyond `most` the exact width does not matter, and a value may be ten million characters long.
    return cell_len(visible(value[: most + 1], encoding))


def _left_out(count: int, encoding: str) -> str:
    return f"{'…' if _can_print('…', encoding) else '...'}(+{count:,})"


def _can_print(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _pieces(text: str, encoding: str) -> Iterator[str]:
    """Yield what stands on the screen for each character of the text, in order."""
    is_utf = encoding.startswith("utf")
    marks = 0
    for index, char in enumerate(text):
        category = "L" if " " <= char <= "~" else unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if _is_hidden(text, index, category) or marks > MOST_MARKS:
            yield _escaped(char)
        elif is_utf or char.isascii():
            yield char
        else:
            yield char.encode(encoding, "backslashreplace").decode(encoding)


def _is_hidden(text: str, index: int, category: str) -> bool:
    char = text[index]
    if char in _JOINERS:
        return not (_is_foreign(text, index - 1) and _is_foreign(text, index + 1))
    if char == _EMOJI_STYLE:
        return index == 0 or not (
            unicodedata.category(text[index - 1]) == "So" or text[index - 1] in "#*0123456789‼⁉↔↩↪"
        )
    return category in _HIDDEN or ord(char) in _BLANK


def _is_foreign(text: str, index: int) -> bool:
    """Whether a letter, mark or symbol beyond ASCII stands there, which a joiner may join."""
    if not 0 <= index < len(text) or text[index].isascii():
        return False
    is_blank = ord(text[index]) in _BLANK and text[index] != _EMOJI_STYLE
    return unicodedata.category(text[index])[0] in "LMS" and not is_blank


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return f"\\u{code:04x}"
    return f"<U+{code:04X}>"
