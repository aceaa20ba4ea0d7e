"""A run told from its recorded entries: each entry becomes the lines that a view prints."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from rich.text import Text

from agent.records import Entry, EntryKind, JsonObject, OutcomeKind, Owner, RunMode, Usage
from agent.render.calls import INDENT, CallStory, argument_text, aside_line, call_lines
from agent.render.figures import dollars
from agent.render.page import Line, Page, Tone
from agent.render.summary import model_name, outcome_line, total_cost, totals_line
from agent.render.text import as_json

_HOST_CALLS = ("host-", "planned-host-")
_RESTART_PROBE = 24  # characters: two replies that begin alike for so long are one reply, begun again
_SPOKEN_CHARACTERS = 4000  # only the end of a long reply is in view while it comes
_ANSWERED = {"accept": "accepted", "decline": "declined", "cancel": "cancelled"}
_MODES = {
    RunMode.DRY_RUN.value: ("DRY RUN", "nothing is written; effects are only planned"),
    RunMode.DRAFT.value: ("DRAFT", "nothing is sent or changed; one internal note says what would be"),
}
_QUIET_STOPS = frozenset({"end_turn", "tool_use", "stop_sequence"})


class Tally:
    """What a run has taken so far, added up from its entries."""

    def __init__(self) -> None:
        self.turns = 0
        self.usage = Usage()
        self.costs: list[float | None] = []
        self._began: datetime | None = None
        self.duration_s = 0.0

    def count(self, entry: Entry) -> None:
        """Add one entry."""
        self._began = self._began or entry.at
        self.duration_s = (entry.at - self._began).total_seconds()
        if entry.kind is EntryKind.REPLY:
            self.turns = int(entry.body.get("turn", self.turns + 1))
        if entry.kind is EntryKind.REPLY or (entry.kind is EntryKind.SAMPLING and entry.body.get("reply") is not None):
            self.usage += Usage(**cast("dict[str, int]", entry.body.get("usage") or {}))
            self.costs.append(entry.body.get("cost_usd"))


class Story:
    """One run as it happens; remembers only what a later entry needs to be told."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._gutter = ""  # the number of a turn without words stands beside its first call
        self._calls: dict[str, CallStory] = {}
        self._streamed = ""
        self.tally = Tally()
        self._is_running = False

    @property
    def spoken(self) -> Line | None:
        """The words of the reply that is still coming, without an earlier try that was cut off."""
        head = self._streamed[:_RESTART_PROBE]
        restart = self._streamed.rfind(head) if len(head) == _RESTART_PROBE else 0
        words = self._streamed[restart:][-_SPOKEN_CHARACTERS:].strip()
        return self._words(self.tally.turns + 1, words) if words else None

    @property
    def open_calls(self) -> list[CallStory]:
        """The calls that wait for their results: those that have left, or the next to leave."""
        calls = list(self._calls.values())
        return [call for call in calls if call.is_in_flight] or calls[:1]

    @property
    def is_model_awaited(self) -> bool:
        """Whether the next thing to come is the model's reply."""
        return self._is_running and not self._calls

    def speak(self, delta: str) -> None:
        """Take a piece of the model's text."""
        self._streamed += delta

    def progress(self, tool: str, report: str) -> None:
        """Take what a call in flight says about how far it is."""
        for call in self.open_calls:
            if call.tool == tool:
                call.progress = report

    def tell(self, entry: Entry) -> list[Line]:
        """Return the lines that this entry adds to the screen; many entries only prepare a later one."""
        self.tally.count(entry)
        self._is_running = True
        lines = list(self._lines(entry.kind, entry.body))
        if entry.kind is EntryKind.STOPPED:
            lines.append(Line(indent=INDENT, body=_way_on(self._page, entry)))
        return lines

    def _lines(self, kind: EntryKind, body: JsonObject) -> Iterator[Line]:
        match kind:
            case EntryKind.CASE:
                yield from self._case(body)
            case EntryKind.REPLY:
                yield from self._reply(body)
            case EntryKind.DECISION:
                self._call(body).decided(body)
            case EntryKind.APPROVAL:
                self._call(body).approval = body
            case EntryKind.ATTEMPT:
                self._call(body).is_in_flight = True
            case EntryKind.RESULT:
                yield from self._result(body)
            case EntryKind.SAMPLING | EntryKind.ELICITATION | EntryKind.ROOTS:
                yield from self._aside(body, _asked_back(self._page, kind, body))
            case EntryKind.NUDGE:
                text = Text.assemble(("the host asks: ", Tone.CARE), self._page.text(body.get("text", "")))
                yield Line(lead=f"    {self._page.symbols.arrow}", indent=INDENT, body=text)
            case EntryKind.CLAIM | EntryKind.HANDOVER | EntryKind.STOPPED | EntryKind.CANCEL:
                if kind is EntryKind.STOPPED:
                    self._is_running, self._calls, self._streamed = False, {}, ""
                yield Line(lead=f"    {self._page.symbols.care}", indent=INDENT, body=_turning(self._page, kind, body))
            case EntryKind.OUTCOME:
                yield from self._outcome(body)

    def _case(self, body: JsonObject) -> Iterator[Line]:
        page = self._page
        ticket, customer = case_fields(body.get("ticket")), case_fields(body.get("customer"))
        name = page.text(f"#{body['ticket_id']}", style="bold")
        indent = max(name.cell_len + 1, 4)
        yield Line(lead=name, indent=indent, body=page.text(ticket.get("subject") or "", style="bold"))
        who = (str(ticket.get("requester") or ""), str(customer.get("tier") or ""))
        yield Line(indent=indent, body=page.join(*who, style=Tone.QUIET))
        model = str(body.get("model", ""))
        yield Line(indent=indent, body=Text.assemble(model_name(page, model), style=Tone.QUIET))
        if label := _MODES.get(str(body.get("mode"))):
            mode, meaning = label
            yield Line(indent=indent, body=Text.assemble((mode, f"bold {Tone.PLANNED}"), f"  {meaning}"))
        if plan := body.get("plan"):
            said = f"  exactly the calls of dry run {plan['run_id']}"
            said += f", without {', '.join(plan['left_out'])}" if plan["left_out"] else ""
            yield Line(indent=indent, body=Text.assemble(("APPLY", f"bold {Tone.CARE}"), page.text(said)))
        yield Line(body=Text())

    def _reply(self, body: JsonObject) -> Iterator[Line]:
        self._streamed = ""
        self._gutter = str(body.get("turn", self.tally.turns))
        content: list[JsonObject] = body.get("content") or []
        self._calls = {}
        for block in content:
            if block.get("type") == "tool_use":
                self._calls[str(block.get("id"))] = self._new_call(block.get("name"), block.get("input"))
        # Some models put what they say between two calls into their summarized thinking.
        said = [str(block.get(block["type"]) or "") for block in content if block.get("type") in {"text", "thinking"}]
        text = "\n\n".join(filter(None, said))
        if text.strip():
            yield self._words(self._gutter, text.strip())
            self._gutter = ""
        stop = str(body.get("stop_reason"))
        if stop not in _QUIET_STOPS:
            stopped = Text.assemble(("the model stopped: ", Tone.CARE), self._page.text(stop))
            yield Line(lead=f"    {self._page.symbols.care}", indent=INDENT, body=stopped)

    def _words(self, turn: int | str, text: str) -> Line:
        return self._page.foreign(text, lead=Text(f"{turn:>2}", style=Tone.QUIET), indent=4)

    def _new_call(self, name: object, arguments: Any, *, is_by_host: bool = False) -> CallStory:
        return CallStory(
            tool=str(name),
            arguments=_arguments(arguments),
            is_by_host=is_by_host,
            began_s=self._page.console.get_time(),
        )

    def _call(self, body: JsonObject) -> CallStory:
        """Return the call that an entry belongs to; the host's own are first heard of here."""
        key = str(body.get("tool_use_id"))
        if key not in self._calls:
            self._calls[key] = self._new_call(
                body.get("tool"), body.get("arguments") or {}, is_by_host=key.startswith(_HOST_CALLS)
            )
        return self._calls[key]

    def _result(self, body: JsonObject) -> Iterator[Line]:
        call = self._call(body)
        del self._calls[str(body.get("tool_use_id"))]
        self._streamed = ""
        gutter, self._gutter = self._gutter, ""
        yield from call_lines(self._page, call, body, gutter)

    def _aside(self, body: JsonObject, said: Text) -> Iterator[Line]:
        call = self._calls.get(str(body.get("tool_use_id")))
        if call is not None:
            call.asides.append(said)
        else:
            yield aside_line(self._page, said)

    def _outcome(self, body: JsonObject) -> Iterator[Line]:
        self._is_running = False
        self._calls, self._streamed = {}, ""
        tally, page = self.tally, self._page
        yield Line(body=Text())
        yield outcome_line(page, OutcomeKind(body["outcome"]), str(body.get("reason", "")))
        yield totals_line(
            page,
            turns=tally.turns,
            duration_s=tally.duration_s,
            usage=tally.usage,
            cost_usd=total_cost(tally.costs),
        )


def case_fields(record: Any) -> Mapping[str, Any]:
    """Return the fields of a ticket or customer as a case entry has them; none for an unknown customer."""
    fields = cast("Mapping[str, Any]", record).get("fields") if isinstance(record, Mapping) else None
    return cast("Mapping[str, Any]", fields) if isinstance(fields, Mapping) else {}


def _turning(page: Page, kind: EntryKind, body: JsonObject) -> Text:
    """Return what another process, a person or a failure has made of the run."""
    match kind:
        case EntryKind.CLAIM:
            owner = Owner(**body["owner"])
            verb = "taken over" if body.get("is_taken_over") else "resumed"
            said, more = f"{verb} by process ", f"{owner.pid} of {owner.user} on {owner.machine}"
        case EntryKind.HANDOVER:
            said, more = "the host hands over to people: ", str(body.get("because", ""))
        case EntryKind.CANCEL:
            said, more = "cancelled by ", f"{body.get('by')}: {body.get('because')}"
        case _:
            said, more = "stopped: ", str(body.get("reason", ""))
    return Text.assemble((said, Tone.CARE), page.text(more))


def _way_on(page: Page, stopped: Entry) -> Text:
    """Return how a stopped run goes on; the reason of one that a pause has stopped says how that is ended."""
    first = "when that is mended" if stopped.body.get("is_failure", True) else "then"
    command = page.text(f"`support-agent runs resume {stopped.run_id}`")
    return Text.assemble(f"{first}, ", command, " goes on from here", style=Tone.QUIET)


def _arguments(sent: Any) -> JsonObject:
    """Return what a model sent as arguments, which may be anything, as an object."""
    if isinstance(sent, Mapping):
        return {str(name): value for name, value in cast("Mapping[Any, Any]", sent).items()}
    return {"arguments": sent}


def _asked_back(page: Page, kind: EntryKind, body: JsonObject) -> Text:
    server = page.text(body.get("server", "the server"))
    said = Text.assemble(server, style=Tone.QUIET)
    if kind is EntryKind.ROOTS:
        return said.append(" asked for folders: ").append_text(page.text(", ".join(map(str, body.get("uris") or ()))))
    if kind is EntryKind.SAMPLING:
        said.append(" asked the model")
        if body.get("reply") is None:
            return said.append(", which was refused: ").append_text(page.text(body.get("error") or "no reason given"))
        return said.append(f" ({dollars(body.get('cost_usd'))})")
    message = page.excerpt(as_json(body.get("message") or ""), max(page.columns - INDENT, 40))
    said.append(" asked you: ").append_text(message)
    action = str(body.get("action") or "no answer")
    said.append(f" {page.symbols.arrow} ").append_text(page.text(_ANSWERED.get(action, action)))
    content = _arguments(body.get("content") or {})
    return said.append(" ").append_text(argument_text(page, content, page.columns, quiet=frozenset(content)))
