"""The sentences that several views share: how a run ended, and what it took."""

from collections.abc import Iterable

from rich.text import Text

from agent.records import OutcomeKind, Usage
from agent.render.figures import count, dollars, seconds, tokens
from agent.render.page import Line, Page, Tone

OUTCOME_TONES = {
    OutcomeKind.CLOSED: Tone.GOOD,
    OutcomeKind.ESCALATED: Tone.CARE,
    OutcomeKind.PENDING: Tone.PLANNED,
    OutcomeKind.PLANNED: Tone.PLANNED,
    OutcomeKind.DRAFTED: Tone.PLANNED,
    OutcomeKind.UNRESOLVED: Tone.BAD,
}

OFFLINE_MODEL = "offline"
NO_MODEL = "none"


def outcome_symbol(page: Page, outcome: OutcomeKind) -> Text:
    """Return the sign of an outcome, in its colour."""
    signs = {
        OutcomeKind.CLOSED: page.symbols.done,
        OutcomeKind.ESCALATED: page.symbols.up,
        OutcomeKind.PENDING: page.symbols.more,
        OutcomeKind.PLANNED: page.symbols.planned,
        OutcomeKind.DRAFTED: page.symbols.planned,
        OutcomeKind.UNRESOLVED: page.symbols.failed,
    }
    return Text(signs[outcome], style=OUTCOME_TONES[outcome])


def model_name(page: Page, name: str) -> Text:
    """Return what a model is called; the offline one is never taken for a language model."""
    if name == OFFLINE_MODEL:
        return Text("offline model: rules and retrieval, not an LLM")
    if name == NO_MODEL:
        return Text("no model is asked")
    return page.text(name)


def outcome_line(page: Page, outcome: OutcomeKind, reason: str) -> Line:
    """Return the outcome and its reason."""
    body = Text.assemble((outcome.value, f"bold {OUTCOME_TONES[outcome]}"), "  ", page.text(reason))
    return Line(lead=Text.assemble("  ", outcome_symbol(page, outcome)), indent=4, body=body)


def totals_line(page: Page, *, turns: int, duration_s: float, usage: Usage, cost_usd: float | None) -> Line:
    """Return what a run took: turns, seconds, tokens, dollars; where no model was asked, its seconds."""
    is_asking = turns > 0 or usage != Usage() or cost_usd != 0
    parts = (count(turns, "turn"), seconds(duration_s), tokens(usage), dollars(cost_usd))
    return Line(indent=4, body=page.join(*(parts if is_asking else parts[1:2]), style=Tone.QUIET))


def total_cost(costs: Iterable[float | None]) -> float | None:
    """Return the sum; it is unknown when one of its parts is."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
