"""The seams: what the loop, the gate and the host need from the world, as structural types."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from agent.records import Approval, Entry, EntryKind, FormAnswer, JsonObject, ModelRequest, Proposal, Reply, Spent


class Model(Protocol):
    """Something that answers a conversation with one complete reply."""

    @property
    def name(self) -> str:
        """What the report and the screen call this model."""
        ...

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        """Return the next reply; `on_text` receives visible text as it arrives.

        Raises:
            ModelUnavailable: no reply came, and the same request may work later.
            ModelRejected: this request will never work as it stands.
        """
        ...

    async def aclose(self) -> None:
        """Release what the model holds; a scripted model raises here if turns are left over."""
        ...


class Approver(Protocol):
    """Answers for calls that the policy lets only a person allow."""

    async def approve(self, proposal: Proposal) -> Approval:
        """Return yes or no, and who said so."""
        ...


class Operator(Protocol):
    """Answers what servers ask the person in front of the terminal (MCP elicitation)."""

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        """Ask for the values of a flat JSON schema; an accepted answer validates against it."""
        ...

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        """Show a link and ask whether it was or will be visited; never opens it unasked."""
        ...


class SpentMeanwhile(Exception):  # noqa: N818 - reads as the sentence it is
    """Another run has moved money since the totals were read: what was decided by them must be decided anew."""


class Recorder(Protocol):
    """Where a run writes down what it does, before it does it."""

    @property
    def run_id(self) -> str:
        """The run that this recorder belongs to."""
        ...

    async def append(self, kind: EntryKind, body: JsonObject, *, spent: Spent | None = None) -> Entry:
        """Append one entry with the next number and return it.

        `spent`: what was decided about an attempt to move money rests on these totals.

        Raises:
            SpentMeanwhile: the totals are others by now; nothing was appended.
            Paused: all runs are paused, and with this entry the run would start, or be about to write.
        """
        ...


class Till(Protocol):
    """Knows what all runs together have paid."""

    async def spent(self, since: datetime, *, is_fresh: bool = True) -> Spent:
        """Return the money that runs have moved since then, or may have: to this run's customer, and to all.

        `is_fresh`: what other runs have moved since this one looked last must be in it.
        """
        ...


class Observer(Protocol):
    """The live view of a run: sees every recorded entry, and what is too fleeting to record."""

    def entry(self, ticket_id: str, entry: Entry) -> None:
        """An entry was recorded."""

    def text(self, ticket_id: str, delta: str) -> None:
        """The model is speaking."""

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        """A call in flight reports how far it is; `tool` is `server.tool`."""

    def notice(self, message: str) -> None:
        """Something the operator should know that belongs to no entry, such as a server being restarted."""
