"""A gate that a test opens when it likes; who comes to it waits, in whatever thread its event loop runs."""

import asyncio
import threading
from typing import Self


class Gate:
    """Shut until it is opened, and open from then on; leaving its block opens it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        """Let everybody pass."""
        with self._lock:
            self._is_open = True
            for loop, opened in self._waiting:
                loop.call_soon_threadsafe(opened.set)
            self._waiting.clear()

    async def passed(self) -> None:
        """Wait until it is open."""
        opened = asyncio.Event()
        with self._lock:
            if self._is_open:
                return
            self._waiting.append((asyncio.get_running_loop(), opened))
        await opened.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
