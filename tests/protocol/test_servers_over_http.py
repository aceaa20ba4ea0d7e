"""The built-in servers over HTTP, in both eras: what they ask, where roots end, and what clients see of each other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import (
    INVALID_PARAMS,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    ResourceUpdatedNotification,
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
from tests.fakes.web import ALICE, BOB, TIMEOUT_S, again, bearer, cutting, message_of, serving, visiting

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


def last_call(sent: list[httpx2.Request]) -> httpx2.Request:
    """Return the last of these requests that calls a tool; a client may ask for the tools' schemas after it."""
    return [request for request in sent if b'"tools/call"' in request.content][-1]


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
    assert found == dict.fromkeys(roots, {"kb://login", "kb://invoices"})


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
                with pytest.raises(MCPError, match="no article|Unknown resource"):
                    await read(client, f"kb://{slug}")
            assert "Logging in" in await read(client, "kb://login")


# Several clients.


class Heard:
    """The resources that a client of the handshake era is told have changed."""

    def __init__(self) -> None:
        self.uris: list[str] = []

    async def __call__(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.uris.append(str(message.params.uri))


async def note_until_heard(client: Client, heard: Heard, ticket_id: str) -> None:
    """Change a ticket until the client hears of it: its stream for notifications opens when it likes."""
    while not any(ticket_id in uri for uri in heard.uris):
        await call(client, "add_internal_note", ticket_id=ticket_id, body="x")
        await anyio.lowlevel.checkpoint()


async def test_a_session_hears_of_its_own_changes_and_not_of_anothers(desk: TicketDesk):
    first, second = Heard(), Heard()
    with anyio.fail_after(TIMEOUT_S):
        async with (
            serving(desk.server) as url,
            visiting(url, mode="legacy", message_handler=first) as one,
            visiting(url, mode="legacy", message_handler=second) as other,
        ):
            await note_until_heard(one, first, "42")
            await note_until_heard(other, second, "43")
            heard_before = len(second.uris)
            await call(one, "close_ticket", **CLOSE)
            # What the second client hears comes in order: had it heard of 42, it would be before this.
            second.uris.clear()
            await note_until_heard(other, second, "43")
    assert heard_before > 0
    assert not any("42" in uri for uri in second.uris)
    assert not any("43" in uri for uri in first.uris)


async def test_a_listener_hears_once_of_what_it_asked_for_and_of_nothing_else(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with (
            serving(desk.server) as url,
            visiting(url) as one,
            visiting(url, BOB) as other,
            one.listen(resource_subscriptions=["ticket://42"]) as of_42,
            other.listen(resource_subscriptions=["ticket://43"]) as of_43,
        ):
            await call(other, "add_internal_note", ticket_id="42", body="x")
            await call(one, "add_internal_note", ticket_id="43", body="x")
            heard = [await anext(of_42), await anext(of_43)]
            await call(other, "close_ticket", **CLOSE)
            heard.append(await anext(of_42))
    assert heard == [ResourceUpdated(uri=f"ticket://{number}") for number in (42, 43, 42)]


async def test_many_clients_at_once_each_get_their_own_answers(desk: TicketDesk, era: str):
    answers: dict[int, list[str]] = {}

    async def visit(url: str, number: int) -> None:
        async with visiting(url, BOB if number % 2 else ALICE, mode=era) as client:
            mine = [f"client {number} note {each}" for each in range(5)]
            ids = []
            for text in mine:
                made = await call(
                    client, "import_tickets", tickets=[{"subject": text, "body": "B", "requester": "new@example.com"}]
                )
                ids += made.structured_content["ids"]
            answers[number] = [json.loads(await read(client, f"ticket://{each}/record"))["subject"] for each in ids]

    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(visit, url, number)
            # The server ends after the group.
    assert answers == {number: [f"client {number} note {each}" for each in range(5)] for number in range(8)}


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_session_is_unknown_to_a_client_with_another_token(desk: TicketDesk, method: str):
    sent: list[httpx2.Request] = []
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, visiting(url, ALICE, mode="legacy", sent=sent) as client:
            await client.list_tools()
            listing = sent[-1]
            assert (await again(listing, ALICE)).status_code == 200
            stolen = httpx2.Request(method, url, headers=listing.headers, content=listing.content)
            assert (await again(stolen, BOB)).status_code == 404
            assert (await client.list_tools()).tools


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


# The state of a call that asks.


async def asked(url: str, sent: list[httpx2.Request], tool: str) -> httpx2.Request:
    """Make a call that asks, as Alice, and return the request with the answer and the state."""
    async with visiting(url, ALICE, sent=sent, elicitation_callback=choose, sampling_callback=write) as client:
        assert not (await call(client, tool, ticket_id="42")).is_error
    answered = last_call(sent)
    assert "requestState" in json.loads(answered.content)["params"]
    return answered


@pytest.mark.parametrize("tool", ["set_priority", "summarize_ticket"])
async def test_an_answered_question_is_of_no_use_to_another_client(desk: TicketDesk, tool: str):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            answered = await asked(url, [], tool)
            by_bob = message_of(await again(answered, BOB))
            by_alice = message_of(await again(answered, ALICE))
    assert by_bob["error"] == {
        "code": INVALID_PARAMS,
        "message": "Invalid or expired requestState",
        "data": {"reason": "invalid_request_state"},
    }
    assert by_alice["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("name", "summarize_ticket"),
        ("arguments", {"ticket_id": "43"}),
        ("requestState", "v1.AAAA"),
        ("requestState", 7),
    ],
)
async def test_the_state_of_a_call_serves_that_call_only(desk: TicketDesk, part: str, value: Any):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url:
            answered = await asked(url, [], "set_priority")
            body = json.loads(answered.content)
            body["params"][part] = value
            answered.headers["mcp-name"] = body["params"]["name"]
            refused = message_of(await again(answered, ALICE, json.dumps(body).encode()))
    assert refused["error"]["code"] == INVALID_PARAMS


async def test_the_state_of_a_call_ends_with_the_process_that_asked(tmp_path: Path):
    sent: list[httpx2.Request] = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with anyio.fail_after(TIMEOUT_S):
        with ticket_desk(tmp_path / "first") as desk:
            async with serving(desk.server) as url:
                answered = await asked(url, sent, "set_priority")
        with ticket_desk(tmp_path / "second") as desk:
            async with serving(desk.server) as url:
                late = httpx2.Request("POST", url, headers=answered.headers, content=answered.content)
                refused = message_of(await again(late, ALICE))
                async with visiting(url) as client:
                    record = json.loads(await read(client, "ticket://42/record"))
    assert refused["error"]["message"] == "Invalid or expired requestState"
    assert record["priority"] == "high"
