"""The MCP Inspector's command line against the built-in servers, as `support-agent serve` starts them, in both eras."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility import Record
from tests.conftest import CleanEnv
from tests.outside.conftest import Served
from tests.outside.node import Programs, version

pytestmark = pytest.mark.outside

PROGRAM = Path(sys.executable).with_name("support-agent")
ERAS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
DEADLINE_S = 600

TOOL_FAILED = 5
"""The Inspector's exit code for a call whose result is an error."""


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What one command of the Inspector came to."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """The result that it prints; only an ended command with one has it."""
        assert self.out, self.err
        return json.loads(self.out)["result"]

    @property
    def text(self) -> str:
        """The text of a result that has one block of content."""
        (block,) = self.result["content"]
        return block["text"]


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """The Inspector in front of one server, in one era."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    server: str
    era: str
    over_http: Served | None = None

    def __call__(self, method: str, *options: str) -> Inspected:
        """Connect, make one request, disconnect."""
        how = ["--protocol-era", self.era, "--format=json", "--method", method]
        ran = subprocess.run(
            [*self.command, "--cli", *self._target(), *how, *options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE_S,
            check=False,
        )
        assert "Traceback" not in ran.stderr
        return Inspected(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    def _target(self) -> list[str]:
        if self.over_http is None:
            home = f"SUPPORT_AGENT_HOME={self.environment['SUPPORT_AGENT_HOME']}"
            return [str(PROGRAM), "serve", self.server, "-e", home]
        key = ["--header", f"Authorization: Bearer {self.over_http.token}"] if self.over_http.token else []
        return ["--transport", "http", "--server-url", self.over_http.url, "--stored-auth-only", *key]

    def call(self, tool: str, **arguments: Any) -> Inspected:
        return self("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))

    @property
    def row(self) -> list[str]:
        transport = "stdio" if self.over_http is None else "http"
        return [f"Inspector {version('inspector')} → serve {self.server}", transport, ERAS[self.era]]


Inspect = Callable[..., Inspector]


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of all tests that only read: it is filled once."""
    return tmp_path_factory.mktemp("unchanged")


@pytest.fixture(params=ERAS)
def inspect(request: pytest.FixtureRequest, programs: Programs, clean_env: CleanEnv, unchanged: Path) -> Inspect:
    """Put the Inspector in front of a server."""
    command = tuple(programs.command("inspector", "mcp-inspector"))

    def put(server: str, data: Path = unchanged) -> Inspector:
        environment = clean_env(SUPPORT_AGENT_HOME=str(data))
        return Inspector(command=command, environment=environment, server=server, era=request.param)

    return put


@pytest.mark.parametrize(("server", "most_known"), [("ticketing", "close_ticket"), ("customers", "issue_refund")])
def test_the_tools_are_listed_and_their_schemas_are_portable(
    inspect: Inspect, server: str, most_known: str, compatibility: Record
):
    inspector = inspect(server)
    listed = inspector("tools/list", "--strict")  # exit code 6 for a schema that some host cannot use
    assert (listed.code, listed.err) == (0, "")
    tools = listed.result["tools"]
    assert most_known in {tool["name"] for tool in tools}
    assert all(tool["description"] and tool["inputSchema"]["type"] == "object" for tool in tools)
    compatibility("Outside programs", inspector.row, {"tools": f"{len(tools)} listed, schemas portable, called"})


def test_tickets_are_read_in_the_era_that_is_asked_for(inspect: Inspect, compatibility: Record):
    inspector = inspect("ticketing")
    resources = inspector("resources/list").result["resources"]
    assert [resource["uri"] for resource in resources] == ["ticket://list"]
    templates = inspector("resources/templates/list").result["resourceTemplates"]
    assert {template["uriTemplate"] for template in templates} == {
        "ticket://{ticket_id}",
        "ticket://{ticket_id}/record",
        "kb://{slug}",
    }
    read = inspector("resources/read", "--uri", "ticket://43").result
    (ticket,) = read["contents"]
    assert ticket["mimeType"] == "text/markdown"
    assert ticket["text"].startswith("# Ticket 43: Invoice PDF not loading\n")
    # Only since 2026-07-28 does a result carry the server's name.
    assert ("io.modelcontextprotocol/serverInfo" in read.get("_meta", {})) is (inspector.era == "modern")
    missing = inspector("resources/read", "--uri", "ticket://999")
    assert missing.code == 1
    assert "There is no ticket '999'" in missing.err
    compatibility("Outside programs", inspector.row, {"resources": f"1 and {len(templates)} templates read"})


def test_customers_are_read(inspect: Inspect, compatibility: Record):
    inspector = inspect("customers")
    templates = inspector("resources/templates/list").result["resourceTemplates"]
    (customer,) = inspector("resources/read", "--uri", "customer://alice%40example.com").result["contents"]
    assert "Alice Hartwell" in customer["text"]
    compatibility("Outside programs", inspector.row, {"resources": f"{len(templates)} templates read"})


def test_the_prompt_is_listed_and_filled_in(inspect: Inspect, compatibility: Record):
    inspector = inspect("ticketing")
    (prompt,) = inspector("prompts/list").result["prompts"]
    assert [argument["name"] for argument in prompt["arguments"]] == ["ticket_id", "account_tier"]
    arguments = ["--prompt-args", "ticket_id=43", "account_tier=free"]
    (message,) = inspector("prompts/get", "--prompt-name", "resolution_prompt", *arguments).result["messages"]
    assert "Resolve support ticket 43. The customer has a free account." in message["content"]["text"]
    compatibility("Outside programs", inspector.row, {"prompts": "1 of 1"})


def test_a_ticket_is_closed_once(inspect: Inspect, home: Path):
    inspector = inspect("ticketing", home)
    closed = inspector.call("close_ticket", ticket_id="43", resolution="Hi, done. — Support Team").result
    assert closed["structuredContent"].items() >= {"success": True, "closed_ticket_id": "43"}.items()
    again = inspector.call("close_ticket", ticket_id="43", resolution="Hi, done. — Support Team")
    assert (again.code, again.result["isError"]) == (TOOL_FAILED, True)
    assert "already closed" in again.text
    (record,) = inspector("resources/read", "--uri", "ticket://43/record").result["contents"]
    assert json.loads(record["text"])["resolution"] == "Hi, done. — Support Team"


def test_a_customer_is_looked_up_and_another_ones_invoice_is_not(inspect: Inspect):
    inspector = inspect("customers")
    found = inspector.call("get_customer", customer_id="cus_1001").result["structuredContent"]
    assert found["email"] == "alice@example.com"
    refused = inspector.call("get_invoice", customer_id="cus_1001", invoice_id="inv_2001")
    assert refused.code == TOOL_FAILED
    assert "inv_2001" in refused.text


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("summarize_ticket", "This client has no model to summarize with"),
        ("set_priority", "This client cannot ask a person, so nothing was changed"),
    ],
)
def test_what_needs_more_of_a_client_than_a_command_line_has_says_so(inspect: Inspect, tool: str, sentence: str):
    refused = inspect("ticketing").call(tool, ticket_id="43")
    assert refused.code == TOOL_FAILED
    assert refused.text.startswith(sentence)


def test_over_http_it_is_served_with_the_token_and_not_without(inspect: Inspect, served: Served, compatibility: Record):
    inspector = replace(inspect("ticketing"), over_http=served)
    tools = inspector("tools/list").result["tools"]
    queue = inspector.call("list_tickets", status=["new"], limit=3).result["structuredContent"]
    assert len(queue["tickets"]) == 3
    stranger = replace(inspector, over_http=replace(served, token=""))("tools/list")
    assert stranger.code != 0
    assert stranger.out == ""
    assert "401" in stranger.err or "auth" in stranger.err.lower()
    compatibility("Outside programs", inspector.row, {"tools": f"{len(tools)} listed, called; without token refused"})
