"""Links in a text that lead elsewhere than to the company, whatever they are made to look like."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agent.egress.hosts import Company, is_top_level, linked
from agent.egress.reading import SPACELESS, Reading
from agent.egress.values import Find, Rule, merged

_LETTER = rf"[^\W_{SPACELESS}]"
_STOPS = r"\s<>\"'`()\[\]{}|^,;、。「」『』【】《》“”„«»\u2018\u2019\u2039\u203a"
"""What ends the host of a link in running text."""

_WEB = frozenset({"http", "https", "ftp", "ftps", "ws", "wss"})
_SCHEME = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{1,30})\s{0,2}:\s{0,2}"
    r"(?P<slashes>[/\\](?:\n[>\s]{0,3}|\s)?[/\\]+)(?P<break>\n[>\s]{0,3})?"
    r"|(?P<web>https?|ftps?|wss?):(?:[/\\](?![/\\])|(?=[^\s/\\]{1,255}\.))",
    re.IGNORECASE,
)
_RUNS = r"\s?".join("javascript") + "|" + r"\s?".join("vbscript")
_RUN = re.compile(rf"[<\s]{{0,3}}(?:{_RUNS})\s{{0,2}}:", re.IGNORECASE)
_OPENED = re.compile(
    rf"(?<![a-z])(?:(?:{_RUNS})\s{{0,2}}:\S|data:(?:[a-z]+/[a-z0-9.+-]+)?[;,]\S|file:[/\\]\S|blob:\S|filesystem:\S"
    r"|view-source:\S|(?:ms-[a-z]+|search-ms|itms-services|magnet|whatsapp|sips?|sms|mms|facetime|xmpp):[^\s:])[^\s<>\"]{0,200}",
    re.IGNORECASE,
)
"""Schemes without slashes that programs open."""

_UNNAMED = re.compile(r"(?<![:\w/\\])(?P<double>//|\\\\)(?=[^\W_])")
_TARGET = re.compile(
    r"\]\(\s{0,3}<?|\]:\s{1,3}<?"
    r"|\b(?:href|src|srcset|action|formaction|background|poster|cite|data)\s{0,3}=\s{0,3}[\"']?",
    re.IGNORECASE,
)
"""What follows it is a link, however it looks."""

_LONGEST = 300
_AUTHORITY = re.compile(rf"[^/\\?#{_STOPS}]{{0,{_LONGEST}}}")
_SENT = re.compile(rf"[^\s/\\?#<>\"]{{0,{_LONGEST}}}")
"""What a browser takes for the host and for what stands before it."""

_REST = re.compile(r"[/\\?#:](?:(?![<>\"'`()\[\]{}|^,;])[!-~]){0,2000}")
_ORNAMENTS = ".!*_~:&$=+-"

_NAME = rf"(?:[^\W{SPACELESS}]|-)"
_INNER_DOT = re.compile(r"\w[.。]\w")
_DOTTED = re.compile(rf"(?<!{_LETTER})[^\W{SPACELESS}]{_NAME}{{0,62}}(?:[.。][^\W{SPACELESS}]{_NAME}{{0,62}})+")
_LABELS = re.compile(rf"{_NAME}{{1,63}}(?:\.{_NAME}{{1,63}}){{0,9}}")
_FOREIGN = re.compile(
    rf"(?<![{SPACELESS}])[{SPACELESS}]+(?:\.[{SPACELESS}]+){{0,9}}"
    rf"\.(?P<ending>{_LETTER}{{2,63}}|[{SPACELESS}]{{2,20}})(?!{_LETTER})"
)
_WRAPPED = re.compile(
    rf"(?<!{_LETTER})(?:{_NAME}{{1,63}}\.){{0,9}}{_NAME}{{1,63}}(?:\.\n|\n\.)[>\s]{{0,3}}(?:com|net|org|info|biz)(?!{_LETTER})"
)
_TAIL = re.compile(rf"(?<=[a-z0-9])[{SPACELESS}!$&*+=~][^.]*\Z", re.IGNORECASE)
"""What stands behind a host without a space, and makes no other host of it."""


_IN_USERINFO = frozenset("[('`{|^,;@")
_AFTER_HOST = frozenset("/?#@:")


class Links:
    """Finds links; knows where they may lead."""

    def __init__(self, company: Company, schemes: Collection[str]) -> None:
        self._company = company
        # A server may have pages of the web among its resources: what a browser opens stays a link.
        self._schemes = frozenset(scheme.lower() for scheme in schemes) - _WEB

    def find(self, reading: Reading, addresses: list[Find]) -> Iterator[Find]:
        """Yield the links of a reading that lead elsewhere; what is within an address is no bare name."""
        text = reading.text
        if "." not in text and ":" not in text and "//" not in text and "\\\\" not in text and "。" not in text:
            return
        known: list[Find] = []  # places that are decided, whether they may stay or not
        for is_allowed, found in self._marked(reading):
            known.append(found)
            if not is_allowed:
                yield found
        yield from self._bare(reading, _without(text, [*known, *addresses]))

    def _marked(self, reading: Reading) -> Iterator[tuple[bool, Find]]:
        """Yield what is a link by its writing, and whether it may stay."""
        text = reading.text
        if ":" in text:
            for found in _SCHEME.finditer(text):
                yield from self._with_scheme(reading, found)
            for found in _OPENED.finditer(text):
                yield False, _found(text, found.start(), found.end())
        if "//" in text or "\\\\" in text:
            for found in _UNNAMED.finditer(text):
                yield from self._without_scheme(reading, found)
        for found in _TARGET.finditer(text) if "](" in text or "]:" in text or "=" in text else ():
            yield from self._target(reading, found.end())

    def _with_scheme(self, reading: Reading, found: re.Match[str]) -> Iterator[tuple[bool, Find]]:
        text, start = reading.text, found.end()
        scheme = (found["scheme"] or found["web"]).lower()
        host = _authority(text, start)
        if found["break"] and not is_top_level(host.rpartition(".")[2]):
            return
        if scheme in _WEB and (found["web"] or "\\" not in found["slashes"]):
            if host or text[start : start + 1] in _IN_USERINFO:
                yield self._judged(reading, found.start(), start)
        elif any(char.isspace() for char in found[0]):
            return
        elif host or text[start : start + 1] == "/":
            # What the run's own servers have is named so, and nothing else opens it.
            yield scheme in self._schemes, _found(text, found.start(), _end(text, start))

    def _without_scheme(self, reading: Reading, found: re.Match[str]) -> Iterator[tuple[bool, Find]]:
        text, start = reading.text, found.end()
        host = _authority(text, start)
        is_share = found["double"] == "\\\\" and text.startswith("\\", start + len(host))
        if is_share or "." in host.strip(_ORNAMENTS):
            yield self._judged(reading, found.start(), start)

    def _target(self, reading: Reading, start: int) -> Iterator[tuple[bool, Find]]:
        text = reading.text
        name = _DOTTED.match(text, start)
        if name and is_top_level(name[0].rpartition(".")[2]):
            yield self._judged(reading, start, start)
        elif run := _RUN.match(text, start):
            yield False, _found(text, start, run.end())

    def _judged(self, reading: Reading, first: int, start: int) -> tuple[bool, Find]:
        """Judge a link that begins at `first` and whose host is looked for from `start`."""
        text = reading.text
        sent = _SENT.match(text, start)
        whole = sent[0] if sent else ""
        shown = _authority(text, start)
        hosts = [_Host.read(shown.partition("@")[0])]
        until = start + hosts[0].length
        if "@" in whole:
            # A browser goes to what stands behind the last one, a reader to what stands before.
            place = whole.rfind("@") + 1
            hosts.append(_Host.read(_authority(whole, place)))
            until = start + place + hosts[1].length
        follows = text[until : until + 1]
        is_plain = len(whole) < _LONGEST and reading.is_literal(first, until + (follows in _AFTER_HOST))
        goes_on = follows == "\\" or (follows == "。" and _goes_on(text, until + 1))
        is_own = is_plain and not goes_on and all(host.is_plain and self._company.owns(host.name) for host in hosts)
        return is_own, _found(text, first, max(_end(text, until), first + 1))

    def _bare(self, reading: Reading, text: str) -> Iterator[Find]:
        """Yield bare names of this text: the reading's, without what is decided already."""
        if _INNER_DOT.search(text):
            for found in _DOTTED.finditer(text):
                for start, end in _names(found):
                    if (bare := self._dotted(reading, text, start, end)) is not None:
                        yield bare
            for found in _FOREIGN.finditer(text):
                ending = found["ending"]
                if is_top_level(ending) and (ending.islower() or not ending.isascii()):
                    yield _found(text, found.start(), found.end())
        for found in _WRAPPED.finditer(text) if "\n" in text else ():
            if not self._company.owns(re.sub(r"[\s>]", "", found[0])):
                yield _found(text, found.start(), found.end())

    def _dotted(self, reading: Reading, text: str, start: int, end: int) -> Find | None:
        labels = re.split("[.。]", text[start:end])
        follows = text[end : end + 2]
        count = linked(
            labels,
            has_place=(follows[:1] in {"/", "?"} and follows[1:].isalnum())
            or (follows[:1] == ":" and follows[1:].isdigit()),
            ends_sentence=not re.match(r",?\s+\w", text[end : end + 4]),
        )
        if not count:
            return None
        host = ".".join(labels[:count])
        until = start + len(host)
        if self._company.owns(host.lstrip("_")) and reading.is_literal(start, until):
            return None
        return _found(text, start, _end(text, until))


def _without(text: str, finds: list[Find]) -> str:
    """Return the text with spaces where these are."""
    parts: list[str] = []
    done = 0
    for start, end, _ in merged((find.start, find.end, find.rule) for find in finds):
        parts += [text[done:start], " " * (end - start)]
        done = end
    return "".join([*parts, text[done:]])


def _names(found: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield from where to where each name of a dotted one reaches: "。" may end a sentence, or be a dot."""
    start, end = found.start(), found.start() + len(found[0].rstrip("_-"))
    for stop in re.finditer("。", found[0]):
        place = found.start() + stop.start()
        if _is_complete(found.string[start:place]):
            yield start, place
            start = place + 1
    if "." in found.string[start:end] or "。" in found.string[start:end]:
        yield start, end


def _is_complete(name: str) -> bool:
    before, dot, ending = name.rpartition(".")
    return bool(before and dot) and is_top_level(ending)


@dataclass(frozen=True, slots=True)
class _Host:
    """The host that an authority names, without what only follows it in running text."""

    name: str
    length: int  # of name and port
    is_plain: bool

    @classmethod
    def read(cls, authority: str) -> "_Host":
        shown = _TAIL.sub("", authority).rstrip(_ORNAMENTS)
        name, colon, port = shown.partition(":")
        return cls(name, len(shown), bool(name) and (not colon or (port.isascii() and port.isdecimal())))


def _goes_on(text: str, start: int) -> bool:
    """Whether a browser would take what stands behind "。" for the end of the host."""
    found = _LABELS.match(text, start)
    return found is not None and found[0].islower() and is_top_level(found[0].rpartition(".")[2])


def _authority(text: str, start: int) -> str:
    found = _AUTHORITY.match(text, start)
    return found[0] if found else ""


def _end(text: str, start: int) -> int:
    """Return where a link ends of which so much is read."""
    end = start + len(_authority(text, start))
    rest = _REST.match(text, end)
    return start + len(text[start : rest.end() if rest else end].rstrip(".,:;!?*_~"))


def _found(text: str, start: int, end: int) -> Find:
    return Find(Rule.LINK, start, end, text[start:end].lower())
