"""E-mail addresses in a text, however they are spelled."""

import re
from collections.abc import Iterator

from agent.egress.hosts import is_top_level
from agent.egress.reading import SPACELESS
from agent.egress.values import Find, Rule

_AT = "at|ät|arroba|arobase|chiocciola|klammeraffe|@|アットマーク|アット|собака"
_DOT = r"dot|punkt|punto|point|ponto|\.|ドット|точка"
_OPEN, _SHUT = r"[(\[{<]\s?", r"\s?[)\]}>]"

_SIGN = re.compile(
    rf"\s{{0,2}}(?:(?P<plain>@)|{_OPEN}(?:{_AT}){_SHUT})\s{{0,2}}"
    r"|\s(?P<word>at|ät)\s|\s(?:arroba|arobase|chiocciola|klammeraffe)\s",
    re.IGNORECASE,
)
_MAY_HOLD = re.compile(
    rf"@|{_OPEN}(?:{_AT}){_SHUT}|\s(?:dot|punkt|arroba|arobase|chiocciola|klammeraffe)\s", re.IGNORECASE
)

_LETTER = rf"[^\W_{SPACELESS}]"
_LOCAL = re.compile(rf"(?:[^\W{SPACELESS}]|[.+%'-])+\Z")
_FOREIGN_LOCAL = re.compile(r"[\w.+%'-]+\Z")
_LONGEST_LOCAL = 64

_NEAR_DOT = "[.·‧∙⋅•。\u06d4]"
_SPELLED_DOT = rf"(?:\s?{_OPEN}(?:{_DOT}){_SHUT}\s?|\s(?:dot|punkt|punto|point|ponto)\s)"
_WORDY_DOT = rf"(?:\s?{_OPEN}(?:{_DOT}){_SHUT}\s?|\s(?:dot|punkt)\s)"  # "at this point in" is no address
_SPACED_DOT = r"(?:\s\.\s|\.\n|\n\.)"
_BREAK = r"(?:\n[>\s]{0,3})?"


def _labels(label: str, dot: str) -> re.Pattern[str]:
    return re.compile(rf"{label}(?:{dot}{label}){{1,10}}", re.IGNORECASE)


_LABEL = rf"{_LETTER}(?:{_LETTER}|-){{0,62}}"
_PLAIN_DOMAIN = _labels(_LABEL, _NEAR_DOT)
_FOREIGN_DOMAIN = _labels(r"[^\W_][\w-]{0,62}", _NEAR_DOT)
_WORDY_DOMAIN = _labels(_LABEL, _WORDY_DOT)
_CERTAIN = frozenset({_PLAIN_DOMAIN, _FOREIGN_DOMAIN})
_DOMAINS = (
    _PLAIN_DOMAIN,
    _labels(_LABEL, rf"(?:{_NEAR_DOT}|{_SPELLED_DOT})"),
    _labels(_LABEL, rf"(?:{_NEAR_DOT}|{_SPACED_DOT})"),
    _labels(rf"{_LETTER}(?:{_BREAK}(?:{_LETTER}|-)){{0,62}}", rf"{_BREAK}{_NEAR_DOT}{_BREAK}"),
    _FOREIGN_DOMAIN,
)
"""The ways in which a domain is written, the usual one first: what follows an address is not to be drawn into it."""
_NUMERIC_DOMAIN = re.compile(r"\[?[0-9]{1,3}(?:\.[0-9]{1,3}){3}\]?|\[[0-9a-f:.]{3,45}\]", re.IGNORECASE)

_ANY_DOT = re.compile(rf"{_NEAR_DOT}|{_SPELLED_DOT}|{_SPACED_DOT}", re.IGNORECASE)
_BREAKS = re.compile(r"[\s>]")
_ENDING = re.compile(r"[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59}", re.IGNORECASE)
_FILES = frozenset("png jpg jpeg gif svg webp bmp ico pdf css js ts json".split())  # noqa: SIM905 - words read better as words
"""Endings of files that have an @ in their name, such as `logo@2x.png`."""


def addresses(text: str) -> Iterator[Find]:
    """Yield the addresses of a reading; the key is an address in small letters, as it is usually written."""
    if not _MAY_HOLD.search(text):
        return
    done = 0
    for sign in _SIGN.finditer(text):
        local = _local_before(text, sign.start())
        domain = _domain_after(text, sign) if local else None
        if local and domain and sign.start() - len(local) >= done:
            end, name = domain
            done = end
            yield Find(Rule.ADDRESS, sign.start() - len(local), end, f"{local}@{name}".lower())


def _local_before(text: str, end: int) -> str:
    before = text[max(0, end - _LONGEST_LOCAL) : end]
    found = _LOCAL.search(before) or _FOREIGN_LOCAL.search(before)
    return found[0].lstrip("_.+%'-") if found else ""


def _domain_after(text: str, sign: re.Match[str]) -> tuple[int, str] | None:
    """Return where the domain ends and how it is usually written."""
    place = sign.end()
    if sign["word"]:
        found = _WORDY_DOMAIN.match(text, place)
        return _trimmed(found, is_certain=False) if found else None
    if numeric := _NUMERIC_DOMAIN.match(text, place):
        return numeric.end(), numeric[0].strip("[]")
    for pattern in _DOMAINS:
        found = pattern.match(text, place)
        domain = _trimmed(found, is_certain=pattern in _CERTAIN) if found else None
        if domain:
            return domain
    return None


def _trimmed(found: re.Match[str], *, is_certain: bool) -> tuple[int, str] | None:
    """Return the domain without the first word of the next sentence, or None if it ends like no domain."""
    dots = [dot.span() for dot in _ANY_DOT.finditer(found[0])]
    starts, ends = [0, *(end for _, end in dots)], [*(start for start, _ in dots), len(found[0])]
    labels = [_BREAKS.sub("", found[0][start:end]) for start, end in zip(starts, ends, strict=True)]
    for count in range(2, len(labels)):
        if found[0][ends[count - 1]] == "。" and is_top_level(labels[count - 1]):  # it ends the sentence
            del labels[count:]
            break
    while len(labels) > 2 and (not _ENDING.fullmatch(labels[-1]) or _begins_sentence(labels)):
        labels.pop()
    ending = labels[-1]
    if not _ENDING.fullmatch(ending) or ending.lower() in _FILES:
        return None
    if not is_certain and (ending.istitle() or not is_top_level(ending)):
        return None
    return found.start() + ends[len(labels) - 1], ".".join(labels)


def _begins_sentence(labels: list[str]) -> bool:
    *_, before, last = labels
    return last.istitle() and before.islower() and is_top_level(before)
