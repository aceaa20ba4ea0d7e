"""Where a person is asked: one question at a time, with the view held still."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Protocol

import anyio
import anyio.to_thread
from rich.console import Console, RenderableType
from rich.text import Text

from agent.render.page import Page

_CHUNK = 65_536


class Pausable(Protocol):
    """A view that can hold still."""

    def paused(self) -> AbstractContextManager[None]:
        """Keep the screen still inside this context."""
        ...


class Typist(Protocol):
    """Someone who types lines."""

    async def line(self) -> str:
        """Return the next line without its end.

        Raises:
            EOFError: no line will come any more, or none to this question (Ctrl-D).
        """
        ...

    def forget(self) -> None:
        """Drop what was typed before it was asked for."""
        ...


class Keyboard:
    """Lines typed at a terminal, awaited without a thread: a question that is given up leaves no reader behind."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._typed = bytearray()

    async def line(self) -> str:
        """Return the next line without its end.

        Raises:
            EOFError: the input has ended, or Ctrl-D was pressed on an empty line.
        """
        while b"\n" not in self._typed:
            chunk = await self._read()
            if not chunk and not self._typed:
                raise EOFError
            self._typed += chunk or b"\n"
        line, _, rest = bytes(self._typed).partition(b"\n")
        self._typed = bytearray(rest)
        return line.decode(errors="replace").rstrip("\r")

    def forget(self) -> None:
        """Drop what was typed before it was asked for: a stray `y` answers nothing."""
        self._typed.clear()
        if sys.platform != "win32" and os.isatty(self._descriptor):
            import termios  # noqa: PLC0415 - absent on Windows

            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    async def _read(self) -> bytes:
        if sys.platform == "win32":  # consoles cannot be polled there
            return await anyio.to_thread.run_sync(os.read, self._descriptor, _CHUNK, abandon_on_cancel=True)
        with suppress(PermissionError):  # a regular file cannot be polled, and never makes anyone wait
            await anyio.wait_readable(self._descriptor)
        return os.read(self._descriptor, _CHUNK)


class Desk:
    """The one place for questions of concurrent runs: a lock, a typist, and a view that holds still meanwhile."""

    def __init__(self, console: Console, view: Pausable, typist: Typist | None = None) -> None:
        self.page = Page(console)
        self._view = view
        self._typist = typist if typist is not None else Keyboard()
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def attention(self) -> AsyncGenerator[None]:
        """Have the person's attention: nobody else asks, nothing moves, and nothing typed earlier counts."""
        async with self._lock:
            with self._view.paused():
                self._typist.forget()
                yield

    def show(self, *renderables: RenderableType) -> None:
        """Show a part of the question."""
        self.page.print(*renderables)

    async def ask(self, prompt: Text) -> str:
        """Return the trimmed line that answers `prompt`.

        Raises:
            EOFError: there is no answer.
        """
        self.page.print_whole(prompt, end=" ")
        try:
            return (await self._typist.line()).strip()
        except (EOFError, anyio.get_cancelled_exc_class()):
            self.page.console.line()  # the cursor still stands behind the prompt
            raise
