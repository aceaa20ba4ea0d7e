"""How one tool call is told: name, arguments, what the policy said, what came back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from agent.records import CallStatus, Effect, JsonObject, Verdict
from agent.render.figures import seconds
from agent.render.page import Line, Page, Tone
from agent.render.text import compact

INDENT = 6  # turn number and symbol
SLOW_S = 1.0
"""Calls that take longer say how long; for the others it would be noise."""

_ROWS_OF_EFFECT = 12  # what a customer will read, or what money does, is shown further than what was searched for
_ROWS_OF_READ = 2
_MESSAGE_CHARACTERS = 600


@dataclass(kw_only=True, slots=True)
class CallStory:
    """What is known about one call before its result is there."""

    tool: str
    arguments: JsonObject
    sent: JsonObject | None = None  # those of the model's own words, once the call was decided about
    effect: str = Effect.READ
    bound: frozenset[str] = frozenset()  # arguments that the host filled in
    verdict: str = Verdict.ALLOW
    reasons: list[JsonObject] = field(default_factory=list[JsonObject])
    stripped: list[str] = field(default_factory=list[str])
    sources: list[str] = field(default_factory=list[str])  # articles that its text rests on
    approval: JsonObject | None = None
    asides: list[Text] = field(default_factory=list[Text])  # what the server asked back meanwhile
    is_by_host: bool = False
    is_in_flight: bool = False
    began_s: float = 0.0
    progress: str = ""

    def decided(self, body: JsonObject) -> None:
        """Take a decision's body: the qualified name, the arguments as they would leave, the verdict."""
        own = self.sent = self.arguments if self.sent is None else self.sent
        self.tool = body["tool"]
        self.effect = body.get("effect", Effect.UNNAMED)
        verdict = body.get("verdict", Verdict.ALLOW)
        # What a person was asked about, and why, stays told when it is then allowed.
        if not (body.get("is_approved") and verdict == Verdict.ALLOW):
            self.verdict, self.reasons = verdict, list(body.get("reasons") or ())
        self.stripped = [str(name) for name in body.get("stripped") or ()]
        self.sources = [str(name) for name in body.get("sources") or ()]
        leaving: JsonObject = body.get("arguments") or {}
        if not self.is_by_host:
            self.bound = frozenset(set(leaving) - (set(own) - set(self.stripped)))
        chosen = {name: value for name, value in leaving.items() if name not in self.bound}
        self.arguments = chosen | {name: leaving[name] for name in leaving if name in self.bound}


def argument_text(page: Page, arguments: Mapping[str, Any], columns: int, *, quiet: frozenset[str]) -> Text:
    """Return `name=value name=value`; names are quiet, and so are whole arguments that `quiet` names."""
    text = Text()
    for raw, (name, value) in zip(arguments, compact(arguments, columns, page.encoding), strict=True):
        text.append(" " if text else "")
        text.append(f"{name}=", style=Tone.QUIET)
        text.append(value, style=Tone.QUIET if raw in quiet else Tone.PLAIN)
    return text


def call_lines(page: Page, call: CallStory, result: JsonObject, gutter: str) -> Iterator[Line]:
    """Yield a finished call: its line, what was decided, what the server asked, and why it failed."""
    status = CallStatus(result["status"])
    lead = Text.assemble((f"{gutter:>2}  ", Tone.QUIET), _symbol(page, status))
    yield from _headline(page, call, status, float(result.get("seconds") or 0.0), lead)
    for note in _decision_notes(page, call, status):
        yield Line(indent=INDENT, body=note)
    for said in call.asides:
        yield aside_line(page, said)
    yield from _failure(page, call, status, result)


def aside_line(page: Page, said: Text) -> Line:
    """Return what a server asked back during a call."""
    lead = Text(" " * INDENT + page.symbols.below, style=Tone.QUIET)
    return Line(lead=lead, indent=lead.cell_len + 1, body=said)


def _headline(page: Page, call: CallStory, status: CallStatus, duration_s: float, lead: Text) -> Iterator[Line]:
    name = page.text(call.tool, style=Tone.STRONG)
    if call.is_by_host:
        name.append(" by the host", style=f"not bold {Tone.QUIET}")
    # A failure and a refusal explain themselves on the lines below.
    after = [status.value] if status in {CallStatus.PLANNED, CallStatus.UNCERTAIN} else []
    after += [seconds(duration_s)] if duration_s >= SLOW_S else []
    tail = page.join(*after, style=Tone.QUIET)
    rows = _ROWS_OF_READ if call.effect == Effect.READ else _ROWS_OF_EFFECT
    room = page.columns - INDENT - 2
    arguments = argument_text(page, call.arguments, room * rows, quiet=call.bound)
    is_beside = name.cell_len + arguments.cell_len + tail.cell_len + 2 <= room
    parts = [name, arguments, tail] if is_beside else [name, tail]
    yield Line(lead=lead, indent=INDENT, body=Text("  ").join(part for part in parts if part))
    if arguments and not is_beside:
        yield Line(indent=INDENT + 2, body=arguments)


def _decision_notes(page: Page, call: CallStory, status: CallStatus) -> Iterator[Text]:
    reasons = " ".join(f"{reason.get('because', '')} [{reason.get('rule', '')}]" for reason in call.reasons)
    if call.verdict == Verdict.DENY:
        yield Text.assemble(("denied: ", Tone.BAD), page.text(reasons))
    elif call.verdict == Verdict.ASK:
        word = "would be asked: " if status is CallStatus.PLANNED else "asked: "
        yield Text.assemble((word, Tone.CARE), page.text(reasons))
    if call.approval is not None:
        yield _approval_note(page, call.approval)
    if call.sources:
        yield Text.assemble("rests on: ", page.text(", ".join(call.sources)), style=Tone.QUIET)
    if call.stripped:
        names = page.text(", ".join(call.stripped))
        yield Text.assemble("set by the host, the model's own ignored: ", names, style=Tone.QUIET)


def _approval_note(page: Page, approval: JsonObject) -> Text:
    is_granted = bool(approval.get("is_granted"))
    word = ("yes", Tone.GOOD) if is_granted else ("no", Tone.BAD)
    because = page.text(approval.get("because") or "")
    by = page.text(approval.get("by") or "")
    return Text.assemble(word, ", said ", by, ": " if because else "", because)


def _failure(page: Page, call: CallStory, status: CallStatus, result: JsonObject) -> Iterator[Line]:
    is_told = status in {CallStatus.DONE, CallStatus.PLANNED} or (status is CallStatus.DENIED and call.reasons)
    if is_told:
        return
    blocks: list[JsonObject] = result.get("content") or []
    said = "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
    tone = Tone.CARE if status is CallStatus.UNCERTAIN else Tone.BAD
    yield page.foreign(said or "no reason was given", indent=INDENT, style=tone, most=_MESSAGE_CHARACTERS)


def _symbol(page: Page, status: CallStatus) -> Text:
    signs = {
        CallStatus.DONE: (page.symbols.done, Tone.GOOD),
        CallStatus.PLANNED: (page.symbols.planned, Tone.PLANNED),
        CallStatus.DENIED: (page.symbols.failed, Tone.BAD),
        CallStatus.FAILED: (page.symbols.failed, Tone.BAD),
        CallStatus.UNCERTAIN: (page.symbols.care, Tone.CARE),
    }
    return Text.assemble(signs[status])
