"""What came of a replay: the same run, or where it is another one now, and why."""

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.text import Text

from agent.render.figures import count
from agent.render.page import Line, Page, Tone
from agent.replay import Difference, Replayed

_MOST_NAMED = 10  # changed settings


def show_replayed(console: Console, replayed: Replayed) -> None:
    """Show whether a run replays to the byte, or the first entry that differs, as it was and is now, and the cause."""
    page = Page(console)
    if replayed.difference is None:
        page.print(*_same(page, replayed))
    else:
        page.print(*_different(page, replayed, replayed.difference))


def _same(page: Page, replayed: Replayed) -> Iterator[RenderableType]:
    left_out = replayed.entries - replayed.compared
    entries = f"{replayed.compared:,} of {replayed.entries:,}" if left_out else f"{replayed.entries:,}"
    said = f"Run {replayed.run_id} replays to the byte: {entries} entries, {count(replayed.turns, 'turn')}."
    yield Line(lead=Text(page.symbols.done, style=Tone.GOOD), indent=2, body=page.text(said))
    if left_out:
        said = (
            "The others are no part of the conversation: what servers asked back, interruptions, decisions taken anew."
        )
        yield Line(indent=2, body=Text(said, style=Tone.QUIET))
    if replayed.changed:
        names = ", ".join(replayed.changed[:_MOST_NAMED])
        others = len(replayed.changed) - _MOST_NAMED
        said = f"Changed since, without a difference to this run: {names}{f' and {others} more' if others > 0 else ''}."
        yield Line(lead=Text(page.symbols.care, style=Tone.CARE), indent=2, body=page.text(said))


def _different(page: Page, replayed: Replayed, difference: Difference) -> Iterator[RenderableType]:
    found = difference.found
    said = f"Run {replayed.run_id} is another one now, from entry {found.seq} of {replayed.entries:,} on."
    sign = Text(page.symbols.failed, style=Tone.BAD)
    yield Line(lead=sign, indent=2, body=page.text(said, style=Tone.STRONG))
    rows = {
        "where": page.join(f"{found.kind} {found.seq}", found.path),
        "recorded": page.text(found.recorded),
        "now": page.text(found.replayed),
        "cause": Text.assemble((difference.cause.value, f"bold {Tone.CARE}"), "  ", page.text(difference.because)),
    }
    for name, body in rows.items():
        yield Line(lead=Text(f"  {name}", style=Tone.QUIET), indent=12, body=body)
