"""Recorded runs as a list, whether their records are sound, and what was deleted of them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console, RenderableType
from rich.text import Text

from agent.journal import Forgotten, RunSummary, Soundness, Verified
from agent.records import OutcomeKind, RunMode
from agent.render.figures import age, count, dollars, seconds
from agent.render.layout import Column, table
from agent.render.page import Line, Page, Tone
from agent.render.summary import NO_MODEL, OUTCOME_TONES

UNFINISHED = "unfinished"
"""What a run without an outcome is called, on the screen and in the option that looks for them."""

_WIDE = 140  # from here on model, numbers and reason have columns of their own
_REASON_COLUMNS = 100

_SOUND: dict[Soundness, tuple[str, Tone]] = {
    Soundness.OK: ("sound", Tone.GOOD),
    Soundness.REDACTED: ("sound, its texts were deleted", Tone.GOOD),
    Soundness.TAMPERED: ("TAMPERED", Tone.BAD),
}


def show_runs(console: Console, runs: Sequence[RunSummary], *, now: datetime) -> None:
    """Show runs as a table, one line of totals, and what to do about unfinished ones; ages count from `now`."""
    page = Page(console)
    if runs:
        layout = _wide_table if page.columns >= _WIDE else _stacked_table
        page.print(*layout(page, runs, now), Text())
    found = Counter(run.outcome for run in runs)
    outcomes = [Text(f"{found[kind]} {kind}", style=OUTCOME_TONES[kind]) for kind in OutcomeKind if found[kind]]
    left = [Text(f"{found[None]} {UNFINISHED}", style=Tone.CARE)] if found[None] else []
    page.print(page.join(page.text(count(len(runs), "run"), style=Tone.STRONG), *outcomes, *left))
    if found[None]:
        said = f"An {UNFINISHED} run is being worked now, or was left behind; this goes on with it:"
        page.print(Text(), Text(said, style=Tone.QUIET), Text("  support-agent runs resume RUN_ID"))


def unfinished_line(page: Page, run_id: str) -> Line:
    """Return what is said of one run that has no outcome, in the outcome's place."""
    body = Text.assemble(
        (UNFINISHED, f"bold {Tone.CARE}"),
        "  it is being worked now, or was left behind; this goes on with it: ",
        page.text(f"support-agent runs resume {run_id}"),
    )
    return Line(lead=Text.assemble("  ", (page.symbols.care, Tone.CARE)), indent=4, body=body)


def show_verified(console: Console, verified: Sequence[Verified]) -> None:
    """Show for each run whether its record is as it was written, or where it is not, and one line of totals."""
    page = Page(console)
    for one in verified:
        word, tone = _SOUND[one.soundness]
        sign = Text(page.symbols.done if one.is_sound else page.symbols.failed, style=tone)
        said = Text(word, style=tone)
        if not one.is_sound:
            said = page.text(f"{word} at entry {one.seq}" if one.seq is not None else word, style=f"bold {tone}")
            said.append_text(page.text(f": {one.problem or 'it is not as it was written'}"))
        elif not one.is_finished:
            said.append(f" so far, {UNFINISHED}")
        about = page.text(_entries(one.entries), style=Tone.QUIET)
        page.print(Line(lead=sign, indent=2, body=Text("  ").join((page.text(one.run_id), said, about))))
    found = Counter(one.is_sound for one in verified)
    sound = Text(f"{found[True]} sound", style=Tone.GOOD) if found[True] else Text()
    tampered = Text(f"{found[False]} tampered with", style=f"bold {Tone.BAD}") if found[False] else Text()
    page.print(Text(), page.join(page.text(count(len(verified), "run"), style=Tone.STRONG), sound, tampered))


def forgotten_sentence(forgotten: Forgotten) -> str:
    """Return what a deletion of texts did, and what it left."""
    said = "There were no texts to delete."
    if forgotten.runs:
        what = f"{count(forgotten.runs, 'run')} ({_entries(forgotten.entries)})"
        said = f"The texts of {what} were deleted; totals, verdicts and amounts are kept."
    if forgotten.left_out:
        left = count(forgotten.left_out, f"{UNFINISHED} run")
        said += f"\nLeft out: {left}, whose texts are still needed. Resume or cancel first, then forget again."
    return said


def _wide_table(page: Page, runs: Sequence[RunSummary], now: datetime) -> list[RenderableType]:
    columns = [
        Column(name="run"),
        Column(name="ticket"),
        Column(name="outcome"),
        Column(name="model", is_flexible=True),
        Column(name="turns", is_number=True),
        Column(name="cost", is_number=True),
        Column(name="time", is_number=True),
        Column(name="began", is_number=True),
        Column(name="reason", is_flexible=True),
    ]
    rows = [
        [
            page.text(run.run_id),
            page.text(run.ticket_id, style=Tone.STRONG),
            _outcome(run),
            page.join(_model(run), MODES.get(run.mode, "")),
            page.text(run.turns if _model(run) else ""),
            page.text("unknown" if run.cost_usd is None else dollars(run.cost_usd)),
            page.text(_took(run)),
            _began(page, run, now),
            _reason(page, run),
        ]
        for run in runs
    ]
    return table(page, columns, rows)


def _stacked_table(page: Page, runs: Sequence[RunSummary], now: datetime) -> list[RenderableType]:
    columns = [
        Column(name="run"),
        Column(name="ticket"),
        Column(name="outcome"),
        Column(name="reason, model, cost", is_flexible=True),
        Column(name="began", is_number=True),
    ]
    rows = [
        [
            page.text(run.run_id),
            page.text(run.ticket_id, style=Tone.STRONG),
            _outcome(run),
            _about(page, run),
            _began(page, run, now),
        ]
        for run in runs
    ]
    return table(page, columns, rows)


def _about(page: Page, run: RunSummary) -> Text:
    asked = (_model(run), MODES.get(run.mode, ""), count(run.turns, "turn"), dollars(run.cost_usd))
    took = page.join(*(asked if _model(run) else asked[1:2]), _took(run), style=Tone.QUIET)
    return Text("\n").join(part for part in (_reason(page, run), took) if part)


def _outcome(run: RunSummary) -> Text:
    if run.outcome is None:
        return Text(UNFINISHED, style=Tone.CARE)
    return Text(run.outcome.value, style=OUTCOME_TONES[run.outcome])


def _reason(page: Page, run: RunSummary) -> Text:
    if run.is_forgotten:
        return Text("texts deleted", style=Tone.QUIET)
    return page.excerpt(run.reason or "", _REASON_COLUMNS)


def _began(page: Page, run: RunSummary, now: datetime) -> Text:
    return page.text(age(run.started_at.isoformat(), now), style=Tone.QUIET)


MODES = {RunMode.DRY_RUN: "dry run", RunMode.DRAFT: "draft", RunMode.APPLY: "carries out a plan"}


def _model(run: RunSummary) -> str:
    return "" if run.model == NO_MODEL else run.model


def _took(run: RunSummary) -> str:
    """Return how long the run took; of one that has not ended, nobody knows."""
    return "" if run.finished_at is None else seconds((run.finished_at - run.started_at).total_seconds())


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
