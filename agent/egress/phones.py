"""Phone numbers in a text: what the numbering plans know, written as phone numbers are."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from agent.egress.numbers import Group, joined
from agent.egress.reading import SPACELESS
from agent.egress.values import Find, Rule

_CALLED = re.compile(
    r"(?:tel|fon|phone|call|mobile|mobil|cell|handy|ruf|anruf|fax|whatsapp|sms|dial|hotline|appel|tél|llam|móvil|número"
    r"|電話|携帯)\w{0,8}(?:[\W_]{0,4}\w{1,8}){0,2}[\W_]{0,4}\Z",
    re.IGNORECASE,
)
"""Words before a number that say what it is."""

_AMOUNT_BEFORE = re.compile(r"(?:[$€£¥₹#]|\b(?:USD|EUR|GBP|JPY|CHF)|\bn[or]\.?)\s?\Z", re.IGNORECASE)
_AMOUNT_AFTER = re.compile(r"\s?(?:[$€£¥₹%]|(?:USD|EUR|GBP|JPY|CHF|GB|MB|KB|ms)\b)(?!\s?[0-9])", re.IGNORECASE)
_CONTEXT = 40
_SIGN = re.compile(r"(?:\(?\+\s?)?\(?\Z")

_LETTER = re.compile(rf"[^\W_{SPACELESS}]")
_PART = re.compile(rf"[^\W{SPACELESS}][-_/.:#]?\Z")

_SHORTEST, _LONGEST = 7, 17
_SPELLED = 9
"""Digits: fewer that stand one by one are counted."""
_MOST_GROUPS = 17

Number = tuple[str, str]
"""A phone number in E.164, and the digits that it has within its country."""


def phones(
    text: str, runs: list[list[Group]], regions: Sequence[str], is_own: Callable[[Number], bool]
) -> Iterator[Find]:
    """Yield the phone numbers of these runs that are nobody's own; the key is the number in E.164."""
    for groups in map(_respelled, runs):
        if sum(len(group.digits) for group in groups) < _SHORTEST:
            continue
        first = 0
        while first < len(groups):
            readings = _phones_from(text, groups, first, regions)
            own = [last for last, number in readings if is_own(number)]
            if readings and not own:
                last, (worldwide, _) = readings[-1]
                sign = _SIGN.search(text, max(0, groups[first].start - 3), groups[first].start)
                start = sign.start() if sign else groups[first].start
                yield Find(Rule.PHONE, start, groups[last].end, worldwide)
            # What follows an own number may be a number that is not.
            first = 1 + (own[-1] if own else readings[-1][0] if readings else first)


def numbers_in(text: str, runs: list[list[Group]], regions: Sequence[str]) -> Iterator[str]:
    """Yield every phone number that these runs may be read as, in E.164."""
    for groups in map(_respelled, runs):
        for first in range(len(groups)):
            yield from (worldwide for _, (worldwide, _) in _phones_from(text, groups, first, regions))


def _respelled(groups: list[Group]) -> list[Group]:
    """Return the groups with digits that are spelled one by one put together."""
    found: list[Group] = []
    singles: list[Group] = []
    for group in [*groups, None]:
        if group is not None and len(group.digits) == 1:
            singles.append(group)
            continue
        if len(singles) >= _SPELLED:
            found.append(Group(singles[0].start, singles[-1].end, joined(singles), singles[0].between))
        else:
            found += singles
        singles = []
        if group is not None:
            found.append(group)
    return found


def _is_in_fours(groups: list[Group], place: int) -> bool:
    """Whether this group is one of four of four digits: parcels, contracts and accounts are written so, no phone."""
    around = groups[max(0, place - 3) : place + 4]
    return "4444" in "".join("4" if len(group.digits) == 4 else "-" for group in around)


def _phones_from(text: str, groups: list[Group], first: int, regions: Sequence[str]) -> list[tuple[int, Number]]:
    """Return the phone numbers that begin with this group, each with its last group, the longest last."""
    start = groups[first].start
    before = text[max(0, start - _CONTEXT) : start]
    is_worldwide = before.rstrip("( ").endswith("+")
    if not is_worldwide and (_is_part(before) or _is_in_fours(groups, first)):
        return []
    is_called = _CALLED.search(before) is not None
    is_spelled = groups[first].end - start > len(groups[first].digits)
    found: list[tuple[int, Number]] = []
    length = 0
    for last in range(first, min(first + _MOST_GROUPS, len(groups))):
        group = groups[last]
        length += len(group.digits)
        if length > _LONGEST or (last > first and ":" in group.between):
            break
        if length < _SHORTEST or _LETTER.match(text, group.end):
            continue
        window = groups[first : last + 1]
        number = _number(window, regions, is_worldwide=is_worldwide, is_called=is_called, is_spelled=is_spelled)
        if number and (is_worldwide or not _is_amount(window, before, text)):
            found.append((last, number))
    return found


def _is_amount(groups: list[Group], before: str, text: str) -> bool:
    """Whether it is written as a sum is, or the number of a thing, with a sign of one of them at its side."""
    *others, last = [len(group.digits) for group in groups]
    if others and not (all(length == 3 for length in others[1:]) and last in {2, 3}):
        return False
    return _AMOUNT_BEFORE.search(before) is not None or _AMOUNT_AFTER.match(text, groups[-1].end) is not None


def _is_part(before: str) -> bool:
    """Whether a number after this text is a part of a name, such as `inv-` or `v2.`."""
    return _PART.search(before) is not None and not before.lower().endswith(("tel:", "sms:", "callto:"))


def _number(
    groups: list[Group], regions: Sequence[str], *, is_worldwide: bool, is_called: bool, is_spelled: bool
) -> Number | None:
    digits = joined(groups)
    if is_worldwide:
        # "+49 (0) 170": what is dialled at home stands in brackets.
        return _known("+" + joined([group for group in groups if group.digits != "0"]), None)
    if digits.startswith("00") and (found := _known(f"+{digits[2:]}", None)):
        return found
    shape = tuple(len(group.digits) for group in groups)
    for region in regions:
        if is_called or is_spelled or _is_written_so(digits, shape, region):
            found = _known(digits, region) or (_guessed(digits, region) if is_called else None)
            if found:
                return found
    return None


def _is_written_so(digits: str, shape: tuple[int, ...], region: str) -> bool:
    """Whether people of this region write phone numbers with groups of these lengths."""
    trunk = _trunk(region)
    if trunk == "1":
        return shape in {(3, 3, 4), (1, 3, 3, 4)} or (len(shape) == 1 and len(digits) == 11 and digits[0] == "1")
    if trunk:
        return digits.startswith(trunk) and (len(shape) > 1 or len(digits) >= 10)
    return len(shape) > 2 and max(shape) <= 4


@lru_cache(maxsize=512)
def _trunk(region: str) -> str:
    """Return what is dialled before a number within the region: "" for nothing."""
    from phonenumbers import ndd_prefix_for_region  # noqa: PLC0415

    return ndd_prefix_for_region(region, True) or ""  # noqa: FBT003 - the library's own signature


@lru_cache(maxsize=4096)
def _known(digits: str, region: str | None) -> Number | None:
    """Return the number if a numbering plan has it."""
    import phonenumbers  # noqa: PLC0415 - only a text with enough digits needs it

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return (
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        phonenumbers.national_significant_number(number),
    )


def _guessed(digits: str, region: str) -> Number | None:
    """Return a number that the text calls one, if it is as long as those of the region."""
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return (digits, digits.lstrip("0")) if phonenumbers.is_possible_number(number) else None
