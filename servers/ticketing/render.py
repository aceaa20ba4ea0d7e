"""Tickets as Markdown for a model and as JSON for a program."""

import re
from collections.abc import Iterable
from dataclasses import asdict

from servers.effects import JsonObject
from servers.ticketing.knowledge import Passage
from servers.ticketing.words import Message, Record, Ticket

_SUMMARY = (
    "id", "subject", "requester", "status", "priority", "type", "group", "assignee",
    "channel", "language", "tags", "created_at", "updated_at", "due_at",
)  # fmt: skip


def summary_json(ticket: Ticket) -> JsonObject:
    """Return what a list shows of a ticket."""
    fields = asdict(ticket)
    return {name: fields[name] for name in _SUMMARY}


def record_json(record: Record) -> JsonObject:
    """Return the whole ticket, its messages and its events."""
    return {
        **asdict(record.ticket),
        "messages": [asdict(message) for message in record.messages],
        "events": [asdict(event) for event in record.events],
    }


def ticket_markdown(record: Record) -> str:
    """Return the ticket as a colleague would want to read it.

    Everything that someone wrote is quoted, so that no text can pass for a heading or for another message.
    """
    ticket = record.ticket
    fields = {
        "Requester": ticket.requester,
        "Status": ticket.status,
        "Priority": ticket.priority,
        "Type": ticket.type,
        "Category": ticket.category,
        "Language": ticket.language,
        "Sentiment": ticket.sentiment,
        "Channel": ticket.channel,
        "Group": ticket.group,
        "Assignee": ticket.assignee or "nobody",
        "Tags": ", ".join(ticket.tags) or None,
        "Opened": _time(ticket.created_at),
        "Due": ticket.due_at and _time(ticket.due_at),
    }
    lines = [f"# Ticket {ticket.id}: {_line(ticket.subject)}", ""]
    lines += [f"- {name}: {_line(value)}" for name, value in fields.items() if value]
    lines += ["", "## Conversation"]
    for message in record.messages:
        lines += ["", f"### {_speaker(message)}, {_time(message.at)}", "", _quoted(message.body)]
    if ticket.resolution is not None:
        lines += ["", "## Resolution", "", _quoted(ticket.resolution)]
    return "\n".join(lines) + "\n"


def list_markdown(tickets: Iterable[Ticket], *, is_complete: bool) -> str:
    """Return open tickets as a table, one line each."""
    rows = [
        f"| {ticket.id} | {ticket.priority} | {ticket.status} | {_cell(ticket.subject)} | {_cell(ticket.requester)} "
        f"| {_cell(ticket.assignee or 'nobody')} | {_time(ticket.created_at)} |"
        for ticket in tickets
    ]
    if not rows:
        return "# Open tickets\n\nThere are none.\n"
    head = "| Ticket | Priority | Status | Subject | Requester | Assignee | Opened |\n|---|---|---|---|---|---|---|"
    more = "" if is_complete else "\nThere are more: ask for them with list_tickets.\n"
    return "\n".join(["# Open tickets", "", head, *rows]) + "\n" + more


def passages_markdown(query: str, passages: Iterable[Passage]) -> str:
    """Return what a search found, each passage under its article and source."""
    parts = [f"# {passage.title}\n\nSource: {passage.uri}\n\n{passage.text}" for passage in passages]
    if not parts:
        return (
            f"Nothing found: no article in the knowledge base shares a word with {_line(query)[:200]!r}. "
            "Try other words, in the language of the articles; if that finds nothing, the answer is not there."
        )
    return "\n\n---\n\n".join(parts)


def _speaker(message: Message) -> str:
    author = _line(message.author)
    match message.kind:
        case "customer":
            return f"{author} (customer)"
        case "public_reply":
            return f"{author} (reply to the customer)"
        case "internal_note":
            return f"Internal note by {author}, not visible to the customer"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _time(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"
