"""The lock file: the servers of a folder as they were approved; and the built-in ones, as the release ships them.

It lies beside the configuration, to be kept with it: everyone who works in the folder has the same servers, and who
reviews a change of it sees, line by line, what a model will be told.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.errors import ConfigurationError
from agent.records import JsonObject
from agent.trust.pins import Pinned, from_readable, readable
from agent.trust.writing import write_whole

FORMAT = 1


class _Server(BaseModel):
    model_config = ConfigDict(extra="forbid")

    way: str | None = None
    instructions: str | None = None
    tools: dict[str, dict[str, Any]]


class _Versioned(BaseModel):
    format: int


class _Document(_Versioned):
    model_config = ConfigDict(extra="forbid")

    servers: dict[str, _Server]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """What a lock file says, and where it is."""

    path: Path
    servers: Mapping[str, Pinned]

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Return what is there; a file that is not there pins nothing.

        Raises:
            ConfigurationError: it cannot be read, or is no lock file that this version understands.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return cls(path=path, servers={})
        except (OSError, UnicodeDecodeError) as unreadable:
            reason = getattr(unreadable, "strerror", None) or "it is no text"
            raise ConfigurationError(f"{path} cannot be read: {reason.lower()}.") from unreadable
        return cls(path=path, servers=parsed(text, str(path)))

    def approve(self, servers: Mapping[str, Pinned]) -> "Lock":
        """Write these servers down besides the others that are in the file by now, and return what it then says.

        Raises:
            ConfigurationError: it cannot be read or written.
        """
        lock = Lock(path=self.path, servers={**Lock.read(self.path).servers, **servers})
        try:
            write_whole(self.path, written(lock.servers), mode=0o666)  # to be shared; it holds no secrets
        except OSError as refused:
            reason = (refused.strerror or "unknown error").lower()
            raise ConfigurationError(
                f"{self.path} cannot be written: {reason}. It says which tools were approved: without it no server "
                "of this folder is used."
            ) from refused
        return lock


def shipped() -> Mapping[str, Pinned]:
    """Return the built-in servers as this release was made with them."""
    source = files("agent.defaults").joinpath("servers.lock")
    return parsed(source.read_text(encoding="utf-8"), source.name)


def parsed(text: str, name: str) -> Mapping[str, Pinned]:
    """Return the servers of a lock file's text; `name` is what a mistake is told of.

    Raises:
        ConfigurationError: it is none, or of a later version.
    """
    try:
        content = json.loads(text)  # pydantic's own parser takes no lone surrogates, and a server may have sent one
        if _Versioned.model_validate(content).format > FORMAT:
            raise ConfigurationError(f"{name} was written by a later version of support-agent: use that one.")
        document = _Document.model_validate(content)
    except (ValueError, RecursionError) as broken:
        raise ConfigurationError(f"{name} is no lock file: restore it from version control.") from broken
    return {
        server: Pinned(
            way=entry.way,
            instructions=entry.instructions,
            tools={tool: from_readable(definition) for tool, definition in entry.tools.items()},
        )
        for server, entry in document.servers.items()
    }


def written(servers: Mapping[str, Pinned]) -> str:
    """Return the text of a lock file: the same for the same servers, one thing a line, in ASCII.

    Escapes stand for all other characters: a reviewer's terminal is steered by none of them.
    """
    document = {"format": FORMAT, "servers": {name: _entry(server) for name, server in servers.items()}}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _entry(server: Pinned) -> JsonObject:
    named = {"way": server.way, "instructions": server.instructions}
    return {key: value for key, value in named.items() if value is not None} | {
        "tools": {name: readable(tool) for name, tool in server.tools.items()}
    }
