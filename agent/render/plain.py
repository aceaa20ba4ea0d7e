"""The views of a pipe: plain lines, or nothing."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Self

from rich.console import Console
from rich.text import Text

from agent.records import Entry, EntryKind
from agent.render.calls import INDENT
from agent.render.live import notice_lines, progress_text
from agent.render.page import Line, Page, Tone
from agent.render.story import Story

SECONDS_BETWEEN_REPORTS = 2.0
"""A server may report its progress a thousand times; a log wants to know that it is alive."""


class PlainView:
    """Prints each thing that happened on a line of its own, once it is complete: an Observer for pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._page = Page(console)
        self._stories: dict[str, Story] = {}
        self._reported_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind: every line is already out."""

    @contextmanager
    def paused(self) -> Generator[None]:
        """Do nothing: lines that are complete do not run into a question."""
        yield

    def entry(self, ticket_id: str, entry: Entry) -> None:
        """Print one recorded entry."""
        self._page.print(*self._stories.setdefault(ticket_id, Story(self._page)).tell(entry))
        if entry.kind is EntryKind.OUTCOME:
            del self._stories[ticket_id]

    def text(self, ticket_id: str, delta: str) -> None:
        """Print nothing yet: the recorded reply has the whole text."""

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        """Print how far a slow call is, at most every two seconds."""
        now_s = self._page.console.get_time()
        call = f"{ticket_id} {tool}"
        if now_s - self._reported_s.setdefault(call, now_s - SECONDS_BETWEEN_REPORTS) < SECONDS_BETWEEN_REPORTS:
            return
        self._reported_s[call] = now_s
        report = self._page.text(f"{tool}  {progress_text(done, total, message)}", style=Tone.QUIET)
        self._page.print(Line(lead=Text(f"    {self._page.symbols.more}"), indent=INDENT, body=report))

    def notice(self, message: str) -> None:
        """Print something that belongs to no entry."""
        self._page.print(*notice_lines(self._page, message))


class SilentView:
    """Shows nothing: for output that is one JSON document."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def entry(self, ticket_id: str, entry: Entry) -> None:
        """Show nothing."""

    def text(self, ticket_id: str, delta: str) -> None:
        """Show nothing."""

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        """Show nothing."""

    def notice(self, message: str) -> None:
        """Show nothing."""
