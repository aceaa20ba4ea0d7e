"""A server as it was approved: how it is reached, and what it said of each of its tools."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent.documents import digest
from agent.records import JsonObject

_PINNED = ("title", "description", "inputSchema", "outputSchema", "annotations")
"""What a tool's definition may steer a model or a judgement with. Not `_meta`, icons or the order of tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinned:
    """One server: the fingerprint of how it is reached, and each tool in its normal form, by name."""

    tools: Mapping[str, JsonObject]
    way: str | None = None  # None: the release itself says how it is reached
    instructions: str | None = None  # the fingerprint of what it says of itself; None: nothing


def pinned(tools: Iterable[JsonObject], *, way: Mapping[str, Any] | None, instructions: str | None) -> Pinned:
    """Return what pins a server that is reached this way, offers these tools and says this of itself."""
    return Pinned(
        way=None if way is None else digest(way),
        tools={tool["name"]: pinned_tool(tool) for tool in tools},
        instructions=digest(instructions.strip()) if instructions and instructions.strip() else None,
    )


def pinned_tool(tool: JsonObject) -> JsonObject:
    """Return a tool's definition, in the protocol's own names, as it is pinned: the same for the same tool.

    Two definitions that differ only in the order of keys, or of what `required` lists, are the same.
    """
    return {key: _normal(tool[key]) for key in _PINNED if tool.get(key) not in (None, "", {})}


def readable(tool: JsonObject) -> JsonObject:
    """Return a pinned tool as it is written down: a description of several lines is a list of them."""
    description = tool.get("description")
    if isinstance(description, str) and "\n" in description:
        return tool | {"description": description.split("\n")}
    return tool


def from_readable(tool: JsonObject) -> JsonObject:
    """Return the pinned tool that is written down like this."""
    description = tool.get("description")
    if isinstance(description, list):
        return tool | {"description": "\n".join(str(line) for line in cast("list[Any]", description))}
    return tool


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = sorted(cast("Mapping[str, Any]", value).items())
        return {key: _sorted(item) if key == "required" else _normal(item) for key, item in items}
    return [_normal(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _sorted(required: Any) -> Any:
    # Some servers list them in another order at every start.
    is_names = isinstance(required, list) and all(isinstance(name, str) for name in cast("list[Any]", required))
    return sorted(cast("list[str]", required)) if is_names else _normal(required)
