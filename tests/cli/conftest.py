"""A shell for every test, and one demo helpdesk that is copied for each of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from tests.cli.shell import DATABASES, DEADLINE_S, Shell
from tests.conftest import CleanEnv

T = TypeVar("T")


class Once(Protocol):
    """Does something for the first test of a module that asks for it, and returns the same to the others."""

    def __call__(self, name: str, do: Callable[[], T]) -> T: ...


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the demo helpdesk as new; nobody works in it."""
    folder = tmp_path_factory.mktemp("demo")
    for name in DATABASES:
        subprocess.run(
            [sys.executable, "-P", "-m", f"servers.{name}", "--demo", "--reset"],
            env={"SUPPORT_AGENT_HOME": str(folder), "PATH": os.environ["PATH"]},
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
    return folder


@pytest.fixture
def bare(home: Path, clean_env: CleanEnv) -> Shell:
    """A shell in an empty folder, without key and without data."""
    return Shell(work=Path.cwd(), data=home, environment=clean_env())


@pytest.fixture
def shell(bare: Shell, demo: Path) -> Shell:
    """A shell in an empty folder, without key, with the demo helpdesk."""
    shutil.copytree(demo, bare.data, dirs_exist_ok=True)
    return bare


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return {}


@pytest.fixture
def once(kept: dict[str, Any]) -> Once:
    """Share what a process printed among the tests of a module: each of them says one sentence about it."""

    def do_once(name: str, do: Callable[[], T]) -> T:
        if name not in kept:
            kept[name] = do()
        return kept[name]

    return do_once
