"""The plans of a whole queue, in a table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.text import Text

from agent.planning import Plan, PlanState, Standing
from agent.records import OutcomeKind
from agent.render.figures import count, dollars, seconds
from agent.render.layout import Column, table
from agent.render.page import Line, Page, Tone
from agent.render.summary import OUTCOME_TONES, total_cost

_WIDE = 120  # from here on run and state have columns of their own
_REMARK_COLUMNS = 100

_STATE_TONES = {
    PlanState.OPEN: Tone.PLANNED,
    PlanState.APPLYING: Tone.CARE,
    PlanState.APPLIED: Tone.GOOD,
    PlanState.REJECTED: Tone.BAD,
    PlanState.SUPERSEDED: Tone.QUIET,
    PlanState.FORGOTTEN: Tone.QUIET,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    """One ticket of a queue, and what is planned for it."""

    ticket_id: str
    run_id: str  # empty: no run was begun
    cost_usd: float | None
    subject: str = ""
    would_end: str = ""  # closed, escalated, pending; of a run that has planned nothing, its outcome
    changes: int = 0  # fields of records
    asks: int = 0  # calls that only a person may allow
    state: PlanState | None = None  # None: there is no plan
    remark: str = ""

    @classmethod
    def of(cls, plan: Plan, standing: Standing | None = None) -> "PlanRow":
        """Return the row of a plan; without a standing, one that was made just now."""
        is_planned = plan.outcome is not None and plan.outcome.kind is OutcomeKind.PLANNED
        outcome = plan.outcome.kind.value if plan.outcome else "unfinished"
        is_open = standing is None or standing.state is PlanState.OPEN
        return cls(
            ticket_id=plan.ticket_id,
            run_id=plan.run_id,
            cost_usd=plan.cost_usd,
            subject=plan.subject,
            would_end=(plan.would_end or "") if is_planned else outcome,
            changes=len(plan.changes),
            asks=plan.asks,
            state=(standing.state if standing else PlanState.OPEN) if is_planned else None,
            remark=_remark(standing) if standing and not is_open else "" if is_planned else _reason(plan),
        )


def show_plans(console: Console, rows: Sequence[PlanRow], *, duration_s: float | None = None, skipped: int = 0) -> None:
    """Show plans as a table, and one line of totals.

    `duration_s` is how long making them took; `skipped` counts the tickets that were another process's to work.
    """
    page = Page(console)
    if rows:
        layout = _wide_table if page.columns >= _WIDE else _stacked_table
        page.print(Text(), *layout(page, rows), Text())
    page.print(_totals(page, rows, duration_s, skipped))
    if any(row.state is PlanState.OPEN for row in rows):
        for command in ("support-agent plans show RUN_ID", "support-agent apply RUN_ID"):
            page.print(Line(indent=2, body=page.text(command, style=Tone.QUIET)))


def _wide_table(page: Page, rows: Sequence[PlanRow]) -> list[RenderableType]:
    columns = [
        Column(name="ticket"),
        Column(name="subject", is_flexible=True),
        Column(name="would be"),
        *_NUMBERS,
        Column(name="state"),
        Column(name="run"),
        *([Column(name="remark", is_flexible=True)] if any(row.remark for row in rows) else []),
    ]
    cells = [
        [
            page.text(row.ticket_id),
            page.text(row.subject),
            _would_end(page, row),
            *_numbers(page, row),
            _state(row),
            page.text(row.run_id),
            page.excerpt(row.remark, _REMARK_COLUMNS, style=Tone.QUIET),
        ][: len(columns)]
        for row in rows
    ]
    return table(page, columns, cells)


def _stacked_table(page: Page, rows: Sequence[PlanRow]) -> list[RenderableType]:
    columns = [
        Column(name="ticket"),
        Column(name="would be"),
        Column(name="subject, run", is_flexible=True),
        *_NUMBERS,
    ]
    cells = [[page.text(row.ticket_id), _would_end(page, row), _about(page, row), *_numbers(page, row)] for row in rows]
    return table(page, columns, cells)


def _about(page: Page, row: PlanRow) -> Text:
    state = Text() if row.state is PlanState.OPEN else _state(row)
    about = (
        page.text(row.subject),
        Text("  ").join(part for part in (page.text(row.run_id, style=Tone.QUIET), state) if part),
        page.excerpt(row.remark, _REMARK_COLUMNS, style=Tone.QUIET),
    )
    return Text("\n").join(part for part in about if part)


_NUMBERS = (
    Column(name="changes", is_number=True),
    Column(name="asks", is_number=True),
    Column(name="cost", is_number=True),
)


def _numbers(page: Page, row: PlanRow) -> tuple[Text, Text, Text]:
    cost = "unknown" if row.cost_usd is None else dollars(row.cost_usd)
    return (
        page.text(row.changes or ""),
        page.text(row.asks or "", style=Tone.CARE),
        page.text(cost),
    )


def _would_end(page: Page, row: PlanRow) -> Text:
    known = row.would_end in set(OutcomeKind)
    return page.text(row.would_end, style=OUTCOME_TONES[OutcomeKind(row.would_end)] if known else Tone.CARE)


def _state(row: PlanRow) -> Text:
    return Text() if row.state is None else Text(row.state.value, style=_STATE_TONES[row.state])


def _remark(standing: Standing) -> str:
    """Return what a person or another run has made of the plan, beside its state."""
    match standing.state:
        case PlanState.REJECTED if standing.ruling is not None:
            return standing.ruling.told.removeprefix("rejected ")
        case PlanState.APPLIED | PlanState.APPLYING if standing.applied is not None:
            return f"{standing.applied.outcome or 'unfinished'}, run {standing.applied.run_id}"
        case PlanState.SUPERSEDED:
            return f"newer: run {standing.newer}"
        case _:
            return "texts deleted"


def _reason(plan: Plan) -> str:
    return plan.outcome.reason if plan.outcome else ""


def _totals(page: Page, rows: Sequence[PlanRow], duration_s: float | None, skipped: int) -> Line:
    plans = [row for row in rows if row.state is not None]
    asks = sum(row.asks for row in plans)
    parts = page.join(
        page.text(count(len(plans), "plan"), style=Tone.STRONG),
        *_counts(rows),
        Text(f"{count(asks, 'call')} would ask", style=Tone.CARE) if asks else Text(),
        f"{skipped} skipped" if skipped else "",
        dollars(total_cost(row.cost_usd for row in rows)),
        "" if duration_s is None else seconds(duration_s),
    )
    return Line(body=parts)


def _counts(rows: Sequence[PlanRow]) -> Iterator[Text]:
    """Yield where the plans would leave their tickets, and then what came of runs that have planned nothing."""
    ends = _found([row for row in rows if row.state is not None])
    if ends:
        yield Text.assemble("would be ", Text(", ").join(ends))
    yield from _found([row for row in rows if row.state is None])


def _found(rows: Sequence[PlanRow]) -> list[Text]:
    found = Counter(row.would_end for row in rows)
    return [Text(f"{found[kind]} {kind}", style=OUTCOME_TONES[kind]) for kind in OutcomeKind if found[kind]]
