"""Who may speak to a built-in server over HTTP: tokens, hosts, origins, sizes, and what is no request at all."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx2
import pytest

from servers.door import VARIABLE
from servers.web import LARGEST_REQUEST
from tests.fakes.helpdesk import TicketDesk, ticket_desk
from tests.fakes.web import (
    ACCEPT,
    ALICE,
    BOB,
    TIMEOUT_S,
    handshake,
    hello,
    http,
    modern,
    request,
    serving,
)

HELLO = hello()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TicketDesk]:
    monkeypatch.setenv(VARIABLE, f"{ALICE}  {BOB}")
    with ticket_desk(tmp_path) as desk:
        yield desk


async def test_who_sends_no_token_of_ours_learns_nothing(desk: TicketDesk):
    wrong = [
        "",
        "Bearer",
        f"Bearer {ALICE[:-1]}",
        f"Bearer {ALICE}x",
        f"Bearer {ALICE} {BOB}",
        f"Bearer  {ALICE}",
        f"Basic {ALICE}",
        ALICE,
    ]
    sent = [[], [(b"Authorization", b"Bearer \xff\xfe")], *([("Authorization", text)] for text in wrong)]
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http(None) as plain:
            answers = [
                await plain.request(method, httpx2.URL(url).copy_with(path=path), headers=headers)
                for headers in sent
                for method, path in (
                    ("POST", "/mcp"),
                    ("GET", "/mcp"),
                    ("DELETE", "/mcp/"),
                    ("OPTIONS", "/"),
                    ("GET", "/.well-known/oauth-protected-resource"),
                )
            ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert {answer.content for answer in answers} == {b""}


async def test_each_token_of_the_environment_opens_the_door(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http(None) as plain:
            answers = [
                await plain.post(url, headers={**ACCEPT, "Authorization": authorization}, json=HELLO)
                for authorization in (f"Bearer {ALICE}", f"Bearer {BOB}", f"bearer {ALICE}")
            ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_a_token_in_the_address_opens_nothing(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http(None) as plain:
            answer = await plain.post(f"{url}?access_token={ALICE}&token={ALICE}", headers=ACCEPT, json=HELLO)
    assert answer.status_code == 401


async def test_a_request_for_another_host_is_misdirected(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http() as plain:
            port = httpx2.URL(url).port
            statuses = {
                host: (await plain.post(url, headers={**ACCEPT, "Host": host}, json=HELLO)).status_code
                for host in (
                    f"127.0.0.1:{port}",
                    f"localhost:{port}",
                    f"[::1]:{port}",  # not bound
                    "127.0.0.1",
                    "127.0.0.1:1",
                    f"127.0.0.1.example.com:{port}",
                    f"localhost.:{port}",
                    f"evil.example.com:{port}",
                    f"127.0.0.1:{port}@evil.example.com",
                    "",
                )
            }
    assert [host for host, status in statuses.items() if status == 200] == [f"127.0.0.1:{port}", f"localhost:{port}"]
    assert set(statuses.values()) == {200, 421}


async def test_a_web_page_from_elsewhere_is_forbidden(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http() as plain:
            port = httpx2.URL(url).port
            statuses = {
                origin: (await plain.post(url, headers={**ACCEPT, "Origin": origin}, json=HELLO)).status_code
                for origin in (
                    f"http://127.0.0.1:{port}",
                    f"http://localhost:{port}",
                    f"https://127.0.0.1:{port}",
                    "http://127.0.0.1:1",
                    "http://127.0.0.1",
                    "http://evil.example.com",
                    f"http://evil.example.com:{port}",
                    "null",
                )
            }
    own = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    assert [origin for origin, status in statuses.items() if status == 200] == own
    assert set(statuses.values()) == {200, 403}


async def test_a_page_from_elsewhere_is_turned_away_before_its_token_is_looked_at(desk: TicketDesk):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http(None) as plain:
            answer = await plain.post(url, headers={"Origin": "http://evil.example.com"})
    assert answer.status_code == 403


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_request_that_is_too_large_is_refused_and_the_next_is_served(
    desk: TicketDesk, version: str, is_declared: bool
):
    large = json.dumps(request("tools/list", padding="x" * LARGEST_REQUEST)).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 1_000_000):
            yield large[start : start + 1_000_000]

    headers = {**ACCEPT, "MCP-Protocol-Version": version}
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http() as plain:
            answer = await plain.post(url, headers=headers, content=large if is_declared else in_pieces())
            session = await handshake(plain, url)
            after = await plain.post(url, headers=session, json=request("tools/list"))
    assert answer.status_code == 413
    assert after.status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"7", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": {}, "method": 3}']
)
async def test_what_is_no_request_is_refused_and_the_next_is_served(
    desk: TicketDesk, content: bytes, caplog: pytest.LogCaptureFixture
):
    with anyio.fail_after(TIMEOUT_S):
        async with serving(desk.server) as url, http() as plain:
            session = await handshake(plain, url)
            answers = [
                await plain.post(url, headers=headers, content=content)
                for headers in (ACCEPT, session, modern("tools/list"))
            ]
            after = await plain.post(url, headers=session, json=request("tools/list"))
    assert {answer.status_code for answer in answers} <= {400, 415, 422}
    assert after.status_code == 200
    assert "Traceback" not in caplog.text
