"""One call of a recorded run: what was asked, decided, approved, sent, asked back and answered."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from agent.records import CallStatus, Entry, EntryKind, JsonObject, Verdict
from agent.render.bodies import as_object, list_of, number_of, object_of, objects_of, said_in, text_of, usage_of
from agent.render.calls import CallStory, argument_text
from agent.render.chapters import RecordedCall
from agent.render.figures import dollars, seconds, tokens
from agent.render.layout import pairs
from agent.render.numbered import Numbered
from agent.render.page import Line, Tone
from agent.render.text import as_json

_INSIDE = 2  # columns: below the call's name
_HOST_CALLS = ("host-", "planned-host-")
_ROWS_OF_ARGUMENTS = 6
_MOST_OF_A_REQUEST = 240  # characters: what a server asks the model mostly repeats what was read before

_VERDICTS: Mapping[str, tuple[str, Tone]] = {
    Verdict.ALLOW: ("allowed", Tone.QUIET),
    Verdict.ASK: ("needs a person", Tone.CARE),
    Verdict.DENY: ("denied", Tone.BAD),
}
_STATUSES: Mapping[str, tuple[str, Tone]] = {
    CallStatus.DONE: ("done", Tone.GOOD),
    CallStatus.PLANNED: ("planned", Tone.PLANNED),
    CallStatus.DENIED: ("failed", Tone.BAD),
    CallStatus.FAILED: ("failed", Tone.BAD),
    CallStatus.UNCERTAIN: ("care", Tone.CARE),
}
"""The sign of each status, by its name among the page's symbols."""

_ANSWERED = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}


def call_lines(numbered: Numbered, call: RecordedCall) -> Iterator[Line]:
    """Yield a call and everything that is recorded about it, each entry with its number."""
    yield from _headline(numbered, call)
    for entry in call.entries:
        yield from _entry_lines(numbered, entry)
    if call.last(EntryKind.RESULT) is None:
        yield numbered.line(Text("no result is recorded", style=Tone.CARE), indent=_INSIDE)


def _headline(numbered: Numbered, call: RecordedCall) -> Iterator[Line]:
    page, story = numbered.page, _story(call)
    status = text_of(call.last(EntryKind.RESULT) or {}, "status")
    sign, tone = _STATUSES.get(status, ("more", Tone.CARE))
    name = page.text(story.tool or "a call", style=Tone.STRONG)
    if story.is_by_host:
        name.append(" by the host", style=f"not bold {Tone.QUIET}")
    lead = Text(getattr(page.symbols, sign), style=tone)
    if numbered.is_full:
        yield numbered.line(name, sign=lead)
        values = [(key, _value(numbered, value)) for key, value in story.arguments.items()]
        yield from pairs(page, values, indent=numbered.margin + 2 + _INSIDE)
        return
    room = page.columns - numbered.margin - 6
    arguments = argument_text(page, story.arguments, room * _ROWS_OF_ARGUMENTS, quiet=story.bound)
    is_beside = name.cell_len + arguments.cell_len + 2 <= room
    yield numbered.line(Text("  ").join([name, arguments] if is_beside and arguments else [name]), sign=lead)
    if arguments and not is_beside:
        yield numbered.line(arguments, indent=_INSIDE)


def _story(call: RecordedCall) -> CallStory:
    """Return the call as it was decided on: its qualified name, and its arguments as they would leave."""
    decision, attempt = call.last(EntryKind.DECISION), call.last(EntryKind.ATTEMPT)
    result = call.last(EntryKind.RESULT) or {}
    effect = object_of(result, "effect")
    told_by_result = text_of(result, "tool") or ".".join(
        filter(None, (text_of(effect, "server"), text_of(effect, "tool")))
    )
    story = CallStory(
        tool=told_by_result or text_of(call.asked, "name"),
        arguments=object_of(call.asked, "input") or object_of(attempt or effect, "arguments"),
        is_by_host=call.tool_use_id.startswith(_HOST_CALLS),
    )
    if decision is not None:
        story.decided(
            {
                "tool": text_of(decision, "tool"),
                "arguments": object_of(decision, "arguments"),
                "stripped": list_of(decision, "stripped"),
                "sources": list_of(decision, "sources"),
            }
        )
    return story


def _value(numbered: Numbered, value: Any) -> Text:
    page = numbered.page
    return page.block(value, most_characters=len(value)) if isinstance(value, str) else page.text(as_json(value))


def _entry_lines(numbered: Numbered, entry: Entry) -> Iterator[Line]:
    match entry.kind:
        case EntryKind.DECISION:
            yield from _decision(numbered, entry)
        case EntryKind.APPROVAL:
            yield numbered.line(_approval(numbered, entry.body), entry=entry, indent=_INSIDE)
        case EntryKind.ATTEMPT:
            key = numbered.page.text(text_of(entry.body, "key"))
            said = Text.assemble("attempted at ", numbered.clock(entry.at), ", key ", key, style=Tone.QUIET)
            yield numbered.line(said, entry=entry, indent=_INSIDE)
        case EntryKind.RESULT:
            yield from _result(numbered, entry)
        case EntryKind.SAMPLING:
            yield from _sampling(numbered, entry)
        case EntryKind.ELICITATION:
            yield from _elicitation(numbered, entry)
        case _:
            uris = ", ".join(map(str, list_of(entry.body, "uris")))
            yield _asked_back(numbered, entry, " asked for folders", numbered.page.text(f": {uris}" if uris else ""))


def _decision(numbered: Numbered, entry: Entry) -> Iterator[Line]:
    page, body = numbered.page, entry.body
    verdict = text_of(body, "verdict")
    word, tone = _VERDICTS.get(verdict, (verdict, Tone.CARE))
    said = Text.assemble(page.text(word, style=tone))
    reasons = [f"{text_of(reason, 'because')} [{text_of(reason, 'rule')}]" for reason in objects_of(body, "reasons")]
    reasons = reasons or [f"[{rule}]" for rule in list_of(body, "rules")]  # all that is left of forgotten ones
    if reasons:
        said.append(": ", style=tone).append_text(page.text(" ".join(reasons)))
    yield numbered.line(said, entry=entry, indent=_INSIDE)
    facts = object_of(body, "facts")
    if facts:
        shown = argument_text(page, facts, page.columns, quiet=frozenset())
        yield numbered.line(Text.assemble(("read for it: ", Tone.QUIET), shown), indent=_INSIDE)
    sources = ", ".join(map(str, list_of(body, "sources")))
    if sources:
        yield numbered.line(Text.assemble("rests on: ", page.text(sources), style=Tone.QUIET), indent=_INSIDE)
    stripped = ", ".join(map(str, list_of(body, "stripped")))
    if stripped:
        said = Text.assemble("set by the host, the model's own ignored: ", page.text(stripped), style=Tone.QUIET)
        yield numbered.line(said, indent=_INSIDE)


def _approval(numbered: Numbered, body: JsonObject) -> Text:
    page = numbered.page
    said = Text.assemble(("yes", Tone.GOOD) if body.get("is_granted") is True else ("no", Tone.BAD))
    said.append(", said ").append_text(page.text(text_of(body, "by") or "nobody"))
    because = text_of(body, "because")
    return said.append_text(page.text(f": {because}" if because else "")).append_text(_after(body))


def _after(body: JsonObject) -> Text:
    """Return how long a person took to answer."""
    took = number_of(body, "seconds")
    return Text("" if took is None else f"  after {seconds(took)}", style=Tone.QUIET)


def _result(numbered: Numbered, entry: Entry) -> Iterator[Line]:
    body = entry.body
    status = text_of(body, "status")
    _, tone = _STATUSES.get(status, ("", Tone.CARE))
    took = number_of(body, "seconds")
    said = numbered.page.text(status or "no status", style=tone)
    if took:
        said.append(f"  {seconds(took)}", style=Tone.QUIET)
    yield numbered.line(said, entry=entry, indent=_INSIDE)
    told = said_in(body)
    if told:
        yield numbered.quote(told, indent=_INSIDE, style=tone if tone in {Tone.BAD, Tone.CARE} else Tone.PLAIN)


def _sampling(numbered: Numbered, entry: Entry) -> Iterator[Line]:
    page, body = numbered.page, entry.body
    used = page.join(tokens(usage_of(body)), dollars(number_of(body, "cost_usd")), style=Tone.QUIET)
    error = text_of(body, "error")
    said = Text.assemble(": refused, ", page.text(error)) if error else Text.assemble("  ", used)
    yield _asked_back(numbered, entry, " asked the model", said)
    request = object_of(body, "request")
    asked = [said_in(message) for message in objects_of(request, "messages")]
    system = text_of(request, "system")
    for words in filter(None, (system if numbered.is_full else "", *asked)):
        yield numbered.quote(words, indent=_INSIDE + 2, style=Tone.QUIET, most=_MOST_OF_A_REQUEST)
    answer = said_in(object_of(body, "reply"))
    if answer:
        yield numbered.line(Text(f"{page.symbols.arrow} it answered", style=Tone.QUIET), indent=_INSIDE + 2)
        yield numbered.quote(answer, indent=_INSIDE + 2)


def _elicitation(numbered: Numbered, entry: Entry) -> Iterator[Line]:
    page, body = numbered.page, entry.body
    action = text_of(body, "action") or "no answer"
    said = page.text(f" {page.symbols.arrow} {_ANSWERED.get(action, action)}")
    yield _asked_back(numbered, entry, " asked the operator", said.append_text(_after(body)))
    message = text_of(body, "message")
    if message:
        yield numbered.quote(message, indent=_INSIDE + 2, style=Tone.QUIET)
    content = as_object(body.get("content"))
    if content:
        shown = argument_text(page, content, page.columns * 2, quiet=frozenset())
        yield numbered.line(Text.assemble((f"{page.symbols.arrow} ", Tone.QUIET), shown), indent=_INSIDE + 2)


def _asked_back(numbered: Numbered, entry: Entry, what: str, more: Text) -> Line:
    page = numbered.page
    server = page.text(text_of(entry.body, "server") or "the server", style=Tone.STRONG)
    sign = Text(page.symbols.below, style=Tone.QUIET)
    return numbered.line(Text.assemble(server, what, more), entry=entry, sign=sign, indent=_INSIDE)
