"""`tickets`: the queue and single tickets, through the helpdesk's own server."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.commands.frame import Frame
from agent.documents import at
from agent.errors import ServerProtocolError, UsageError
from agent.records import JsonObject
from agent.render import SilentView, TicketLine, show_ticket, show_tickets
from agent.session import open_session


async def list_tickets(frame: Frame, *, limit: int | None) -> int:
    """Show the tickets that wait for the agent."""
    settings = await frame.settings()
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        queue = await session.helpdesk.queue(limit)
    if frame.is_json:
        frame.print_json({"tickets": [item.summary for item in queue]})
    else:
        show_tickets(frame.out, [_line(item.ticket_id, item.summary) for item in queue], now=datetime.now(UTC))
    return 0


async def show(frame: Frame, ticket_id: str) -> int:
    """Show one ticket's record, its conversation and its events."""
    settings = await frame.settings()
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        record = await session.helpdesk.record(ticket_id)
    if frame.is_json:
        frame.print_json(record)
    else:
        subject = at(record, settings.tickets.fields.get("subject", "/subject"))
        show_ticket(frame.out, record, ticket_id=ticket_id, subject=str(subject or ""))
    return 0


async def import_file(frame: Frame, file: Path) -> int:
    """Hand the tickets of a JSON file to the helpdesk and say which ids they were given."""
    tickets = _read_tickets(file)
    settings = await frame.settings()
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        with _handed_in():
            answer = await session.helpdesk.import_tickets(tickets)
    if frame.is_json:
        frame.print_json(answer)
    else:
        frame.say(f"{len(tickets)} ticket{'' if len(tickets) == 1 else 's'} imported.")
    return 0


async def reply_as_customer(frame: Frame, ticket_id: str, body: str) -> int:
    """Record a reply on the ticket as if its requester had sent it."""
    settings = await frame.settings()
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        await session.helpdesk.record(ticket_id)  # an unknown ticket is told as everywhere else
        with _handed_in():
            answer = await session.helpdesk.customer_reply(ticket_id, body)
    if frame.is_json:
        frame.print_json(answer)
    else:
        frame.say(f"The reply is on ticket {ticket_id}.")
    return 0


def _line(ticket_id: str, summary: Mapping[str, Any]) -> TicketLine:
    def text(*names: str) -> str:
        return next((str(summary[name]) for name in names if summary.get(name) is not None), "")

    return TicketLine(
        id=ticket_id,
        subject=text("subject", "title"),
        requester=text("requester"),
        status=text("status"),
        priority=text("priority"),
        updated=text("updated_at", "created_at"),
    )


def _read_tickets(file: Path) -> list[JsonObject]:
    """Read a JSON array of objects, or one object a line.

    Raises:
        UsageError: the file cannot be read or holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or 'unknown error').lower()}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text.") from error
    if text.lstrip().startswith("["):
        documents: list[Any] = _parsed(file, text, line=1)
    else:
        # Not `splitlines`: what ends a line there may stand inside a JSON text.
        lines = enumerate(text.split("\n"), start=1)
        documents = [_parsed(file, line, line=number) for number, line in lines if line.strip()]
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise UsageError(f"{file} holds no tickets: expected objects with at least subject, body and requester.")
    return documents


def _parsed(file: Path, text: str, *, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{file}, line {line + error.lineno - 1}, column {error.colno}"
        found = error.msg[0].lower() + error.msg[1:]
        expected = "an array of tickets, or one ticket a line"
        raise UsageError(f"{place}: this is not JSON: {found} (expected {expected}).") from error
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{file}: a value in this file is nested too deeply or too large.") from error


@contextmanager
def _handed_in() -> Generator[None]:
    """Take what the helpdesk refuses for a mistake in what was handed in: nothing has to be mended first."""
    try:
        yield
    except ServerProtocolError as refusal:
        raise UsageError(str(refusal)) from refusal
