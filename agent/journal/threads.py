"""Blocking work on worker threads, done to its end even if whoever asked for it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Threads:
    """The worker threads of one journal, a few at a time."""

    def __init__(self, most_at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(most_at_once)
        self._going: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work returns; nothing else of the event loop waits for it."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the work returns; a caller who is cancelled meanwhile is so when the work is done."""
        # A task of its own: a cancellation may be asyncio's own, which no shield of anyio's keeps out.
        task = asyncio.create_task(work)
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
            raise

    async def finish(self) -> None:
        """Wait until all work that must end has ended."""
        if self._going:
            await asyncio.wait(self._going)
