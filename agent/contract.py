"""What a text to a customer must be, as the configuration declares it, and what a given text is not."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from agent.language import are_at_odds, language_of, name_of
from agent.records import Reason
from agent.sentences import sentences
from agent.settings import Texts
from agent.unseen import without_unseen

_DASHES = re.compile("-{2,3}|[\u2013\u2014\u2015]")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc", "'"))
_LONGEST_SIGN_OFF = 6
"""Words of what may be meant as a sign-off."""


def breaches(text: str, texts: Texts, *, language: str | None) -> tuple[Reason, ...]:
    """Return everything in which a text is not what `texts` demands; nothing where nothing is demanded.

    `language` is what the requester writes, as a tag such as `de` or `pt-BR`; None when that is not known. Only a
    text that is plainly in another language is a breach. Each sentence says what is wrong and what is wanted.
    """
    return tuple(_breaches(text, texts, language)) if texts != Texts() else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Letter:
    """A text taken apart."""

    is_greeted: bool
    is_signed: bool
    body: str  # between greeting and sign-off, as far as it has them


def _breaches(text: str, texts: Texts, language: str | None) -> Iterator[Reason]:
    letter = _taken_apart(text, texts)
    if not letter.is_greeted:
        yield _reason("greeting", f"It does not start with “{texts.starts_with}”: start it with exactly that.")
    if not letter.is_signed:
        yield _reason("sign_off", f"It does not end with “{texts.ends_with}”: end it with exactly that.")
    yield from _of_length(letter, texts)
    if texts.characters is not None and len(text.strip()) > texts.characters:
        yield _reason("characters", f"It has {len(text.strip())} characters: at most {texts.characters}.")
    if texts.language and language is not None:
        yield from _of_language(letter.body, language)


def _of_length(letter: _Letter, texts: Texts) -> Iterator[Reason]:
    found = sentences(letter.body)
    if not letter.is_signed and found and _is_attempt(found[-1], texts.ends_with):
        found = found[:-1]
    if not found:
        yield _reason("length", f"It says nothing{_between(texts)}.")
    elif texts.sentences is not None and len(found) > texts.sentences:
        # One is always allowed, so there are several.
        yield _reason("length", f"It has {len(found)} sentences{_between(texts)}: at most {texts.sentences}.")


def _of_language(body: str, language: str) -> Iterator[Reason]:
    written = language_of(body)
    if written is not None and are_at_odds(written, language):
        wanted = name_of(language)
        yield _reason(
            "language", f"It is in {name_of(written)}, and the customer writes {wanted}: write it in {wanted}."
        )


def _reason(rule: str, because: str) -> Reason:
    return Reason(rule=f"text.{rule}", because=because)


def _between(texts: Texts) -> str:
    ends = [name for name, is_wanted in (("greeting", texts.starts_with), ("sign-off", texts.ends_with)) if is_wanted]
    return {0: "", 1: f" beside the {' '.join(ends)}", 2: " between greeting and sign-off"}[len(ends)]


def _taken_apart(text: str, texts: Texts) -> _Letter:
    plain = _plain(text)
    greeting = re.match(_pattern(texts.starts_with), plain)
    start = greeting.end() if greeting else 0
    sign_off = re.compile(rf"{_pattern(texts.ends_with)}\Z").search(plain, start)
    end = sign_off.start() if sign_off else len(plain)
    return _Letter(is_greeted=greeting is not None, is_signed=sign_off is not None, body=plain[start:end])


def _plain(text: str) -> str:
    """Return the text as a reader sees it: nothing unseen, plain letters, one kind of dash and of apostrophe."""
    seen = without_unseen(unicodedata.normalize("NFKC", text))
    return _DASHES.sub("—", seen).translate(_APOSTROPHES).strip()


def _pattern(wanted: str) -> str:
    """Return the pattern of these words, whatever space is between them, and around a dash none or any."""
    words = re.findall(r"—|[^\s—]+", _plain(wanted))
    pattern = r"\s+".join(map(re.escape, words)).replace(r"\s+—", r"\s*—").replace(r"—\s+", r"—\s*")
    # A word must not be the beginning or the end of a longer one.
    before = r"(?<!\w)" if words and words[0][0].isalnum() else ""
    after = r"(?!\w)" if words and words[-1][-1].isalnum() else ""
    return before + pattern + after


def _is_attempt(sentence: str, sign_off: str) -> bool:
    """Whether a last sentence is a sign-off, though not the one that is wanted: it says nothing to the customer."""
    shared = set(re.findall(r"\w+", _plain(sign_off).lower())) & set(re.findall(r"\w+", sentence.lower()))
    return bool(shared) and len(sentence.split()) <= _LONGEST_SIGN_OFF and not sentence.endswith((".", "!", "?", "。"))
