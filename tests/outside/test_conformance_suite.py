"""The public MCP conformance suite against our connection layer as a client: what needs no authorization server."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility import Record
from tests.outside.node import ROOT, Programs
from tests.outside.node import version as version_of

pytestmark = pytest.mark.outside

CLIENT = f"{sys.executable} -m tests.outside.conformance_client"
DEADLINE_S = 60

SCENARIOS: dict[str, tuple[str, ...]] = {
    "initialize": ("2025-06-18", "2025-11-25"),
    "tools_call": ("2025-06-18", "2025-11-25", "2026-07-28"),
    "elicitation-sep1034-client-defaults": ("2025-11-25",),
    "sse-retry": ("2025-11-25",),
    "json-schema-2020-12-preservation": ("2025-11-25", "2026-07-28"),
    "request-metadata": ("2026-07-28",),
    "sep-2322-client-request-state": ("2026-07-28",),
    "http-standard-headers": ("2026-07-28",),
    "http-custom-headers": ("2026-07-28",),
    "http-invalid-tool-headers": ("2026-07-28",),
    "json-schema-ref-no-deref": ("2026-07-28",),
}
"""Which scenario is run in which version of the protocol."""


def is_beyond_us(scenario: str, versions: str) -> bool:
    """Whether a scenario is about what this host does not do: an authorization server, or an extension."""
    return scenario.startswith("auth/") or versions == "extension"


def suite(programs: Programs, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*programs.command("conformance"), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )


def listed(programs: Programs) -> Iterator[tuple[str, str]]:
    """Yield every client scenario that the suite has, and the versions in which it has it."""
    said = suite(programs, "list").stdout
    part = said.partition("Client scenarios")[2].partition("Authorization server scenarios")[0]
    yield from re.findall(r"^ +- (\S+) \[(.*)\]$", part, re.MULTILINE)


def test_every_scenario_that_needs_no_authorization_server_and_no_extension_is_run(programs: Programs):
    found = {
        name: tuple(versions.split(",")) for name, versions in listed(programs) if not is_beyond_us(name, versions)
    }
    assert found == SCENARIOS


@pytest.mark.parametrize(
    ("scenario", "version"), [(name, version) for name, versions in SCENARIOS.items() for version in versions]
)
def test_a_scenario_passes(programs: Programs, tmp_path: Path, scenario: str, version: str, compatibility: Record):
    options = ["--scenario", scenario, "--spec-version", version, "--output-dir", str(tmp_path)]
    ran = suite(programs, "client", "--command", CLIENT, *options)
    (folder,) = tmp_path.iterdir()
    checks: list[dict[str, Any]] = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    judged = [check for check in checks if check["status"] in {"SUCCESS", "FAILURE", "WARNING"}]
    failed = [check for check in judged if check["status"] != "SUCCESS"]
    stderr = (folder / "stderr.txt").read_text(encoding="utf-8")
    assert "Traceback" not in stderr, stderr
    assert judged, ran.stderr
    assert failed == []
    assert ran.returncode == 0, ran.stderr
    spoken = (folder / "stdout.txt").read_text(encoding="utf-8").partition("\n")[0]
    compatibility(
        "The conformance suite",
        [scenario, version],
        {"suite": version_of("conformance"), "spoken": spoken, "checks": f"{len(judged)} of {len(judged)} passed"},
    )
