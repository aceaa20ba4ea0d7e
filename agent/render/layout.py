"""Tables that fit: columns side by side where there is room, else one card for each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from agent.render.page import Line, Page, Tone
from agent.render.text import fair_shares

_GAP = 2
_NARROWEST = 12  # a column of words that is narrower reads like a list of syllables


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's head and manner."""

    name: str
    is_flexible: bool = False  # its words may wrap
    is_number: bool = False  # stands at the right


def table(page: Page, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> list[RenderableType]:
    """Return the rows as a table, or as cards where the page is too narrow for one; no cell loses a character."""
    widths = _widths(page, columns, rows)
    if widths is None:
        return [line for row in rows for line in _card(columns, row)]
    head = [Text(column.name, style=Tone.QUIET) for column in columns]
    return [text for row in [head, *rows] for text in _table_rows(page, columns, widths, row)]


def pairs(page: Page, items: Sequence[tuple[str, Text]], *, indent: int = 0) -> Iterator[Line]:
    """Yield names and values below each other, the values in one column."""
    names = [page.text(name, style=Tone.QUIET) for name, _ in items]
    widest = min(max((name.cell_len for name in names), default=0), 24)
    for name, (_, value) in zip(names, items, strict=True):
        lead = Text(" " * indent).append_text(name)
        yield Line(lead=lead, indent=indent + widest + _GAP, body=value)


def heading(page: Page, name: str) -> list[RenderableType]:
    """Return a heading with a line of air above it."""
    return [Text(), page.text(name, style=Tone.STRONG)]


def _widths(page: Page, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> list[int] | None:
    """Return each column's width, or None when they do not stand side by side."""
    wants = [
        max([cell_len(column.name), *(_natural(row[place]) for row in rows)]) for place, column in enumerate(columns)
    ]
    flexible = [place for place, column in enumerate(columns) if column.is_flexible]
    fixed = sum(want for place, want in enumerate(wants) if place not in flexible)
    room = page.columns - _GAP * (len(columns) - 1) - fixed
    if room < sum(min(wants[place], _NARROWEST) for place in flexible):
        return None
    for place, share in zip(flexible, fair_shares([wants[place] for place in flexible], room), strict=True):
        wants[place] = share
    return wants


def _natural(cell: Text) -> int:
    return max((line.cell_len for line in cell.split("\n", allow_blank=True)), default=0)


def _table_rows(page: Page, columns: Sequence[Column], widths: Sequence[int], row: Sequence[Text]) -> Iterator[Text]:
    cells = [
        list(cell.wrap(page.console, max(width, 1), overflow="fold")) for cell, width in zip(row, widths, strict=True)
    ]
    for parts in zip_longest(*cells, fillvalue=Text()):
        line = Text()
        for place, (column, width, part) in enumerate(zip(columns, widths, parts, strict=True)):
            part.rstrip()
            padding = " " * (width - part.cell_len)
            line.append(" " * _GAP if place else "")
            line.append_text(Text.assemble(padding, part) if column.is_number else Text.assemble(part, padding))
        line.rstrip()
        yield line


def _card(columns: Sequence[Column], row: Sequence[Text]) -> Iterator[RenderableType]:
    yield Text.assemble(row[0], style=Tone.STRONG)
    widest = max(cell_len(column.name) for column in columns)
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            lead = Text(f"  {column.name}", style=Tone.QUIET)
            yield Line(lead=lead, indent=widest + 4, body=cell)
