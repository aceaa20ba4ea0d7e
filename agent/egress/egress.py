"""What may leave a run in text, as one object that knows what the run has read."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic, TypeVar

from agent.egress.addresses import addresses
from agent.egress.cards import accounts, cards
from agent.egress.hosts import Company as Domains
from agent.egress.ids import id_keys, ids, written
from agent.egress.links import Links
from agent.egress.numbers import digits_of, runs
from agent.egress.phones import Number, numbers_in, phones
from agent.egress.prompts import Prompts, passages
from agent.egress.reading import Reading
from agent.egress.secrets import Secrets
from agent.egress.values import ORDER, Find, Places, Rule, Violation, instead, merged, violation
from agent.settings import Company

_Thing = TypeVar("_Thing")

_PASSES = 6
"""How often what was put in the place of something is looked at again: it may join what stood around that."""

_ESCAPE = re.compile(r"\\[bfnrt\"/\\]")
_ENOUGH_DIGITS = re.compile("[0-9](?:[^0-9]*[0-9]){6}")
"""A shorter number is neither a card, an account nor a phone."""


class Egress:
    """Knows one run: what is the requester's, what is the company's, and what was read of others."""

    def __init__(
        self, *, company: Company, secrets: Sequence[str], prompts: Sequence[str], schemes: Collection[str] = ()
    ) -> None:
        """`schemes`: those of the servers' own resources (`kb`), which lead nowhere outside the run."""
        own: list[str] = [*company.addresses, *company.phones]
        theirs: list[str] = [*company.addresses]
        seen: list[str] = []
        self._own_texts, self._their_texts, self._seen_texts = own, theirs, seen
        self._company = company
        self._secrets = Secrets(secrets)
        self._prompts = Prompts(prompts)
        self._links = Links(Domains(company.domains), schemes)
        self._own_addresses = _Gathered(theirs, lambda text: (find.key for find in addresses(text)))
        self._own_digits = _Gathered(own, digits_of)
        self._own_numbers = _Gathered(
            own, lambda text: (find.key for find in [*cards(list(runs(text))), *accounts(text)])
        )
        self._own_phones = _Gathered(own, lambda text: numbers_in(text, list(runs(text)), company.regions))
        self._own_ids = _Gathered(own, lambda text: (key for _, _, key in written(text)))
        self._own_passages = _Gathered(own, lambda text: (passage for _, _, passage in passages(text)))
        self._seen_ids = _Gathered(seen, id_keys)

    def own(self, text: str) -> None:
        """Take note of the requester's own: their records, results that are confined to them."""
        read = _as_read(text)
        self._own_texts += read
        self._their_texts += read

    def said(self, text: str) -> None:
        """Take note of what the requester wrote: all of it is theirs but addresses, which may be anybody's."""
        self._own_texts += _as_read(text)

    def seen(self, text: str) -> None:
        """Take note of anything else that was read: an id in it is somebody's, unless it is own."""
        self._seen_texts += _as_read(text)

    def violations(self, text: str) -> tuple[Violation, ...]:
        """Return what of a text may not leave: in the order of the rules, each thing once."""
        reading = Reading(text)
        found: dict[tuple[Rule, str], Violation] = {}
        for find in sorted(self._finds(reading), key=lambda find: (ORDER[find.rule], find.start)):
            if (find.rule, find.key) not in found:
                shown = reading.found(find.start, find.end)
                found[find.rule, find.key] = violation(find, shown, self._company.domains)
        return tuple(found.values())

    def withheld(self, text: str) -> str:
        """Return the text with a word about each thing in its place, and without any violation."""
        for _ in range(_PASSES):
            reading = Reading(text)
            finds = self._finds(reading)
            if not finds:
                return text
            parts: list[str] = []
            done = 0
            for start, end, rule in merged((*reading.origin(find.start, find.end), find.rule) for find in finds):
                parts += [text[done:start], instead(rule)]
                done = end
            text = "".join([*parts, text[done:]])
        # Things that follow each other endlessly take their own line with them, and not what stands around it.
        rest = "\n".join(line for line in text.split("\n") if not self._finds(Reading(line)))
        return "" if self._finds(Reading(rest)) else rest

    def _finds(self, reading: Reading) -> list[Find]:
        text = reading.text
        if not text:
            return []
        all_addresses = list(addresses(text))
        secrets = list(self._secrets.find(reading))
        hidden = Places(secrets)
        found = [find for find in all_addresses if find.key not in self._own_addresses.things()]
        found += secrets
        found += [link for link in self._links.find(reading, all_addresses) if not hidden.have(link)]
        found += self._numbers(text)
        found += self._ids(text, Places(found))
        # What the requester has said is their own, if the instructions repeat it.
        found += self._prompts.find(reading, self._own_passages.things)
        return found

    def _numbers(self, text: str) -> list[Find]:
        """Return the card, account and phone numbers that are nobody's to give; a number is one of the three."""
        if not _ENOUGH_DIGITS.search(text):
            return []
        groups = list(runs(text))
        numbers = [*cards(groups), *accounts(text)]
        found = [find for find in numbers if find.key not in self._own_numbers.things()]
        places = Places(numbers)
        dialled = phones(text, groups, self._company.regions, self._is_own_phone)
        return found + [find for find in dialled if not places.have(find)]

    def _is_own_phone(self, number: Number) -> bool:
        worldwide, within = number
        return worldwide in self._own_phones.things() or any(within in digits for digits in self._own_digits.things())

    def _ids(self, text: str, taken: Places) -> list[Find]:
        """Return the ids that were read of others, where nothing else is that may not leave."""
        known = self._seen_ids.things()
        found = ids(text, known) if known else []
        return [find for find in found if find.key not in self._own_ids.things() and not taken.have(find)]


def _as_read(text: str) -> list[str]:
    """Return a text that was read, and also without JSON's escapes, whose letters join the word that follows."""
    return [text, _ESCAPE.sub(" ", text)] if "\\" in text else [text]


class _Gathered(Generic[_Thing]):
    """What is found in texts that come one after another; looked for when it is first needed."""

    def __init__(self, texts: list[str], find: Callable[[str], Iterable[_Thing]]) -> None:
        self._texts, self._find = texts, find
        self._taken = 0
        self._things: set[_Thing] = set()

    def things(self) -> set[_Thing]:
        """Return what is found in all texts so far."""
        for text in self._texts[self._taken :]:
            self._things.update(self._find(Reading(text).text))
        self._taken = len(self._texts)
        return self._things
