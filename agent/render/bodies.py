"""What a recorded body holds, whatever it holds: forgotten runs lack texts, and files can be changed by anyone."""

from collections.abc import Mapping
from typing import Any, cast

from agent.records import JsonObject, Usage

_TOO_MUCH = 1e15  # seconds, dollars or tokens


def text_of(body: JsonObject, name: str) -> str:
    """Return what stands there as text; nothing, if nothing does."""
    value = body.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def number_of(body: JsonObject, name: str) -> float | None:
    """Return the number that stands there, or None for anything else, such as the infinities that Python's JSON has."""
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _TOO_MUCH else None


def object_of(body: JsonObject, name: str) -> JsonObject:
    """Return the object that stands there, or an empty one."""
    return as_object(body.get(name))


def as_object(value: Any) -> JsonObject:
    """Return an object as it is, and anything else as an empty one."""
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}


def list_of(body: JsonObject, name: str) -> list[Any]:
    """Return the list that stands there, or an empty one."""
    value = body.get(name)
    return cast("list[Any]", value) if isinstance(value, list) else []


def objects_of(body: JsonObject, name: str) -> list[JsonObject]:
    """Return the objects of the list that stands there."""
    return [cast("JsonObject", item) for item in list_of(body, name) if isinstance(item, Mapping)]


def usage_of(body: JsonObject) -> Usage:
    """Return the tokens that a body tells of."""
    told = object_of(body, "usage")
    return Usage(**{name: int(number_of(told, name) or 0) for name in Usage().as_json()})


def said_in(body: JsonObject, name: str = "content") -> str:
    """Return the words of a content: a text, or blocks of which the other kinds are named."""
    value = body.get(name)
    if isinstance(value, str):
        return value
    return "\n\n".join(filter(None, (_words(block) for block in objects_of(body, name)))).strip()


def _words(block: JsonObject) -> str:
    kind = text_of(block, "type")
    match kind:
        case "text":
            return text_of(block, "text")
        case "tool_use":
            return f"[calls {text_of(block, 'name')}]"
        case "tool_result":
            return said_in(block)
        case _:
            source = object_of(block, "source")
            return f"[{' '.join(filter(None, (kind, text_of(source, 'media_type'))))}]"
