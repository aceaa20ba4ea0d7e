"""MCP content as the blocks of a tool_result: every type, nothing lost silently, nothing too large."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from agent.records import JsonObject
from agent.unseen import without_unseen

LARGEST_BINARY = 5_000_000
"""Characters of base64 in one result; the Messages API refuses larger images, and requests of several such results."""

_SHORT = 200  # characters of structured content that are told even if a text seems to say the same

_WRAPPERS = {"result", "content"}
_STRUCTURES = {list, dict}

_SHOWN = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
}


def result_content(result: CallToolResult, limit: int) -> list[JsonObject]:
    """Return the tool_result blocks of a call's result, at most `limit` characters of text in all."""
    blocks = [_block(content) for content in result.content]
    if result.structured_content is not None and not _says_the_same(blocks, result.structured_content):
        blocks.append(_text(json.dumps(result.structured_content, ensure_ascii=False)))
    return clip(blocks, limit)


def resource_content(result: ReadResourceResult, limit: int) -> list[JsonObject]:
    """Return the tool_result blocks of what a resource holds, at most `limit` characters of text in all."""
    return clip([_resource(contents, heading=len(result.contents) > 1) for contents in result.contents], limit)


def clip(blocks: Sequence[JsonObject], limit: int) -> list[JsonObject]:
    """Return the blocks without blank texts and unseen characters, cut after `limit` characters.

    A note at the end then says how to ask for less.
    """
    blocks = [_text(without_unseen(block["text"])) if block["type"] == "text" else block for block in blocks]
    kept: list[JsonObject] = []
    total = sum(len(block["text"]) for block in blocks if block["type"] == "text")
    room, binary_room = limit, LARGEST_BINARY
    for block in blocks:
        if block["type"] != "text":
            source = block["source"]
            is_kept = len(source["data"]) <= binary_room
            binary_room -= len(source["data"]) if is_kept else 0
            kept.append(block if is_kept else _untold(block["type"], source["media_type"], source["data"]))
        elif room > 0:
            # The Messages API refuses blank texts.
            kept += [_text(block["text"][:room])] if block["text"][:room].strip() else []
            room -= len(block["text"])
    if total > limit:
        kept.append(
            _text(
                f"[Cut: the first {limit:,} of {total:,} characters are shown. Ask for less: a narrower query, "
                "a smaller limit, or the next page.]"
            )
        )
    return kept or [_text("(no output)")]


def _text(text: str) -> JsonObject:
    # A lone surrogate is valid JSON and no valid UTF-8: it would break the request that carries it.
    return {"type": "text", "text": text.encode("utf-8", "replace").decode("utf-8")}


def _block(content: ContentBlock) -> JsonObject:
    match content:
        case TextContent():
            return _text(content.text)
        case ImageContent():
            return _binary("image", content.mime_type, content.data)
        case AudioContent():
            return _binary("audio", content.mime_type, content.data)
        case EmbeddedResource():
            return _resource(content.resource, heading=True)
        case ResourceLink():
            about = " ".join(filter(None, [content.mime_type and f"({content.mime_type})", content.description]))
            return _text(f"Resource {content.title or content.name}: {content.uri} {about}".rstrip())


def _resource(contents: TextResourceContents | BlobResourceContents, *, heading: bool) -> JsonObject:
    if isinstance(contents, TextResourceContents):
        return _text(f"{contents.uri}:\n{contents.text}" if heading else contents.text)
    return _binary(contents.uri, contents.mime_type or "application/octet-stream", contents.blob)


def _binary(what: str, mime_type: str, data: str) -> JsonObject:
    found = _media_type(data) if len(data) <= LARGEST_BINARY else None
    if found is None:
        return _untold(what, mime_type, data)
    kind = "image" if found.startswith("image/") else "document"
    return {"type": kind, "source": {"type": "base64", "media_type": found, "data": data}}


def _media_type(data: str) -> str | None:
    # The Messages API refuses data that is not what it is declared to be; servers often declare it wrongly.
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        return None
    return next((name for name, beginning in _SHOWN.items() if beginning.match(content)), None)


def _untold(what: str, mime_type: str, data: str) -> JsonObject:
    return _text(f"[{what}: {mime_type}, about {len(data) * 3 // 4:,} bytes, which cannot be shown to you]")


def _says_the_same(blocks: Iterable[JsonObject], structured: Any) -> bool:
    # Servers repeat structured content as text for older clients; the model needs to read it once.
    values = (structured, _unwrapped(structured))
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    if any(text in values or _parsed(text) in values for text in texts):
        return True
    if len(json.dumps(structured)) <= _SHORT:
        return False  # names carry meaning, and cost little
    said = "\n".join(texts)
    return all(re.search(rf"(?<!\w){re.escape(leaf)}(?!\w)", said) for leaf in _leaves(structured))


def _leaves(structured: Any) -> Iterator[str]:
    # What a server tells in its own words is told if each of its values can be read there.
    if isinstance(structured, dict):
        structured = list(cast("JsonObject", structured).values())
    if isinstance(structured, list):
        for item in cast("list[Any]", structured):
            yield from _leaves(item)
    elif structured is not None:
        yield structured if isinstance(structured, str) else json.dumps(structured)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unwrapped(structured: Any) -> Any:
    # Structured content is an object, so servers wrap what is none: {"result": 3}, {"content": "text"}, {"rows": […]}.
    # The name of any other single value may carry its meaning, and is told with it.
    if isinstance(structured, dict) and len(table := cast("JsonObject", structured)) == 1:
        [(name, value)] = table.items()
        return value if name in _WRAPPERS or type(value) in _STRUCTURES else table
    return cast("Any", structured)
