"""Programs that no one here wrote: deselected unless `-m outside` asks for them, and never skipped when it does."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outside.node import Missing, Programs, installed

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of an ordinary run: it must pass on a machine with nothing but Python."""
    if "outside" in str(config.getoption("markexpr")):
        return
    own = [item for item in items if _HERE in item.path.parents]
    items[:] = [item for item in items if _HERE not in item.path.parents]
    config.hook.pytest_deselected(items=own)


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Node and the installed programs."""
    try:
        return installed()
    except Missing as missing:
        pytest.fail(str(missing), pytrace=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A built-in server over HTTP: where it is, and what opens it."""

    url: str
    token: str


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The ticketing server over HTTP, as the command line serves it."""
    home = tmp_path_factory.mktemp("served")
    token = "a-token-of-the-tests-that-is-long-enough-for-anyone"
    with subprocess.Popen(
        [Path(sys.executable).with_name("support-agent"), "serve", "ticketing", "--http", "0"],
        cwd=home,
        env={"SUPPORT_AGENT_HOME": str(home), "SUPPORT_AGENT_SERVER_TOKEN": token, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"http://\S+/mcp", line) for line in process.stderr)), None)
        assert found is not None, "the server ended before it served"
        yield Served(url=found[0], token=token)
        process.terminate()
        assert "Traceback" not in process.stderr.read()
