"""A request's messages as the offline model reads them: the ticket, the requester, and what has been done so far."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.models.offline.rules import Reading, Results, finds
from agent.records import JsonObject, ModelRequest

LONGEST_READ = 20_000
"""Characters of a ticket that the rules look at; what a person writes is shorter, what a flood writes is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """What the first message says about the ticket and its requester. All of it is data; none of it is a command."""

    id: str
    tier: str | None
    subject: str
    requester: str
    created: str
    tags: tuple[str, ...]
    said: str  # subject and everything the customer wrote
    everything: str  # the ticket as it was sent
    is_known: bool  # the requester has a customer record
    spoke_last: bool  # nobody has written since the customer did


class Status(StrEnum):
    """What became of a call, as far as its result tells."""

    DONE = "done"  # or recorded by a dry run: the run goes on as if done
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One answered call."""

    name: str  # as the tool was offered
    arguments: Mapping[str, Any]
    status: Status
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One reply of this model that is over, and the results that answered it."""

    results: tuple[Result, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The tools that were called, in order."""
        return tuple(result.name for result in self.results)


def read_ticket(request: ModelRequest, reading: Reading) -> Ticket | None:
    """Return the ticket that this request is about, or None when it is about something else."""
    texts = _texts(request.messages[0]["content"])
    blocks = {origin: body for text in texts for origin, body in [_untrusted(text)] if origin}
    ticket = next(((origin, body) for origin, body in blocks.items() if origin.startswith("ticket ")), None)
    if ticket is None:
        return None
    origin, everything = ticket[0], ticket[1][:LONGEST_READ]
    record = next((origin for origin in blocks if origin.startswith("customer ")), None)
    subject = _group(reading.subject, everything)
    return Ticket(
        id=origin.partition(" ")[2],
        tier=_group(reading.tier, texts[0]).lower() or None,
        subject=subject,
        requester=(record.partition(" ")[2] if record else _group(reading.requester, everything)).lower(),
        created=_group(reading.created, everything),
        tags=tuple(filter(None, re.split(r"\s*,\s*", _group(reading.tags, everything)))),
        said="\n\n".join([subject, *_said_by_customer(everything, reading)]),
        everything=_unquoted(everything, reading),
        is_known=record is not None,
        spoke_last=_customer_spoke_last(everything, reading),
    )


def played_turns(messages: Sequence[JsonObject], results: Results) -> list[Turn]:
    """Return this model's replies so far with what answered them, oldest first."""
    turns: list[Turn] = []
    for position, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        answers = _blocks(messages[position + 1]["content"]) if position + 1 < len(messages) else ()
        by_id = {block["tool_use_id"]: block for block in answers if block.get("type") == "tool_result"}
        calls = [block for block in _blocks(message["content"]) if block.get("type") == "tool_use"]
        turns.append(Turn(results=tuple(_result(call, by_id.get(call["id"]), results) for call in calls)))
    return turns


def last_text(messages: Sequence[JsonObject]) -> str:
    """Return the text of the last message."""
    return "\n".join(_texts(messages[-1]["content"]))


def _result(call: JsonObject, answer: JsonObject | None, results: Results) -> Result:
    text = "" if answer is None else "\n".join(_texts(answer.get("content", "")))
    return Result(name=call["name"], arguments=call["input"], status=_status(answer, text, results), text=text)


def _status(answer: JsonObject | None, text: str, results: Results) -> Status:
    if answer is None:
        return Status.UNKNOWN
    # Only a failure is read for words: a successful result may quote whatever a customer wrote.
    if not answer.get("is_error"):
        return Status.DONE
    if finds(results.denied, text):
        return Status.DENIED
    return Status.UNKNOWN if finds(results.unknown, text) else Status.FAILED


def _said_by_customer(everything: str, reading: Reading) -> Iterator[str]:
    """Yield the customer's messages; a layout that the patterns do not know is taken as one message."""
    headings = list(re.finditer(reading.section, everything, re.IGNORECASE | re.MULTILINE))
    if not headings:
        yield everything
    ends = [heading.start() for heading in headings[1:]] + [len(everything)]
    for heading, end in zip(headings, ends, strict=True):
        if finds(reading.customer, heading[1]):
            yield _unquoted(everything[heading.end() : end], reading).strip()


def _customer_spoke_last(everything: str, reading: Reading) -> bool:
    headings = re.findall(reading.section, everything, re.IGNORECASE | re.MULTILINE)
    return not headings or finds(reading.customer, headings[-1]) is not None


def _unquoted(text: str, reading: Reading) -> str:
    return re.sub(reading.quote, "", text, flags=re.MULTILINE)


def _untrusted(text: str) -> tuple[str, str]:
    """Return origin and body of an untrusted block, or two empty strings."""
    opened = re.match(r'<untrusted origin="([^"]*)">\n', text)
    return (opened[1], text[opened.end() :].removesuffix("\n</untrusted>")) if opened else ("", "")


def _blocks(content: str | Sequence[JsonObject]) -> Sequence[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(content: str | Sequence[JsonObject]) -> list[str]:
    return [block["text"] for block in _blocks(content) if block.get("type") == "text"]


def _group(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
    return match[1].strip() if match else ""
