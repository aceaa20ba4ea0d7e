"""Started servers held against what was approved: the first use is recorded, what changed is left out or refused.

A run works with the tools that were listed when its command began, whatever its servers say later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.errors import ServerChanged
from agent.host import ConnectedServer
from agent.settings import Settings, ToolReference
from agent.trust import Difference, Lock, Pinned, pinned, shipped

_NOTHING = Pinned(tools={})


@dataclass(frozen=True, kw_only=True)
class Held:
    """The servers of a command, held against what was approved."""

    settings: Settings
    differences: Mapping[str, Difference]  # by server; those that are used for the first time are not among them
    first: Mapping[str, Pinned]  # the folder's own that are used for the first time

    @property
    def unapproved(self) -> dict[str, str]:
        """The tools that nobody has approved as they are, by `server.tool`, and why."""
        return {
            f"{name}.{tool}": because
            for name, difference in self.differences.items()
            for tool, because in difference.unapproved.items()
        }

    def check(self, *, is_strict: bool) -> None:
        """Return if the command can go on without what nobody has approved.

        Strict is who has nobody to tell: there is no going on then. There never is without what the host itself
        calls, or with other words in the system prompt.

        Raises:
            ServerChanged: it cannot.
        """
        for name, difference in self.differences.items():
            if difference.needs_approval and (is_strict or self._is_indispensable(name, difference)):
                raise changed(name, difference)

    def remarks(self) -> Iterator[str]:
        """Yield, as sentences, what the operator should know of."""
        for name, difference in self.differences.items():
            if difference.gone:
                yield f"{gone(name, difference)}."
            if difference.needs_approval:
                yield f"{name} is not as it was approved: {remedy(name)}"

    def _is_indispensable(self, name: str, difference: Difference) -> bool:
        settings = self.settings
        helpdesk = {settings.tickets.server, *([settings.customers.server] if settings.customers else [])}
        needed = {f"{name}.{tool}" for tool in difference.unapproved} & set(_called_by_host(settings))
        return bool(needed) or difference.has_other_instructions or (difference.has_other_way and name in helpdesk)


@dataclass(frozen=True, kw_only=True)
class Pinning:
    """What is approved: the folder's own servers by its lock file, the built-in ones by the release.

    A person can approve a built-in server that is not as it was shipped, too: a later version of a library may word
    its schemas otherwise. Such approvals are kept with the user's data, as no folder has a say in it.
    """

    settings: Settings
    own: Lock
    built_in: Lock
    _shipped: Mapping[str, Pinned] = field(default_factory=shipped)

    @classmethod
    def read(cls, settings: Settings) -> "Pinning":
        """Return what is approved now.

        Raises:
            ConfigurationError: a lock file is none.
        """
        return cls(
            settings=settings, own=Lock.read(settings.lock), built_in=Lock.read(settings.home / settings.lock.name)
        )

    def held(self, servers: Mapping[str, ConnectedServer]) -> Held:
        """Return these servers held against what is approved."""
        present = {name: self.present(server) for name, server in sorted(servers.items())}
        known = {name: self.known(name, now) for name, now in present.items()}
        return Held(
            settings=self.settings,
            differences={
                name: Difference(
                    before=before,
                    now=present[name],
                    are_instructions_trusted=self.settings.server(name).trust_instructions,
                )
                for name, before in known.items()
                if before is not None
            },
            first={name: present[name] for name, before in known.items() if before is None},
        )

    def present(self, server: ConnectedServer) -> Pinned:
        """Return the server as it is."""
        return pinned(
            [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in server.tools],
            way=self.settings.own_ways.get(server.name),
            instructions=server.instructions,
        )

    def known(self, name: str, now: Pinned) -> Pinned | None:
        """Return the server as it was approved; None for one of the folder's own that was never used."""
        if name in self.settings.own_ways:
            return self.own.servers.get(name)
        # An approval holds for exactly what was approved: with the next release it is the release's word again.
        return now if self.built_in.servers.get(name) == now else self._shipped.get(name, _NOTHING)

    def approve(self, servers: Mapping[str, Pinned]) -> None:
        """Write these servers down as they are.

        Raises:
            ConfigurationError: a lock file cannot be written.
        """
        for lock, is_own in ((self.own, True), (self.built_in, False)):
            if here := {name: now for name, now in servers.items() if (name in self.settings.own_ways) is is_own}:
                lock.approve(here)

    def refuse_other_ways(self) -> None:
        """Look at the folder's servers before they are started, for who starts none that is reached in another way.

        Raises:
            ServerChanged: one is.
        """
        for name, way in self.settings.own_ways.items():
            known, now = self.own.servers.get(name), pinned((), way=way, instructions=None)
            if known is not None and known.way != now.way:
                raise changed(name, Difference(before=Pinned(tools={}, way=known.way), now=now))


def first_use(now: Pinned) -> Difference:
    """Return how a server that is used for the first time compares with nothing."""
    return Difference(before=_NOTHING, now=now)


def changed(name: str, difference: Difference) -> ServerChanged:
    """Return the error that says what of a server is not as it was approved, and what to do about it."""
    return ServerChanged(name, f"{name} is not as it was approved: {difference.told()}.\n{remedy(name)}")


def gone(name: str, difference: Difference) -> str:
    """Return the sentence, without its full stop, that names the tools which are not there any more."""
    return f"{name} does not offer any more: {', '.join(difference.gone)}"


def remedy(name: str) -> str:
    """Return the sentence that says what to do about a server that is not as it was approved."""
    return f"`support-agent servers approve {name}` shows the difference, and asks."


def _called_by_host(settings: Settings) -> Iterator[str]:
    tickets, customers = settings.tickets, settings.customers
    own_calls = (tickets.queue, tickets.import_, tickets.customer_reply, tickets.handoff)
    for table, references in (
        (tickets, (tickets.record, tickets.context, *own_calls)),
        (customers, (customers.record, customers.context) if customers else ()),
    ):
        yield from (f"{table.server}.{one.tool}" for one in references if table and isinstance(one, ToolReference))
    yield from (fact.tool for tool in settings.tools.values() for fact in tool.facts.values())
