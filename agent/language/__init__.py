"""The language that a text is written in, where that is plain. Nothing is guessed: a wrong answer does harm."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agent.language.prose import prose
from agent.language.scripts import scripts_of, words_of
from agent.language.tags import are_at_odds, name_of
from agent.language.words import Script, script_named

_ONLY = {
    "Greek": "el", "Armenian": "hy", "Hebrew": "he", "Bengali": "bn", "Gurmukhi": "pa", "Gujarati": "gu",
    "Tamil": "ta", "Telugu": "te", "Kannada": "kn", "Malayalam": "ml", "Sinhala": "si", "Thai": "th", "Lao": "lo",
    "Burmese": "my", "Georgian": "ka", "Hangul": "ko", "Khmer": "km",
}  # fmt: skip
"""Scripts in which customers write one language."""

_CHINESE = frozenset("的了是我在有不这這们們您你请請吗嗎么麼没沒还還说說对對会會为為后後个個里裡哪怎呢吧给給已将將与與")
"""Signs that Chinese cannot do without, and that Japanese, which has kana for them, seldom writes many of."""

FEWEST_LETTERS = 5
"""Of a script that one language has; fewer may be a name or a sign of mathematics."""

FEWEST_WORDS = 3
"""Different small words of a language. Two may be a title, or a neighbour's words."""

SHARE_OF_WORDS = 0.2
"""Of a text's words, those that must be small words of its language; ordinary prose has twice as many."""

CLEARLY = 3
"""How many times more of the words that tell two languages apart must speak for the one."""


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a text is plainly written in.

    None where it is not plain: the text is too short, mixes languages, or is in one that is not known here. Links,
    code, quotes, product names and numbers do not count. Of a long text, the beginning is read.
    """
    plain = prose(text)
    letters = scripts_of(plain)
    if "Kana" in letters:
        letters["Kana"] += letters.pop("Han", 0)
    if not letters:
        return None
    script, most = letters.most_common(1)[0]
    if script == "Latin":
        # A word of another script may be a name; more of it is another language.
        return _by_words(plain, script) if most >= 0.8 * letters.total() else None
    if most < 0.5 * letters.total() or (most < 0.8 * letters.total() and _by_words(plain, "Latin")):
        return None
    return _by_script(plain, script) if most >= FEWEST_LETTERS else None


def likeliest(text: str, languages: Sequence[str]) -> str | None:
    """Return the one of these languages that most of a text's words speak for; the first where they speak for none.

    For who can write these only: where `language_of` has an answer, that one counts. None where the text is in a script
    that none of them is written in.
    """
    plain = prose(text)
    letters = scripts_of(plain)
    script = letters.most_common(1)[0][0] if letters else "Latin"
    known = script_named(script)
    if known is None or not set(languages) & set(known.languages):
        return None
    votes = _votes(_spoken(plain, script, known))
    return max(languages, key=lambda code: votes[code])


def _by_script(text: str, script: str) -> str | None:
    if script == "Kana":
        return "ja"
    if script == "Han":
        return "zh" if len(_CHINESE & set(text)) >= FEWEST_WORDS else None
    return _ONLY.get(script) or _by_words(text, script)


def _by_words(text: str, script: str) -> str | None:
    """Return the language whose small words and letters a text has, if they speak clearly against every other."""
    known = script_named(script)
    if known is None:
        return None
    spoken = _spoken(text, script, known)
    votes = _votes(spoken)
    best = max(known.languages, key=lambda code: votes[code])
    if len(known.languages[best].words & set(spoken)) < FEWEST_WORDS:
        return None
    words = words_of(text, script)
    if sum(best in spoken[word] for word in words) < SHARE_OF_WORDS * len(words):
        return None
    return best if all(_is_clear(spoken.values(), best, other) for other in known.languages if other != best) else None


def _spoken(text: str, script: str, known: Script) -> dict[str, frozenset[str]]:
    """Return the words of a text with the languages that each speaks for."""
    return {word: known.spoken_by(word) for word in words_of(text, script)}


def _votes(spoken: Mapping[str, frozenset[str]]) -> Counter[str]:
    # How often a word stands there says nothing more: a repeated command is still one word.
    return Counter(code for codes in spoken.values() for code in codes)


def _is_clear(spoken: Iterable[frozenset[str]], one: str, other: str) -> bool:
    """Whether the words that tell two languages apart are those of the first."""
    telling = [one in codes for codes in spoken if (one in codes) != (other in codes)]
    speaking_for, against = telling.count(True), telling.count(False)
    if not are_at_odds(one, other):
        return speaking_for > against
    return speaking_for >= 2 and speaking_for >= CLEARLY * against


__all__ = ["are_at_odds", "language_of", "likeliest", "name_of"]
