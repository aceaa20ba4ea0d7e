"""Programs that no one here wrote: deselected unless `-m outside` asks for them, and never skipped when it does."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.outside.node import HOW, Missing, Programs, installed

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of an ordinary run: it must pass on a machine with nothing but Python."""
    if "outside" in str(config.getoption("markexpr")):
        return
    own = [item for item in items if _HERE in item.path.parents]
    items[:] = [item for item in items if _HERE not in item.path.parents]
    config.hook.pytest_deselected(items=own)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    own = [item for item in items if _HERE in item.path.parents]
    if own:
        own[0].config.stash[_left_out] = len(own)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.stash.get(_left_out, 0)
    if number:
        terminalreporter.write_line(f"{number} tests with outside programs were left out: {HOW}.")


_left_out = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Node and the installed programs."""
    try:
        return installed()
    except Missing as missing:
        pytest.fail(str(missing), pytrace=False)
