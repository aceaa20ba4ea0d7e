"""The scripted model: plays given replies, checks what it is sent, and fails on anything that was not foreseen.

In a test, `ScriptedModel([Turn(…), Turn(…)])` plays one conversation, and `ScriptedModel(conversations=[…])` several
at once. On the command line, `--model scripted:FILE` plays a JSON file. It holds either one conversation:

    {"turns": [
        {"text": "I look it up.",
         "calls": [{"name": "ticketing__search_knowledge_base", "arguments": {"query": "log in"}}],
         "offered": ["ticketing__close_ticket"], "not_offered": ["ticketing__list_tickets"]},
        {"calls": [{"name": "ticketing__close_ticket", "arguments": {"resolution": "Hi, … — Support Team"}}],
         "expect": ["kb://"]},
        {"text": "Closed.", "usage": {"input_tokens": 900, "output_tokens": 12}}
    ]}

or several, each found by a string that occurs in the text of the first message:

    {"conversations": [
        {"match": "ticket 42", "turns": […]},
        {"match": "Summarize this support ticket", "turns": [{"text": "Alice cannot log in."}]}
    ]}

A turn has `text`, `calls` or both. All keys are optional:
- `calls`: `{"name", "arguments", "id"}`, the name as the tool is offered; ids are made when they are left out.
- `stop_reason`: "tool_use" when there are calls, else "end_turn".
- `usage`: `{"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"}`.
- `expect`: strings that must occur in the last message sent (its texts, tool results included).
- `offered`, `not_offered`: tools that the request must, or must not, offer.
- `unavailable`: a sentence; instead of replying, the model is down, as `ModelUnavailable` says it. The same request
  may come again, and gets the next turn.

Which conversation a request belongs to: the one whose messages it continues; else the first unplayed one whose
`match` occurs. A request that already holds replies is a run that goes on: as many turns as it holds replies were
played by another process, and conversations that are never asked for may have been, too. A server's sampling request
comes through the same model and is a conversation of its own, matched by its own first message. Every request must
keep the Messages API's rules (`message_rules`) and repeat what was sent and replied before, unchanged. `aclose` fails
when turns are left over.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ConfigurationError, ModelRejected, ModelUnavailable
from agent.models.message_rules import reply_violations, violations
from agent.records import JsonObject, ModelRequest, Reply, Usage

_LONGEST_SHOWN = 600


class ScriptMismatch(ModelRejected):
    """What was sent is not what the script or the Messages API expects; the message shows both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool call of a turn; without an id, one is made from the turn's place in the script."""

    name: str
    arguments: JsonObject = field(default_factory=dict[str, Any])
    id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One reply, and what must be true of the request for it."""

    text: str = ""
    calls: Sequence[Call] = ()
    content: Sequence[JsonObject] | None = None  # the whole reply as it is, instead of text and calls
    stop_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    expect: Sequence[str] = ()
    offered: Sequence[str] = ()
    not_offered: Sequence[str] = ()
    unavailable: str | None = None
    gate: Callable[[], Awaitable[object]] | None = None  # awaited before the reply, such as an Event's `wait`


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """The turns of one conversation; `match` occurs in the text of its first message."""

    turns: Sequence[Turn]
    match: str = ""


@dataclass(kw_only=True)
class _Played:
    """Where one conversation stands."""

    number: int
    script: Conversation
    sent: list[JsonObject] = field(default_factory=list[JsonObject])  # the last request's messages
    replied: Reply | None = None  # None while a turn waits at its gate, and after one that failed
    has_failed: bool = False
    turns: int = 0

    @property
    def has_begun(self) -> bool:
        return bool(self.sent)

    @property
    def is_paused(self) -> bool:
        return self.replied is not None and self.replied.stop_reason == "pause_turn"

    def continues(self, messages: Sequence[JsonObject]) -> bool:
        """Return whether these messages go on from this conversation's last reply."""
        if self.replied is None:
            return self.has_failed and list(messages) == self.sent
        if self.is_paused:
            return len(messages) == len(self.sent) + (self.sent[-1]["role"] == "user") and messages[0] == self.sent[0]
        return len(messages) > len(self.sent) and messages[0] == self.sent[0]


class ScriptedModel:
    """Plays given replies in the order in which they are asked for; free of cost and of chance."""

    def __init__(self, turns: Sequence[Turn] = (), *, conversations: Sequence[Conversation] = ()) -> None:
        scripts = [*([Conversation(turns=tuple(turns))] if turns else ()), *conversations]
        self._conversations = [_Played(number=number, script=script) for number, script in enumerate(scripts, start=1)]
        self._has_mismatched = False
        self._has_resumed = False
        self.requests: list[ModelRequest] = []
        """Every request so far, as it was when it came."""

    @classmethod
    def from_file(cls, path: Path | str) -> "ScriptedModel":
        """Return the model that plays this JSON file.

        Raises:
            ConfigurationError: the file cannot be read, or is no script.
        """
        place = Path(path)
        try:
            script = _ScriptFile.model_validate_json(place.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"The script {place} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = "/".join(str(part) for part in first["loc"]) or "the whole file"
            raise ConfigurationError(f"The script {place} is not valid at {where}: {first['msg']}.") from error
        return cls(
            [turn.turn() for turn in script.turns],
            conversations=[
                Conversation(match=found.match, turns=tuple(turn.turn() for turn in found.turns))
                for found in script.conversations
            ],
        )

    @property
    def name(self) -> str:
        """What the report and the screen call this model."""
        return "scripted"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        """Return the next reply of the conversation that this request belongs to.

        Raises:
            ScriptMismatch: the request breaks a rule or the script, or no turn is left for it.
            ModelUnavailable: the turn says so.
        """
        request = _snapshot(request)
        self.requests.append(request)
        try:
            conversation = self._conversation_of(request)
            _check_rules(request, conversation)
            turn = _next_turn(conversation)
            _check_turn(request, turn, conversation)
        except ScriptMismatch:
            self._has_mismatched = True
            raise
        # Before the gate: while this turn waits, requests of other conversations are told apart from this one.
        conversation.turns += 1
        conversation.sent = list(request.messages)
        conversation.replied, conversation.has_failed = None, False
        if turn.gate:
            await turn.gate()
        if turn.unavailable is not None:
            conversation.has_failed = True
            raise ModelUnavailable(turn.unavailable)
        reply = conversation.replied = _reply_of(turn, conversation)
        if turn.text:
            on_text(turn.text)
        return copy.deepcopy(reply)

    async def aclose(self) -> None:
        """Check that everything was played.

        Raises:
            ScriptMismatch: turns are left over; not after an earlier mismatch, which explains them, nor of a model
                that was asked nothing: its run was played to the end before.
        """
        if self._has_mismatched or not self.requests:
            return
        left = [
            f"{_called(played)}: {len(played.script.turns) - played.turns} of {len(played.script.turns)}"
            for played in self._conversations
            if played.turns < len(played.script.turns) and (played.has_begun or not self._has_resumed)
        ]
        if left:
            raise ScriptMismatch(f"Turns of the script were never asked for: {'; '.join(left)}.")

    def _conversation_of(self, request: ModelRequest) -> _Played:
        messages = request.messages
        going_on = [played for played in self._conversations if messages and played.continues(messages)]
        if going_on:
            # Several conversations may begin alike: the one whose history is repeated exactly is meant.
            exact = [played for played in going_on if not _broken_history(played, messages)]
            return (exact or going_on)[-1]
        first = _text(messages[0]) if messages else ""
        for played in self._conversations:
            if not played.has_begun and played.script.match in first:
                played.turns = sum(message["role"] == "assistant" for message in messages)
                self._has_resumed |= played.turns > 0
                return played
        unplayed = [played.script.match for played in self._conversations if not played.has_begun]
        raise ScriptMismatch(
            f"No conversation of the script is left for this request: expected a first message with one of {unplayed}, "
            f"got {_shown(first)}."
        )


def _check_rules(request: ModelRequest, conversation: _Played) -> None:
    broken = violations(request, resumes_pause=conversation.is_paused)
    if conversation.has_begun:
        broken += _broken_history(conversation, request.messages)
    if broken:
        raise ScriptMismatch(f"{_called(conversation)}, turn {conversation.turns + 1}: {' '.join(broken)}")


def _broken_history(conversation: _Played, messages: Sequence[JsonObject]) -> list[str]:
    """Return what differs between what was sent and replied before and what these messages say of it."""
    before, reply = conversation.sent, conversation.replied
    if reply is None:
        return []
    merged = bool(before) and before[-1]["role"] == "assistant"
    sent = before[:-1] if merged else before
    expected = [*(before[-1]["content"] if merged else ()), *reply.content]
    if list(messages[: len(sent)]) != sent:
        return [_changed(sent, messages)]
    # A reply that no request could repeat as it is has to be mended before it is sent back.
    got = messages[len(sent)].get("content") if len(messages) > len(sent) else None
    if got != expected and not reply_violations(reply.content):
        return [f"The reply before must be sent back unchanged, expected {_shown(expected)}, got {_shown(got)}."]
    return []


def _changed(sent: Sequence[JsonObject], messages: Sequence[JsonObject]) -> str:
    number = next(
        (at for at, pair in enumerate(zip(sent, messages, strict=False)) if pair[0] != pair[1]), len(messages)
    )
    got = messages[number] if number < len(messages) else "nothing"
    return f"messages[{number}] has changed since it was sent, expected {_shown(sent[number])}, got {_shown(got)}."


def _next_turn(conversation: _Played) -> Turn:
    if conversation.turns >= len(conversation.script.turns):
        raise ScriptMismatch(
            f"{_called(conversation)} is over: expected {len(conversation.script.turns)} requests, got one more."
        )
    return conversation.script.turns[conversation.turns]


def _check_turn(request: ModelRequest, turn: Turn, conversation: _Played) -> None:
    place = f"{_called(conversation)}, turn {conversation.turns + 1}"
    last = _text(request.messages[-1])
    for text in turn.expect:
        if text not in last:
            raise ScriptMismatch(f"{place}: expected {text!r} in the last message, got {_shown(last)}.")
    offered = [str(tool["name"]) for tool in request.tools]
    for name in turn.offered:
        if name not in offered:
            raise ScriptMismatch(f"{place}: expected the tool {name!r} to be offered, got {offered}.")
    for name in turn.not_offered:
        if name in offered:
            raise ScriptMismatch(f"{place}: expected the tool {name!r} not to be offered, got {offered}.")


def _reply_of(turn: Turn, conversation: _Played) -> Reply:
    text: list[JsonObject] = [{"type": "text", "text": turn.text}] if turn.text else []
    calls: list[JsonObject] = [
        {
            "type": "tool_use",
            "id": call.id or f"toolu_{conversation.number}_{conversation.turns}_{number}",
            "name": call.name,
            "input": call.arguments,
        }
        for number, call in enumerate(turn.calls, start=1)
    ]
    content = text + calls if turn.content is None else list(turn.content)
    has_calls = any(block.get("type") == "tool_use" for block in content)
    return Reply(
        content=copy.deepcopy(content),
        stop_reason=turn.stop_reason or ("tool_use" if has_calls else "end_turn"),
        model="scripted",
        usage=turn.usage,
        cost_usd=0.0,
    )


def _snapshot(request: ModelRequest) -> ModelRequest:
    # The caller goes on appending to its list of messages.
    return ModelRequest(
        system=request.system,
        messages=copy.deepcopy(list(request.messages)),
        tools=copy.deepcopy(list(request.tools)),
        max_tokens=request.max_tokens,
        tool_choice=copy.deepcopy(request.tool_choice),
        stop_sequences=tuple(request.stop_sequences),
        timeout_s=request.timeout_s,
    )


def _text(message: JsonObject) -> str:
    """Return every text of a message, tool results included."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    texts = (block.get("text") if block.get("type") == "text" else _text(block) for block in content)
    return "\n".join(str(text) for text in texts if text)


def _called(conversation: _Played) -> str:
    match = f" ({conversation.script.match!r})" if conversation.script.match else ""
    return f"Conversation {conversation.number}{match}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!r}…"


class _InFile(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _CallInFile(_InFile):
    name: str
    arguments: JsonObject = Field(default_factory=dict)
    id: str | None = None


class _UsageInFile(_InFile):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class _TurnInFile(_InFile):
    text: str = ""
    calls: list[_CallInFile] = []
    stop_reason: str | None = None
    usage: _UsageInFile = _UsageInFile()
    expect: list[str] = []
    offered: list[str] = []
    not_offered: list[str] = []
    unavailable: str | None = None

    def turn(self) -> Turn:
        return Turn(
            text=self.text,
            calls=tuple(Call(name=call.name, arguments=call.arguments, id=call.id) for call in self.calls),
            stop_reason=self.stop_reason,
            usage=Usage(**self.usage.model_dump()),
            expect=tuple(self.expect),
            offered=tuple(self.offered),
            not_offered=tuple(self.not_offered),
            unavailable=self.unavailable,
        )


class _ConversationInFile(_InFile):
    match: str
    turns: list[_TurnInFile]


class _ScriptFile(_InFile):
    turns: list[_TurnInFile] = []
    conversations: list[_ConversationInFile] = []
