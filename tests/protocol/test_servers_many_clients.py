"""Several clients of one HTTP server: what each hears, and what none of them can take from another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import (
    INVALID_PARAMS,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    ResourceUpdatedNotification,
    TextContent,
)

from servers.door import VARIABLE
from tests.fakes.helpdesk import ERAS, TicketDesk, call, read, ticket_desk
from tests.fakes.web import ALICE, BOB, TIMEOUT_S, again, last_call, message_of, serving, visiting

CLOSE: dict[str, Any] = {"ticket_id": "42", "resolution": "Hi, done. — Support Team"}


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
