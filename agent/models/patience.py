"""Asking again: how often, after which pauses, and when to say that no reply can be had."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.errors import ModelUnavailable

T = TypeVar("T")


class Broken(Exception):  # noqa: N818 - reads as the sentence it is
    """One try gave no whole reply, and another may.

    `tries` is how many of its kind are worth making, this one included; `wait_s` is what the service asks for.
    """

    def __init__(self, because: str, *, tries: int | None = None, wait_s: float | None = None) -> None:
        super().__init__(because)
        self.tries = tries
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often a service is asked for one reply. Pauses double, and vary so that many runs do not ask in step."""

    tries: int = 6
    first_pause_s: float = 0.5
    longest_pause_s: float = 16.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random

    async def ask(self, attempt: Callable[[], Awaitable[T]], *, service: str, within_s: float) -> T:
        """Return what the first whole attempt returns.

        Raises:
            ModelUnavailable: the tries or the time are used up, or the service asks for more time than is left.
        """
        failures: list[Broken] = []
        deadline = asyncio.timeout(within_s)
        try:
            async with deadline:
                while True:
                    try:
                        return await attempt()
                    except Broken as failure:
                        failures.append(failure)
                    await self.sleep(self._pause_s(failures, service, deadline))
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ModelUnavailable(_timed_out(service, within_s, failures)) from error

    def _pause_s(self, failures: list[Broken], service: str, deadline: asyncio.Timeout) -> float:
        last = failures[-1]
        if len(failures) >= (last.tries or self.tries):
            raise ModelUnavailable(f"{service} gives no reply: {last} ({_tries(failures)}).") from last
        left_s = (deadline.when() or 0.0) - asyncio.get_running_loop().time()
        if last.wait_s is None:
            pause_s = min(self.first_pause_s * 2 ** (len(failures) - 1), self.longest_pause_s)
            pause_s *= 0.5 + 0.5 * self.chance()
        else:
            pause_s = last.wait_s
        if pause_s < left_s:
            return pause_s
        asks = f"it asks to wait {pause_s:.0f} s, and " if last.wait_s is not None else ""
        raise ModelUnavailable(
            f"{service} gives no reply: {last} ({_tries(failures)}); {asks}{left_s:.0f} s are left for this reply."
        ) from last


def _timed_out(service: str, within_s: float, failures: list[Broken]) -> str:
    before = f"; before that: {failures[-1]} ({_tries(failures)})" if failures else ""
    return f"{service} gave no whole reply within {within_s:g} s{before}."


def _tries(failures: list[Broken]) -> str:
    return "1 try" if len(failures) == 1 else f"{len(failures)} tries"
