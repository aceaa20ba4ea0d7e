"""What fuzzing has found once, each case by itself: refused in a sentence, and no crash in the log."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS

from tests.fakes.helpdesk import ERAS, TicketDesk, call, read, refusal_of, ticket_desk

ARRIVAL = {"subject": "s", "body": "b", "requester": "c@example.com"}


@pytest.fixture
def desk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path) as desk:
        yield desk
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno > logging.WARNING] == []


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    "position",
    [
        "[" * 100_000,
        json.dumps([0, "2026-11-02T09:42:00.000Z", 2**63]),
        json.dumps([0, "2026-11-02T09:42:00.000Z", -(10**30)]),
        json.dumps([10**30, "2026-11-02T09:42:00.000Z", 1]),
        json.dumps([0.5, "2026-11-02T09:42:00.000Z", 1]),
    ],
)
async def test_a_cursor_that_nobody_was_given_is_refused(desk: TicketDesk, era: str, position: str):
    cursor = base64.urlsafe_b64encode(position.encode()).decode()
    async with Client(desk.server, mode=era) as client:
        assert "cursor is none that list_tickets returned" in refusal_of(
            await call(client, "list_tickets", cursor=cursor)
        )


async def test_a_cursor_with_half_a_character_finds_what_comes_after_it(desk: TicketDesk, era: str):
    cursor = base64.urlsafe_b64encode(rb'[0, "\ud800", 1]').decode()
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "list_tickets", cursor=cursor)
    assert result.structured_content == {"tickets": [], "next_cursor": None}


async def test_a_status_may_be_named_as_often_as_one_likes(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "list_tickets", status=["new"] * 300_000)
    assert result.structured_content is not None
    assert [ticket["id"] for ticket in result.structured_content["tickets"]] == ["42", "43"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("name", ["created_at", "due_at"])
async def test_a_time_that_utc_does_not_have_is_refused(desk: TicketDesk, era: str, name: str, time: str):
    async with Client(desk.server, mode=era) as client:
        refusal = refusal_of(await call(client, "import_tickets", tickets=[{**ARRIVAL, name: time}]))
    assert f"The {name} {time!r} is no time" in refusal


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("nothing", {}, "There is no prompt 'nothing'."),
        ("resolution_prompt", {}, "ticket_id (needed), account_tier"),
        ("resolution_prompt", {"account_tier": "pro"}, "ticket_id (needed), account_tier"),
        ("resolution_prompt", {"ticket_id": "42", "tone": "warm"}, "ticket_id (needed), account_tier"),
    ],
)
async def test_a_prompt_that_cannot_be_had_is_the_clients_mistake(
    desk: TicketDesk, era: str, name: str, arguments: dict[str, Any], sentence: str
):
    async with Client(desk.server, mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await client.get_prompt(name, arguments)
    assert caught.value.error.code == INVALID_PARAMS
    assert sentence in caught.value.error.message


async def test_an_article_that_no_file_can_hold_does_not_exist(desk: TicketDesk):
    # Only the older era's client lets half a character out.
    async with Client(desk.server, mode="legacy") as client:
        with pytest.raises(MCPError, match="There is no article"):
            await read(client, "kb://\ud800")
