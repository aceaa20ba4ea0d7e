"""Where a server's stderr goes: a private file that does not outgrow its bounds, and the last lines for a sentence."""

import os
import sys
from pathlib import Path
from typing import IO
from urllib.parse import quote

from agent.errors import ServerStartFailed
from agent.wire.link import printable

LARGEST_LOG = 1_000_000
"""Bytes of a log file above which a new one is begun; the one before it is kept as `.log.1`, and no other."""

_LAST_BYTES = 8192
_LAST_LINES = 8


class Log:
    """What one server writes to its stderr, from one start to its end."""

    def __init__(self, name: str, home: Path) -> None:
        """Open the log for a start of this server.

        Raises:
            ServerStartFailed: it cannot be written.
        """
        self.path = home / "logs" / f"{quote(name, safe=' ')}.log"
        self._previous = self.path.with_suffix(".log.1")
        try:
            for folder in (home, self.path.parent):  # `parents` would be made for everyone to read
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size > LARGEST_LOG:
                self.path.replace(self._previous)
            self.file = self._open()
        except OSError as error:
            raise ServerStartFailed(
                name, f"{name}: its log {self.path} cannot be written: {error.strerror}."
            ) from error
        self._start = self.file.tell()
        self._last = b""

    def write(self, data: bytes) -> None:
        """Add what the server has written; a disk that is full costs the log, and not the run."""
        self._last = (self._last + data)[-_LAST_BYTES:]
        try:
            if self.file.tell() + len(data) > LARGEST_LOG:
                self.file.close()
                self.path.replace(self._previous)
                self.file = self._open()
            self.file.write(data[-LARGEST_LOG:])
        except (OSError, ValueError):  # ValueError: it was closed, and could not be opened again
            return

    def last_words(self) -> str:
        """Return the last lines that this start wrote, indented, with control characters escaped."""
        lines = (self._last or self._written()).decode("utf-8", "replace").splitlines()
        shown = [printable(line.rstrip(), 300) for line in lines if line.strip()][-_LAST_LINES:]
        return "".join(f"\n    {line}" for line in shown) + (f"\n(all of it: {self.path})" if shown else "")

    def close(self) -> None:
        """Write no more."""
        self.file.close()

    def _written(self) -> bytes:
        """Return the end of what the process wrote by itself, where it was given the file and not a pipe."""
        with self.path.open("rb") as file:
            file.seek(max(self._start, file.seek(0, os.SEEK_END) - _LAST_BYTES))
            return file.read()

    def _open(self) -> IO[bytes]:
        return open(self.path, "ab", buffering=0, opener=_private)


def _private(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if sys.platform != "win32":
        os.fchmod(handle, 0o600)  # one that was there before may be open to others
    return handle
