"""One call under way: who answers what the server asks meanwhile, and how long it may still take."""

import math
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import anyio
import mcp_types


class Answering(Protocol):
    """Answers what a server asks while one tool call is in flight."""

    def again(self) -> None:
        """The call is being made once more: what was asked before gets the same answers."""

    async def sample(
        self, params: mcp_types.CreateMessageRequestParams
    ) -> mcp_types.CreateMessageResult | mcp_types.CreateMessageResultWithTools | mcp_types.ErrorData:
        """Return a reply of the model, or why there is none."""
        ...

    async def elicit(self, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        """Return what the operator says to a question."""
        ...

    async def list_roots(self) -> mcp_types.ListRootsResult:
        """Return the folders that the server may use."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What an HTTP response says before its body."""

    status: int
    content_type: str = ""  # without parameters
    location: str = ""  # where it redirects to, without secrets


class Flight:
    """What is known about one call while it is made."""

    def __init__(self, answers: Answering | None, timeout_s: float) -> None:
        self.answers = answers  # None: the server may ask nothing
        self.has_left = False  # whether the server can have seen it
        self.is_over = False  # nothing that the server asks belongs to it any more
        self.response: Response | None = None  # of the server, to this call, where it goes over HTTP
        self.failure: BaseException | None = None  # of an answer; the SDK would only tell the server
        self.timeout_s = timeout_s  # for one round: until the answer, or until the server asks for something
        self._scope = anyio.CancelScope()
        self._asked = 0

    @contextmanager
    def deadline(self) -> Generator[None]:
        """Run the call's clock while the block is open.

        Raises:
            TimeoutError: the server has let a round last longer than it may.
        """
        with self._scope:
            self._scope.deadline = anyio.current_time() + self.timeout_s
            yield
        if self._scope.cancelled_caught:
            raise TimeoutError

    @contextmanager
    def off_the_clock(self) -> Generator[None]:
        """Stop the clock while the server waits for us; afterwards a new round begins."""
        self._asked += 1
        self._scope.deadline = math.inf
        try:
            yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._scope.deadline = anyio.current_time() + self.timeout_s


current: ContextVar[Flight | None] = ContextVar("flight", default=None)
"""The call that this task makes; in the modern era it reaches the callbacks, which run in the same context."""
