"""Lines of a record: the number of their entry in the margin, the time as a clock, and no text longer than wanted."""

from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from agent.records import Entry
from agent.render.page import Line, Page, Tone

_MOST_ROWS = 6
_MOST_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """The page of one record."""

    page: Page
    began: datetime  # times of the same day are told without it
    is_full: bool  # texts whole, not only how they begin
    margin: int  # columns of the widest number

    def line(self, body: Text, *, entry: Entry | None = None, sign: Text | str = "", indent: int = 0) -> Line:
        """Return a line, its entry's number in the margin and a sign before it."""
        lead = Text(f"{entry.seq if entry else '':>{self.margin}}", style=Tone.QUIET)
        if sign:
            lead = Text.assemble(lead, " " * (indent + 2), sign)
            indent += Text.assemble(sign).cell_len + 1
        return Line(lead=lead, indent=self.margin + 2 + indent, body=body)

    def quote(self, raw: str, *, indent: int = 0, style: str = "", most: int = _MOST_CHARACTERS) -> Line:
        """Return what someone else wrote, behind a bar: how it begins, and how much more there is."""
        text = raw.strip("\n")
        shown = len(text) if self.is_full else _beginning(text, most)
        return self.page.foreign(text, lead=" ", indent=self.margin + 2 + indent, style=style, most=shown)

    def clock(self, at: datetime) -> str:
        """Return the time of day, in UTC; on another day than the run's first, with the date."""
        moment = at.astimezone(UTC)
        is_same_day = moment.date() == self.began.astimezone(UTC).date()
        return f"{moment:%H:%M:%S}" if is_same_day else f"{moment:%Y-%m-%d %H:%M:%S}"


def _beginning(text: str, most: int) -> int:
    """Return how many characters of a text are shown: at most so many, and of many rows only the first."""
    rows = text.split("\n", _MOST_ROWS)
    return most if len(rows) <= _MOST_ROWS else min(most, len(text) - len(rows[-1]) - 1)
