"""The shape of `defaults/offline.toml`: what the offline model knows, as data that a team can read."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _valid_pattern(pattern: str) -> str:
    re.compile(pattern)
    return pattern


Pattern: TypeAlias = Annotated[str, AfterValidator(_valid_pattern)]
"""A regular expression; upper and lower case are the same to it."""

ByLanguage: TypeAlias = Mapping[str, str]
"""BCP 47 language → text."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Related(_Frozen):
    """The fields of the requester's other tickets, in the JSON that a search for them returns."""

    id: str
    status: str
    subject: str


class Reading(_Frozen):
    """`[reading]`: where the facts stand in what the host sends. Each pattern has one group."""

    tier: Pattern  # in the resolution prompt
    subject: Pattern  # the rest in the ticket
    requester: Pattern
    created: Pattern
    tags: Pattern  # separated by commas
    section: Pattern  # the line above each part of the conversation; the group says who speaks
    customer: Pattern  # matches that group where the customer speaks
    quote: Pattern  # what stands before each line that somebody wrote
    related: Related
    article: Pattern  # the address of an article in search results
    over: Pattern  # the statuses, as whole words, of tickets that nobody works on any more
    ticket_uri: str  # where the ticket itself is read; {ticket} is its id
    ended: Pattern  # in the ticket's text, when it has been closed
    waiting: Pattern  # … when it waits for the customer
    handed_over: Pattern  # … when people have it


class Results(_Frozen):
    """`[results]`: how the host says what became of a call that was not made as asked."""

    denied: Pattern
    unknown: Pattern


class Sentiment(_Frozen):
    """`[sentiment]`: markers of how somebody feels; two of `angry` make an angry text."""

    angry: tuple[Pattern, ...]
    negative: tuple[Pattern, ...]
    positive: tuple[Pattern, ...]


class Retrieval(_Frozen):
    """`[retrieval]`: when an article counts as an answer."""

    limit: int = Field(gt=0)  # results asked for
    articles: int = Field(gt=0)  # of these, read
    share: float = Field(gt=0, le=1)  # of the wanted words, in the title, the tags and the first paragraph
    fewest_words: int = Field(gt=0)  # a subject with fewer words is read together with the text
    ignored: tuple[str, ...]  # words that say nothing


class Confidence(_Frozen):
    """`[confidence]`: what is reported with a classification."""

    rule: float
    article: float
    none: float


class Currency(_Frozen):
    """`[money.XXX]`: how an amount in the currency's smallest unit is written."""

    decimals: int = Field(default=2, ge=0)
    symbol: str


class Window(_Frozen):
    """How old an item may be when the ticket is written."""

    field: str
    days: int = Field(gt=0)


class Choice(_Frozen):
    """`[choices.X]`: how one item of a list is found that a ticket speaks about."""

    look: str  # the role of the tool that lists the items
    key: str  # the field that identifies an item
    where: Mapping[str, tuple[str, ...]] = {}  # field → values that make an item eligible
    settled: Mapping[str, tuple[str, ...]] = {}  # … and values that show that the act has been done
    named: Pattern | None = None  # how a ticket names an item
    describe: tuple[str, ...] = ()  # fields whose words a ticket may use
    newest: str | None = None  # the field that orders items in time
    newest_when: Pattern | None = None  # the words by which a ticket asks for the newest
    within: Window | None = None
    label: str  # how an item is written in a text; {amount} is its formatted amount


class Need(_Frozen):
    """What the customer must have said; without it, the question goes back."""

    pattern: Pattern
    question: ByLanguage


class Act(_Frozen):
    """What is done before the ticket is closed."""

    role: str
    choose: str | None = None
    arguments: Mapping[
        str, Any
    ] = {}  # "$key" is the chosen item's key, "$keys" a list of it, "$because" the reason that is given
    because: str = ""
    done: ByLanguage  # what the customer is told; {item} is the chosen item's label
    quote: ByLanguage = {}  # the first sentence of the article that holds this pattern follows
    otherwise: Literal["answer", "escalate"] = "escalate"  # when the tool is not offered, or fails


class Intent(_Frozen):
    """`[[intents]]`: one thing that a ticket may be about. The first intent that matches is taken."""

    name: str
    category: str
    type: Literal["question", "incident", "problem", "task"]
    then: Literal["answer", "act", "escalate", "dismiss"]
    within: Literal["customer", "everything"] = "customer"
    any: tuple[Pattern, ...] = ()
    all: tuple[Pattern, ...] = ()
    none: tuple[Pattern, ...] = ()
    sentiment: str | None = None
    other_address: bool = False  # it speaks of an e-mail address that is not the requester's
    known_customer: bool | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    tags: tuple[str, ...] = ()
    because: str = ""  # the reason of an escalation
    needs: Need | None = None
    look: tuple[str, ...] = ()  # roles of reads that show people what the answer rests on
    query: ByLanguage = {}
    act: Act | None = None


class Tone(_Frozen):
    """What stands around an answer for one tier."""

    question: str = ""
    trouble: str = ""
    pointer: str = ""  # before the last full stop; {title} is the article's


class Texts(_Frozen):
    """`[texts.xx]`: a language that the model can write, and its sentences; the first one where none is recognized."""

    duplicate: str
    unknown_sender: str
    which_one: str
    dismissed: str
    tones: Mapping[str, Tone] = {}  # by tier; a tier without a tone gets the bare answer


class Letter(_Frozen):
    """`[letter]`: what every text to a customer begins and ends with."""

    greeting: str
    sign_off: str
    sentences: int = Field(gt=0)  # most of them, greeting and sign-off not counted


class Reasons(_Frozen):
    """`[reasons]`: sentences for the people who take over."""

    no_answer: str
    same_answer: str
    same_question: str
    language: str
    foreign_item: str
    ineligible: str
    too_old: str
    denied: str
    failed: str
    unknown: str
    not_offered: str
    nudged: str


class Rules(_Frozen):
    """Everything that the offline model knows about a helpdesk, its customers and its tools."""

    tools: Mapping[str, str]  # role → server.tool
    marker: str  # of the internal note, so that a second run replaces it
    own_domains: tuple[str, ...] = ()
    reading: Reading
    results: Results
    letter: Letter
    retrieval: Retrieval
    confidence: Confidence
    sentiment: Sentiment
    reasons: Reasons
    money: Mapping[str, Currency] = {}
    texts: Mapping[str, Texts]
    choices: Mapping[str, Choice] = {}
    intents: tuple[Intent, ...]


@cache
def default_rules() -> Rules:
    """Return the rules of the built-in helpdesk."""
    text = files("agent").joinpath("defaults", "offline.toml").read_text(encoding="utf-8")
    return Rules.model_validate(tomllib.loads(text))


def finds(pattern: str, text: str) -> re.Match[str] | None:
    """Return where a pattern of the rules first matches."""
    return re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
