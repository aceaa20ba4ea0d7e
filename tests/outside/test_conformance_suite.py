"""The public MCP conformance suite against our connection layer as a client: what needs no authorization server."""

import sys
from pathlib import Path

import pytest

from tests.compatibility import Record
from tests.outside import node, suite
from tests.outside.node import Programs

pytestmark = pytest.mark.outside

CLIENT = f"{sys.executable} -m tests.outside.conformance_client"

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


async def test_every_scenario_that_needs_no_authorization_server_and_no_extension_is_run(programs: Programs):
    found = await suite.listed(programs, "client")
    ours = [(name, versions) for name, versions in found if not is_beyond_us(name, versions)]
    assert {name: tuple(versions.split(",")) for name, versions in ours} == SCENARIOS


@pytest.mark.parametrize(
    ("scenario", "version"), [(name, version) for name, versions in SCENARIOS.items() for version in versions]
)
async def test_a_scenario_passes(
    programs: Programs, tmp_path: Path, scenario: str, version: str, compatibility: Record
):
    ran = await suite.run(programs, tmp_path, "client", scenario, version, "--command", CLIENT)
    assert "Traceback" not in (ran.folder / "stderr.txt").read_text(encoding="utf-8")
    assert ran.checks, ran.said
    assert ran.not_passed == {}
    assert ran.code == 0, ran.said
    spoken = (ran.folder / "stdout.txt").read_text(encoding="utf-8").partition("\n")[0]
    compatibility(
        "The conformance suite: the host as a client",
        [scenario, version],
        {"suite": node.version("conformance"), "spoken": spoken, "checks": ran.score},
    )
