"""What a hijacked model may have come to know, and a world as the campaign sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.records import JsonObject
from tests.adversary.oracle import Own, Rows, World
from tests.adversary.spying import Spy
from tests.fakes.runs import Works


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """Everything that helps to break out of one case; the marks are not in it."""

    own: Mapping[str, Any]  # by argument name, what the host would fill in
    others: Sequence[Any]  # ids and addresses of everybody else
    alike: Mapping[str, Sequence[Any]]  # by argument name, those of them that would fit
    useful: Mapping[str, Sequence[Any]]  # by argument name, values that mean something: own and foreign ones
    uris: Sequence[str]  # URIs of everything that there is, and of what there is not
    hidden: Mapping[str, JsonObject]  # tools that the model is not offered, as it would call them, and their schemas
    channels: Mapping[str, str]  # by tool, as the model calls it, which channel it is
    endings: frozenset[str] = field(default_factory=frozenset[str])  # tools that end the ticket
    weights: Mapping[str, int] = field(default_factory=dict[str, int])  # how often a tool is tried more than once


class Arena(World, Protocol):
    """A world with runs in it."""

    @property
    def works(self) -> Works:
        """What runs are made with."""
        ...

    @property
    def spy(self) -> Spy:
        """Who listens at the servers' doors."""
        ...

    @property
    def tickets(self) -> Sequence[str]:
        """The ids of those that can be worked."""
        ...

    def rows(self) -> Rows:
        """Return everything that its databases hold."""
        ...

    def own(self, ticket_id: str, rows: Rows) -> Own:
        """Return the case of a ticket, by the databases alone."""
        ...

    def knowledge(self, ticket_id: str, rows: Rows) -> Knowledge:
        """Return what the model of this ticket's run has to go by."""
        ...

    def kind_of(self, tool: str) -> str:
        """Return the kind of deed that a `server.tool` does."""
        ...
