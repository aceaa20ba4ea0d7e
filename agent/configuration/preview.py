"""What the files of a folder would do if they were trusted, as they say it: nothing is expanded, looked up or started.

What is told here is untrusted: it is for a person to read, behind whatever makes it safe to show.
"""

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent.configuration.folder import DOTENV, OWN, POLICY, SERVERS, Folder
from agent.configuration.locations import Source
from agent.configuration.transports import read_server_file
from agent.configuration.variables import read_variables
from agent.errors import ConfigurationError
from agent.records import JsonObject

_LEADS = {
    "ANTHROPIC_BASE_URL": "sends your key and every conversation to",
    "SUPPORT_AGENT_HOME": "keeps data and logs in",
    "SUPPORT_AGENT_MODEL": "asks the model",
}
"""Variables whose values say where something goes; those of the others may be secrets, and are not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One thing that a file would do: in our words, and what of it is the file's own."""

    file: str  # its name in the folder
    does: str
    what: str = ""


def claims(folder: Folder) -> Iterator[Claim]:
    """Yield what each file would do, the files in the order they are read; one that cannot be read says so."""
    readers = {DOTENV: _dotenv, SERVERS: _servers, OWN: _own, POLICY: _policy}
    for name, file in folder.files.items():
        try:
            found = list(readers[name](file.source()))
        except (ConfigurationError, tomllib.TOMLDecodeError, RecursionError, ValueError):
            found = [("cannot be understood: no command will go on with it", "")]
        yield from (Claim(file=name, does=does, what=what) for does, what in found or [("says nothing", "")])


def way_told(entry: Mapping[str, Any]) -> str:
    """Return a server's command line or address as its file says it, with the names of what is set for it."""
    if "url" in entry:
        told = _text(entry["url"])
    else:
        args = entry.get("args")
        words = [entry.get("command"), *(cast("list[Any]", args) if isinstance(args, list) else [])]
        told = shlex.join(_text(word) for word in words)
    for key in ("env", "headers"):
        if isinstance(names := entry.get(key), Mapping | list) and names:
            told += f" ({key}: {', '.join(cast('Mapping[str, Any]', names))})"
    return told + (f" (in {_text(entry['cwd'])})" if entry.get("cwd") else "")


def _dotenv(source: Source) -> Iterator[tuple[str, str]]:
    values = dict(read_variables({}, source).values)
    for name, does in _LEADS.items():
        if value := values.pop(name, ""):
            yield does, value
    if values:
        yield "sets", ", ".join(values)


def _servers(source: Source) -> Iterator[tuple[str, str]]:
    file = read_server_file(source)
    for name, entry in file.entries.items():
        if name in file.used:
            yield f"{'reaches' if 'url' in entry else 'starts'} {name}:", way_told(entry)


def _own(source: Source) -> Iterator[tuple[str, str]]:
    document = tomllib.loads(source.text)
    if "model" in document:
        yield "asks the model", _text(document["model"])
    for key, paths in _table(document.get("roots")).items():
        yield f"lets servers ask for folders ({key}):", _text(paths)
    for name, server in _table(document.get("servers")).items():
        if _table(server).get("trust_instructions") is True:
            yield "lets a server speak in the system prompt:", name
    if tables := [key for key, value in document.items() if isinstance(value, dict)]:
        yield "configures", ", ".join(tables)


def _policy(_: Source) -> Iterator[tuple[str, str]]:
    yield "decides what every call may do: allowed, asked, denied", ""


def _table(value: Any) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
