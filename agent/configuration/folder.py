"""The configuration files of a folder, read once: what is trusted, shown and parsed are the same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.configuration.locations import Source
from agent.errors import ConfigurationError

DOTENV, SERVERS, OWN, POLICY = ".env", ".mcp.json", "support-agent.toml", "policy.cedar"

NAMES = (DOTENV, SERVERS, OWN, POLICY)
"""The files of a folder that can start programs, lead requests elsewhere or decide what is allowed."""

LOCK = "support-agent.lock"
"""Which commands and tools were approved. It starts nothing and leads nowhere: it is no part of what is trusted."""

MOST_BYTES = 1_048_576
"""Of one file: a folder may hold a link to anything, and what it leads to may have no end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFile:
    """One file as it was read; nothing of it has been understood yet."""

    path: Path
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def source(self) -> Source:
        """Return the text.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as undecodable:
            line = self.data.count(b"\n", 0, undecodable.start) + 1
            raise ConfigurationError(
                f"{self.path}, line {line}: this is not UTF-8 text: save the file as UTF-8."
            ) from undecodable
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise ConfigurationError(f"{self.path}, line {line}: a NUL character stands here: is this a text file?")
        return Source(path=self.path, text=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder with those of its configuration files that are there, by name, in the order they are read."""

    path: Path
    files: Mapping[str, FolderFile]

    @property
    def digests(self) -> dict[str, str]:
        """What identifies these very files: digest by name."""
        return {name: file.digest for name, file in self.files.items()}

    def source(self, name: str) -> Source | None:
        """Return the text of this file; None if it is not there.

        Raises:
            ConfigurationError: it is no text.
        """
        file = self.files.get(name)
        return None if file is None else file.source()


def read_folder(path: Path) -> Folder:
    """Return the configuration files of a folder, unparsed.

    Raises:
        ConfigurationError: one of them is there and cannot be read.
    """
    path = path.absolute()
    found = {name: _read(path / name) for name in NAMES}
    return Folder(path=path, files={name: file for name, file in found.items() if file is not None})


def read_here() -> Folder:
    """Return the configuration files of the current folder, unparsed.

    Raises:
        ConfigurationError: the folder is gone, or what `read_folder` raises.
    """
    try:
        path = Path.cwd()
    except OSError as gone:
        raise ConfigurationError("The current folder no longer exists: change to another one.") from gone
    return read_folder(path)


def _read(path: Path) -> FolderFile | None:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as missing:
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a link to a file that does not exist.") from missing
        return None
    except IsADirectoryError as folder:
        raise ConfigurationError(f"{path} is a folder; a file is expected there.") from folder
    except OSError as unreadable:
        raise ConfigurationError(
            f"{path} cannot be read: {(unreadable.strerror or 'unknown error').lower()}."
        ) from unreadable
    if len(data) > MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {MOST_BYTES:,} bytes: no configuration is.")
    return FolderFile(path=path, data=data)
