"""The built-in servers over HTTP, in both eras: what they ask, where roots end, and calls that act once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import MCPError
from mcp.client.session import ClientRequestContext
from mcp_types import (
    INVALID_PARAMS,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    Root,
    TextContent,
)
from pydantic import FileUrl

from agent.host import Host
from agent.settings import HttpTransport
from servers.door import VARIABLE
from tests.fakes.helpdesk import ERAS, TicketDesk, call, customer_desk, read, refusal_of, ticket_desk
from tests.fakes.hosting import Notes, settings_for
from tests.fakes.hosting import call as host_call
from tests.fakes.web import (
    ACCEPT,
    ALICE,
    BOB,
    TIMEOUT_S,
    again,
    bearer,
    cutting,
    hello,
    http,
    last_call,
    message_of,
    request,
    serving,
    visiting,
)

CLOSE: dict[str, Any] = {"ticket_id": "42", "resolution": "Hi, done. — Support Team"}

CLOSED = b'"closed_ticket_id":"42"'
"""What only the result of that call holds."""


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{ALICE} {BOB}")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


async def choose(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"priority": "urgent"})


async def write(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="Short."), model="test")


def events(desk: TicketDesk, kind: str) -> int:
    with desk.store.database.reading() as connection:
        sql = "SELECT count(*) FROM ticket_events WHERE kind = ?"
        return connection.exec_driver_sql(sql, (kind,)).scalar_one()


# Both eras.


async def test_each_era_is_spoken_in_its_own_version(desk: TicketDesk, era: str):
    sent: list[httpx2.Request] = []
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, mode=era, sent=sent) as client:
            version = client.protocol_version
            tools = {tool.name for tool in (await client.list_tools()).tools}
            record = json.loads(await read(client, "ticket://42/record"))
    assert version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[era]
    assert any("mcp-session-id" in request.headers for request in sent) == (era == "legacy")
    assert {"close_ticket", "list_tickets"} <= tools
    assert record["requester"] == "alice@example.com"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_every_version_of_the_handshake_era_is_spoken(desk: TicketDesk, version: str):
    first = hello()
    first["params"]["protocolVersion"] = version
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http() as plain:
            greeted = await plain.post(url, headers=ACCEPT, json=first)
            session = {**ACCEPT, "Mcp-Session-Id": greeted.headers["mcp-session-id"], "MCP-Protocol-Version": version}
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert (await plain.post(url, headers=session, json=ready)).status_code == 202
            reading = request("resources/read", uri="ticket://42/record")
            found = message_of(await plain.post(url, headers=session, json=reading))
    assert message_of(greeted)["result"]["protocolVersion"] == version
    assert "alice@example.com" in found["result"]["contents"][0]["text"]


async def test_the_customers_server_is_served_alike(tmp_path: Path, era: str):
    with customer_desk(tmp_path) as customers, anyio.fail_after(TIMEOUT_S):
        async with serving(customers.server) as url, visiting(url, mode=era) as client:
            sent = await call(client, "resend_invoice", key="k", customer_id="cus_1001", invoice_id="inv_1001")
            refused = await call(client, "get_invoice", customer_id="cus_1001", invoice_id="inv_2001")
    assert sent.structured_content["invoice_id"] == "inv_1001"
    assert refused.is_error


async def test_a_person_and_a_model_are_asked_over_http(desk: TicketDesk, era: str):
    with anyio.fail_after(TIMEOUT_S):
        async with (
            serving(desk.server) as url,
            visiting(url, mode=era, elicitation_callback=choose, sampling_callback=write) as client,
        ):
            chosen = await call(client, "set_priority", ticket_id="42")
            summary = await call(client, "summarize_ticket", ticket_id="42")
    assert chosen.structured_content == {"ticket_id": "42", "priority": "urgent", "version": 2}
    assert summary.structured_content == {"ticket_id": "42", "summary": "Short."}


async def test_a_client_that_answers_nothing_is_told_what_to_do_instead(desk: TicketDesk, era: str):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, mode=era) as client:
            assert "give the priority as an argument" in refusal_of(await call(client, "set_priority", ticket_id="42"))
            assert "read ticket://42 itself" in refusal_of(await call(client, "summarize_ticket", ticket_id="42"))


async def test_slow_work_reports_its_progress_over_http(desk: TicketDesk, era: str):
    reported: list[tuple[float, float | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total))

    tickets = [{"subject": "S", "body": "B", "requester": "new@example.com"}] * 3
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, mode=era) as client:
            await client.call_tool("import_tickets", {"tickets": tickets}, progress_callback=report)
    assert reported == [(0, 3), (3, 3)]


# Roots.


class Roots:
    def __init__(self, *uris: str) -> None:
        self.uris = uris
        self.asked = 0

    async def __call__(self, context: ClientRequestContext) -> ListRootsResult:
        self.asked += 1
        return ListRootsResult(roots=[Root(uri=FileUrl(uri)) for uri in self.uris])


@pytest.fixture
def outside(desk: TicketDesk, tmp_path: Path) -> Path:
    """A folder beside the knowledge base with an article that no client may find, and links that lead there."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.md").write_text("# Secret\n\nThe password of the vault.\n", encoding="utf-8")
    (desk.folder / "leak").symlink_to(folder)
    (desk.folder / "leak.md").symlink_to(folder / "secret.md")
    (folder / "back").symlink_to(desk.folder)
    return folder


async def searched(url: str, era: str, root: str) -> set[str] | str:
    """Return the sources of what a client with this root finds, or the beginning of the sentence that refuses it."""
    roots = Roots(root)
    async with visiting(url, mode=era, list_roots_callback=roots) as client:
        result = await call(client, "search_knowledge_base", query="password vault secret invoice", limit=20)
    assert roots.asked == 1
    if result.is_error:
        return refusal_of(result).partition(":")[0]
    return {passage["uri"] for passage in result.structured_content["passages"]}


async def test_a_remote_client_that_claims_more_than_the_knowledge_base_gets_that_and_no_more(
    desk: TicketDesk, outside: Path, era: str
):
    folder = desk.folder
    roots = (
        "file:///",
        "file:///..",
        f"file://{folder}/..",
        f"file://{folder}/../outside/..",
        f"file://{outside}/back",
    )
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            found = {root: await searched(url, era, root) for root in roots}
    assert found == {root: {"kb://login", "kb://invoices"} for root in roots}


async def test_a_remote_client_whose_roots_lie_elsewhere_finds_nothing(desk: TicketDesk, outside: Path, era: str):
    folder = desk.folder
    roots = (
        f"file://{outside}",
        f"file://{folder}/../outside",
        f"file://{folder}/%2e%2e/outside",
        f"file://{folder}/leak",
        f"file://{folder}/leak/",
        f"file://{folder}2",
        "file://elsewhere.example.com/",
        "file:///proc/self/root/proc",
    )
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            found = {root: await searched(url, era, root) for root in roots}
    assert found == dict.fromkeys(roots, "Nothing was searched")


@pytest.mark.parametrize("root", ["https://elsewhere.example.com/", "kb://login", "/", "", "file:\\\\server\\share"])
async def test_a_root_of_another_scheme_opens_nothing(desk: TicketDesk, root: str):
    sent: list[httpx2.Request] = []
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            async with visiting(url, list_roots_callback=Roots("file:///"), sent=sent) as client:
                assert not (await call(client, "search_knowledge_base", query="password")).is_error
            answered = last_call(sent)
            claimed = answered.content.replace(b'"file:///"', json.dumps(root).encode())
            assert claimed != answered.content
            answer = message_of(await again(answered, ALICE, claimed))
    assert "kb://" not in json.dumps(answer)
    assert answer["result"]["isError"] if "result" in answer else answer["error"]["code"] == INVALID_PARAMS


async def test_no_address_of_an_article_leads_out_of_the_knowledge_base(desk: TicketDesk, outside: Path, era: str):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, mode=era) as client:
            for slug in ("leak", "leak/secret", "../outside/secret", "%2e%2e%2foutside%2fsecret"):
                with pytest.raises(MCPError, match=r"no article|Unknown resource"):
                    await read(client, f"kb://{slug}")
            assert "Logging in" in await read(client, "kb://login")


# Idempotency keys.


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_with_a_key_acts_once_whichever_client_makes_it_again(desk: TicketDesk, mode: str):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            async with visiting(url, mode=mode) as client:
                first = await call(client, "close_ticket", key="run/1/a", **CLOSE)
            async with visiting(url, BOB, mode=mode) as client:
                second = await call(client, "close_ticket", key="run/1/a", **CLOSE)
                other = await call(client, "close_ticket", key="run/1/a", ticket_id="43", resolution="x")
    assert first.structured_content == second.structured_content
    assert "another call" in refusal_of(other)
    assert events(desk, "closed") == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_whose_response_was_cut_off_is_made_again_with_its_key_and_acts_once(desk: TicketDesk, mode: str):
    sent: list[httpx2.Request] = []
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, mode=mode, sent=sent) as client:
            await call(client, "close_ticket", key="run/1/43", ticket_id="43", resolution=CLOSE["resolution"])
            like_it = last_call(sent)
            async with cutting(url, CLOSED) as (address, cut):
                with pytest.raises(httpx2.TransportError):
                    await again(like_it, ALICE, like_it.content.replace(b'43"', b'42"'), through=address)
            assert len(cut) == 1
            assert events(desk, "closed") == 2
            repeated = await call(client, "close_ticket", key="run/1/42", **CLOSE)
    assert repeated.structured_content == {
        "success": True,
        "closed_ticket_id": "42",
        "status": "closed",
        "version": 2,
    }
    assert events(desk, "closed") == 2


async def test_the_host_makes_a_call_again_whose_response_was_cut_off(desk: TicketDesk, home: Path):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, cutting(url, CLOSED) as (address, cut):
            place = httpx2.URL(url)
            headers = {**bearer(ALICE), "Host": f"{place.host}:{place.port}"}
            far = HttpTransport(type="http", url=address, headers=headers)
            async with Host(settings_for(home, {"far": far}, idempotency="meta"), Notes()) as host:
                result = await host_call(
                    host, "close_ticket", server="far", arguments=CLOSE, key="run/1/a", is_repeatable=True
                )
    assert len(cut) == 1
    assert result.structured_content["closed_ticket_id"] == "42"
    assert events(desk, "closed") == 1
