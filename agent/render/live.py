"""The view of a terminal: what has happened scrolls by, what is happening stays below it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from agent.records import Entry, EntryKind
from agent.render.calls import INDENT, CallStory
from agent.render.figures import seconds
from agent.render.page import Line, Page, Tone
from agent.render.story import Story

_FRAMES_PER_SECOND = 10
_LONG_WAIT_S = 2.0


class Stage:
    """The part of a terminal that is drawn again and again, below everything that was printed.

    While it is paused, what would be printed waits, so that nothing runs into a question.
    """

    def __init__(self, page: Page, moving: RenderableType) -> None:
        self._page = page
        self._moving = moving
        self._live: Live | None = None
        self._pauses = 0
        self._waiting: list[RenderableType] = []

    def open(self) -> None:
        """Begin to draw."""
        self._live = Live(
            self._moving,
            console=self._page.console,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            vertical_overflow="crop",
        )
        self._live.start()

    def close(self) -> None:
        """Stop drawing and leave no trace of it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def print(self, *renderables: RenderableType) -> None:
        """Print for good, now or when the pause is over."""
        if self._pauses:
            self._waiting.extend(renderables)
        else:
            self._page.print(*renderables)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep the screen still while a person is asked something."""
        was_open = self._live is not None
        self.close()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                waiting, self._waiting = self._waiting, []
                self._page.print(*waiting)
            if was_open:
                self.open()


class LiveView:
    """Shows runs on a terminal as they happen: an Observer, and a context manager around them."""

    def __init__(self, console: Console) -> None:
        self._page = Page(console)
        self._stories: dict[str, Story] = {}
        self._stage = Stage(self._page, self)
        self._spinner = Spinner(self._page.symbols.spinner)

    def __enter__(self) -> Self:
        self._stage.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stage.close()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Keep the screen still while a person is asked something; what happens meanwhile is shown after."""
        with self._stage.paused():
            yield

    def entry(self, ticket_id: str, entry: Entry) -> None:
        """Show one recorded entry."""
        self._stage.print(*self._story(ticket_id).tell(entry))
        if entry.kind is EntryKind.OUTCOME:
            del self._stories[ticket_id]

    def text(self, ticket_id: str, delta: str) -> None:
        """Show the model's words as they come; its recorded reply replaces them."""
        self._story(ticket_id).speak(delta)

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        """Show how far a call in flight is."""
        self._story(ticket_id).progress(tool, progress_text(done, total, message))

    def notice(self, message: str) -> None:
        """Show something that belongs to no entry."""
        self._stage.print(*notice_lines(self._page, message))

    def _story(self, ticket_id: str) -> Story:
        return self._stories.setdefault(ticket_id, Story(self._page))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = list(self._moving_rows(console, options.max_width))
        yield Text("\n").join(rows[-max(console.height // 2, 3) :] or [Text()])

    def _moving_rows(self, console: Console, columns: int) -> Iterator[Text]:
        frame = self._spinner.render(console.get_time())
        sign = frame if isinstance(frame, Text) else Text()
        for story in list(self._stories.values()):
            spoken = story.spoken
            if spoken is not None:
                yield from spoken.rows(console, columns)
            for call in story.open_calls:
                lead = Text.assemble("    ", sign, style=Tone.PLANNED)
                yield from Line(lead=lead, indent=INDENT, body=self._waiting_text(call)).rows(console, columns)
            if story.is_model_awaited and spoken is None:
                yield Text.assemble("    ", sign, " the model is at work", style=Tone.QUIET)

    def _waiting_text(self, call: CallStory) -> Text:
        waited_s = self._page.console.get_time() - call.began_s
        waited = seconds(waited_s) if waited_s >= _LONG_WAIT_S else ""
        name = self._page.text(call.tool)
        return self._page.join(name, self._page.excerpt(call.progress, self._page.columns), waited)


def progress_text(done: float, total: float | None, message: str | None) -> str:
    """Return `40% indexing`, or the bare number when nobody knows how much there is."""
    amount = f"{done / total:.0%}" if total else f"{done:g}"
    return f"{amount} {message}" if message else amount


def notice_lines(page: Page, message: str) -> Iterator[Line]:
    """Yield a remark of the host."""
    return page.message(message, lead=Text(f"  {page.symbols.care}", style=Tone.CARE), indent=4)
