"""The queue at work: tickets that are being worked, those that are finished, and a table at the end."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from agent.records import Entry, EntryKind, OutcomeKind, RunReport
from agent.render.figures import count, dollars, seconds
from agent.render.layout import Column, table
from agent.render.live import Stage, notice_lines
from agent.render.page import Line, Page, Tone
from agent.render.story import case_fields
from agent.render.summary import NO_MODEL, OUTCOME_TONES, outcome_symbol

_WIDE = 120  # from here on requester and reason have columns of their own
_REASON_COLUMNS = 100
_NARROWEST_SUBJECT = 16
_MOST_AT_WORK = 8  # tickets in view; more would push the finished ones off the screen
_OUTCOME_COLUMNS = max(len(kind.value) for kind in OutcomeKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRow:
    """One finished ticket of a queue."""

    report: RunReport
    subject: str = ""
    requester: str = ""


@dataclass(kw_only=True, slots=True)
class _Work:
    subject: str = ""
    requester: str = ""
    activity: str = "opening"


class QueueView:
    """Shows many runs at once: an Observer, told of each finished one; a context manager around them."""

    def __init__(self, console: Console, *, total: int | None = None) -> None:
        self._page = Page(console)
        self._stage = Stage(self._page, self)
        self._work: dict[str, _Work] = {}
        self._rows: list[QueueRow] = []
        self._total = total
        self._skipped = 0
        self._began_s = console.get_time()

    def __enter__(self) -> Self:
        if self._page.console.is_terminal:
            self._stage.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stage.close()

    @property
    def rows(self) -> tuple[QueueRow, ...]:
        """The finished tickets, in the order in which they finished: what `show_queue` takes."""
        return tuple(self._rows)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep the screen still while a person is asked something; what happens meanwhile is shown after."""
        with self._stage.paused():
            yield

    def expect(self, total: int) -> None:
        """Take the number of tickets there will be, once the queue is known."""
        self._total = total

    def finished(self, report: RunReport, *, subject: str = "", requester: str = "") -> None:
        """Show that one ticket's run is over; what the queue knows of it serves where no run was begun."""
        work = self._work.pop(report.ticket_id, _Work())
        row = QueueRow(report=report, subject=work.subject or subject, requester=work.requester or requester)
        self._rows.append(row)
        self._stage.print(*_finished_lines(self._page, row))

    def skipped(self, because: str) -> None:
        """Show that one ticket is not this queue's to work."""
        self._skipped += 1
        self.notice(f"Skipped: {because}")

    def entry(self, ticket_id: str, entry: Entry) -> None:
        """Note what a ticket's run is at."""
        work = self._work.setdefault(ticket_id, _Work())
        match entry.kind:
            case EntryKind.CASE:
                fields = case_fields(entry.body.get("ticket"))
                work.subject = str(fields.get("subject") or "")
                work.requester = str(fields.get("requester") or "")
                work.activity = "turn 1"
            case EntryKind.REPLY:
                work.activity = f"turn {entry.body.get('turn', '?')}"
            case EntryKind.ATTEMPT:
                work.activity = str(entry.body.get("tool", ""))
            case EntryKind.OUTCOME:
                work.activity = "finishing"
            case _:
                pass

    def text(self, ticket_id: str, delta: str) -> None:
        """Show nothing: many models speak at once."""

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        """Show nothing: the bar counts tickets."""

    def notice(self, message: str) -> None:
        """Show something that belongs to no ticket."""
        self._stage.print(*notice_lines(self._page, message))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        at_work = list(self._work.items())
        for ticket_id, work in at_work[:_MOST_AT_WORK]:
            yield self._at_work_line(ticket_id, work, options.max_width)
        if len(at_work) > _MOST_AT_WORK:
            yield self._page.text(f"  and {count(len(at_work) - _MOST_AT_WORK, 'more ticket')}", style=Tone.QUIET)
        over = len(self._rows) + self._skipped
        if self._total:
            yield ProgressBar(total=self._total, completed=over, width=min(options.max_width, 60))
            yield Segment.line()
        of = f"{over}/{self._total}" if self._total is not None else str(over)
        elapsed = seconds(console.get_time() - self._began_s)
        yield self._page.join(of, *_outcome_counts(self._rows), _skipped(self._skipped), elapsed)

    def _at_work_line(self, ticket_id: str, work: _Work, columns: int) -> Text:
        page = self._page
        name = page.excerpt(f"#{ticket_id}", 16)
        activity = page.excerpt(work.activity, max(columns // 2 - 4, 12))
        room = columns - 2 - name.cell_len - activity.cell_len - 4
        subject = page.excerpt(work.subject, room) if room >= 12 else Text()
        return Text("  ", style=Tone.QUIET).append_text(Text("  ").join(part for part in (name, subject, activity)))


def show_queue(
    console: Console, rows: Sequence[QueueRow], *, duration_s: float | None = None, skipped: int = 0
) -> None:
    """Show the finished tickets as a table, and one line of totals.

    `duration_s` is how long all of it took; runs overlap, so it is not the sum of theirs. `skipped` counts the tickets
    that were another process's to work.
    """
    page = Page(console)
    if rows:
        layout = _wide_table if page.columns >= _WIDE else _stacked_table
        page.print(Text(), *layout(page, rows), Text())
    page.print(_totals(page, rows, duration_s, skipped))


def _finished_lines(page: Page, row: QueueRow) -> Iterator[Line]:
    """Yield one line where it fits; on a narrow page the subject has a line of its own."""
    report = row.report
    sign = outcome_symbol(page, report.outcome.kind)
    name = page.text(f"#{report.ticket_id}", style=Tone.STRONG)
    name.pad_right(5 - name.cell_len)
    outcome = _outcome(row)
    outcome.pad_right(_OUTCOME_COLUMNS - outcome.cell_len)
    asked = (count(report.turns, "turn"), dollars(report.cost_usd)) if _has_asked(report) else ()
    end = page.join(*asked, seconds(report.duration_s), style=Tone.QUIET)
    room = page.columns - 2 - sum(part.cell_len + 2 for part in (name, outcome, end))
    if room < _NARROWEST_SUBJECT:
        yield Line(lead=sign, indent=2, body=Text("  ").join((name, outcome, end)))
        yield Line(indent=9, body=page.text(row.subject))
    else:
        subject = page.excerpt(row.subject, room)
        if page.console.is_terminal:
            subject.pad_right(room - subject.cell_len)
        yield Line(lead=sign, indent=2, body=Text("  ").join((name, outcome, subject, end)))
    if report.outcome.kind is OutcomeKind.UNRESOLVED:
        yield from page.message(report.outcome.reason, lead="", indent=9, style=Tone.QUIET)


def _outcome_counts(rows: Sequence[QueueRow]) -> list[Text]:
    found = Counter(row.report.outcome.kind for row in rows)
    return [Text(f"{found[kind]} {kind.value}", style=OUTCOME_TONES[kind]) for kind in OutcomeKind if found[kind]]


def _wide_table(page: Page, rows: Sequence[QueueRow]) -> list[RenderableType]:
    columns = [
        Column(name="ticket"),
        Column(name="subject", is_flexible=True),
        Column(name="requester", is_flexible=True),
        Column(name="outcome"),
        *_NUMBERS,
        Column(name="reason", is_flexible=True),
    ]
    cells = [
        [
            page.text(row.report.ticket_id),
            page.text(row.subject),
            page.text(row.requester),
            _outcome(row),
            *_numbers(page, row),
            page.excerpt(row.report.outcome.reason, _REASON_COLUMNS, style=Tone.QUIET),
        ]
        for row in rows
    ]
    return table(page, columns, cells)


def _stacked_table(page: Page, rows: Sequence[QueueRow]) -> list[RenderableType]:
    columns = [
        Column(name="ticket"),
        Column(name="outcome"),
        Column(name="subject, requester, reason", is_flexible=True),
        *_NUMBERS,
    ]
    cells = [[page.text(row.report.ticket_id), _outcome(row), _about(page, row), *_numbers(page, row)] for row in rows]
    return table(page, columns, cells)


def _about(page: Page, row: QueueRow) -> Text:
    about = (
        page.text(row.subject),
        page.text(row.requester, style=Tone.QUIET),
        page.excerpt(row.report.outcome.reason, _REASON_COLUMNS, style=Tone.QUIET),
    )
    return Text("\n").join(part for part in about if part)


_NUMBERS = (
    Column(name="turns", is_number=True),
    Column(name="cost", is_number=True),
    Column(name="time", is_number=True),
)


def _numbers(page: Page, row: QueueRow) -> tuple[Text, Text, Text]:
    report = row.report
    cost = "unknown" if report.cost_usd is None else dollars(report.cost_usd)
    asked = (str(report.turns), cost) if _has_asked(report) else ("", "")
    return page.text(asked[0]), page.text(asked[1]), page.text(seconds(report.duration_s))


def _has_asked(report: RunReport) -> bool:
    """Whether a model was there to be asked."""
    return report.model != NO_MODEL


def _outcome(row: QueueRow) -> Text:
    kind = row.report.outcome.kind
    return Text(kind.value, style=OUTCOME_TONES[kind])


def _skipped(number: int) -> str:
    return f"{number} skipped" if number else ""


def _totals(page: Page, rows: Sequence[QueueRow], duration_s: float | None, skipped: int) -> Line:
    reports = [row.report for row in rows]
    unknown = sum(report.cost_usd is None for report in reports)
    cost = dollars(sum(report.cost_usd or 0 for report in reports)) if unknown < len(reports) or not reports else ""
    if unknown:
        cost = f"{cost} and the unknown cost of {count(unknown, 'run')}".removeprefix(" and ")
    asked = (count(sum(report.turns for report in reports), "turn"), cost)
    parts = page.join(
        page.text(count(len(rows), "ticket"), style=Tone.STRONG),
        *_outcome_counts(rows),
        _skipped(skipped),
        *(asked if not reports or any(map(_has_asked, reports)) else ()),
        page.text(seconds(duration_s) if duration_s is not None else ""),
    )
    return Line(body=parts)
