"""The host's instructions in a text: a dozen words in a row of what the model was told."""

import re
from collections.abc import Callable, Iterator, Sequence, Set
from functools import lru_cache

from agent.egress.reading import SPACELESS, Reading
from agent.egress.values import Find, Rule

_WORD = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+")
_WHOLE, _PART = 5, 2
"""What a word weighs, and what a sign of a script without spaces does."""
_ENOUGH = 12 * _WHOLE


class Prompts:
    """Finds passages of given texts, whatever their case, spacing and punctuation."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._passages = frozenset[str]().union(*map(_passages_of, prompts))
        # Most texts share no two words in a row with a passage's beginning: the rest of it need not be put together.
        self._openings = frozenset(tuple(passage.split(" ", 2)[:2]) for passage in self._passages)

    def find(self, reading: Reading, own: Callable[[], Set[str]]) -> Iterator[Find]:
        """Yield each passage of a reading that is not one of the requester's `own`."""
        if not self._passages:
            return
        begin = end = -1
        for start, until, passage in passages(reading.text, self._openings):
            if passage not in self._passages or passage in own():
                continue
            if begin >= 0 and start > end:
                yield Find(Rule.PROMPT, begin, end, "")
                begin = -1
            begin, end = (start if begin < 0 else begin), until
        if begin >= 0:
            yield Find(Rule.PROMPT, begin, end, "")


@lru_cache(maxsize=32)
def _passages_of(prompt: str) -> frozenset[str]:
    return frozenset(passage for _, _, passage in passages(Reading(prompt).text))


def passages(text: str, openings: Set[tuple[str, ...]] | None = None) -> Iterator[tuple[int, int, str]]:
    """Yield each run of a dozen words: from where to where it reaches, and its words in small letters.

    `openings`: only those whose first two words are among these.
    """
    words = list(_WORD.finditer(text))
    written = [word[0].casefold() for word in words]
    weights = [_PART if len(word) == 1 and _is_part(word) else _WHOLE for word in written]
    end, weight = 0, 0
    for start, word in enumerate(words):
        while weight < _ENOUGH and end < len(words):
            weight += weights[end]
            end += 1
        if weight < _ENOUGH:
            return
        if openings is None or (written[start], written[start + 1]) in openings:
            yield word.start(), words[end - 1].end(), " ".join(written[start:end])
        weight -= weights[start]


@lru_cache(maxsize=4096)
def _is_part(char: str) -> bool:
    return re.match(f"[{SPACELESS}]", char) is not None
