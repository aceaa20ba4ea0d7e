"""The end of a run: what it did."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from agent.documents import fill
from agent.records import CallStatus, EffectReport, RunReport
from agent.render.layout import heading, pairs
from agent.render.page import Line, Page, Tone
from agent.render.summary import model_name, outcome_line, totals_line
from agent.render.text import as_json

Changes = Mapping[str, Mapping[str, Any]]
"""`server.tool` → record field → new value, where `"$name"` stands for that argument, as configured."""

_CHANGE_COLUMNS = 60

_STATUS_TONES = {
    CallStatus.DONE: Tone.GOOD,
    CallStatus.PLANNED: Tone.PLANNED,
    CallStatus.DENIED: Tone.BAD,
    CallStatus.FAILED: Tone.BAD,
    CallStatus.UNCERTAIN: Tone.CARE,
}


def show_report(console: Console, report: RunReport, *, subject: str = "", changes: Changes | None = None) -> None:
    """Show one finished run from its report alone: ticket, effects, outcome and what it took."""
    page = Page(console)
    name = page.text(f"#{report.ticket_id}", style=Tone.STRONG)
    indent = max(name.cell_len + 1, 4)
    page.print(Line(lead=name, indent=indent, body=page.text(subject, style=Tone.STRONG)))
    about = page.join(model_name(page, report.model), page.text(f"run {report.run_id}"), style=Tone.QUIET)
    page.print(Line(indent=indent, body=about))
    if report.effects:
        name = "Planned" if report.mode.is_planning else "Effects"
        page.print(*heading(page, name), *_effects(page, report, changes or {}))
    page.print(Text(), outcome_line(page, report.outcome.kind, report.outcome.reason))
    page.print(
        totals_line(
            page, turns=report.turns, duration_s=report.duration_s, usage=report.usage, cost_usd=report.cost_usd
        )
    )


def _effects(page: Page, report: RunReport, changes: Changes) -> Iterator[RenderableType]:
    width = len(str(len(report.effects)))
    for number, effect in enumerate(report.effects, start=1):
        yield Text()
        yield from _effect(page, f"{number:>{width}}", effect, changes)


def _effect(page: Page, number: str, effect: EffectReport, changes: Changes) -> Iterator[Line]:
    indent = len(number) + 2
    name = page.text(f"{effect.server}.{effect.tool}", style=Tone.STRONG)
    tone = _STATUS_TONES[effect.status]
    yield Line(
        lead=Text(number, style=Tone.QUIET),
        indent=indent,
        body=Text.assemble(name, "  ", (effect.status.value, tone)),
    )
    for reason in effect.reasons:
        yield Line(indent=indent, body=page.text(reason, style=Tone.QUIET))
    arguments = [(argument, _value(page, value)) for argument, value in effect.arguments.items()]
    yield from pairs(page, arguments, indent=indent)
    if effect.status in {CallStatus.PLANNED, CallStatus.DONE}:
        for field, value in _changes(effect, changes).items():
            # In full it stands among the arguments; here the field is the news.
            new = page.excerpt(value if isinstance(value, str) else as_json(value), _CHANGE_COLUMNS)
            arrow = (f" {page.symbols.arrow} ", Tone.QUIET)
            yield Line(indent=indent, body=Text.assemble(page.text(field, style=Tone.PLANNED), arrow, new))


def _value(page: Page, value: Any) -> Text:
    """Return text as it would be read, anything else as JSON."""
    return page.block(value) if isinstance(value, str) else page.text(as_json(value))


def _changes(effect: EffectReport, changes: Changes) -> dict[str, Any]:
    """Return the fields that this call would set; a placeholder without its argument changes nothing."""
    filled: dict[str, Any] = {}
    for field, template in changes.get(f"{effect.server}.{effect.tool}", {}).items():
        try:
            filled[field] = fill(template, effect.arguments)
        except KeyError:
            continue
    return filled
