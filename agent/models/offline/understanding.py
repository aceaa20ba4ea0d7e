"""What a ticket is about: its intent, language and sentiment, by the rules and by nothing that it asks for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent import language
from agent.models.offline.conversation import Ticket
from agent.models.offline.rules import Intent, Retrieval, Rules, Sentiment, finds

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_STEM = 5
"""Letters by which two forms of a word are taken for the same word."""

UNDETERMINED = "und"
"""BCP 47's tag of a language that nobody has determined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Understanding:
    """What the rules make of one ticket."""

    intent: Intent | None
    language: str
    sentiment: str


def understand(ticket: Ticket, rules: Rules) -> Understanding:
    """Return intent, language and sentiment of what the customer wrote."""
    sentiment = sentiment_of(ticket.said, rules.sentiment)
    intent = next((intent for intent in rules.intents if _matches(intent, ticket, sentiment, rules)), None)
    return Understanding(intent=intent, language=language_of(ticket.said, rules), sentiment=sentiment)


def language_of(text: str, rules: Rules) -> str:
    """Return the language of a text, or the likeliest of those that can be written here; `und` for none of them."""
    return language.language_of(text) or language.likeliest(text, tuple(rules.texts)) or UNDETERMINED


def sentiment_of(text: str, sentiment: Sentiment) -> str:
    """Return angry, negative, positive or neutral."""
    if _count(sentiment.angry, text) >= 2:
        return "angry"
    if _count(sentiment.negative, text):
        return "negative"
    return "positive" if _count(sentiment.positive, text) else "neutral"


def wanted_words(ticket: Ticket, retrieval: Retrieval) -> list[str]:
    """Return the words that a search should find, in the order in which they were written."""
    from_subject = keywords(ticket.subject, retrieval)
    return from_subject if len(from_subject) >= retrieval.fewest_words else keywords(ticket.said, retrieval)


def keywords(text: str, retrieval: Retrieval) -> list[str]:
    """Return the words of a text that say something, each once."""
    ignored = set(retrieval.ignored)
    words = (word.lower() for word in _WORD.findall(text))
    return list(dict.fromkeys(word for word in words if len(word) > 2 and word not in ignored))


def coverage(wanted: Iterable[str], text: str) -> float:
    """Return which share of the wanted words the text has, in some form of theirs."""
    stems = {_stem(word) for word in wanted}
    held = {_stem(word.lower()) for word in _WORD.findall(text)}
    return len(stems & held) / len(stems) if stems else 0.0


def _matches(intent: Intent, ticket: Ticket, sentiment: str, rules: Rules) -> bool:
    text = ticket.everything if intent.within == "everything" else ticket.said
    return (
        (not intent.any or any(finds(pattern, text) for pattern in intent.any))
        and all(finds(pattern, text) for pattern in intent.all)
        and not any(finds(pattern, text) for pattern in intent.none)
        and intent.sentiment in {None, sentiment}
        and intent.known_customer in {None, ticket.is_known}
        and (not intent.other_address or _names_another(ticket, rules.own_domains))
    )


def _names_another(ticket: Ticket, own_domains: Iterable[str]) -> bool:
    own = {f"@{domain}" for domain in own_domains}
    addresses = {address.lower() for address in _ADDRESS.findall(ticket.said)} - {ticket.requester}
    return any(not any(address.endswith(domain) for domain in own) for address in addresses)


def _count(patterns: Iterable[str], text: str) -> int:
    return sum(1 for pattern in patterns if finds(pattern, text))


def _stem(word: str) -> str:
    return word.rstrip("s")[:_STEM]
