"""A text's sentences, as a reader counts them: abbreviations, numbers, links and ellipses end none, list items do."""
# ruff: noqa: RUF001 - these signs are what texts in all languages are written with

import re
import unicodedata
from collections.abc import Iterator

from agent.unseen import without_unseen

_LINK = re.compile(
    r"(?:[a-z][a-z+.-]{1,20}://|www\.|mailto:)[^\s<>\"“”」』]*[^\s<>\"“”」』.,;:!?)\]'’*_]", re.IGNORECASE
)
_IN_PLACE_OF_A_LINK = "\ufffc"
_QUOTED = re.compile(
    "“[^“”\n]{0,300}”|„[^„“”\n]{0,300}[“”]|«[^«»\n]{0,300}»|»[^«»\n]{0,300}«|「[^「」\n]{0,300}」|『[^『』\n]{0,300}』"
    '|"[^"\n]{0,300}"'
)

_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦▪–—]|\(?(?:\d{1,3}[.)]|[A-Za-z]\)))[ \t]+\S|[ \t]*#{1,6}[ \t]")
_NUMBERED_LINE = re.compile(r"^([ \t]*\(?\d{1,3})\.(?=[ \t])", re.MULTILINE)
_LABEL = re.compile(r"\W*(?:\d{1,3}|[A-Za-z])[.)]\s*")
_RUNS_ON = (":", ",", ";")

_OWN_SIGNS = frozenset("؟۔։።။។。｡।॥")
"""They stand for nothing but the end of a sentence, whatever follows."""

_STOP_SIGNS = ".!?．！？…‥" + "".join(sorted(_OWN_SIGNS))
_STOP = re.compile(rf"[{_STOP_SIGNS}]+|[;\u037e](?=\s|\Z)")
_CLOSERS = re.compile(r"[\"'”’“‘»«›)\]」』】*_`]*")
_QUOTES = re.compile(r"[\"'”’“‘»«›)\]」』】]")
_OPENERS = " \t\n\"'“„‚‘«»‹([{¿¡*_`"
_WORD_BEFORE = re.compile(r"[^\s(\[\"'“„‚«»‹›「『*_]*\Z")
_NEXT_WORD = re.compile(r"\w*")
_PARTS = re.compile("[-‐‑/]")
_DOTTED = re.compile(r"(?=\w+\.)(?:[^\W\d]{1,2}[.-]{1,2})+[^\W\d]{1,2}")
_LONGEST_WORD = 40
"""Characters before and after a stop that are looked at."""

_SHORT = 3
"""Letters of a word that is taken for an abbreviation when what follows its full stop begins small."""

_LEADING_WORDS = """
approx bijv bspw bzgl bzw ca cf dott dr egr evtl fr geb gem ggf godz herr hr hrn inkl insb jr lic messrs mlle mme mr mrs
ms mt np prof resp sig sog sr sra srta st tj tzn ul vgl viz vs zb zzgl ул डॉ
"""
_LEADING = frozenset(_LEADING_WORDS.split())
"""Abbreviations that something always follows."""

_TRAILING_WORDS = """
a.m p.m u.s u.k e.u u.s.w o.s.v m.fl u.ä b.v n.v s.a s.r.l etc usw ecc enz itd itp osv inc ltd co corp bros llc incl
excl jan feb mar apr jun jul aug sep sept oct okt nov dec dez mio mrd std sek atd apod др
"""
_TRAILING = frozenset(_TRAILING_WORDS.split())
"""Abbreviations that can be the last word of a sentence: a capital after them begins the next."""

_NUMBERED_WORDS = """
abs art br cap ch ext fig idnr max min no nos nr nrs num núm p para pos pp s str tab tel v ver vol č čl št стр №
"""
_BEFORE_A_NUMBER = frozenset(_NUMBERED_WORDS.split())

_ORDINAL_WORDS = """
am beim im zum vom der die das den dem des jeder jede jedes jeden dieser diese dieses diesem unser unsere unserem ihr
ihre ihrem ihren mein meine meinem
"""
_BEFORE_AN_ORDINAL = frozenset(_ORDINAL_WORDS.split())

_MONTH_NAMES = """
januar jänner februar märz april mai juni juli august september oktober november dezember january february march may
june july october december jan feb mär apr jun jul aug sep sept okt oct nov dez dec
"""
_MONTHS = frozenset(_MONTH_NAMES.split())


def sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, in order and as they stand there, but for signs that nobody sees.

    What has no end sign is one: a list item, a paragraph, the last words. A line that ends in a colon or a comma
    belongs to what follows it, and a quotation to where it stands. Smileys, links alone and labels of list items are
    none.
    """
    return tuple(found for part in _parts(without_unseen(text)) for found in _split(part))


def _parts(text: str) -> Iterator[str]:
    """Yield what cannot share a sentence: paragraphs, list items, headings."""
    part: list[str] = []
    for line in text.split("\n"):
        is_blank = not line.strip()
        if (is_blank or _ITEM.match(line)) and part and not part[-1].rstrip("*_ \t").endswith(_RUNS_ON):
            yield "\n".join(part)
            part = []
        if not is_blank:
            part.append(line)
    if part:
        yield "\n".join(part)


def _split(part: str) -> Iterator[str]:
    linked = _LINK.sub(lambda link: _IN_PLACE_OF_A_LINK * len(link[0]), part)
    masked = _NUMBERED_LINE.sub(r"\1)", _QUOTED.sub(_as_one, linked))
    start = seen = 0
    for stop in _STOP.finditer(masked):
        closers = _CLOSERS.match(masked, stop.end())
        after = closers.end() if closers else stop.end()
        if _ends(masked, stop, after):
            if _says_something(masked[seen:after]):
                yield part[start:after].strip()
                start = after
            seen = after
    # What is only a label is an answer where nothing else is said.
    if _says_something(masked[start:]) or (not start and any(char.isalnum() for char in masked)):
        yield part[start:].strip()


def _as_one(quotation: re.Match[str]) -> str:
    """Return a quotation of the same length in which only its last signs can end a sentence."""
    said = quotation[0][:-1].rstrip(_STOP_SIGNS)
    return _STOP.sub(lambda stop: "," * len(stop[0]), said) + quotation[0][len(said) :]


def _says_something(chunk: str) -> bool:
    label = _LABEL.match(chunk)
    return any(char.isalnum() for char in chunk[label.end() if label else 0 :])


def _ends(text: str, stop: re.Match[str], after: int) -> bool:
    """Whether the signs that were found end a sentence; `after` is where the quotes that close behind them end."""
    is_closed = _QUOTES.search(text, stop.end(), after) is not None
    before, following = text[max(0, stop.start() - _LONGEST_WORD) : stop.start()], text[after : after + 1]
    if _OWN_SIGNS & set(stop[0]):
        return not (is_closed and following.isalnum())
    if following and not following.isspace():
        return not is_closed and _is_wide(before[-1:]) and _is_wide(following)
    rest = text[after : after + _LONGEST_WORD].lstrip(_OPENERS)
    return not (is_closed and _begins_small(rest)) and _ends_between(before, stop[0], rest)


def _ends_between(before: str, signs: str, rest: str) -> bool:
    """Whether these signs, with a space after them, end a sentence between two texts."""
    if signs in ";\u037e":  # a question in Greek
        return "\u0370" <= before[-1:] <= "\u1fff" and not _begins_small(rest)
    if set("!?！？") & set(signs):
        return True
    if signs not in ".．":
        return not rest or rest[0].isupper()
    found = _WORD_BEFORE.search(before)
    word = found[0] if found else ""
    if _begins_small(rest):
        return not _is_abbreviation(word) and len(word) > _SHORT
    following = rest.split(maxsplit=1)[0] if rest.strip() else ""
    return not _needs(following, word, before.removesuffix(word))


def _needs(following: str, word: str, before: str) -> bool:
    """Whether a word with a full stop goes on with the next one, which begins with a capital or no letter at all."""
    small = _last_part(word)
    if small in _BEFORE_A_NUMBER:
        return any(char.isdigit() for char in following)
    if small in _TRAILING:
        return following[:1].isdigit() or (len(following) > 1 and following.isupper())
    if small.isdigit():
        return len(small) <= 2 and _is_ordinal_or_label(before.rstrip(), following)
    is_initial = len(word) == 1 and word.isalpha() and word != "I"
    return is_initial or _is_abbreviation(word)


def _is_ordinal_or_label(before: str, following: str) -> bool:
    if not before or before.endswith((":", ".", "!", "?")):
        return True
    is_month = following.rstrip(".,;:!?").lower() in _MONTHS
    return is_month or before.rsplit(maxsplit=1)[-1].lower() in _BEFORE_AN_ORDINAL


def _is_abbreviation(word: str) -> bool:
    small = _last_part(word)
    return small in _LEADING | _TRAILING | _BEFORE_A_NUMBER or _DOTTED.fullmatch(word) is not None


def _last_part(word: str) -> str:
    """Return what decides about a word of several, such as `Art.-Nr` or `km/h`, in small letters."""
    return _PARTS.split(word.lower())[-1]


def _begins_small(rest: str) -> bool:
    # A name such as iPhone begins a sentence too.
    word = _NEXT_WORD.match(rest)
    return word is not None and word[0][:1].islower() and word[0] == word[0].lower()


def _is_wide(char: str) -> bool:
    return char != "" and unicodedata.east_asian_width(char) in {"W", "F"}
