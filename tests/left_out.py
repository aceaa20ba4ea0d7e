"""The tests of each file that a session leaves out, known where its end is reported: workers collect, and tell."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.outside.node import HOW

LEFT_OUT = pytest.StashKey[Counter[str]]()
"""Of the configuration: how many tests of each file were left out."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[LEFT_OUT][item.nodeid.partition("::")[0]] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (told := told_by_worker(session.config)) is not None:
        told[__name__] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT_OUT] |= Counter(told_to_session(node).get(__name__, {}))  # every worker collects the same


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = sum(number for file, number in config.stash[LEFT_OUT].items() if file.startswith("tests/outside/"))
    if number:
        terminalreporter.write_line(f"{number} tests with outside programs were left out: {HOW}.")


def told_by_worker(config: pytest.Config) -> dict[str, Any] | None:
    """Return what this process tells the session when it ends, to be added to; None if it is itself the session."""
    return getattr(config, "workeroutput", None)


def told_to_session(node: Any) -> dict[str, Any]:
    """Return what a worker has told; nothing if it died before."""
    return getattr(node, "workeroutput", {})
