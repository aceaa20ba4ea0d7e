"""Articles and their search: what is found, from which folders, and what is out of reach."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp_types import INVALID_PARAMS, ListRootsResult, Root
from pydantic import FileUrl

from servers.ticketing.reading import READ_AT_ONCE
from tests.fakes.helpdesk import ARTICLES, ERAS, TicketDesk, call, read, refusal_of, text_of, ticket_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[TicketDesk]:
    with ticket_desk(tmp_path) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


class Roots:
    """A client's roots; counts how often it was asked for them."""

    def __init__(self, *folders: Path | str) -> None:
        self.uris = [folder if isinstance(folder, str) else folder.as_uri() for folder in folders]
        self.asked = 0

    async def __call__(self, context: ClientRequestContext) -> ListRootsResult:
        self.asked += 1
        return ListRootsResult(roots=[Root(uri=FileUrl(uri)) for uri in self.uris])


async def found(client: Client, query: str, **more: Any) -> list[str]:
    result = await call(client, "search_knowledge_base", query=query, **more)
    return [passage["uri"] for passage in result.structured_content["passages"]]


async def test_a_search_returns_passages_with_their_source_best_first(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "search_knowledge_base", query="I cannot log in with my new password")
    passages = result.structured_content["passages"]
    assert {passage["uri"] for passage in passages} == {"kb://login"}
    assert passages[0]["title"] == "Logging in after a password change"
    assert "Choose “Forget saved login”" in passages[0]["text"]
    assert "Source: kb://login" in text_of(result)


@pytest.mark.parametrize("query", ["xyzzy plugh", "?!", "how do I do this with it", '" OR NEAR( *', "the"])
async def test_a_search_that_finds_nothing_says_so(desk: TicketDesk, era: str, query: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "search_knowledge_base", query=query)
    assert result.structured_content == {"passages": []}
    assert text_of(result).startswith("Nothing found")


async def test_japanese_is_found_though_it_has_no_spaces(desk: TicketDesk):
    async with Client(desk.server) as client:
        assert await found(client, "ノートを共有できません") == ["kb://share"]


async def test_a_search_returns_no_more_than_its_limit(desk: TicketDesk):
    async with Client(desk.server) as client:
        assert len(await found(client, "password invoice", limit=1)) == 1


async def test_an_article_that_is_written_changed_or_removed_counts_at_once(desk: TicketDesk):
    async with Client(desk.server) as client:
        assert await found(client, "zeppelin") == []
        (desk.folder / "airship.md").write_text("# Airships\n\nThe zeppelin flies.\n", encoding="utf-8")
        assert await found(client, "zeppelin") == ["kb://airship"]
        (desk.folder / "airship.md").write_text("# Airships\n\nThe balloon flies high.\n", encoding="utf-8")
        assert (await found(client, "zeppelin"), await found(client, "balloon")) == ([], ["kb://airship"])
        (desk.folder / "airship.md").unlink()
        assert await found(client, "balloon") == []


async def test_no_knowledge_folder_is_an_empty_knowledge_base(desk: TicketDesk):
    for slug in ARTICLES:
        (desk.folder / f"{slug}.md").unlink()
    desk.folder.rmdir()
    async with Client(desk.server) as client:
        assert await found(client, "password") == []


async def test_a_root_that_contains_the_folder_opens_all_of_it(desk: TicketDesk, era: str):
    roots = Roots(desk.folder.parent)
    async with Client(desk.server, mode=era, list_roots_callback=roots) as client:
        assert "kb://login" in await found(client, "password")
    assert roots.asked == 1


async def test_a_root_inside_the_folder_opens_only_that_part(desk: TicketDesk, era: str):
    inner = desk.folder / "public pages"
    inner.mkdir()
    (inner / "faq.md").write_text("# Questions\n\nAbout your password.\n", encoding="utf-8")
    async with Client(desk.server, mode=era, list_roots_callback=Roots(inner)) as client:
        assert await found(client, "password") == ["kb://public%20pages%2Ffaq"]
        assert "About your password." in await read(client, "kb://public%20pages%2Ffaq")


async def test_a_client_that_lists_no_roots_sets_no_bound(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era, list_roots_callback=Roots()) as client:
        assert "kb://login" in await found(client, "password")


async def test_roots_elsewhere_open_nothing(desk: TicketDesk, era: str, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.md").write_text("# Secret\n\npassword\n", encoding="utf-8")
    for roots in (Roots(elsewhere), Roots("file://elsewhere.example.com/"), Roots(desk.folder / "login.md")):
        async with Client(desk.server, mode=era, list_roots_callback=roots) as client:
            result = await call(client, "search_knowledge_base", query="password")
            if roots.uris[:1] == [(desk.folder / "login.md").as_uri()]:
                assert result.structured_content == {"passages": []}
            else:
                assert refusal_of(result).startswith("Nothing was searched")


async def test_a_root_that_is_a_link_counts_as_what_it_leads_to(desk: TicketDesk, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(desk.folder)
    async with Client(desk.server, list_roots_callback=Roots(link)) as client:
        assert "kb://login" in await found(client, "password")


async def test_a_client_without_roots_gets_the_configured_folder(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        assert "kb://login" in await found(client, "password")


async def test_an_article_is_read_whole(desk: TicketDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        assert await read(client, "kb://login") == ARTICLES["login"]


@pytest.mark.parametrize(
    "slug",
    [
        "nothing", "..%2Fsecret", "%2E%2E%2Fsecret", "..", "%2Fetc%2Fpasswd", "linked", "linkedfolder%2Fsecret",
        ".hidden", "login%00", "loop", "login.md", "folder",
    ],
)  # fmt: skip
async def test_nothing_outside_the_folder_can_be_read(desk: TicketDesk, tmp_path: Path, era: str, slug: str):
    secret = tmp_path / "secret.md"
    secret.write_text("# Secret\n\nzeppelin\n", encoding="utf-8")
    (desk.folder / ".hidden.md").write_text("zeppelin", encoding="utf-8")
    (desk.folder / "linked.md").symlink_to(secret)
    (desk.folder / "linkedfolder").symlink_to(tmp_path)
    (desk.folder / "loop.md").symlink_to(desk.folder / "loop.md")
    (desk.folder / "folder.md").mkdir()
    async with Client(desk.server, mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await read(client, f"kb://{slug}")
        assert caught.value.code == INVALID_PARAMS
        assert await found(client, "zeppelin") == []


async def test_a_link_within_the_folder_is_an_article(desk: TicketDesk):
    (desk.folder / "signin.md").symlink_to(desk.folder / "login.md")
    async with Client(desk.server) as client:
        assert await read(client, "kb://signin") == ARTICLES["login"]
        assert set(await found(client, "password")) == {"kb://login", "kb://signin"}


async def test_a_large_folder_is_read_with_progress(desk: TicketDesk, era: str):
    count = 2 * READ_AT_ONCE
    for number in range(count):
        (desk.folder / f"article-{number}.md").write_text(f"# Article {number}\n\nText.\n", encoding="utf-8")
    seen: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    total = count + len(ARTICLES)
    async with Client(desk.server, mode=era) as client:
        await client.call_tool("search_knowledge_base", {"query": "text"}, progress_callback=on_progress)
        again = len(seen)
        await client.call_tool("search_knowledge_base", {"query": "text"}, progress_callback=on_progress)
    assert seen == [(READ_AT_ONCE, total), (2 * READ_AT_ONCE, total), (total, total)]
    assert again == 3


async def test_bytes_that_are_no_text_do_not_stop_a_search(desk: TicketDesk):
    (desk.folder / "broken.md").write_bytes(b"# Br\xffken\n\nzeppelin \x00 \xf0\x9f\n")
    os.mkfifo(desk.folder / "pipe.md")
    async with Client(desk.server) as client:
        assert await found(client, "zeppelin") == ["kb://broken"]
        assert "zeppelin" in await read(client, "kb://broken")
