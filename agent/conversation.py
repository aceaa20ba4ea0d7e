"""The model's side of the conversation, kept in the shapes that the Messages API takes back."""

import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from agent.documents import without_surrogates
from agent.records import CallStatus, JsonObject, Reply, ToolCall, ToolResult

NUDGE = (
    "The ticket is not finished: it is neither closed, nor waiting for the customer, nor escalated. "
    "Finish it now with one of your tools."
)

CUT_OFF = "Your reply was cut off at its token limit. Go on, more briefly."

_SOUND_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SOUND_ID = re.compile(r"(?!host-)[a-zA-Z0-9_-]{1,64}")  # `host-1`, … are the host's own calls
_NOT_RUN = "Not run: the reply that asked for it was not complete."


def answerable(content: Sequence[JsonObject], earlier: Container[str], *, turn: int) -> list[JsonObject]:
    """Return the reply with calls that can each be answered: ids that are sound, and used once in the conversation.

    `earlier` are the ids of the calls before it; `turn` makes the new ids of this reply its own.
    """
    ids: dict[str, str] = {}
    kept: list[JsonObject] = []
    for block in without_surrogates(content):
        if block.get("type") != "tool_use":
            kept.append(block)
            continue
        id_ = block["id"]
        if id_ in ids:
            continue  # the same id twice in one reply is one call: making it twice could pay twice
        is_sound = _SOUND_ID.fullmatch(id_) and id_ not in earlier
        ids[id_] = id_ if is_sound else f"renamed_{turn}_{len(ids) + 1}"
        kept.append(block | {"id": ids[id_]})
    return kept


def hear(messages: list[JsonObject], content: Sequence[JsonObject]) -> None:
    """Append a reply to the conversation as it will be sent back; after a paused reply, it is one turn with that."""
    if messages[-1]["role"] == "assistant":
        content = [*messages.pop()["content"], *content]
    messages.append({"role": "assistant", "content": replayable(content)})


def answered(calls: Sequence[ToolCall], results: Mapping[str, ToolResult]) -> JsonObject:
    """Return the message that answers a reply's calls, in their order."""
    return {"role": "user", "content": [tool_result(call.id, results[call.id]) for call in calls]}


def replayable(content: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the reply as it can be sent back: names and arguments in the API's shapes, no blank text, never empty."""
    kept = [_replayable_call(block) for block in content if block.get("type") != "text" or block["text"].strip()]
    return kept or [{"type": "text", "text": "(no answer)"}]


def _replayable_call(block: JsonObject) -> JsonObject:
    if block.get("type") != "tool_use":
        return block
    name = block["name"] if _SOUND_NAME.fullmatch(block["name"]) else "not_a_tool"
    return block | {"name": name, "input": block["input"] if _is_json_object(block["input"]) else {}}


def _is_json_object(value: Any) -> bool:
    try:
        return isinstance(value, dict) and bool(json.dumps(value, allow_nan=False))
    except (ValueError, RecursionError):
        return False


def tool_result(tool_use_id: str, result: ToolResult) -> JsonObject:
    """Return the block that answers one call."""
    block: JsonObject = {"type": "tool_result", "tool_use_id": tool_use_id, "content": result.content}
    return block | {"is_error": True} if result.is_error else block


def unfinished(reply: Reply, text: str) -> JsonObject:
    """Return the message after a reply whose calls, if any, are not made; their results then say the text."""
    told = ToolResult.saying(CallStatus.FAILED, f"{_NOT_RUN} {text}")
    not_run = [tool_result(call.id, told) for call in reply.tool_calls]
    return {"role": "user", "content": not_run or [{"type": "text", "text": text}]}
