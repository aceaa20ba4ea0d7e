"""A command's working set: servers started and what they offer; every run of the command shares it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import prompts
from agent.catalog import NOTHING, Catalog, build_catalog
from agent.host import Host
from agent.pinning import Pinning
from agent.protocols import Observer
from agent.settings import Settings
from agent.tickets import Helpdesk
from agent.unseen import without_unseen

if TYPE_CHECKING:
    # It needs Cedar, which is loaded by whoever reads a policy.
    from agent.policies import Policies


@dataclass(frozen=True, kw_only=True)
class Session:
    """Started servers, their tools as the model is offered them, and the helpdesk as the configuration reads it."""

    settings: Settings
    host: Host
    catalog: Catalog
    helpdesk: Helpdesk
    observer: Observer
    # Tools that nobody has approved as they are, by `server.tool`, and why.
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def policies(self) -> "Policies":
        """The policy, checked against everything that the servers offer; read when it is first needed.

        Raises:
            ConfigurationError: it has errors; the message names file and line of each.
        """
        from agent.policies import load_policies  # noqa: PLC0415 - see above

        return load_policies(self.settings.policy, self.catalog.tools, file=self.settings.policy_file)


@asynccontextmanager
async def open_session(
    settings: Settings,
    observer: Observer,
    *,
    is_strict: bool,
    trace: Callable[[str, str, str], None] | None = None,
    targets: Mapping[str, object] | None = None,
) -> AsyncGenerator[Session]:
    """Start every configured server and yield the session; all of them are stopped when it is left.

    A server's first use is recorded. `is_strict` is who has nobody to tell that a tool was left out. `targets` stand
    in for configured servers, as the host takes them.

    Raises:
        ServerChanged: a server is not as it was approved, and the command cannot go on without what changed.
    """
    pinning = Pinning.read(settings)
    if is_strict:
        pinning.refuse_other_ways()
    async with Host(settings, observer, trace=trace, targets=targets) as host:
        held = pinning.held(host.servers)
        held.check(is_strict=is_strict)
        pinning.approve(held.first)
        session = session_over(host, settings, observer, left_out=held.unapproved)
        for tool in session.catalog.tools:
            if tool.problem is not None:
                observer.notice(f"{tool.qualified} is left out: {tool.problem}.")
        for remark in held.remarks():
            observer.notice(remark)
        yield session


def session_over(
    host: Host, settings: Settings, observer: Observer, *, left_out: Mapping[str, str] = NOTHING
) -> Session:
    """Return the session over servers that have been started, without the tools that are left out.

    Raises:
        ConfigurationError: the configuration speaks of something that a tool does not have.
    """
    catalog = build_catalog(
        {name: server.tools for name, server in host.servers.items()},
        {name: server.templates for name, server in host.servers.items()},
        settings,
        left_out=left_out,
    )
    return Session(
        settings=settings,
        host=host,
        catalog=catalog,
        helpdesk=Helpdesk(host, settings),
        observer=observer,
        left_out=left_out,
    )


def system_prompt(host: Host, settings: Settings) -> str:
    """Return the system prompt: ours, then the instructions of the servers that the configuration trusts.

    It is the same for every run of a configuration: prompt caching depends on it.
    """
    trusted = [
        f"# About the tools of {name}\n\n{without_unseen(server.instructions).strip()}"
        for name, server in sorted(host.servers.items())
        if server.instructions and settings.server(name).trust_instructions
    ]
    return "\n\n".join([prompts.render("system"), *trusted])
