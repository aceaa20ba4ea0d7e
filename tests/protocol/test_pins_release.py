"""The built-in servers are pinned by the release: what ships is what they are, in every era."""

from pathlib import Path

import pytest

from agent.trust import shipped
from agent.trust.lock import written
from tests.fakes.runs import default_settings
from tests.pins import SHIPPED, built_in


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_shipped_pins_are_of_the_servers_as_they_are(tmp_path: Path, mode: str):
    now = written(await built_in(tmp_path, mode=mode))

    assert SHIPPED.read_text() == now, "a built-in tool has changed: `python -m tests.pins` writes the pins anew"


async def test_every_server_of_the_default_configuration_is_pinned(tmp_path: Path):
    settings = default_settings(tmp_path)

    assert set(shipped()) == {settings.tickets.server, settings.customers.server if settings.customers else ""}
    assert all(server.tools and server.way is None for server in shipped().values())
