"""One plan, read like a diff: what would change and be sent, by which calls, what it rests on, how to go on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from agent.planning import Change, Plan, PlanState, RefusedCall, Standing
from agent.records import OutcomeKind, Reason, RunMode, Verdict
from agent.render.calls import argument_text
from agent.render.figures import count, dollars, tokens
from agent.render.layout import heading, pairs
from agent.render.page import UNBOUNDED_COLUMNS, Line, Page, Tone
from agent.render.runs import unfinished_line
from agent.render.summary import model_name, outcome_line
from agent.render.text import as_json

_GAP = 2  # columns
_WIDEST_FIELD = 28
_LONGEST_IN_LINE = 60  # characters of a value that stands beside its field; a longer one has rows of its own
_MOST_TOLD = 600  # characters of what a refused call was told, and of the model's last words
_NOTHING = "(none)"


def show_plan(console: Console, plan: Plan, *, standing: Standing | None = None, is_advised: bool = True) -> None:
    """Show what a dry run would do, nothing left out of it.

    `standing` says what has become of the plan since; `is_advised`: it is also said how to go on.
    """
    page = Page(console)
    subject = f" {page.symbols.dot} {plan.subject}" if plan.subject else ""
    page.print(*heading(page, f"Plan for #{plan.ticket_id}{subject}"))
    page.print(*_about(page, plan))
    for name, lines in (
        ("Would change", _changes(page, plan)),
        ("Would be sent, word for word", _sent(page, plan)),
        ("By these calls, in this order", _calls(page, plan)),
        ("Not part of it", _refused(page, plan)),
        ("Rules", _rules(page, plan)),
        ("Rests on", _grounds(page, plan)),
        ("The model's last words", _last_words(page, plan)),
    ):
        shown = list(lines)
        if shown:
            page.print(*heading(page, name), *shown)
    page.print(Text(), *_end(page, plan))
    page.print(*_onwards(page, plan, standing, is_advised=is_advised))


def _about(page: Page, plan: Plan) -> Iterator[Line]:
    taken = (count(plan.turns, "turn"), tokens(plan.usage), dollars(plan.cost_usd))
    for about in (
        page.join(plan.requester, plan.tier or ""),
        page.join(model_name(page, plan.model)),
        page.join(f"run {plan.run_id}", f"made {plan.made_at:%Y-%m-%d %H:%M} UTC by {plan.by}"),
        page.join(*taken),
    ):
        if about:
            yield Line(body=Text.assemble(about, style=Tone.QUIET))
    if plan.is_forgotten:
        said = "Its texts were deleted: names and verdicts are left, and nothing that could be applied."
        yield Line(body=Text(said, style=Tone.CARE))
    made = f"{count(len(plan.calls), 'call')} would be made" if plan.calls else "No call would be made"
    asks = Text.assemble((f"{plan.asks} of them only with a person's yes", Tone.CARE)) if plan.asks else Text()
    written = "nothing was written" if plan.mode is RunMode.DRY_RUN else "nothing but the draft was written"
    yield Line(body=page.join(page.text(made), asks, written))


# What would change.


def _changes(page: Page, plan: Plan) -> Iterator[Line]:
    sent = {text for call in plan.calls for text in call.sends.values()}
    numbered = [(number, change) for number, call in enumerate(plan.calls, 1) for change in call.changes]
    widest = min(max((page.text(change.field).cell_len for _, change in numbered), default=0), _WIDEST_FIELD)
    for number, change in numbered:
        yield from _change(page, _number(plan, number), change, widest, sent)


def _change(page: Page, number: Text, change: Change, widest: int, sent: set[str]) -> Iterator[Line]:
    name, inside = page.text(change.field), number.cell_len + _GAP
    is_sent = isinstance(change.after, str) and change.after in sent
    before, after = _value(page, change.before), _value(page, change.after)
    is_short = is_sent or max(len(before.plain), len(after.plain)) <= _LONGEST_IN_LINE
    if is_short and name.cell_len <= widest:
        old = Text(before.plain, style=Tone.QUIET if change.before is None else Tone.BAD)
        old = old if change.is_before_known else Text("not known", style=Tone.QUIET)
        new = Text("what is sent, below", style=Tone.QUIET) if is_sent else Text(after.plain, style=Tone.GOOD)
        body = Text.assemble(old, (f" {page.symbols.arrow} ", Tone.QUIET), new)
        yield Line(lead=Text.assemble(number, " " * _GAP, name), indent=inside + widest + _GAP, body=body)
        return
    yield Line(lead=number, indent=inside, body=name)
    yield from _diff(page, inside, change)


def _diff(page: Page, indent: int, change: Change) -> Iterator[Line]:
    """Yield the value that goes behind minus signs, and the one that comes behind plus signs, each whole."""
    for sign, tone, value, is_there in (
        ("-", Tone.BAD, change.before, change.is_before_known and change.before not in (None, "")),
        ("+", Tone.GOOD, change.after, True),
    ):
        if is_there:
            text = value if isinstance(value, str) else as_json(value)
            body = page.block(text, tone, most_characters=len(text))
            yield Line(indent=indent, bar=Text(f"{sign} ", style=tone), body=body)


def _value(page: Page, value: Any) -> Text:
    """Return a value as it would be read; text that could pass for something else as JSON."""
    if value is None:
        return Text(_NOTHING)
    if not isinstance(value, str):
        return page.text(as_json(value))
    is_plain = value == value.strip() and value not in {"", _NOTHING} and page.symbols.arrow not in value
    return page.text(value if is_plain and value.isprintable() else as_json(value))


# What would be sent.


def _sent(page: Page, plan: Plan) -> Iterator[Line]:
    for number, call in enumerate(plan.calls, 1):
        for argument, text in call.sends.items():
            lead = _number(plan, number)
            about = page.join(page.text(call.tool), page.text(argument, style=Tone.QUIET))
            yield Line(lead=lead, indent=lead.cell_len + _GAP, body=about)
            yield page.foreign(text, indent=lead.cell_len + _GAP, most=len(text))


# By which calls.


def _calls(page: Page, plan: Plan) -> Iterator[Line]:
    for number, call in enumerate(plan.calls, 1):
        lead = _number(plan, number)
        indent = lead.cell_len + _GAP
        name = page.text(call.tool, style=Tone.STRONG)
        effect = Text(call.effect.value + (", by the host" if call.is_by_host else ""), style=Tone.QUIET)
        asks = Text("would ask", style=Tone.CARE) if call.verdict is Verdict.ASK else Text()
        yield Line(lead=lead, indent=indent, body=Text("  ").join(part for part in (name, effect, asks) if part))
        told = {change.argument for change in call.changes} | set(call.sends) | set(call.bound)
        rest = [(name, value) for name, value in call.arguments.items() if name not in told]
        yield from pairs(page, [(name, _argument(page, value)) for name, value in rest], indent=indent)
        bound = {name: call.arguments[name] for name in call.bound}
        if bound:
            said = argument_text(page, bound, UNBOUNDED_COLUMNS, quiet=frozenset(bound))
            yield Line(indent=indent, body=Text.assemble(("from the case: ", Tone.QUIET), said))


def _argument(page: Page, value: Any) -> Text:
    return page.block(value, most_characters=len(value)) if isinstance(value, str) else page.text(as_json(value))


def _refused(page: Page, plan: Plan) -> Iterator[Line]:
    for call in plan.refused:
        yield from _refusal(page, call)


def _refusal(page: Page, call: RefusedCall) -> Iterator[Line]:
    name = page.text(call.tool or "a call", style=Tone.STRONG)
    lead = Text(page.symbols.failed, style=Tone.BAD)
    body = Text.assemble(name, "  ", (call.status.value, Tone.BAD))
    yield Line(lead=lead, indent=2, body=body)
    if call.arguments:
        room = max(page.columns - 2, 40) * 2
        yield Line(indent=2, body=argument_text(page, call.arguments, room, quiet=frozenset()))
    for reason in call.reasons:
        yield Line(indent=2, body=_reason(page, reason))
    if call.told and not call.reasons:
        yield page.foreign(call.told, indent=2, most=_MOST_TOLD)


# Why it may, and what it rests on.


def _rules(page: Page, plan: Plan) -> Iterator[Line]:
    """Yield each rule once, with the calls that it allows or would ask about; those that ask come first."""
    by_rule: dict[tuple[Verdict, Reason], list[int]] = {}
    for number, call in enumerate(plan.calls, 1):
        for reason in call.reasons:
            by_rule.setdefault((call.verdict, reason), []).append(number)
    wide = max((len(_listed(numbers)) for numbers in by_rule.values()), default=0)
    for (verdict, reason), numbers in sorted(by_rule.items(), key=lambda item: item[0][0] is not Verdict.ASK):
        is_asking = verdict is Verdict.ASK
        sign = Text(page.symbols.care if is_asking else page.symbols.done, style=Tone.CARE if is_asking else Tone.GOOD)
        said = Text("asks  " if is_asking else "allows", style=Tone.CARE if is_asking else Tone.QUIET)
        lead = Text.assemble(sign, " ", said, "  ", (_listed(numbers), Tone.QUIET))
        yield Line(lead=lead, indent=12 + wide, body=_reason(page, reason))


def _reason(page: Page, reason: Reason) -> Text:
    return Text(" ").join([*([page.text(reason.because)] if reason.because else []), page.text(f"[{reason.rule}]")])


def _grounds(page: Page, plan: Plan) -> Iterator[Line]:
    also_read = [name for name in plan.read if name not in plan.sources]
    items = [
        ("articles", page.text(", ".join(plan.sources))),
        ("also read" if plan.sources else "what was read", page.text(", ".join(also_read))),
        *_facts(page, plan),
        ("versions", _listing(page, {name: value for name, value in plan.versions.items() if value is not None})),
    ]
    yield from pairs(page, [(name, value) for name, value in items if value])


def _facts(page: Page, plan: Plan) -> Iterator[tuple[str, Text]]:
    for number, call in enumerate(plan.calls, 1):
        if call.facts:
            yield f"facts for {number}", _listing(page, call.facts)


def _last_words(page: Page, plan: Plan) -> Iterator[Line]:
    if plan.last_words.strip():
        yield page.foreign(plan.last_words, style=Tone.QUIET, most=_MOST_TOLD)


def _listing(page: Page, values: Mapping[str, Any]) -> Text:
    return argument_text(page, values, UNBOUNDED_COLUMNS, quiet=frozenset())


# What it comes to.


def _end(page: Page, plan: Plan) -> Iterator[Line]:
    if plan.outcome is None:
        yield unfinished_line(page, plan.run_id)
    else:
        yield outcome_line(page, plan.outcome.kind, plan.outcome.reason)


def _onwards(page: Page, plan: Plan, standing: Standing | None, *, is_advised: bool) -> Iterable[RenderableType]:
    if standing is not None and standing.state is not PlanState.OPEN:
        yield Line(lead=Text(f"  {page.symbols.care}", style=Tone.CARE), indent=4, body=page.text(standing.sentence))
    elif is_advised and plan.outcome is not None and plan.outcome.kind is OutcomeKind.PLANNED and not plan.is_forgotten:
        yield Text()
        yield Line(indent=2, body=page.text(f"support-agent apply {plan.run_id}"))
        yield Line(
            indent=2, body=page.text(f'support-agent plans reject {plan.run_id} --because "{page.symbols.more}"')
        )


def _number(plan: Plan, number: int) -> Text:
    return Text(f"{number:>{len(str(len(plan.calls)))}}", style=Tone.QUIET)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
