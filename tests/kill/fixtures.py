"""Fixtures for the runs that are killed: the preloaded process, places of either kind, and how many were killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.databases import KINDS
from tests.postgres import Postgres

if TYPE_CHECKING:
    # What they need is loaded by those tests only.
    from tests.kill.nursery import Nursery
    from tests.kill.places import Place

_MEMORY = Path("/dev/shm")  # a disk that really syncs makes every append a hundred times slower


class NewPlaces(Protocol):
    """Makes empty places, one for each core that this test may use."""

    def __call__(self) -> "list[Place]": ...


@pytest.fixture(scope="session")
def nursery() -> "Iterator[Nursery]":
    from tests.kill.nursery import Nursery

    with Nursery() as nursery:
        yield nursery


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The databases of this test; it runs once on each."""
    return request.param


@pytest.fixture
def new_places(request: pytest.FixtureRequest, kind: str) -> Iterator[NewPlaces]:
    from tests.kill.places import Place

    # Beside other tests, it has a core of its own and no more.
    cores = 1 if "PYTEST_XDIST_WORKER" in os.environ else len(os.sched_getaffinity(0))
    with ExitStack() as gone:

        def place() -> Place:
            folder = Path(tempfile.mkdtemp(prefix="support-agent-kill-", dir=_MEMORY if _MEMORY.is_dir() else None))
            gone.callback(shutil.rmtree, folder)
            if kind == "sqlite":
                return Place(folder=folder)
            postgres: Postgres = request.getfixturevalue("postgres")
            name = postgres.create()
            gone.callback(postgres.drop, name)
            return Place(folder=folder, url=postgres.url(name))

        yield lambda: [place() for _ in range(cores)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many runs were killed how often: a walk that has become short would pass, too."""
    passed = terminalreporter.stats.get("passed", [])
    told = [(name, value) for report in passed if report.when == "call" for name, value in report.user_properties]
    runs, kills = (sum(int(str(value)) for name, value in told if name == what) for what in ("runs", "kills"))
    if kills:
        terminalreporter.write_line(f"{kills} kills in {runs} runs came to what they had to come to.")
