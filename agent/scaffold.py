"""The files that `support-agent init` starts a folder with."""

import os
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from agent.errors import ConfigurationError

_STARTER = (
    # name in the folder, place in the package (a dotfile would be left out of wheels), permissions
    (".env", "starter/env", 0o600),
    (".mcp.json", "starter/mcp.json", 0o666),
    ("support-agent.toml", "starter/support-agent.toml", 0o666),
    # Not only comments: a policy of one's own takes the default's place whole.
    ("policy.cedar", "policy.cedar", 0o666),
)
_IGNORE = b".env"
_IGNORED_BY = frozenset({b".env", b"/.env", b".env*", b"/.env*", b"*.env", b".*"})


class Act(StrEnum):
    """What became of one file."""

    CREATED = "created"
    KEPT = "kept"  # it was there, and is as it was
    EXTENDED = "extended"  # a line was added


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One file of the folder, and what became of it."""

    path: Path
    act: Act
    content: bytes | None = None  # of a created file: exactly what was written


def write_starter(folder: Path) -> list[Written]:
    """Write the starter files that are not there yet, and let an existing `.gitignore` leave `.env` out.

    Raises:
        ConfigurationError: a file cannot be written; those before it in the list are.
    """
    try:
        written = [_create(folder / name, template, mode) for name, template, mode in _STARTER]
        ignored = folder / ".gitignore"
        return [*written, Written(path=ignored, act=_ignore(ignored))] if ignored.is_file() else written
    except OSError as refused:
        reason = (refused.strerror or "unknown error").lower()
        raise ConfigurationError(f"{refused.filename or folder} cannot be written: {reason}.") from refused


def _create(path: Path, template: str, mode: int) -> Written:
    def restricted(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    content = files("agent.defaults").joinpath(*template.split("/")).read_bytes()
    try:
        # Exclusive: nothing is ever replaced, not even a dangling link. The permissions hold from the first byte on.
        with open(path, "xb", opener=restricted) as file:
            file.write(content)
    except FileExistsError:
        return Written(path=path, act=Act.KEPT)
    return Written(path=path, act=Act.CREATED, content=content)


def _ignore(path: Path) -> Act:
    content = path.read_bytes()
    if not _IGNORED_BY.isdisjoint(line.strip() for line in content.splitlines()):
        return Act.KEPT
    separator = b"" if not content or content.endswith(b"\n") else b"\n"
    with path.open("ab") as file:
        file.write(separator + _IGNORE + b"\n")
    return Act.EXTENDED
