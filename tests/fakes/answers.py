"""What the fake Messages API answers: messages, faults, and the events that a message is streamed as."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from agent.records import JsonObject
from tests.fakes.gates import Gate

USAGE = MappingProxyType(
    {"input_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 20}
)

KIND_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class FaultKind(StrEnum):
    """What goes wrong with one answer."""

    STATUS = "status"  # an error response
    CUT = "cut"  # the connection is reset
    EOF = "eof"  # the stream ends in good order, the message does not
    ERROR_EVENT = "error_event"  # an `error` event inside a 200
    GARBLED = "garbled"  # an event whose JSON breaks off
    HANG = "hang"  # nothing comes any more
    NOT_JSON = "not_json"  # a 200 with a web page


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault, and where it strikes: after the n-th event of a type or delta type, or before the first byte."""

    kind: FaultKind
    after: str = ""
    nth: int = 1
    status: int = 200
    type: str = "api_error"
    message: str = "It went wrong."
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer of the fake: a message in the API's shape, and what goes wrong on its way.

    Calls without an id and thoughts without a signature get one. Without a stop reason it is `tool_use` where there
    is a call, else `end_turn`.
    """

    content: Sequence[JsonObject] = ()
    stop_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=lambda: USAGE)
    model: str | None = None  # None: the model that was asked for
    delay_s: float = 0  # before the first byte
    until: Gate | None = None  # is open, the first byte is held back
    fault: Fault | None = None


Script: TypeAlias = Sequence[Answer] | Callable[[JsonObject], Answer]
"""Answers in the order of the requests, or a function from a request's body to its answer."""


def says(text: str, **usage: int) -> Answer:
    """A reply that is only text."""
    return Answer(content=[{"type": "text", "text": text}], usage={**USAGE, **usage})


def calls(*names_and_inputs: tuple[str, JsonObject], text: str = "", thinking: str = "") -> Answer:
    """A reply that calls tools, perhaps after a thought and a text."""
    content: list[JsonObject] = []
    if thinking:
        content.append({"type": "thinking", "thinking": thinking})
    if text:
        content.append({"type": "text", "text": text})
    content += [{"type": "tool_use", "name": name, "input": arguments} for name, arguments in names_and_inputs]
    return Answer(content=content)


def error(status: int, message: str = "It went wrong.", **headers: str) -> Answer:
    """An error response; `retry_after="1"` becomes the header `retry-after: 1`."""
    kind = KIND_OF_STATUS.get(status, "api_error")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(fault=Fault(kind=FaultKind.STATUS, status=status, type=kind, message=message, headers=named))


def broken(answer: Answer, kind: FaultKind, *, after: str = "", nth: int = 1, error_type: str = "api_error") -> Answer:
    """The answer, going wrong after the n-th event of this type, or before anything is sent."""
    return replace(answer, fault=Fault(kind=kind, after=after, nth=nth, type=error_type))


def by_turn(answers: Sequence[Answer]) -> Callable[[JsonObject], Answer]:
    """Play the answers to every conversation from the beginning: the n-th turn gets the n-th answer."""

    def answer(request: JsonObject) -> Answer:
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        if turn < len(answers):
            return answers[turn]
        return error(400, f"The script has {len(answers)} answers, and this is turn {turn + 1}.")

    return answer


def load(path: Path) -> list[Answer]:
    """Read a JSON list of answers; a fault is an object with the fields of `Fault`."""
    return [_answer(item) for item in json.loads(path.read_text(encoding="utf-8"))]


def _answer(item: JsonObject) -> Answer:
    fault = item.get("fault")
    if fault is None:
        return Answer(**item)
    return Answer(**{**item, "fault": Fault(**{**fault, "kind": FaultKind(fault["kind"])})})


def events(message: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield a whole message as (event or delta type, data), in the order in which the API streams it."""
    opening = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    opening["usage"] = {**message["usage"], "output_tokens": 1}
    yield "message_start", {"type": "message_start", "message": opening}
    yield "ping", {"type": "ping"}
    for index, block in enumerate(message["content"]):
        start, deltas = _streamed(block)
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield delta["type"], {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    closing = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": closing, "usage": message["usage"]}
    yield "message_stop", {"type": "message_stop"}


def _streamed(block: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    match block["type"]:
        case "text":
            deltas = [{"type": "text_delta", "text": part} for part in _parts(block["text"])]
            return {"type": "text", "text": ""}, deltas
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": part} for part in _parts(block["thinking"])]
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*thought, signature]
        case "tool_use":
            parts = ["", *_parts(_as_json(block["input"]))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            return block, []


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)  # a text is sent as it is: JSON that is none


def _parts(text: str, count: int = 4) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]
