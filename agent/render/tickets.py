"""The queue as a list, and one ticket whatever its helpdesk records about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard, cast

from rich.console import Console, RenderableType
from rich.text import Text

from agent.render.figures import age, count
from agent.render.layout import Column, heading, pairs, table
from agent.render.page import Line, Page, Tone
from agent.render.text import as_json

_LONG_TEXT = 80  # characters: longer text is read as a paragraph, not as a field
_CELL_COLUMNS = 120  # most of one value that a row of a list shows


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketLine:
    """One ticket of a list; what the helpdesk does not say is empty. `updated` is ISO 8601."""

    id: str
    subject: str = ""
    requester: str = ""
    status: str = ""
    priority: str = ""
    updated: str = ""


def show_tickets(console: Console, tickets: Sequence[TicketLine], *, now: datetime) -> None:
    """Show a list of tickets; `now` is aware, and ages count from it."""
    page = Page(console)
    columns = [
        Column(name="id"),
        Column(name="priority"),
        Column(name="status"),
        Column(name="requester", is_flexible=True),
        Column(name="subject", is_flexible=True),
        Column(name="updated", is_number=True),
    ]
    rows = [
        [
            page.text(ticket.id, style=Tone.STRONG),
            page.text(ticket.priority),
            page.text(ticket.status),
            page.text(ticket.requester, style=Tone.QUIET),
            page.text(ticket.subject),
            page.text(age(ticket.updated, now), style=Tone.QUIET),
        ]
        for ticket in tickets
    ]
    if rows:
        page.print(*table(page, columns, rows), Text())
    page.print(page.text(count(len(rows), "ticket"), style=Tone.QUIET))


def show_ticket(console: Console, record: Mapping[str, Any], *, ticket_id: str, subject: str = "") -> None:
    """Show a ticket's record whatever its fields: short ones first, then texts, then lists such as its events."""
    page = Page(console)
    name = page.text(f"#{ticket_id}", style=Tone.STRONG)
    title = Line(lead=name, indent=max(name.cell_len + 1, 4), body=page.text(subject, style=Tone.STRONG))
    lists = {key: value for key, value in record.items() if _is_list_of_objects(value)}
    texts = {key: value for key, value in record.items() if _is_long(value)}
    fields = [(key, _field(page, value)) for key, value in record.items() if key not in lists and key not in texts]
    page.print(title, Text(), *pairs(page, fields))
    for key, text in texts.items():
        page.print(*heading(page, key), page.foreign(text, indent=2))
    for key, items in lists.items():
        page.print(*heading(page, f"{key} ({len(items)})"), *_objects(page, items))


def _is_list_of_objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return bool(items) and all(isinstance(item, dict) for item in items)


def _is_long(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and (len(value) > _LONG_TEXT or "\n" in value)


def _field(page: Page, value: Any) -> Text:
    if _is_empty(value):
        return Text(page.symbols.dash, style=Tone.QUIET)
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list):
        return page.text(
            ", ".join(item if isinstance(item, str) else as_json(item) for item in cast("list[Any]", value))
        )
    return page.text(value if isinstance(value, str) else as_json(value))


def _objects(page: Page, items: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield a conversation for items that carry long texts, else a table."""
    names = list(dict.fromkeys(name for item in items for name in item))
    texts = {name: sum(len(item[name]) for item in items if _is_long(item.get(name))) for name in names}
    if any(texts.values()):
        body = max(texts, key=lambda name: texts[name])
        for item in items:
            yield from _message(page, item, body)
        return
    filled = [name for name in names if any(not _is_empty(item.get(name)) for item in items)]
    columns = [Column(name=page.text(name).plain, is_flexible=True) for name in filled]
    yield from table(page, columns, [[_cell(page, item.get(name)) for name in filled] for item in items])


def _message(page: Page, item: Mapping[str, Any], body: str) -> Iterator[RenderableType]:
    """Yield one item: its short values on a line, then its texts."""
    about = [_cell(page, value) for name, value in item.items() if name != body and not _is_long(value)]
    yield Line(indent=2, body=page.join(*about, style=Tone.QUIET))
    for name, value in item.items():
        if name == body or _is_long(value):
            yield page.foreign(str(value), indent=2)
    yield Text()


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _cell(page: Page, value: Any) -> Text:
    if _is_empty(value):
        return Text()
    shown = _moment(value) if isinstance(value, str) else as_json(value)
    return page.excerpt(shown, _CELL_COLUMNS)


def _moment(text: str) -> str:
    """Return a point in time to the minute, and any other text as it is."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}" if "T" in text else text
    except ValueError:
        return text
