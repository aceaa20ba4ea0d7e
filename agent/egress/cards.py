"""Card and account numbers in a text: what the checksums of both say is one."""

import re
from collections.abc import Iterator

from agent.egress.numbers import Group, joined
from agent.egress.values import Find, Rule

_SCHEME = re.compile(
    r"4(?:.{12}|.{15}|.{18})|5[1-5].{14}|2(?:22[1-9]|2[3-9].|[3-6]..|7[01].|720).{12}|3[47].{13}"  # Visa, MC, Amex
    r"|3(?:0[0-5]|[689].).{11,16}|35.{14,17}|6(?:011|5..|4[4-9].).{12,15}|62.{14,17}|(?:50|5[6-9]|6[0-9]).{11,17}"
)
"""How the numbers of the schemes begin, and how long they are."""

_SHAPES = frozenset(
    {(4, 6, 5), (4, 6, 4), (4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 4, 4, 1)}
)
_SHORTEST, _LONGEST = 13, 19
_USUAL = frozenset({15, 16})

_ACCOUNT = re.compile(
    r"(?<![^\W_])(?:[A-Z]{2}[0-9]{2}|(?-i:[A-Z]{2})[\W_]?[0-9][\W_]?[0-9])(?:[\W_]{0,2}[A-Z0-9]){11,30}", re.IGNORECASE
)
_SHORTEST_ACCOUNT = 15
_SIGN = re.compile("[A-Z0-9]", re.IGNORECASE)


def cards(runs: list[list[Group]]) -> Iterator[Find]:
    """Yield the card numbers of these runs; the key is their digits."""
    for groups in runs:
        if sum(len(group.digits) for group in groups) < _SHORTEST:
            continue
        first = 0
        while first < len(groups):
            found = _card_from(groups, first)
            if found is None:
                first += 1
                continue
            last, digits = found
            yield Find(Rule.CARD, groups[first].start, groups[last].end, digits)
            first = last + 1


def _card_from(groups: list[Group], first: int) -> tuple[int, str] | None:
    """Return the last group and the digits of the card number that begins with this group."""
    if groups[first].digits[0] not in "23456":
        return None
    found: list[tuple[int, str]] = []
    length = 0
    for last in range(first, min(first + _LONGEST, len(groups))):
        length += len(groups[last].digits)
        if length > _LONGEST:
            break
        if length >= _SHORTEST and _is_one(groups[first : last + 1]):
            found.append((last, joined(groups[first : last + 1])))
    # Digits that follow it may by chance make another one.
    return max(found, key=lambda one: (len(one[1]) in _USUAL, len(one[1])), default=None)


def _is_one(groups: list[Group]) -> bool:
    betweens = {group.between for group in groups[1:]}
    shape = tuple(len(group.digits) for group in groups)
    if len(betweens) > 1 and shape not in _SHAPES:
        return False
    digits = joined(groups)
    return _SCHEME.fullmatch(digits) is not None and _has_sum(digits)


def _has_sum(digits: str) -> bool:
    from stdnum import luhn  # noqa: PLC0415 - few texts need it

    return len(set(digits)) > 1 and luhn.is_valid(digits)


def accounts(text: str) -> Iterator[Find]:
    """Yield the account numbers (IBAN) of a reading; the key is the number without separators."""
    found = _ACCOUNT.search(text)
    while found:
        places = [sign.start() for sign in _SIGN.finditer(text, found.start(), found.end())]
        length = _length("".join(text[place] for place in places).upper())
        until = places[length - 1] + 1 if length else found.start() + 2
        if length:
            yield Find(Rule.ACCOUNT, found.start(), until, "".join(text[place] for place in places[:length]).upper())
        # What follows a number was read as a part of it, and may be another one.
        found = _ACCOUNT.search(text, until)


def _length(signs: str) -> int:
    """Return how many of these signs are an account number; 0: none."""
    country = int("".join(str(int(sign, 36)) for sign in signs[:4]))
    rest, found = 0, 0
    for length, sign in enumerate(signs[4:34], start=5):
        value = int(sign, 36)
        rest = (rest * (10 if value < 10 else 100) + value) % 97
        # The country and the checksum are counted last: two letters make four digits.
        if length >= _SHORTEST_ACCOUNT and (rest * 1_000_000 + country) % 97 == 1 and _is_account(signs[:length]):
            found = length
    return found


def _is_account(signs: str) -> bool:
    from stdnum import iban  # noqa: PLC0415 - few texts need it

    return iban.is_valid(signs, check_country=False)
