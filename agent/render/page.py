"""The page that everything is shown on: a console, what it can print, and lines that wrap under themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from agent.render.text import excerpt, excerpt_block, visible

UNBOUNDED_COLUMNS = 2000
"""Room on a line that no terminal wraps: pipes keep one event on one line, and still cut what has no end."""


class Tone(StrEnum):
    """The few meanings that colours carry; each is also said in words or by a symbol."""

    PLAIN = ""
    STRONG = "bold"
    QUIET = "dim"
    GOOD = "green"
    BAD = "red"
    CARE = "yellow"
    PLANNED = "cyan"


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbols:
    """Signs that a page uses; every one has an ASCII form."""

    done: str = "✓"
    failed: str = "✗"
    planned: str = "○"
    care: str = "!"
    arrow: str = "→"
    back: str = "←"
    up: str = "↑"
    below: str = "↳"
    dot: str = "·"
    dash: str = "—"
    bar: str = "│"
    inner_bar: str = "┊"
    more: str = "…"
    spinner: str = "dots"  # the name of one of rich's spinners


_ASCII = Symbols(
    done="+",
    failed="x",
    planned="o",
    arrow="->",
    back="<-",
    up="^",
    below="\\_",
    dot="|",
    dash="-",
    bar="|",
    inner_bar=":",
    more="...",
    spinner="line",
)


def open_console(stream: TextIO) -> Console:
    """Return a console on `stream` that reads no markup, highlights nothing and never fails on a character."""
    _escape_what_it_cannot_print(stream)
    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _escape_what_it_cannot_print(stream: TextIO) -> None:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


class Page:
    """A console with its symbols, and the one way from untrusted strings to something printable."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.encoding = console.encoding
        self.symbols = Symbols() if self.encoding.startswith("utf") else _ASCII

    @property
    def columns(self) -> int:
        """How many columns a line may take before it is shortened."""
        return self.console.width if self.console.is_terminal else UNBOUNDED_COLUMNS

    def text(self, raw: object, style: str = "") -> Text:
        """Return any value as safe text on one line."""
        return Text(visible(str(raw), self.encoding), style=style)

    def excerpt(self, raw: object, columns: int, style: str = "") -> Text:
        """Return any value as safe text on one line of at most `columns` columns, saying how much was left out."""
        return Text(excerpt(str(raw), columns, self.encoding), style=style)

    def block(self, raw: str, style: str = "", *, most_characters: int = 20_000) -> Text:
        """Return safe text with its line breaks, saying how much was left out of what is longer."""
        return Text(excerpt_block(raw.strip("\n"), most_characters, self.encoding), style=style)

    def foreign(
        self, raw: str, *, lead: Text | str = "", indent: int = 0, style: str = "", most: int = 20_000
    ) -> "Line":
        """Return words that someone else wrote behind a bar, so that none of their lines can pass for the host's."""
        bar = Text(f"{self.symbols.bar} ", style=Tone.QUIET)
        return Line(lead=lead, indent=indent, bar=bar, body=self.block(raw, style, most_characters=most))

    def message(self, raw: str, *, lead: Text | str, indent: int, style: str = "") -> Iterator["Line"]:
        """Yield a sentence of the host, and behind a bar the further lines, such as a server's last words."""
        sentence, _, more = raw.strip().partition("\n")
        yield Line(lead=lead, indent=indent, body=self.text(sentence, style))
        if more.strip():
            yield self.foreign(more, indent=indent, style=Tone.QUIET)

    def join(self, *parts: str | Text, style: str = "") -> Text:
        """Return the parts that are not empty with a dot between them."""
        texts = [self.text(part) if isinstance(part, str) else part for part in parts]
        separator = Text(f" {self.symbols.dot} ")
        return Text(style=style).append_text(separator.join(text for text in texts if text))

    def print(self, *renderables: RenderableType) -> None:
        """Print each on lines of its own: wrapped on a terminal, whole in a pipe."""
        for renderable in renderables:
            shown = Line(body=renderable) if isinstance(renderable, Text) else renderable
            self.console.print(shown, soft_wrap=not self.console.is_terminal, markup=False, highlight=False)

    def print_whole(self, text: Text, *, end: str = "\n") -> None:
        """Print text that the terminal itself wraps: what is copied from it, or typed behind it, stays in one piece."""
        self.console.print(text, end=end, soft_wrap=True, markup=False, highlight=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing said: a lead such as a symbol, and a body that wraps beside it."""

    body: Text
    lead: Text | str = ""
    indent: int = 0  # columns before the body; the lead stands in them
    margin: Text | str = ""  # repeated before every row
    bar: Text | str = ""  # repeated before every row of the body

    def rows(self, console: Console, columns: int | None) -> Iterator[Text]:
        """Yield the rows that this line takes in `columns` columns; None: as many as the body has lines."""
        margin, lead, bar = Text.assemble(self.margin), Text.assemble(self.lead), Text.assemble(self.bar)
        lead.pad_right(max(self.indent - lead.cell_len, 1 if lead else 0))
        blank = Text(" " * lead.cell_len)
        if columns is None:
            bodies = list(self.body.split("\n", allow_blank=True))
        else:
            room = max(columns - margin.cell_len - lead.cell_len - bar.cell_len, 10)
            bodies = list(self.body.wrap(console, room, overflow="fold"))
        for place, body in enumerate(bodies or [Text()]):
            row = Text.assemble(margin, blank if place else lead, bar, body)
            row.rstrip()
            yield row

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.rows(console, None if options.no_wrap else options.max_width)
