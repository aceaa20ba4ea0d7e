"""Groups of digits in a text, as card and phone numbers are written; dates, times and versions are none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_RUN = re.compile(r"[0-9]+(?:[\W_]{1,3}[0-9]+)*")
_GROUP = re.compile("[0-9]+")

_APART = re.compile(
    r"(?=[0-9])(?<![0-9])(?<![0-9][-/.])(?:"
    r"(?:19|20)[0-9]{2}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([-/.])(?:0?[1-9]|[12][0-9]|3[01])\2(?:(?:19|20)[0-9]{2}|[0-9]{2})"
    r"|[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?"
    r")(?![0-9])(?![-/.][0-9])"
)
"""Dates and times."""


@dataclass(frozen=True, slots=True)
class Group:
    """Digits that follow each other, and what stands between them and the group before: "" for the first of a run."""

    start: int
    end: int
    digits: str
    between: str


def runs(text: str) -> Iterator[list[Group]]:
    """Yield the runs of groups that nothing but separators keeps apart."""
    apart = [found.span() for found in _APART.finditer(text)]
    for run in _RUN.finditer(text):
        groups: list[Group] = []
        for found in _GROUP.finditer(text, run.start(), run.end()):
            if any(start < found.end() and found.start() < end for start, end in apart):
                if groups:
                    yield groups
                groups = []
                continue
            between = text[groups[-1].end : found.start()] if groups else ""
            groups.append(Group(found.start(), found.end(), found[0], between))
        if groups:
            yield groups


def digits_of(text: str) -> list[str]:
    """Return the digits of every run, of seven digits at least."""
    found = ("".join(group.digits for group in run) for run in runs(text))
    return [digits for digits in found if len(digits) >= 7]


def joined(groups: list[Group]) -> str:
    """Return the digits of these groups."""
    return "".join(group.digits for group in groups)
