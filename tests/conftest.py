"""What every test stands on: asyncio, a home of its own, and no way to a real model."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests import guard

guard.install()

# A shell that starts the tests in the background lets them ignore Ctrl-C, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.left_out",
    "tests.compatibility",
    "tests.databases",
    "tests.examples",
    "tests.journals",
    "tests.kill.fixtures",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the tests of one file right here: they would be over before workers have started."""
    places = {argument.partition("::")[0] for argument in config.args}
    return 0 if len(places) == 1 and Path(*places).is_file() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: at the end, no worker waits for one that is alone with them."""
    items.sort(key=lambda item: "kill" not in item.path.parts)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # some tests collect garbage again and again: all these modules and tests are none


_FOREIGN = ("ANTHROPIC_", "SUPPORT_AGENT_", "XDG_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """SUPPORT_AGENT_HOME of this test; the test starts in an empty folder, without keys, proxies or dotfiles."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    place = tmp_path_factory.mktemp("place")
    for folder in ("home", "data", "work"):
        (place / folder).mkdir()
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.setenv("SUPPORT_AGENT_HOME", str(place / "data"))
    monkeypatch.chdir(place / "work")
    guard.take_refusals()
    yield place / "data"
    if refusals := guard.take_refusals():
        pytest.fail(refusals[0], pytrace=False)


class CleanEnv(Protocol):
    def __call__(self, *, base_url: str | None = None, **more: str) -> dict[str, str]: ...


@pytest.fixture
def clean_env(home: Path) -> CleanEnv:
    """Make the whole environment of a child process: `clean_env()`, `clean_env(base_url=api.url, ANTHROPIC_API_KEY=…)`.

    It holds no key, and its proxy is an address where nothing listens: whatever the child does, it reaches this
    machine at most.
    """

    def make(*, base_url: str | None = None, **more: str) -> dict[str, str]:
        return {
            "COLUMNS": "120",
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "PYTHONUTF8": "1",
            "SUPPORT_AGENT_HOME": str(home),
            "SUPPORT_AGENT_TRUST": str(Path.cwd()),  # what a test writes into its folder is meant to be used
            "TERM": "dumb",
            **guard.CLOSED_PROXY,
            **({} if base_url is None else {"ANTHROPIC_BASE_URL": base_url}),
            **more,
        }

    return make
