"""A terminal: a pseudo-terminal with one command in it, typed into and read from like a person does."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Any, Self

from tests.cli.shell import DEADLINE_S, PROGRAM, Shell

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][0-9A-B])")


class Terminal:
    """Runs one command; `raw` is all that has arrived on the screen, escape sequences included."""

    def __init__(self, shell: Shell, *arguments: str, columns: int = 100, rows: int = 50, **variables: str) -> None:
        self._shell = shell
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.modes = termios.tcgetattr(slave)
        size = {"COLUMNS": str(columns), "LINES": str(rows), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=shell.work,
            env={**shell.environment, **size, **variables},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self._slave = slave
        self._seen = 0
        self.raw = ""

    @property
    def text(self) -> str:
        """What a person could read, all of it one below the other."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    @property
    def rows(self) -> list[str]:
        """Everything that was ever written into a row, what was overwritten later included."""
        return re.split(r"[\r\n]+", _ESCAPES.sub("", self.raw))

    def wait_for(self, text: str) -> str:
        """Return what stands before this text and after what was waited for last."""
        while (found := self.text.find(text, self._seen)) < 0:
            if not self._read():
                raise AssertionError(f"The command ended, and never said {text!r}:\n{self.text}")
        before, self._seen = self.text[self._seen : found], found + len(text)
        return before

    def send(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Return the exit code of the command, when it has ended and all of it was read."""
        while self._read():
            pass
        code = self.process.wait(timeout=DEADLINE_S)
        self._shell.check_traces(self.text)
        return code

    def modes_now(self) -> list[Any]:
        """Return how the terminal takes what is typed: as `modes`, unless the command has left it otherwise."""
        return termios.tcgetattr(self._slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    def _read(self) -> bool:
        """Read what is there; return False when the command has ended and nothing is left."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            has_ended = self.process.poll() is not None
            if select.select([self._master], [], [], 0 if has_ended else 0.02)[0]:
                self.raw += os.read(self._master, 65_536).decode("utf-8", "replace")
                return True
            if has_ended:
                return False
        raise AssertionError(f"Nothing happens any more:\n{self.text}")
