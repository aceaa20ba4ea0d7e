"""One ticket with everything that working it needs: the rules, the tools at hand, and what is understood of it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from agent.models.offline.conversation import Ticket
from agent.models.offline.desk import Answers, Call, Desk, Step
from agent.models.offline.lookup import Article
from agent.models.offline.rules import Intent, Rules, Texts
from agent.models.offline.understanding import Understanding, understand
from agent.models.offline.writing import Writer, writer_for

Work: TypeAlias = Generator[Step, Answers, str]
"""Yields replies that call tools, and returns the text of the last one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One ticket to be worked."""

    ticket: Ticket
    rules: Rules
    desk: Desk
    seen: Understanding

    @property
    def intent(self) -> Intent | None:
        """What the ticket is about, when a rule says so."""
        return self.seen.intent

    @property
    def is_trouble(self) -> bool:
        """Whether something does not work, rather than somebody asking for something."""
        return self.intent is not None and self.intent.type in {"incident", "problem"}

    @property
    def writer(self) -> Writer | None:
        """Who writes to this customer; None in a language that the rules cannot write."""
        return writer_for(self.ticket.tier, self.seen.language, self.rules)

    @property
    def texts(self) -> Texts | None:
        """The sentences of the ticket's language."""
        return self.rules.texts.get(self.seen.language)

    def classification(self, article: Article | None = None) -> tuple[Call, ...]:
        """Return the call that records what the ticket is about, or nothing when there is no such tool."""
        intent, confidence = self.intent, self.rules.confidence
        call = self.desk.call(
            "classify",
            type=intent.type if intent else "question",
            category=intent.category if intent else "other",
            language=self.seen.language,
            sentiment=self.seen.sentiment,
            # The tool takes all tags that the ticket is to have.
            tags=sorted({*self.ticket.tags, *intent.tags}) if intent and intent.tags else None,
            confidence=confidence.rule if intent else confidence.article if article else confidence.none,
        )
        return (call,) if call else ()

    def note(self, article: Article | None) -> tuple[Call, ...]:
        """Return the call that tells colleagues what the answer rests on, or nothing when there is no such tool."""
        source = f"Answered from {article.uri} ({article.title})." if article else "No article was needed."
        body = f"Offline model (rules and retrieval, not an LLM). {self.about}\n{source}"
        call = self.desk.call("note", body=body, marker=self.rules.marker)
        return (call,) if call else ()

    @property
    def about(self) -> str:
        """What is understood of the ticket, in one sentence for colleagues."""
        name = self.intent.name if self.intent else "nothing that a rule knows"
        return f"Understood as: {name}; language {self.seen.language}; sentiment {self.seen.sentiment}."


def first_step(work: Work) -> Step:
    """Return the first reply of this work, which is its last one when it calls no tool."""
    try:
        return next(work)
    except StopIteration as over:
        return Step(str(over.value))


def job_for(ticket: Ticket, rules: Rules, desk: Desk) -> Job:
    """Return the job that this ticket makes."""
    return Job(ticket=ticket, rules=rules, desk=desk, seen=understand(ticket, rules))
