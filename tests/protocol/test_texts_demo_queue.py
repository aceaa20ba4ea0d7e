"""Over the whole demo queue, every text that the offline model sends is as it must be and rests on what it has read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.contract import breaches
from agent.language import language_of
from agent.models.offline import OfflineModel
from agent.records import EntryKind, JsonObject
from agent.sentences import sentences
from servers import demo
from tests.adversary.helpdesk import Helpdesk, helpdesk
from tests.fakes.runs import Person, Worked, default_settings

SAID = {ticket["id"]: ticket for ticket in demo.tickets()}
ARTICLES = {f"kb://{slug}": " ".join(text.replace("**", "").split()) for slug, text in demo.articles().items()}
ANSWERED = {"42", "43", "44", "45", "47", "48", "50", "51", "52", "63", "67", "68"}
"""Tickets that are closed with something that an article says."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text of the model's to a customer."""

    ticket: str
    body: str
    sources: list[str]
    read: list[str]  # the articles that were read before


@pytest.fixture
async def demo_desk(home: Path) -> AsyncIterator[Helpdesk]:
    async with helpdesk(home, is_marked=False) as arena:
        yield arena


def calls(run: Worked) -> list[JsonObject]:
    """The calls of a run's model, in the model's own words."""
    return [block for reply in run.bodies(EntryKind.REPLY) for block in reply["content"] if block["type"] == "tool_use"]


def texts_of(ticket: str, run: Worked, sends: dict[str, tuple[str, ...]]) -> list[Text]:
    found: list[Text] = []
    read: list[str] = []
    for call in calls(run):
        arguments: dict[str, Any] = call["input"]
        if call["name"] == "read_resource":
            read.append(arguments["uri"])
        found += [
            Text(ticket=ticket, body=arguments[name], sources=arguments.get("sources", []), read=list(read))
            for name in sends.get(call["name"], ())
        ]
    return found


async def sent(desk: Helpdesk) -> list[Text]:
    tools = desk.works.session.settings.tools
    sends = {name.replace(".", "__"): tool.sends for name, tool in tools.items() if tool.sends}
    person = Person(grants=True)
    return [
        text
        for ticket in desk.tickets
        for text in texts_of(ticket, await desk.works.work(ticket, model=OfflineModel(), approver=person), sends)
    ]


def language_of_ticket(ticket: str) -> str | None:
    bodies = [message["body"] for message in SAID[ticket]["messages"] if message["kind"] == "customer"]
    return language_of("\n\n".join([SAID[ticket]["subject"], *bodies]))


def test_every_ticket_of_the_demo_is_plainly_in_its_language():
    others = {"52": "de", "53": "de", "54": "ja"}
    assert {ticket: language_of_ticket(ticket) for ticket in SAID} == dict.fromkeys(SAID, "en") | others


async def test_every_text_to_a_customer_is_as_it_must_be_and_rests_on_what_was_read(demo_desk: Helpdesk, home: Path):
    demanded = default_settings(home).tickets.texts
    texts = await sent(demo_desk)
    assert len(texts) >= 15
    for text in texts:
        assert breaches(text.body, demanded, language=language_of_ticket(text.ticket)) == (), text
        assert set(text.sources) <= set(text.read), text
        quoted = [uri for uri in ARTICLES if any(told in ARTICLES[uri] for told in sentences(text.body)[-2:])]
        assert set(quoted) <= set(text.sources), text
    assert {text.ticket for text in texts if text.sources} == ANSWERED
