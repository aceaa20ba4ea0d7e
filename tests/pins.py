"""The built-in servers as a release pins them; `python -m tests.pins` writes that anew, to be read in a diff."""

import asyncio
import tempfile
from pathlib import Path

import agent.defaults
from agent.host import Host
from agent.pinning import Pinning
from agent.trust import Pinned
from agent.trust.lock import written
from agent.wire.transports import InProcess
from tests.fakes.runs import Watching, customer_desk, default_settings, ticket_desk

SHIPPED = Path(agent.defaults.__file__).with_name("servers.lock")


async def built_in(home: Path, *, mode: str = "auto") -> dict[str, Pinned]:
    """Return the built-in servers as they are now, spoken to in this era."""
    settings = default_settings(home)
    with ticket_desk(home, []) as tickets, customer_desk(home) as customers:
        targets = {"ticketing": tickets.server, "customers": customers.server}
        ways = {name: InProcess(server=server, mode=mode) for name, server in targets.items()}
        async with Host(settings, Watching(), targets=ways) as host:
            pinning = Pinning.read(settings)
            return {name: pinning.present(server) for name, server in host.servers.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SHIPPED.write_text(written(asyncio.run(built_in(Path(folder)))), encoding="ascii")
