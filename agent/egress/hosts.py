"""Names of hosts: which are the company's, and which a mail client would make a link of when they stand bare."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

_ALWAYS = frozenset("com net org info biz edu gov mil io ru cn xyz tk uk eu ua".split())  # noqa: SIM905 - words read better as words
"""Ends no word and begins no sentence."""

_FILES = frozenset("md py sh zip mov so".split())  # noqa: SIM905 - words read better as words
"""Endings that are more often a file's than a host's."""

_CLOSED = frozenset("read open call data map search save select now next room author".split())  # noqa: SIM905 - words read better as words
"""Belong to one company that gives no names away, and follow a dot in many programs."""

_FEW = 3
"""Labels: the name of a file rarely has more."""


@cache
def _top_levels() -> frozenset[str]:
    """Return what names of hosts end with, as IANA lists it, those of other scripts in both forms."""
    names = files("agent.egress").joinpath("top_levels.txt").read_text(encoding="ascii").split()
    return frozenset(names) | {_decoded(name) for name in names if name.startswith("xn--")}


def is_top_level(label: str) -> bool:
    """Whether names of hosts can end with this label."""
    return label.lower() in _top_levels()


def _decoded(label: str) -> str:
    try:
        return label.lower().encode("ascii").decode("idna")
    except UnicodeError:
        return label


def _encoded(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


class Company:
    """The domains that links may lead to."""

    def __init__(self, domains: Sequence[str]) -> None:
        known = {domain.lower().strip(". ") for domain in domains}
        self._domains = frozenset(known | {_encoded(domain) for domain in known}) - {""}

    def owns(self, host: str) -> bool:
        """Whether this host is one of the company's domains or below one; a look-alike is not."""
        name = host.lower().removesuffix(".")
        return any(name == domain or name.endswith(f".{domain}") for domain in self._domains)


def linked(labels: Sequence[str], *, has_place: bool, ends_sentence: bool) -> int:
    """Return how many labels of a bare dotted name a mail client would make a link of; 0: none.

    `has_place`: a path, a port or a query follows. `ends_sentence`: nothing of a sentence follows it.
    """
    *before, last = labels
    if is_top_level(last) and _is_host(before, last, has_place=has_place, ends_sentence=ends_sentence):
        return len(labels)
    # "evil.com.Please": a space was forgotten.
    for count in range(len(labels) - 1, 1, -1):
        ending = labels[count - 1]
        follows = labels[count]
        if ending.islower() and is_top_level(ending) and (ending in _ALWAYS or follows.istitle()):
            return count if _is_host(labels[: count - 1], ending, has_place=False, ends_sentence=True) else 0
    return len(labels) if labels[0].lower() == "www" else 0


def _is_host(before: Sequence[str], last: str, *, has_place: bool, ends_sentence: bool) -> bool:
    ending = last.lower()
    if ending in _ALWAYS or before[0].lower() == "www":
        return True
    if any("_" in label.strip("_") for label in [before[-1], last]) or all(label.isdecimal() for label in before):
        return False
    if has_place:
        return True
    if last.istitle() and not ends_sentence:  # "soon.In the app"
        return False
    return ending not in _CLOSED and (ending not in _FILES or len(before) >= _FEW)
