"""One scenario of the public MCP conformance suite, and what its checks came to."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.outside.node import ROOT, Programs

DEADLINE_S = 600

_JUDGED = {"SUCCESS", "FAILURE", "WARNING"}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A scenario that is over."""

    code: int
    said: str
    checks: tuple[dict[str, Any], ...]  # those that found something
    folder: Path  # what the suite kept

    @property
    def not_passed(self) -> dict[str, str]:
        """Why each check that did not pass did not, by its id."""
        failed = [check for check in self.checks if check["status"] != "SUCCESS"]
        return {check["id"]: str(check.get("errorMessage")) for check in failed}

    @property
    def score(self) -> str:
        """How many checks passed."""
        return f"{sum(check['status'] == 'SUCCESS' for check in self.checks)} of {len(self.checks)} passed"


async def run(programs: Programs, place: Path, role: str, scenario: str, version: str, *options: str) -> Ran:
    """Run one scenario against a client or a server, in one version of the protocol."""
    which = ["--scenario", scenario, "--spec-version", version, "--output-dir", str(place)]
    command = [*programs.command("conformance"), role, *which, *options]
    with anyio.fail_after(DEADLINE_S):
        ran = await anyio.run_process(command, cwd=ROOT, check=False)
    return _ran(ran.returncode, (ran.stdout + ran.stderr).decode(), place)


async def listed(programs: Programs, role: str) -> Iterator[tuple[str, str]]:
    """Return every scenario that the suite has for clients or servers, and the versions in which it has it."""
    ran = await anyio.run_process([*programs.command("conformance"), "list"])
    _, _, part = ran.stdout.decode().partition(f"{role.capitalize()} scenarios")
    return iter(re.findall(r"^ +- (\S+) \[(.*)\]$", part.partition("scenarios")[0], re.MULTILINE))


def _ran(code: int, said: str, place: Path) -> Ran:
    (folder,) = place.iterdir()
    checks = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    judged = tuple(check for check in checks if check["status"] in _JUDGED)
    return Ran(code=code, said=said, checks=judged, folder=folder)
