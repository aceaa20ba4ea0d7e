"""The texts that customers read, put together from the rules' sentences and an article's own words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.models.offline.lookup import Article
from agent.models.offline.rules import Letter, Rules, Tone, finds
from agent.sentences import sentences


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Writes to one customer, in one language."""

    letter: Letter
    tone: Tone

    def answer(self, article: Article, *, is_trouble: bool) -> str:
        """Return the article's first paragraph as a letter."""
        *others, last = sentences(article.lead)[: self.letter.sentences]
        pointer = self.tone.pointer.format(title=article.title)
        return self.write([*others, _before_stop(last, pointer)], is_trouble=is_trouble)

    def report(self, done: str, quoted: str | None, *, is_trouble: bool) -> str:
        """Return what was done as a letter, followed by a sentence of the article."""
        return self.write([done, *([quoted] if quoted else [])], is_trouble=is_trouble)

    def write(self, said: Sequence[str], *, is_trouble: bool = False) -> str:
        """Return a letter of these sentences; the tier's opening becomes a part of the first."""
        opening = self.tone.trouble if is_trouble else self.tone.question
        body = " ".join(said)
        body = opening + body if opening else body[:1].upper() + body[1:]
        return f"{self.letter.greeting}\n\n{body}\n\n{self.letter.sign_off}"


def writer_for(tier: str | None, language: str, rules: Rules) -> Writer | None:
    """Return who writes in this language, or None when nobody can."""
    texts = rules.texts.get(language)
    if texts is None:
        return None
    return Writer(letter=rules.letter, tone=texts.tones.get(tier or "", Tone()))


def quoted_sentence(article: Article | None, pattern: str | None) -> str | None:
    """Return an article's first sentence that matches a pattern; None without either, or without such a sentence."""
    if article is None or pattern is None:
        return None
    return next((sentence for sentence in sentences(plain(article.text)) if finds(pattern, sentence)), None)


def plain(markdown: str) -> str:
    """Return Markdown without its marks: headings and tables dropped, list items as sentences, links as their text."""
    lines = [line for line in markdown.splitlines() if not re.match(r"\s*(#|\||Tags:)", line)]
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", "\n".join(lines))
    text = re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"\*\*|__|`", "", text).split())


def _before_stop(sentence: str, addition: str) -> str:
    stop = sentence[-1:] if sentence[-1:] in ".!?" else ""
    return sentence.removesuffix(stop) + addition + stop if addition else sentence
