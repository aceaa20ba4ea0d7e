"""An extractive summary: the sentences of a text that say most of what it says, in their own order."""

import re
from collections import Counter
from collections.abc import Sequence

from agent.models.offline.rules import Rules
from agent.models.offline.understanding import keywords
from agent.models.offline.writing import plain
from agent.sentences import sentences

MOST_SENTENCES = 3
CHARACTERS_PER_TOKEN = 3
"""Fewer than a token has on average, so that a summary stays below the limit that was asked for."""

_TAGGED = re.compile(r"<(\w+)[^>]*>\n(.*)\n</\1>", re.DOTALL)


def summarize(text: str, *, max_tokens: int, rules: Rules) -> str:
    """Return at most three sentences of what stands between tags, when there are any, and there of what is quoted."""
    tagged = _TAGGED.search(text)
    paragraphs = re.split(r"\n\s*\n", _spoken(tagged[2] if tagged else text, rules.reading.quote))
    chosen = _most_telling([said for paragraph in paragraphs for said in sentences(plain(paragraph))], rules)
    return " ".join(chosen)[: max_tokens * CHARACTERS_PER_TOKEN].strip() or "There is nothing to summarize."


def _spoken(text: str, quote: str) -> str:
    """Return the quoted lines, without their marks, or all lines of a text that quotes nobody."""
    quoted = [line[match.end() :] if (match := re.match(quote, line)) else "" for line in text.splitlines()]
    return "\n".join(quoted) if any(quoted) else text


def _most_telling(said: Sequence[str], rules: Rules) -> list[str]:
    """Return the sentences whose words are frequent in the text, in their order; earlier ones win ties."""
    words = [keywords(sentence, rules.retrieval) for sentence in said]
    frequency = Counter(word for found in words for word in found)
    weights = [sum(frequency[word] for word in found) / (len(found) + 3) for found in words]
    ranked = sorted(range(len(said)), key=lambda position: (-weights[position], position))
    kept = sorted(position for position in ranked[:MOST_SENTENCES] if words[position])
    return [said[position] for position in kept]
