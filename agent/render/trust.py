"""Two questions about what others wrote: may a folder's files be used, and may a server that is not as it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.text import Text

from agent.configuration import Claim
from agent.render.desk import Desk
from agent.render.figures import count
from agent.render.page import Line, Page, Tone
from agent.render.plain import SilentView
from agent.trust import Difference, Standing
from agent.trust.differences import BETWEEN

_YES = frozenset({"y", "yes"})
_MOST_CLAIMS = 12
"""Of one file: a long list must not push the others off the screen."""

_MOST_COLUMNS = 240
"""Of what one claim holds: whoever pads it must not push the question's words off the screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustQuestion:
    """What a person is asked about a folder: how its files stand, and what they would do."""

    folder: str
    standing: Standing
    claims: tuple[Claim, ...]


async def is_trusted_by_person(console: Console, question: TrustQuestion) -> bool:
    """Show what the files would do and ask; whatever is not a clear yes is a no."""
    desk = Desk(console, SilentView())
    async with desk.attention():
        desk.show(*trust_lines(desk.page, question))
        return await _is_agreed(desk, "Use these files from now on, until one changes?")


async def is_approved_by_person(console: Console, server: str) -> bool:
    """Ask for the approval of a server whose difference has been shown; whatever is not a clear yes is a no."""
    desk = Desk(console, SilentView())
    async with desk.attention():
        return await _is_agreed(desk, f"Approve {server} as it is now?")


def show_difference(console: Console, server: str, way: str, difference: Difference) -> None:
    """Show what of a server is not as it was approved, tool by tool, line by line; `way` is how it is reached now."""
    page = Page(console)
    page.print(Text.assemble(page.text(server, style=Tone.STRONG), " is not as it was approved:"))
    if difference.has_other_way:
        page.print(Text(), Line(body=Text("It is reached in another way. Now it is:", style=Tone.CARE)))
        page.print(page.foreign(way, indent=2))
    if difference.has_other_instructions:
        page.print(Text(), Line(body=Text("What it says in the system prompt is other than before.", style=Tone.CARE)))
    for what, names in (("changed", difference.changed), ("new", difference.new), ("gone", difference.gone)):
        for name in names:
            page.print(Text(), Line(body=Text.assemble(page.text(name, style=Tone.STRONG), f"  {what}")))
            if what != "gone":
                page.print(*_diff_lines(page, difference.lines(name)))


def _diff_lines(page: Page, lines: Iterator[str]) -> Iterator[Line]:
    tones = {"+": Tone.GOOD, "-": Tone.BAD}
    margin = Text(f"  {page.symbols.bar} ", style=Tone.QUIET)
    for line in lines:
        sign = line[:1] if line != BETWEEN else ""
        tone = tones.get(sign, Tone.QUIET)
        yield Line(margin=margin, lead=Text(sign, style=tone), indent=2, body=page.text(line[len(sign) :], style=tone))


def trust_lines(page: Page, question: TrustQuestion) -> Iterator[Line]:
    """Yield the question's text: how the files stand, and what they would do."""
    standing = question.standing
    yield Line(body=Text())
    head = "have changed since you trusted them" if standing.is_known else "are not trusted yet"
    yield Line(
        body=Text.assemble("The files of ", page.text(question.folder, style=Tone.STRONG), f" {head}.", style=Tone.CARE)
    )
    yield Line(body=Text("Such files can start programs and lead your key elsewhere. Used, they would:"))
    yield from _claim_lines(page, question)
    for name in standing.gone:
        yield Line(indent=2, body=Text.assemble(page.text(name, style=Tone.STRONG), " is not there any more"))


def _claim_lines(page: Page, question: TrustQuestion) -> Iterator[Line]:
    margin = Text(f"  {page.symbols.bar} ", style=Tone.CARE)
    for file, grouped in groupby(question.claims, key=lambda claim: claim.file):
        claims = list(grouped)
        state = Text(_state(question.standing, file), style=Tone.CARE)
        yield Line(margin=margin, body=page.text(file, style=Tone.STRONG).append_text(state))
        for claim in claims[:_MOST_CLAIMS]:
            what = page.excerpt(claim.what, _MOST_COLUMNS, style=Tone.PLANNED)
            body = page.excerpt(claim.does, _MOST_COLUMNS).append(" " if what else "").append_text(what)
            yield Line(margin=margin, lead="  ", indent=2, body=body)
        if len(claims) > _MOST_CLAIMS:
            more = f"and {count(len(claims) - _MOST_CLAIMS, 'more thing')}: read the file first"
            yield Line(margin=margin, lead="  ", indent=2, body=Text(more, style=Tone.CARE))


def _state(standing: Standing, file: str) -> str:
    named: Sequence[tuple[tuple[str, ...], str]] = ((standing.new, "  new"), (standing.changed, "  changed"))
    return next((state for names, state in named if standing.is_known and file in names), "")


async def _is_agreed(desk: Desk, question: str) -> bool:
    try:
        answer = await desk.ask(Text.assemble(desk.page.text(question), " [y/N]"))
    except EOFError:
        return False
    return answer.casefold() in _YES
