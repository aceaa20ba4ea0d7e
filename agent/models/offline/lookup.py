"""What tool results hold: articles of the knowledge base, and lists of items such as invoices."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

from agent.models.offline.conversation import Ticket
from agent.models.offline.rules import Choice, Currency, finds
from agent.sentences import sentences

Item: TypeAlias = Mapping[str, Any]

MOST_FAILURES = 20
"""Brackets that turn out to open no JSON, after which a text is taken to hold none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Article:
    """One article: what its head says, and its text."""

    uri: str
    title: str
    head: str  # title, tags and first paragraph: what the article is about
    lead: str  # the first paragraph: the answer, in words that a customer can be sent
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The item that a ticket means, or why none can be chosen."""

    item: Item | None = None
    is_foreign: bool = False  # it names an item that is not in the list
    is_ineligible: bool = False  # it means one that nothing can be done with, or there is none at all
    is_too_old: bool = False
    candidates: tuple[Item, ...] = ()  # several are possible


def read_article(uri: str, text: str) -> Article | None:
    """Return the article of this Markdown text; None when it has no title or no paragraph."""
    lines = text.strip().splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
    if start is None:
        return None
    body = "\n".join(lines[start + 1 :])
    tags = re.search(r"^Tags:.*$", body, re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n", body.replace(tags[0], "") if tags else body)
    told = (found for found in paragraphs if re.match(r"\s*[^\W_]|\s*[“„\"'«]", found) and sentences(found))
    lead = next((" ".join(found.split()) for found in told), None)
    if lead is None:
        return None
    title = lines[start].removeprefix("# ").strip()
    head = "\n".join([title, tags[0].removeprefix("Tags:") if tags else "", lead])
    return Article(uri=uri, title=title, head=head, lead=lead, text=body)


def article_uris(text: str, pattern: str) -> list[str]:
    """Return the addresses of articles in a search result, best first, each once."""
    return list(dict.fromkeys(re.findall(pattern, text)))


def items(text: str, key: str) -> list[Item]:
    """Return every JSON object of a result that has this key, wherever it stands in the text."""
    found = {str(item[key]): item for value in _json_values(text) for item in _objects(value) if key in item}
    return list(found.values())


def choose(listed: Sequence[Item], choice: Choice, ticket: Ticket) -> Chosen:
    """Return the one item that the customer means, by name, by its words, as the newest, or as the only one."""
    meant = _meant(listed, choice, ticket)
    if meant is None:
        return Chosen(is_foreign=True)
    eligible = [item for item in meant if has_values(item, choice.where)]
    if not eligible:
        return Chosen(item=meant[0] if len(meant) == 1 else None, is_ineligible=True)
    if len(eligible) > 1:
        return Chosen(candidates=tuple(eligible))
    if choice.within and not _is_within(eligible[0], choice, ticket):
        return Chosen(item=eligible[0], is_too_old=True)
    return Chosen(item=eligible[0])


def has_values(item: Item, wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether each field has one of its values."""
    return all(str(item.get(field)) in values for field, values in wanted.items())


def label(item: Item, choice: Choice, money: Mapping[str, Currency]) -> str:
    """Return how this item is called in a text."""
    values = {name: str(value) for name, value in item.items()}
    return choice.label.format_map(values | {"amount": amount(item, money)})


def amount(item: Item, money: Mapping[str, Currency]) -> str:
    """Return the item's amount as people write it, or an empty string."""
    units, currency = item.get("amount_cents"), money.get(str(item.get("currency")))
    if not isinstance(units, int) or currency is None:
        return ""
    return f"{currency.symbol}{units / 10**currency.decimals:,.{currency.decimals}f}"


def _meant(listed: Sequence[Item], choice: Choice, ticket: Ticket) -> Sequence[Item] | None:
    """Return the items that the ticket can mean; None when it names one that is not listed."""
    by_key = {str(item.get(choice.key)).lower(): item for item in listed}
    named = _named(choice.named, ticket.said)
    if named:
        return [by_key[name] for name in sorted(named)] if named <= set(by_key) else None
    if described := _described(listed, choice, ticket.said):
        return described
    if choice.newest and choice.newest_when and finds(choice.newest_when, ticket.said):
        field = choice.newest
        return sorted(listed, key=lambda item: str(item.get(field)))[-1:]
    return listed


def _described(listed: Sequence[Item], choice: Choice, said: str) -> list[Item]:
    """Return the items that share most words with the text, leaving out words that all items share."""
    heard = _words(said)
    words = {id(item): _words(" ".join(str(item.get(field)) for field in choice.describe)) for item in listed}
    common = frozenset[str].intersection(*words.values()) if len(words) > 1 else frozenset[str]()
    scores = {id(item): len((words[id(item)] - common) & heard) for item in listed}
    best = max(scores.values(), default=0)
    return [item for item in listed if best and scores[id(item)] == best]


def _named(pattern: str | None, said: str) -> set[str]:
    found = re.finditer(pattern, said, re.IGNORECASE) if pattern else ()
    return {match[0].lower() for match in found}


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[^\W_]+", text.lower()) if len(word) > 1 or word.isdigit())


def _is_within(item: Item, choice: Choice, ticket: Ticket) -> bool:
    # Both times come from records. An unreadable one is no proof that the item is recent.
    if choice.within is None:
        return True
    then, now = _time(str(item.get(choice.within.field))), _time(ticket.created)
    return then is not None and now is not None and now - then <= timedelta(days=choice.within.days)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text[:10])
    except ValueError:
        return None


def _json_values(text: str) -> Iterator[Any]:
    decoder, position, failures = json.JSONDecoder(), 0, 0
    while failures < MOST_FAILURES and (start := _next_start(text, position)) is not None:
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):  # a bracket in a sentence, or nested to break the parser
            position, failures = start + 1, failures + 1
        else:
            yield value


def _next_start(text: str, position: int) -> int | None:
    found = re.compile(r"[\[{]").search(text, position)
    return found.start() if found else None


def _objects(value: Any) -> Iterable[Item]:
    if isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _objects(inner)
    elif isinstance(value, dict):
        own = cast("dict[str, Any]", value)
        yield own
        for inner in own.values():
            yield from _objects(inner)
