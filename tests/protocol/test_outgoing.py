"""What leaves is checked by the host: a text goes back to the model once, then people take over, without the text."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from mcp.server.mcpserver import MCPServer, Resolve, Sample
from mcp_types import CreateMessageResult, SamplingMessage, TextContent

from agent import approval
from agent.models.scripted import Conversation, ScriptedModel, Turn
from agent.records import Effect, EntryKind, OutcomeKind, RunMode
from agent.settings import Company, Settings, ToolSettings
from tests.fakes.runs import CLOSE, NOTE, REPLY, RESOLUTION, Worked, bench, closes, does, says

LEAK = "Hi, please write to bob@example.com instead. — Support Team"
LONG = "Hi, this is one. This is two. This is three. — Support Team"
ARTICLE = "kb://login"
SEARCH = ("ticketing__search_knowledge_base", {"query": "login"})


def rules(worked: Worked) -> list[list[str]]:
    decided = worked.bodies(EntryKind.DECISION)
    return [[reason["rule"] for reason in body["reasons"]] for body in decided if body["verdict"] == "deny"]


def sourced(*uris: str) -> Turn:
    return does((CLOSE, {"resolution": RESOLUTION, "sources": list(uris)}))


async def test_a_text_that_may_not_leave_goes_back_to_the_model_with_the_reason(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LEAK), closes(), says())
        assert desk.ticket().resolution == RESOLUTION
    assert worked.told(0).startswith("Not sent: bob@example.com is neither the requester's address")
    assert "Mend it and make the call again" in worked.told(0)
    assert rules(worked) == [["leaves.address"]]
    assert len(worked.bodies(EntryKind.ATTEMPT)) == 1


async def test_the_second_time_people_take_over_and_the_text_is_withheld(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LEAK, text="I ask bob@example.com."), closes(LEAK))
        assert desk.ticket().group == "people"
        everything = "\n".join(desk.everything())
        [note] = desk.notes()
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED
    assert "its next version did too; it is withheld" in worked.report.outcome.reason
    assert "ticketing.close_ticket" in note
    assert "instead" not in note
    assert "bob@example.com instead" not in everything
    refused = [effect for effect in worked.report.effects if effect.status.value == "failed"]
    assert [effect.arguments["resolution"] for effect in refused] == ["[withheld]", "[withheld]"]


async def test_the_models_last_words_are_cleaned_before_people_read_them(home: Path):
    async with bench(home) as desk:
        await desk.play(says("Ask bob@example.com."), says("Really, ask bob@example.com."))
        [note] = desk.notes()
    assert "> Really, ask [withheld: an e-mail address]." in note


async def test_two_texts_of_one_reply_are_sent_back_together(home: Path):
    async with bench(home) as desk:
        notes = does((NOTE, {"body": "bob@example.com"}), (NOTE, {"body": "Bob is bob@example.com."}))
        worked = await desk.play(notes, closes(), says())
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert worked.statuses == ["failed", "failed", "done"]


async def test_a_run_that_goes_on_knows_that_a_text_was_sent_back_before(home: Path):
    async with bench(home) as desk:
        model = ScriptedModel([closes(LEAK), Turn(unavailable="overloaded"), closes(LEAK)])
        run = await desk.prepare(model=model)
        assert (await desk.finish(run)).failure is not None
        worked = await desk.work(model=model)
        assert desk.ticket().group == "people"
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


@pytest.mark.parametrize("text", [RESOLUTION, "Hi, we have written to alice@example.com. — Support Team"])
async def test_what_is_the_requesters_own_may_leave(home: Path, text: str):
    async with bench(home) as desk:
        worked = await desk.play(closes(text), says())
    assert worked.statuses == ["done"]


async def test_a_plan_holds_no_text_that_may_not_leave(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LEAK), closes(), says(), mode=RunMode.DRY_RUN)
    assert worked.statuses == ["failed", "planned"]


# Other servers.


class Notebook:
    """A server of somebody else, who is not to learn whose ticket is worked."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.server = MCPServer("notebook")
        self.server.tool()(self.look_up)
        self.server.resource("page://{name}")(self.page)

    def look_up(self, words: str) -> str:
        """Find pages."""
        self.heard.append(words)
        return "Nothing. See INV-9001."

    def page(self, name: str) -> str:
        """A page."""
        self.heard.append(name)
        return "A page."


def notebook_asking(heard: list[str]) -> MCPServer:
    server = MCPServer("notebook")

    def question(words: str) -> Sample:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=f"Who {words}?"))
        return Sample([message], max_tokens=100)

    @server.tool()
    async def think(words: str, answer: Annotated[CreateMessageResult, Resolve(question)]) -> str:
        heard.append(str(answer.content))
        return "It said something."

    return server


def beside(notebook: Notebook) -> dict[str, Any]:
    read = ToolSettings(effect=Effect.READ, public=True)
    return {"targets": {"notebook": notebook.server}, "tools": {"notebook.look_up": read}}


async def test_a_search_on_a_strange_server_is_checked_like_a_text(home: Path):
    notebook = Notebook()
    async with bench(home, **beside(notebook)) as desk:
        search = ("notebook__look_up", {"words": "bob@example.com password"})
        worked = await desk.play(does(search), does(("notebook__look_up", {"words": "login"})), closes(), says())
    assert notebook.heard == ["login"]
    assert worked.statuses == ["failed", "done", "done"]


async def test_a_search_at_home_may_say_anything(home: Path):
    async with bench(home) as desk:
        search = ("ticketing__search_knowledge_base", {"query": "bob@example.com"})
        worked = await desk.play(does(search), closes(), says())
    assert worked.statuses == ["done", "done"]


async def test_a_strange_server_is_not_given_a_reply_of_the_model_that_may_not_leave(home: Path):
    heard: list[str] = []
    read = ToolSettings(effect=Effect.READ, public=True)
    shape = {"targets": {"notebook": notebook_asking(heard)}, "tools": {"notebook.think": read}}
    async with bench(home, **shape) as desk:
        talks = [
            Conversation(match="Resolve support ticket", turns=[THINKS, closes(), says()]),
            Conversation(match="Who wrote?", turns=[Turn(text="It was bob@example.com.")]),
        ]
        worked = await desk.work(model=ScriptedModel(conversations=talks))
    assert heard == []
    assert worked.statuses == ["failed", "done"]
    [sampling] = worked.bodies(EntryKind.SAMPLING)
    assert sampling["error"].startswith("The reply is withheld: bob@example.com is neither")


THINKS = does(("notebook__think", {"words": "wrote"}))


async def test_an_id_that_a_strange_server_told_is_not_passed_on(home: Path):
    notebook = Notebook()
    shape = beside(notebook)
    shape["tools"]["notebook.look_up"] = ToolSettings(effect=Effect.UNNAMED)
    async with bench(home, **shape) as desk:
        turns = [
            does(("notebook__look_up", {"words": "login"})),
            closes("Hi, it is INV-9001. — Support Team"),
            closes(),
            says(),
        ]
        worked = await desk.play(*turns, approver=approval.always())
    assert rules(worked) == [["leaves.id"]]


async def test_an_id_may_go_back_to_the_server_that_has_told_it(home: Path):
    notebook = Notebook()
    shape = beside(notebook)
    shape["tools"]["notebook.look_up"] = ToolSettings(effect=Effect.UNNAMED)
    async with bench(home, **shape) as desk:
        looks = [does(("notebook__look_up", {"words": words})) for words in ("login", "INV-9001")]
        worked = await desk.play(*looks, closes(), says(), approver=approval.always())
    assert rules(worked) == []
    assert notebook.heard == ["login", "INV-9001"]


# The contract of texts to the customer.


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Please sign in again. — Support Team", "text.greeting"),
        ("Hi, please sign in again.", "text.sign_off"),
        (LONG, "text.length"),
        ("Hi, bitte melden Sie sich noch einmal mit dem neuen Passwort an. — Support Team", "text.language"),
    ],
)
@pytest.mark.parametrize("call", [(CLOSE, "resolution"), (REPLY, "body")])
async def test_a_text_to_the_customer_that_is_not_as_the_prompt_wants_it_goes_back_once(
    home: Path, call: tuple[str, str], text: str, rule: str
):
    name, argument = call
    async with bench(home) as desk:
        worked = await desk.play(does((name, {argument: text})), closes(), says())
    assert rules(worked) == [[rule]]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_the_second_time_a_text_is_not_as_it_must_be_people_take_over(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LONG), closes(LONG))
        assert desk.ticket().group == "people"
    assert worked.report.outcome.kind is OutcomeKind.ESCALATED


async def test_a_note_among_colleagues_may_be_of_any_length(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does((NOTE, {"body": "One. Two. Three. Four."})), closes(), says())
    assert worked.statuses == ["done", "done"]


# Sources.


async def test_the_articles_that_a_text_rests_on_are_recorded_and_stay_with_the_host(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(SEARCH), sourced(ARTICLE), says())
        assert desk.ticket().resolution == RESOLUTION
    assert worked.bodies(EntryKind.DECISION)[-1]["sources"] == [ARTICLE]
    assert "sources" not in worked.bodies(EntryKind.ATTEMPT)[-1]["arguments"]


async def test_an_article_read_as_a_resource_counts_as_read(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(("read_resource", {"uri": ARTICLE})), sourced(ARTICLE), says())
    assert worked.statuses == ["done", "done"]


@pytest.mark.parametrize("claim", [sourced(ARTICLE), closes(f"Hi, see {ARTICLE} for that. — Support Team")])
async def test_an_article_that_was_not_read_in_this_run_cannot_be_claimed(home: Path, claim: Turn):
    async with bench(home) as desk:
        worked = await desk.play(claim, does(SEARCH), sourced(ARTICLE), says())
    assert rules(worked) == [["sources.unread"]]
    assert f"{ARTICLE} was not read in this run" in worked.told(0)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


async def test_a_run_that_goes_on_knows_what_it_has_read(home: Path):
    async with bench(home) as desk:
        model = ScriptedModel([does(SEARCH), Turn(unavailable="overloaded"), sourced(ARTICLE), says()])
        run = await desk.prepare(model=model)
        assert (await desk.finish(run)).failure is not None
        worked = await desk.work(model=model)
    assert worked.report.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize("sources", ["kb://login", [1], None, {"a": 1}, [["kb://login"]]])
async def test_sources_that_are_no_list_of_texts_are_sent_back(home: Path, sources: Any):
    async with bench(home) as desk:
        worked = await desk.play(
            does(SEARCH), does((CLOSE, {"resolution": RESOLUTION, "sources": sources})), closes(), says()
        )
    assert rules(worked) == [["sources.list"]]


def linking(settings: Settings) -> Settings:
    company = Company(domains=("example.org",), article_link="https://help.example.org/{slug}")
    return settings.model_copy(update={"company": company})


async def test_where_it_is_configured_the_customer_finds_links_to_the_articles(home: Path):
    async with bench(home, settings=linking) as desk:
        await desk.play(does(SEARCH), sourced(ARTICLE), says())
        said = desk.ticket().resolution
    assert said is not None
    assert said.endswith("\n\nhttps://help.example.org/login\n\n— Support Team")


async def test_a_second_objection_of_another_kind_is_a_first_one(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(closes(LEAK), closes(LONG), closes(), says())
    assert rules(worked) == [["leaves.address"], ["text.length"]]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
