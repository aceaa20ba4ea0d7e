"""What the Messages API refuses, in its words: a fake that is more lenient than the service hides mistakes."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.records import JsonObject

LATEST = frozenset({"claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"})
KNOWN_MODELS = LATEST | {"claude-sonnet-4-6", "claude-haiku-4-5"}

_FIELDS = frozenset(
    {"model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata"}
    | {"cache_control", "thinking", "output_config", "temperature", "top_p", "top_k", "service_tier", "speed"}
    | {"container", "diagnostics", "inference_geo"}
)
_TOOL_FIELDS = frozenset(
    {"name", "description", "input_schema", "type", "cache_control", "strict", "input_examples"}
    | {"allowed_callers", "defer_loading", "eager_input_streaming"}
)
_BLOCK_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "citations", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name", "cache_control"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "toolset_name", "cache_control"}),
}
_BLOCKS_OF = {
    "user": frozenset({"text", "image", "document", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use"}),
}
_RESULT_BLOCKS = frozenset({"text", "image", "document"})


class Refused(Exception):  # noqa: N818 - reads as the sentence it is
    """The service answers with an error; `type` is its kind in the error's body."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def check(request: Mapping[str, Any], *, is_paused: Callable[[Any], bool] = lambda content: False) -> None:
    """Raise `Refused` for the first thing that the real service would refuse.

    `is_paused` says whether an assistant message at the end is one that the service itself had paused: on current
    models that is the only one that may stand there.
    """
    for name in ("model", "max_tokens", "messages"):
        _require(name in request, f"{name}: Field required")
    for name in request:
        _require(name in _FIELDS, f"{name}: Extra inputs are not permitted")
    if request["model"] not in KNOWN_MODELS:
        raise Refused(f"model: {request['model']}", status=404, kind="not_found_error")
    _require(_is_count(request["max_tokens"]), "max_tokens: Input should be greater than or equal to 1")
    _check_system(request.get("system"))
    _check_tools(request)
    _check_messages(request["messages"])
    _check_tools_are_there(request)
    if request["model"] in LATEST:
        _check_latest(request, is_paused)
    _check_thinking_is_untouched(request)
    marks = json.dumps(request).count('"cache_control"') - ("cache_control" in request)
    _require(marks <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def signature(request: Mapping[str, Any], position: int, thinking: str) -> str:
    """Return what binds a thinking block to everything that stood before its message when it was made."""
    prefix = [request.get("system"), request.get("tools"), request["messages"][:position], thinking]
    return hashlib.sha256(json.dumps(_unmarked(prefix), sort_keys=True).encode()).hexdigest()[:32]


def _require(condition: object, message: str) -> None:
    if not condition:
        raise Refused(message)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    _require(isinstance(system, list), "system: Input should be a valid list")
    for position, block in enumerate(system):
        _require(block.get("type") == "text", f"system.{position}.type: Input should be 'text'")
        _check_block(block, f"system.{position}")


def _check_tools(request: Mapping[str, Any]) -> None:
    tools: list[JsonObject] = request.get("tools", [])
    for position, tool in enumerate(tools):
        place = f"tools.{position}.custom"
        for name in tool:
            _require(name in _TOOL_FIELDS, f"{place}.{name}: Extra inputs are not permitted")
        _require("name" in tool, f"{place}.name: Field required")
        pattern = "^[a-zA-Z0-9_-]{1,128}$"
        _require(re.match(pattern, tool["name"]), f"{place}.name: String should match pattern '{pattern}'")
        _check_schema(tool.get("input_schema"), f"{place}.input_schema")
    names = Counter(tool["name"] for tool in tools)
    _require(len(names) == len(tools), "tools: Tool names must be unique.")
    choice = request.get("tool_choice")
    if choice is not None:
        _require(tools, "tool_choice: tool_choice may only be specified while providing tools")
        kinds = {"auto", "any", "tool", "none"}
        _require(choice.get("type") in kinds, f"tool_choice.type: Input should be one of {sorted(kinds)}")
        if choice["type"] == "tool":
            _require(choice.get("name") in names, f"Tool '{choice.get('name')}' not found in provided tools")


def _check_schema(schema: Any, place: str) -> None:
    _require(isinstance(schema, dict), f"{place}: Field required")
    _require(schema.get("type") == "object", f"{place}.type: Input should be 'object'")
    for word in ("oneOf", "allOf", "anyOf"):
        _require(word not in schema, f"{place}: input_schema does not support oneOf, allOf, or anyOf at the top level")
    for name in schema.get("properties", {}):
        pattern = "^[a-zA-Z0-9_.-]{1,64}$"
        _require(re.match(pattern, name), f"{place}.properties: Property keys should match pattern '{pattern}'")


def _check_messages(messages: Any) -> None:
    _require(isinstance(messages, list), "messages: Input should be a valid list")
    _require(messages, "messages: at least one message is required")
    for position, message in enumerate(messages):
        place = f"messages.{position}"
        role = message.get("role")
        _require(role in _BLOCKS_OF, f"{place}.role: Input should be 'user' or 'assistant'")
        _require(message.keys() == {"role", "content"}, f"{place}: Extra inputs are not permitted")
        _require(message["content"], f"{place}: {role} messages must have non-empty content")
        for index, block in enumerate(_blocks(message)):
            kind = block.get("type")
            _require(kind in _BLOCKS_OF[role], f"{place}.content.{index}: {kind!r} is not allowed in {role} messages")
            _check_block(block, f"{place}.content.{index}")
    _require(messages[0]["role"] == "user", 'messages: first message must use the "user" role')
    _check_pairing(messages)


def _check_tools_are_there(request: Mapping[str, Any]) -> None:
    kinds = {block["type"] for message in request["messages"] for block in _blocks(message)}
    _require(
        request.get("tools") or not kinds & {"tool_use", "tool_result"},
        "Requests which have `tool_use` or `tool_result` blocks in the history must define tools",
    )


def _check_block(block: Mapping[str, Any], place: str) -> None:
    kind = block["type"]
    for name in block:
        _require(name in _BLOCK_FIELDS[kind], f"{place}.{kind}.{name}: Extra inputs are not permitted")
    if kind == "text":
        _require(isinstance(block.get("text"), str), f"{place}.text.text: Field required")
        _require(block["text"], f"{place}: text content blocks must be non-empty")
        _require(block["text"].strip(), f"{place}: text content blocks must contain non-whitespace text")
    elif kind == "tool_use":
        pattern = "^[a-zA-Z0-9_-]+$"
        _require(re.match(pattern, block.get("id", "")), f"{place}.tool_use.id: String should match '{pattern}'")
        _require(block.get("name"), f"{place}.tool_use.name: Field required")
        _require(isinstance(block.get("input"), dict), f"{place}.tool_use.input: Input should be a valid dictionary")
    elif kind == "tool_result":
        _require(block.get("tool_use_id"), f"{place}.tool_result.tool_use_id: Field required")
        content = block.get("content")
        _require(content or not block.get("is_error"), f"{place}: content cannot be empty if `is_error` is true")
        for index, part in enumerate(content if isinstance(content, list) else []):
            part_place = f"{place}.tool_result.content.{index}"
            _require(part.get("type") in _RESULT_BLOCKS, f"{part_place}: {part.get('type')!r} is not allowed here")
            _check_block(part, part_place)
    elif kind in {"image", "document"}:
        _require(isinstance(block.get("source"), dict), f"{place}.{kind}.source: Field required")


def _check_pairing(messages: list[JsonObject]) -> None:
    """Every call is answered in the next message, before anything else, once; and nothing else is answered."""
    asked: list[str] = []
    for position, message in enumerate([*messages, {"role": "user", "content": []}]):
        blocks = _blocks(message)
        leading = _leading_results(blocks)
        missing = [call_id for call_id in asked if call_id not in leading]
        is_end = position == len(messages)
        _require(
            not missing,
            f"messages.{position - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message.",
        )
        for index, block in enumerate(blocks):
            if block["type"] == "tool_result":
                _require(
                    block["tool_use_id"] in asked,
                    f"messages.{position}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block in "
                    "the previous message.",
                )
        for call_id, count in Counter(leading).items():
            _require(
                count == 1,
                "each tool_use must have a single result. Found multiple `tool_result` blocks with id: " + call_id,
            )
        asked = [] if is_end else [block["id"] for block in blocks if block["type"] == "tool_use"]
    used = [block["id"] for message in messages for block in _blocks(message) if block["type"] == "tool_use"]
    _require(len(used) == len(set(used)), "messages: `tool_use` ids must be unique")


def _leading_results(blocks: Iterable[JsonObject]) -> list[str]:
    leading: list[str] = []
    for block in blocks:
        if block["type"] != "tool_result":
            break
        leading.append(block["tool_use_id"])
    return leading


def _check_latest(request: Mapping[str, Any], is_paused: Callable[[Any], bool]) -> None:
    model = request["model"]
    for name in ("temperature", "top_p", "top_k"):
        _require(name not in request, f"{name}: `{name}` is not supported on {model}.")
    choice = request.get("tool_choice", {}).get("type")
    _require(choice not in {"any", "tool"}, f"tool_choice: forced tool use is not supported on {model}.")
    thinking = request.get("thinking", {}).get("type", "adaptive")
    _require(thinking in {"adaptive", "between_tools"}, f'"thinking.type.{thinking}" is not supported for this model.')
    last = request["messages"][-1]
    _require(
        last["role"] == "user" or is_paused(last["content"]),
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    )


def _check_thinking_is_untouched(request: Mapping[str, Any]) -> None:
    for position, message in enumerate(request["messages"]):
        for index, block in enumerate(_blocks(message)):
            if block["type"] == "thinking":
                _require(
                    block.get("signature") == signature(request, position, block["thinking"]),
                    f"messages.{position}.content.{index}: Invalid `signature` in `thinking` block. The block is bound "
                    "to a different conversation.",
                )


def _blocks(message: Mapping[str, Any]) -> list[JsonObject]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _unmarked(value: Any) -> Any:
    """Return the document without cache marks, which bind nothing."""
    if isinstance(value, Mapping):
        return {key: _unmarked(item) for key, item in value.items() if key != "cache_control"}
    return [_unmarked(item) for item in value] if isinstance(value, list) else value
