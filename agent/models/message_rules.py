"""The Messages API's rules about a request, checked without the API: what it would answer with a 400."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from agent.records import JsonObject, ModelRequest

_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_TOOL_USE_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result"})
_USER_BLOCKS = _RESULT_BLOCKS | {"tool_result"}
_ASSISTANT_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})


def violations(request: ModelRequest, *, resumes_pause: bool = False) -> list[str]:
    """Return one sentence for each rule that the request breaks; an empty list for a request that the API would read.

    `resumes_pause`: the reply before was a `pause_turn`, so the messages may end with it.
    """
    return [
        *_encoding(request),
        *_tools(request),
        *_sequence(request.messages, resumes_pause=resumes_pause),
        *(found for number, message in enumerate(request.messages) for found in _content(number, message)),
        *_pairing(request.messages),
        *_settings(request),
    ]


def reply_violations(content: Sequence[JsonObject]) -> list[str]:
    """Return one sentence for each rule that this content breaks as an assistant message."""
    message = {"role": "assistant", "content": list(content)}
    return [*_unencodable("The reply", message), *_content(0, message), *_repeated_ids([message])]


def _encoding(request: ModelRequest) -> Iterator[str]:
    yield from _unencodable("The system prompt", request.system)
    for number, message in enumerate(request.messages):
        yield from _unencodable(f"messages[{number}]", message)
    for tool in request.tools:
        yield from _unencodable(f"The tool {tool.get('name')!r}", tool)


def _unencodable(what: str, value: Any) -> Iterator[str]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        yield f"{what} holds a lone surrogate ({error.object[error.start]!r}), which is no valid UTF-8."
    except (TypeError, ValueError) as error:
        yield f"{what} cannot be written as JSON: {error}."


def _tools(request: ModelRequest) -> Iterator[str]:
    seen: set[Any] = set()
    for tool in request.tools:
        name, schema = tool.get("name"), tool.get("input_schema")
        if not isinstance(name, str) or not _TOOL_NAME.match(name):
            yield f"The tool name {name!r} does not match {_TOOL_NAME.pattern}."
        elif name in seen:
            yield f"The tool name {name!r} is not unique."
        seen.add(name)
        if not isinstance(schema, Mapping) or _get(schema, "type") != "object":
            yield f"The input_schema of {name!r} must be a JSON schema of type object, not {_shown(schema)}."
    has_calls = any(
        _get(block, "type") in {"tool_use", "tool_result"} for message in request.messages for block in _blocks(message)
    )
    if has_calls and not request.tools:
        yield "The messages hold tool_use or tool_result blocks, so the request must define tools."


def _sequence(messages: Sequence[JsonObject], *, resumes_pause: bool) -> Iterator[str]:
    if not messages:
        yield "There must be at least one message."
        return
    for number, message in enumerate(messages):
        expected = ("user", "assistant")[number % 2]
        if message.get("role") != expected:
            yield f"messages[{number}] must have the role {expected}: roles alternate and start with user."
            return
    if messages[-1]["role"] == "assistant" and not resumes_pause:
        yield "The last message must be the user's."


def _content(number: int, message: JsonObject) -> Iterator[str]:
    content = message.get("content")
    if not isinstance(content, (str, list)) or not content:
        yield f"messages[{number}] must have content: a text or a list of blocks, not {_shown(content)}."
        return
    allowed = _ASSISTANT_BLOCKS if message.get("role") == "assistant" else _USER_BLOCKS
    for position, block in enumerate(_blocks(message)):
        place = f"messages[{number}].content[{position}]"
        kind = _get(block, "type")
        if kind not in allowed:
            yield f"{place} is a {kind!r} block, which a message of the role {message.get('role')} cannot hold."
        yield from _block(place, block)


def _block(place: str, block: Any) -> Iterator[str]:
    match _get(block, "type"):
        case "text" if not str(_get(block, "text") or "").strip():
            yield f"{place} is a text block without text."
        case "tool_use":
            yield from _tool_use(place, block)
        case "tool_result":
            yield from _tool_result(place, block)
        case _:
            return


def _tool_use(place: str, block: Mapping[str, Any]) -> Iterator[str]:
    if not _TOOL_USE_ID.match(str(block.get("id", ""))):
        yield f"{place} has the id {block.get('id')!r}, which does not match {_TOOL_USE_ID.pattern}."
    if not _TOOL_NAME.match(str(block.get("name", ""))):
        yield f"{place} calls {block.get('name')!r}, which does not match {_TOOL_NAME.pattern}."
    if not isinstance(block.get("input"), Mapping):
        yield f"{place} must have an object as its input, not {_shown(block.get('input'))}."


def _tool_result(place: str, block: Mapping[str, Any]) -> Iterator[str]:
    content = block.get("content", [])
    if block.get("is_error") and not content:
        yield f"{place} is an error without content."
    inner = _blocks({"content": content})
    for position, part in enumerate(inner):
        if _get(part, "type") not in _RESULT_BLOCKS:
            yield f"{place}.content[{position}] is a {_get(part, 'type')!r} block, which a tool_result cannot hold."
        yield from _block(f"{place}.content[{position}]", part)


def _pairing(messages: Sequence[JsonObject]) -> Iterator[str]:
    yield from _repeated_ids(messages)
    asked: list[str] = []
    for number, message in enumerate(messages):
        blocks = _blocks(message)
        if message.get("role") == "assistant":
            asked = [str(_get(block, "id")) for block in blocks if _get(block, "type") == "tool_use"]
            continue
        answered = [str(_get(block, "tool_use_id")) for block in blocks if _get(block, "type") == "tool_result"]
        if sorted(asked) != sorted(answered):
            yield (
                f"messages[{number}] must answer each tool_use of the reply before it once, "
                f"expected results for {sorted(asked)}, got {sorted(answered)}."
            )
        if any(_get(block, "type") != "tool_result" for block in blocks[: len(answered)]):
            yield f"messages[{number}] must begin with its tool_result blocks."
        asked = []


def _repeated_ids(messages: Sequence[JsonObject]) -> Iterator[str]:
    seen: set[Any] = set()
    for message in messages:
        for block in _blocks(message):
            if _get(block, "type") == "tool_use":
                if _get(block, "id") in seen:
                    yield f"The tool_use id {_get(block, 'id')!r} is not unique."
                seen.add(_get(block, "id"))


def _settings(request: ModelRequest) -> Iterator[str]:
    if request.max_tokens < 1:
        yield f"max_tokens must be at least 1, not {request.max_tokens}."
    for text in request.stop_sequences:
        if not text.strip():
            yield "A stop sequence must hold more than white space."
    choice = request.tool_choice
    if choice is None:
        return
    names = [tool.get("name") for tool in request.tools]
    if choice.get("type") not in {"auto", "any", "tool", "none"}:
        yield f"tool_choice must be of type auto, any, tool or none, not {choice.get('type')!r}."
    elif not request.tools:
        yield "tool_choice needs tools to choose from."
    elif choice["type"] == "tool" and choice.get("name") not in names:
        yield f"tool_choice names {choice.get('name')!r}, which is not among the tools {names}."


def _blocks(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[Any]", content) if isinstance(content, list) else []


def _get(block: Any, key: str) -> Any:
    return cast("Mapping[str, Any]", block).get(key) if isinstance(block, Mapping) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
