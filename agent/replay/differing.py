"""Where two JSON documents differ first, and how that is shown."""

import json
from dataclasses import dataclass
from typing import Any, cast

from agent.records import JsonObject

SHOWN = 200
"""Characters that are shown of a value, the first difference among them."""

_BEFORE = 40  # characters that are shown of what two texts have in common
_ABSENT = "(absent)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """The first difference of two documents: a JSON Pointer, and what stands there in each, cut to be shown."""

    path: str
    recorded: str
    replayed: str


def canonical(value: Any) -> str:
    """Return the document as JSON that is equal to the byte for equal documents."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def as_recorded(body: JsonObject) -> JsonObject:
    """Return the body as it comes back from a record: plain JSON."""
    return json.loads(json.dumps(body))


def difference(recorded: Any, replayed: Any, path: str = "") -> Apart | None:
    """Return the first difference of two JSON documents that stand at this path, or None if they are equal."""
    if canonical(recorded) == canonical(replayed):
        return None
    left, right = _parts(recorded), _parts(replayed)
    if type(recorded) is not type(replayed) or left is None or right is None:
        there, here = told_apart(recorded, replayed)
        return Apart(path=path, recorded=there, replayed=here)
    for name in left | right:
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in left or name not in right:
            return Apart(path=place, recorded=_shown(left, name), replayed=_shown(right, name))
        if found := difference(left[name], right[name], place):
            return found
    raise AssertionError("documents whose parts are all equal are equal")


def told_apart(one: Any, other: Any) -> tuple[str, str]:
    """Return two values that are not equal as texts, each cut to where they begin to differ."""
    left, right = (value if isinstance(value, str) else canonical(value) for value in (one, other))
    if left == right:  # a text that reads as the other value
        left, right = canonical(one), canonical(other)
    places = enumerate(zip(left, right, strict=False))
    common = next((place for place, (a, b) in places if a != b), min(len(left), len(right)))
    start = max(0, common - _BEFORE) if max(len(left), len(right)) > SHOWN else 0
    return cut(left, start), cut(right, start)


def brief(value: Any) -> str:
    """Return the beginning of a value, on one line."""
    return cut(value if isinstance(value, str) else canonical(value))


def cut(text: str, start: int = 0, *, most: int = SHOWN) -> str:
    """Return at most so many characters of the text, with a sign wherever something is left out."""
    end = start + most
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _parts(value: Any) -> JsonObject | None:
    """Return what an object or a list holds, by its name or number."""
    if isinstance(value, list):
        return {str(place): item for place, item in enumerate(cast("list[Any]", value))}
    return cast("JsonObject", value) if isinstance(value, dict) else None


def _shown(parts: JsonObject, name: str) -> str:
    return brief(parts[name]) if name in parts else _ABSENT
