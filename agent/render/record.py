"""One run as the journal has it, turn by turn: what the model saw and said, what was done, and how it ended."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from rich.console import Console, RenderableType
from rich.text import Text

from agent.journal import RunSummary
from agent.records import Entry, EntryKind, JsonObject, OutcomeKind
from agent.render.bodies import list_of, number_of, object_of, objects_of, said_in, text_of, usage_of
from agent.render.chapters import Chapter, chapters
from agent.render.figures import count, dollars, seconds, tokens
from agent.render.numbered import Numbered
from agent.render.page import Line, Page, Tone
from agent.render.record_calls import call_lines
from agent.render.runs import MODES, unfinished_line
from agent.render.summary import OUTCOME_TONES, model_name, outcome_symbol, totals_line

_QUIET_STOPS = frozenset({"end_turn", "tool_use", "stop_sequence"})


def show_run(console: Console, run: RunSummary, entries: Sequence[Entry], *, is_full: bool = False) -> None:
    """Show one run from its entries; `is_full` shows every text whole, and the system prompt and the tools at all."""
    page = Page(console)
    last = entries[-1].seq if entries else 0
    numbered = Numbered(page=page, began=run.started_at, is_full=is_full, margin=max(len(str(last)), 3))
    page.print(*_head(page, run, entries))
    for chapter in chapters(entries):
        page.print(*_chapter(numbered, run, chapter))
    page.print(*_end(page, run, entries))


def _head(page: Page, run: RunSummary, entries: Sequence[Entry]) -> Iterator[RenderableType]:
    first = entries[0].body if entries and entries[0].kind is EntryKind.CASE else {}
    ticket, customer = _fields(first, "ticket"), _fields(first, "customer")
    name = page.text(f"#{run.ticket_id}", style=Tone.STRONG)
    indent = max(name.cell_len + 1, 4)
    yield Line(lead=name, indent=indent, body=page.text(text_of(ticket, "subject"), style=Tone.STRONG))
    about = (
        page.join(text_of(ticket, "requester"), text_of(customer, "tier")),
        page.join(model_name(page, run.model), MODES.get(run.mode, "")),
        page.join(f"run {run.run_id}", f"began {run.started_at:%Y-%m-%d %H:%M:%S} UTC", _owner(first)),
    )
    for line in filter(None, about):
        yield Line(indent=indent, body=Text.assemble(line, style=Tone.QUIET))
    if run.is_forgotten:
        said = "Its texts were deleted. What is left says nothing about a person."
        yield Line(indent=indent, body=Text(said, style=Tone.CARE))


def _fields(case: JsonObject, name: str) -> JsonObject:
    return object_of(object_of(case, name), "fields")


def _owner(body: JsonObject) -> str:
    owner = object_of(body, "owner")
    if not owner:
        return ""
    return f"by {text_of(owner, 'user')}, process {text_of(owner, 'pid')} on {text_of(owner, 'machine')}"


def _chapter(numbered: Numbered, run: RunSummary, chapter: Chapter) -> Iterator[RenderableType]:
    yield Text()
    if chapter.head is not None:
        yield from _opening(numbered, run, chapter.head)
    for call in chapter.calls.values():
        yield from call_lines(numbered, call)


def _opening(numbered: Numbered, run: RunSummary, head: Entry) -> Iterator[RenderableType]:
    page, body = numbered.page, head.body
    match head.kind:
        case EntryKind.CASE:
            yield from _case(numbered, head)
        case EntryKind.REPLY:
            yield from _reply(numbered, run, head)
        case EntryKind.CLAIM:
            word = "taken over" if body.get("is_taken_over") is True else "resumed"
            yield _event(numbered, head, (word, Tone.CARE), f" {_owner(body)}", sign=page.symbols.care)
        case EntryKind.NUDGE:
            said = text_of(body, "text")
            yield _event(numbered, head, ("the host asked for an outcome", Tone.CARE), "", sign=page.symbols.arrow)
            yield from [numbered.quote(said, indent=2, style=Tone.QUIET)] if said else []
        case EntryKind.HANDOVER:
            because = text_of(body, "because")
            words = f": {because}" if because else ""
            yield _event(numbered, head, ("given up", Tone.CARE), words, sign=page.symbols.up)
        case EntryKind.STOPPED:
            reason = text_of(body, "reason")
            words = f": {reason}" if reason else ""
            yield _event(numbered, head, ("stopped", Tone.BAD), words, sign=page.symbols.failed)
        case EntryKind.CANCEL:
            yield from _cancel(numbered, head)
        case _:
            yield from _outcome(numbered, head)


def _event(numbered: Numbered, head: Entry, word: tuple[str, Tone], words: str, *, sign: str) -> Line:
    text, tone = word
    at = Text(f"  {numbered.clock(head.at)}", style=Tone.QUIET)
    said = Text.assemble((text, f"bold {tone}"), numbered.page.text(words), at)
    return numbered.line(said, entry=head, sign=Text(sign, style=tone))


def _case(numbered: Numbered, head: Entry) -> Iterator[RenderableType]:
    page, body = numbered.page, head.body
    if plan := object_of(body, "plan"):
        left_out = ", ".join(map(str, list_of(plan, "left_out")))
        calls = count(len(objects_of(plan, "calls")), "call")
        told = page.join(f"dry run {text_of(plan, 'run_id')}", calls, f"without {left_out}" if left_out else "")
        yield numbered.line(Text.assemble(("Carries out a plan", Tone.STRONG), "  ", told), entry=head)
        return
    system, tools, messages = text_of(body, "system"), objects_of(body, "tools"), objects_of(body, "messages")
    about = page.join(f"system prompt, {count(len(system), 'character')}", count(len(tools), "tool"), style=Tone.QUIET)
    about = about if messages else Text("deleted", style=Tone.CARE)
    yield numbered.line(Text.assemble(("What the model saw", Tone.STRONG), "  ", about), entry=head)
    if numbered.is_full and messages:
        yield numbered.quote(system, style=Tone.QUIET)
        for tool in tools:
            described = (page.text(text_of(tool, "name")), ": ", page.text(text_of(tool, "description")))
            yield numbered.line(Text.assemble(*described, style=Tone.QUIET))
    for message in messages:
        yield numbered.quote(said_in(message))


def _reply(numbered: Numbered, run: RunSummary, head: Entry) -> Iterator[RenderableType]:
    page, body = numbered.page, head.body
    model = text_of(body, "model")
    took = number_of(body, "seconds")
    told = page.join(
        numbered.clock(head.at),
        seconds(took) if took is not None else "",
        tokens(usage_of(body)),
        dollars(number_of(body, "cost_usd")),
        model if model != run.model else "",
        style=Tone.QUIET,
    )
    yield numbered.line(Text.assemble((f"Turn {text_of(body, 'turn')}", Tone.STRONG), "  ", told), entry=head)
    for block in objects_of(body, "content"):
        kind = text_of(block, "type")
        words = text_of(block, kind).strip() if kind in {"text", "thinking"} else ""
        if words:
            yield numbered.quote(words, style=Tone.PLAIN if kind == "text" else Tone.QUIET)
    stop = text_of(body, "stop_reason")
    if stop not in _QUIET_STOPS:
        said = Text.assemble(("the model stopped: ", Tone.CARE), page.text(stop))
        yield numbered.line(said, sign=Text(page.symbols.care, style=Tone.CARE))


def _cancel(numbered: Numbered, head: Entry) -> Iterator[RenderableType]:
    page, body = numbered.page, head.body
    by, because = text_of(body, "by"), text_of(body, "because")
    words = f" by {by}" + (f": {because}" if because else "")
    yield _event(numbered, head, ("cancelled", Tone.BAD), words, sign=page.symbols.failed)
    fates = (("will never act: ", Tone.QUIET, "voided"), ("may have acted: ", Tone.CARE, "uncertain"))
    for said, tone, name in fates:
        for key in list_of(body, name):
            yield numbered.line(Text.assemble((said, tone), page.text(key)), indent=2)


def _outcome(numbered: Numbered, head: Entry) -> Iterator[RenderableType]:
    page, word = numbered.page, text_of(head.body, "outcome")
    sign, tone = Text(page.symbols.care), Tone.CARE
    if word in set(OutcomeKind):
        sign, tone = outcome_symbol(page, OutcomeKind(word)), OUTCOME_TONES[OutcomeKind(word)]
    reason = text_of(head.body, "reason")
    at = Text(f"  {numbered.clock(head.at)}", style=Tone.QUIET)
    said = Text.assemble(page.text(word, style=f"bold {tone}"), page.text(f"  {reason}" if reason else ""), at)
    yield numbered.line(said, entry=head, sign=sign)


def _end(page: Page, run: RunSummary, entries: Sequence[Entry]) -> Iterator[RenderableType]:
    if run.outcome is None:
        yield from (Text(), unfinished_line(page, run.run_id))
    worked = (after.at - before.at for before, after in pairwise(entries) if after.kind is not EntryKind.CLAIM)
    duration_s = sum(worked, timedelta()).total_seconds()  # without the time in which no process was at work
    yield totals_line(page, turns=run.turns, duration_s=duration_s, usage=run.usage, cost_usd=run.cost_usd)
