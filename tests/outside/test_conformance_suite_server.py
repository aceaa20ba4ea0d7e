"""The public MCP conformance suite against `support-agent serve ticketing --http`: what needs no tools of its own."""

from pathlib import Path

import pytest

from tests.compatibility import Record
from tests.outside import node, suite
from tests.outside.conftest import Served
from tests.outside.node import Programs
from tests.outside.relay import with_token

pytestmark = pytest.mark.outside

BOTH = ("2025-11-25", "2026-07-28")

SCENARIOS: dict[str, tuple[str, ...]] = {
    "server-initialize": ("2025-11-25",),
    "server-session-lifecycle": ("2025-11-25",),
    "ping": ("2025-11-25",),
    "server-stateless": ("2026-07-28",),
    "tools-list": BOTH,
    "resources-list": BOTH,
    "sep-2164-resource-not-found": ("2026-07-28",),
    "prompts-list": BOTH,
    "completion-complete": BOTH,
    "caching": ("2026-07-28",),
    "server-sse-multiple-streams": BOTH,
    "dns-rebinding-protection": BOTH,
    "http-header-validation": ("2026-07-28",),
    "input-required-result-unsupported-methods": ("2026-07-28",),
}
"""Which scenario is run in which version. All others call tools, resources and prompts that the suite prescribes."""

NEEDS_ITS_TOOLS = {
    "sep-2575-server-rejects-undeclared-capability": "test_missing_capability",
    "sep-2575-missing-capability-http-400": "test_missing_capability",
    "sep-2575-server-sends-prompts-list-changed-on-subscription": "Mutated the prompt list",
    "sep-2575-server-sends-tools-list-changed-on-subscription": "Mutated the tool list",
}
"""Checks of scenarios above that can only pass on a server with a tool of the suite's own, and by what to know them."""


@pytest.mark.parametrize(
    ("scenario", "version"), [(name, version) for name, versions in SCENARIOS.items() for version in versions]
)
async def test_a_scenario_passes(
    programs: Programs, served: Served, tmp_path: Path, scenario: str, version: str, compatibility: Record
):
    async with with_token(served.url, served.token) as url:
        ran = await suite.run(programs, tmp_path, "server", scenario, version, "--url", url)
    assert ran.checks, ran.said
    excused = {check: why for check, why in ran.not_passed.items() if NEEDS_ITS_TOOLS.get(check, "?") in why}
    assert ran.not_passed == excused
    compatibility(
        "The conformance suite: the built-in server",
        [scenario, version],
        {"suite": node.version("conformance"), "checks": ran.score},
    )
