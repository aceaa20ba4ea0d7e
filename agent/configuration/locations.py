"""Where a key stands in a configuration file, so that a mistake can be named with its line."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from agent.errors import ConfigurationError
from agent.records import JsonObject

Keys: TypeAlias = tuple[str, ...]
"""A place in a document, from the top: `("tools", "ticketing.close_ticket", "effect")`."""

_TABLES = frozenset({"limits", "roots", "tickets", "customers"})
_TABLES_OF_ENTRIES = frozenset({"servers", "tools", "resources"})
_JSON_SPACE = re.compile(r"[ \t\n\r]*")


class Place(NamedTuple):
    """How many of the keys a file has, and the line where the last of these is written; (0, 1) for none."""

    depth: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """What is wrong at some keys of a document, as a sentence that needs only the file and the line before it."""

    keys: Keys
    sentence: str
    also: Keys = ()  # the other half of a contradiction, for when the first one stands in no file


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file that was read: TOML, or JSON if its name says so."""

    path: Path
    text: str

    def place(self, keys: Keys) -> Place:
        """Return the place of these keys, or of the deepest of them that the file has."""
        find = _json_place if self.path.suffix == ".json" else _toml_place
        return find(self.text, keys)

    def line(self, keys: Keys) -> int | None:
        """Return the line that speaks of these keys, counted from 1; None if none does.

        A missing key is told at its table's line; an entry that the file does not have at no line.
        """
        needed = 2 if keys[0] in _TABLES_OF_ENTRIES else 1
        place = self.place(keys)
        return place.line if place.depth >= min(needed, len(keys)) else None


def error(mistake: Mistake, *sources: Source) -> ConfigurationError:
    """Return the mistake as the operator reads it: the first file that speaks of it, the line, the sentence."""
    for keys in (mistake.keys, mistake.also):
        for source in sources:
            if keys and (line := source.line(keys)):
                return ConfigurationError(f"{source.path}, line {line}: {mistake.sentence}")
    return ConfigurationError(f"{sources[0].path}: {mistake.sentence}")


def label(keys: Keys) -> str:
    """Return what the operator calls this place: `[limits] turns`, `[tools."x.y"] effect`, `server "x" env.TOKEN`."""
    top, *rest = keys
    if top == "mcpServers":
        head, rest = (f'server "{rest[0]}"', rest[1:]) if rest else (f'"{top}"', [])
    elif top in _TABLES_OF_ENTRIES and rest:
        head, rest = f"[{top}.{_as_key(rest[0])}]", rest[1:]
    else:
        head = f"[{top}]" if rest or top in _TABLES | _TABLES_OF_ENTRIES else top
    return " ".join([head, *([".".join(rest)] if rest else [])])


def _as_key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def _toml_place(text: str, keys: Keys) -> Place:
    places = [Place(_depth(stated, keys), -line) for line, stated in _statements(text)]
    depth, line = max(places, default=Place(0, -1))
    return Place(depth, -line if depth else 1)


def _statements(text: str) -> Iterator[tuple[int, JsonObject]]:
    """Yield every statement of a valid TOML document: its first line, and what it says from the top.

    A statement ends where it can be parsed alone; so tomllib, and no second grammar, decides what a key is.
    """
    table: Keys = ()
    statement, first_line = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        first_line = first_line if statement else number
        statement += line + "\n"
        try:
            stated = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table, stated = _only_keys(stated), {}
        for key in reversed(table):
            stated = {key: stated}
        yield first_line, stated
        statement = ""


def _only_keys(header: JsonObject) -> Keys:
    keys: list[str] = []
    inner: Any = header
    while isinstance(inner, dict) and inner:
        ((key, inner),) = cast("JsonObject", inner).items()
        keys.append(key)
    return tuple(keys)


def _depth(document: Any, keys: Keys) -> int:
    for depth, key in enumerate(keys):
        if not isinstance(document, dict) or key not in document:
            return depth
        document = cast("JsonObject", document)[key]
    return len(keys)


def _json_place(text: str, keys: Keys) -> Place:
    depth, position, at_key = 0, _after_space(text, 0), 0
    for key in keys:
        found = [member for member in _members(text, position) if member[0] == key]
        if not found:
            break
        _, at_key, position = found[-1]
        depth += 1
    return Place(depth, text.count("\n", 0, at_key) + 1)


def _members(text: str, position: int) -> Iterator[tuple[str, int, int]]:
    """Yield the members of the object that starts here: key, where the key stands, where its value starts."""
    decoder = json.JSONDecoder()
    if text[position] != "{":
        return
    position = _after_space(text, position + 1)
    while text[position] != "}":
        at_key = position
        key, position = decoder.raw_decode(text, at_key)
        at_value = _after_space(text, _after_space(text, position) + len(":"))
        yield key, at_key, at_value
        _, position = decoder.raw_decode(text, at_value)
        position = _after_space(text, position)
        position = _after_space(text, position + len(",")) if text[position] == "," else position


def _after_space(text: str, position: int) -> int:
    space = _JSON_SPACE.match(text, position)
    return space.end() if space else position
