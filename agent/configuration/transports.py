"""`.mcp.json`, in the shape that every MCP host uses, as how each server is reached."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pydantic import ValidationError

from agent.configuration.locations import Keys, Mistake, Source, error, label
from agent.configuration.variables import Unexpandable, Variables
from agent.configuration.wording import first_mistake
from agent.errors import ConfigurationError
from agent.records import JsonObject
from agent.settings import HttpTransport, StdioTransport

Transport: TypeAlias = StdioTransport | HttpTransport

TOP = "mcpServers"
_SERVER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TYPES = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
_KEYS = {"stdio": ("command", "args", "env", "cwd"), "http": ("url", "headers"), "sse": ("url", "headers")}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFile:
    """The servers that a file defines, unexpanded: a variable is missed only where its server is used."""

    source: Source
    entries: Mapping[str, JsonObject]
    disabled: frozenset[str]  # servers that the file names and leaves out

    @property
    def used(self) -> frozenset[str]:
        """The servers that are not left out."""
        return frozenset(self.entries) - self.disabled


def read_server_file(source: Source) -> ServerFile:
    """Return what the file defines; keys that only other hosts know are ignored.

    Raises:
        ConfigurationError: it is not JSON, not of the shape, or a name cannot be used.
    """
    servers = _parsed(source).get(TOP)
    if not isinstance(servers, dict):
        raise error(Mistake(keys=(TOP,), sentence='expected {"mcpServers": {"NAME": {…}}} in this file.'), source)
    entries: dict[str, JsonObject] = {}
    for name, entry in cast("dict[str, Any]", servers).items():
        if not _SERVER_NAME.fullmatch(name):
            sentence = f"the server name {json.dumps(name)} must be 1 to 64 letters, digits, hyphens or underscores."
            raise error(Mistake(keys=(TOP, name), sentence=sentence), source)
        if not isinstance(entry, dict):
            raise error(Mistake(keys=(TOP, name), sentence=f"{label((TOP, name))} must be an object."), source)
        entries[name] = {key: value for key, value in cast("JsonObject", entry).items() if value is not None}
    disabled = frozenset(name for name, entry in entries.items() if entry.get("disabled") is True)
    return ServerFile(source=source, entries=entries, disabled=disabled)


def transports(
    file: ServerFile, names: Collection[str], variables: Variables, absolute: Callable[[str], str]
) -> dict[str, Transport]:
    """Return how the named servers of the file are reached; `absolute` makes a path of one.

    Raises:
        ConfigurationError: an entry is wrong, or a variable that it needs is not set.
    """
    return {name: _transport(file, name, variables, absolute) for name in file.entries if name in names}


def way_written(file: ServerFile, name: str) -> JsonObject:
    """Return how the file says that a server is reached: unexpanded, and of `env` and `headers` the names alone.

    It holds no value of a variable: those differ from machine to machine, and may be secrets.
    """
    entry, kind = file.entries[name], _kind(file, name)
    written: JsonObject = {"type": kind} | {key: entry[key] for key in _KEYS[kind] if key in entry}
    named = {key: sorted(cast("JsonObject", written[key])) for key in ("env", "headers") if written.get(key)}
    return written | named


def _transport(file: ServerFile, name: str, variables: Variables, absolute: Callable[[str], str]) -> Transport:
    entry = file.entries[name]
    kind = _kind(file, name)
    known: JsonObject = {key: entry[key] for key in _KEYS[kind] if key in entry}
    expanded: JsonObject = {
        key: _expanded(value, variables, (TOP, name, key), file.source) for key, value in known.items()
    }
    if isinstance(expanded.get("cwd"), str):
        expanded["cwd"] = absolute(expanded["cwd"])
    document = {"type": kind, **expanded}
    model = StdioTransport if kind == "stdio" else HttpTransport
    try:
        return model.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as invalid:
        mistake = first_mistake(invalid, top=(TOP, name), kind=model, document=document)
    raise error(mistake, file.source)


def _kind(file: ServerFile, name: str) -> str:
    entry, keys = file.entries[name], (TOP, name)
    if "type" in entry:
        kind = entry["type"]
        if isinstance(kind, str) and kind in _TYPES:
            return _TYPES[kind]
        sentence = f'{label((*keys, "type"))} must be "stdio", "http", "streamable-http" or "sse".'
        raise error(Mistake(keys=(*keys, "type"), sentence=sentence), file.source)
    if ("command" in entry) == ("url" in entry):
        has_both = "command" in entry
        sentence = f'{label(keys)} {"has both" if has_both else "needs"} a "command" to start it '
        sentence += f'{"and" if has_both else "or"} a "url" to reach it{": keep one" if has_both else ""}.'
        raise error(Mistake(keys=keys, sentence=sentence), file.source)
    return "stdio" if "command" in entry else "http"


def _expanded(value: Any, variables: Variables, keys: Keys, source: Source) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_name(key, keys, source): _expanded(item, variables, (*keys, key), source) for key, item in items}
    if isinstance(value, list):
        return [_expanded(item, variables, keys, source) for item in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    try:
        text = variables.expanded(value)
    except Unexpandable as problem:
        raise error(Mistake(keys=keys, sentence=f"{label(keys)} {problem}"), source) from problem
    if "headers" in keys and not text.isprintable():
        sentence = f"{label(keys)} holds a line break or another character that no header can hold."
        raise error(Mistake(keys=keys, sentence=sentence), source)
    return text


def _name(name: str, keys: Keys, source: Source) -> str:
    if name and name.isascii() and name.isprintable() and "=" not in name:
        return name
    sentence = f"{label(keys)} has the name {json.dumps(name)}, which neither a variable nor a header can have."
    raise error(Mistake(keys=keys, sentence=sentence), source)


def _parsed(source: Source) -> JsonObject:
    try:
        document: Any = json.loads(source.text)
    except json.JSONDecodeError as broken:
        place = f"{source.path}, line {broken.lineno}, column {broken.colno}"
        expected = broken.msg[0].lower() + broken.msg[1:]
        raise ConfigurationError(
            f"{place}: this is not JSON: {expected} (comments and trailing commas are none)."
        ) from broken
    except (RecursionError, ValueError) as broken:
        raise ConfigurationError(f"{source.path}: a value in this file is nested too deeply or too large.") from broken
    return cast("JsonObject", document) if isinstance(document, dict) else {}
