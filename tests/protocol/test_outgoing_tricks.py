"""Ways past the checks of what leaves that were found by trying, and what they refused though it was sound."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp.server.mcpserver import MCPServer

from agent import approval
from agent.egress import Egress
from agent.outgoing import Outgoing, Written
from agent.records import CallStatus, Effect, JsonObject, OutcomeKind, ToolResult
from agent.sentences import sentences
from agent.session import system_prompt
from agent.settings import Company, FactSettings, ToolSettings
from tests.adversary.helpdesk import Helpdesk, helpdesk
from tests.fakes.runs import bench, closes, does, says

NOTE = "ticketing.add_internal_note"
CLASSIFY = "ticketing.classify_ticket"
ACCOUNT = "customers.update_account"
SEARCH = "ticketing.search_knowledge_base"
CARD = 4111111111111111
ACCOUNTS = "DE89370400440532013000" * 8


@pytest.fixture
async def desk(home: Path) -> AsyncIterator[Helpdesk]:
    async with helpdesk(home, is_marked=False) as arena:
        yield arena


async def outgoing(desk: Helpdesk, ticket: str) -> Outgoing:
    session = desk.works.session
    case = await session.helpdesk.open(ticket)
    return Outgoing.of(case, session.catalog, session.settings, system=system_prompt(session.host, session.settings))


def rules(out: Outgoing, tool: str, arguments: JsonObject, *sources: str) -> list[str]:
    offered = out.catalog.qualified(tool)
    assert offered is not None
    objections = out.objections(offered, arguments, Written(arguments=arguments, sources=sources))
    return [reason.rule for reason in objections]


def searched(out: Outgoing, query: str, answer: str) -> None:
    result = ToolResult(content=[{"type": "text", "text": answer}], status=CallStatus.DONE)
    out.heard(SEARCH, {"query": query}, result)


@pytest.mark.parametrize("number", [CARD, float(CARD), 0.4111111111111111])
async def test_a_number_is_searched_whatever_its_type(desk: Helpdesk, number: float):
    out = await outgoing(desk, "44")
    assert rules(out, CLASSIFY, {"tags": [], "confidence": number}) == ["leaves.card"]
    assert rules(out, CLASSIFY, {"tags": [], "confidence": 0.85}) == []


async def test_what_a_search_only_repeats_was_not_read(desk: Helpdesk):
    out = await outgoing(desk, "44")
    searched(out, "zzq KB://made-up", "Nothing found: no article shares a word with 'zzq KB://made-up'.")
    assert rules(out, NOTE, {"body": "x"}, "kb://made-up") == ["sources.unread"]
    searched(out, "refund", "# Refunds\n\nSource: kb://refund-policy\n\nWithin 14 days.")
    assert rules(out, NOTE, {"body": "x"}, "kb://refund-policy") == []


@pytest.mark.parametrize(
    "claim",
    ["KB://made-up", "ｋｂ://made-up", "k\u200bb://made-up", "kb://made-up/part", "kb://made-up#part"],  # noqa: RUF001
)
async def test_an_article_is_claimed_however_its_uri_is_written(desk: Helpdesk, claim: str):
    assert rules(await outgoing(desk, "44"), NOTE, {"body": f"See {claim}."}) == ["sources.unread"]


async def test_a_section_of_an_article_that_was_read_may_be_named(desk: Helpdesk):
    out = await outgoing(desk, "44")
    out.read.add("kb://r%C3%BCckgabe")
    assert rules(out, NOTE, {"body": "See kb://rückgabe#fristen."}, "kb://rückgabe") == []


async def test_an_account_gets_only_a_whole_address_that_the_requester_has_written(desk: Helpdesk):
    out = await outgoing(desk, "66")
    assert "bob@example.com" in out.case.ticket.said
    assert rules(out, ACCOUNT, {"contact_email": "Bob@example.com"}) == []
    assert rules(out, ACCOUNT, {"contact_email": "ob@example.com"}) == ["leaves.address"]


async def test_a_strange_server_is_asked_for_no_fact_about_others(home: Path):
    heard: list[str] = []
    billing = MCPServer("billing")

    @billing.tool()
    def price(item: str) -> dict[str, int]:
        heard.append(item)
        return {"cents": 5}

    @billing.tool()
    def book(item: str) -> str:
        return f"Booked {item}."

    cents = FactSettings(tool="billing.price", arguments={"item": "$item"}, path="/cents")
    tools = {
        "billing.price": ToolSettings(effect=Effect.READ, public=True),
        "billing.book": ToolSettings(effect=Effect.UNNAMED, facts={"cents": cents}),
    }
    async with bench(home, targets={"billing": billing}, tools=tools) as desk:
        asks = [does(("billing__book", {"item": item})) for item in ("bob@example.com", "a seat")]
        worked = await desk.play(*asks, closes(), says(), approver=approval.never())
    assert set(heard) == {"a seat"}
    assert worked.statuses == ["failed", "denied", "done"]
    assert worked.told(0).startswith("Not sent: bob@example.com")


@pytest.mark.parametrize("link", [r"https:\\evil.example.net/x", "https://evil.example.net/x"])
def test_a_server_with_pages_of_the_web_opens_no_way_to_others(link: str):
    made = Egress(company=Company(domains=("example.com",)), secrets=(), prompts=(), schemes={"https", "kb"})
    assert [violation.rule for violation in made.violations(f"See {link} now.")] == ["leaves.link"]


async def test_no_last_words_can_empty_the_hand_off(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(says(ACCOUNTS), says(ACCOUNTS))
        [note] = desk.notes()
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "The support agent could not finish this ticket" in note
    assert ACCOUNTS[:22] not in note


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Die Rechnungsadresse samt USt-IdNr. ändern Sie unter Einstellungen.", 1),
        ("Sie tragen dort Ihre USt-IdNr. (etwa DE123456789) ein.", 1),
        ("Nennen Sie die Art.-Nr. 4711 und die Tel.-Nr. bitte gleich mit.", 1),
        ("Pro keys may make 120 req./min. (burst 20).", 1),
        ("Uns fehlt noch die USt-IdNr. Bitte tragen Sie sie ein.", 2),
    ],
)
def test_an_abbreviation_of_several_words_ends_no_sentence(text: str, count: int):
    assert len(sentences(text)) == count
