"""What a run answers when servers ask back."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mcp_types as mcp
import pytest

from agent.callbacks import Answers, CallAnswers
from agent.documents import digest
from agent.errors import ModelUnavailable
from agent.records import Entry, EntryKind, FormAnswer, JsonObject, ModelRequest, Reply, Usage
from agent.settings import Limits

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
USAGE = Usage(input_tokens=10, output_tokens=2)


class OneModel:
    """Gives the same reply to every request, or fails every time."""

    name = "one"

    def __init__(self, content: list[JsonObject] | None = None, stop_reason: str = "end_turn") -> None:
        self.content = [{"type": "text", "text": "Sure."}] if content is None else content
        self.stop_reason = stop_reason
        self.requests: list[ModelRequest] = []
        self.failure: Exception | None = None

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return Reply(content=self.content, stop_reason=self.stop_reason, model="one-1", usage=USAGE, cost_usd=0.25)

    async def aclose(self) -> None:
        pass


class OneOperator:
    """Gives the same answer to every question."""

    def __init__(self, answer: FormAnswer) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        self.asked.append((server, message, schema))
        return self.answer

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        self.asked.append((server, message, url))
        return self.answer


@dataclass
class Pages:
    """A recorder in memory."""

    run_id: str = "run"
    entries: list[Entry] = field(default_factory=list)

    async def append(self, kind: EntryKind, body: JsonObject, *, spent: Any = None) -> Entry:
        entry = Entry(run_id=self.run_id, seq=len(self.entries) + 1, kind=kind, body=body, at=datetime.now(UTC))
        self.entries.append(entry)
        return entry


@dataclass
class Bench:
    """One run's answers with everything around them in sight."""

    model: OneModel = field(default_factory=OneModel)
    operator: OneOperator = field(default_factory=lambda: OneOperator(FormAnswer(action="decline")))
    limits: Limits = field(default_factory=Limits)
    roots: Sequence[Path] = ()
    pages: Pages = field(default_factory=Pages)
    spent: list[tuple[Usage, float | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = Answers(
            model=self.model,
            operator=self.operator,
            recorder=self.pages,
            limits=self.limits,
            roots=self.roots,
            on_spend=lambda usage, cost: self.spent.append((usage, cost)),
        )

    def call(self, tool_use_id: str = "toolu_1") -> CallAnswers:
        return self.answers.for_call("kb", tool_use_id)

    @property
    def recorded(self) -> list[tuple[EntryKind, JsonObject]]:
        return [(entry.kind, entry.body) for entry in self.pages.entries]


def text(said: str) -> mcp.TextContent:
    return mcp.TextContent(type="text", text=said)


def sampling(*messages: mcp.SamplingMessage, max_tokens: int = 100, **rest: Any) -> mcp.CreateMessageRequestParams:
    asked = messages or (mcp.SamplingMessage(role="user", content=text("Summarize.")),)
    return mcp.CreateMessageRequestParams(messages=list(asked), max_tokens=max_tokens, **rest)


async def converted(content: Any, role: mcp.Role = "user") -> Any:
    """Return the content of one message as the model is given it."""
    bench = Bench()
    result = await bench.call().sample(sampling(mcp.SamplingMessage(role=role, content=content)))
    assert not isinstance(result, mcp.ErrorData)
    return bench.model.requests[0].messages[0]["content"]


# Sampling


async def test_a_sampled_reply_comes_from_the_runs_model_and_is_recorded_and_paid():
    bench = Bench()
    result = await bench.call().sample(sampling(system_prompt="Be brief.", stop_sequences=["END"]))
    assert isinstance(result, mcp.CreateMessageResult)
    assert result.content == text("Sure.")
    assert (result.role, result.model, result.stop_reason) == ("assistant", "one-1", "endTurn")
    assert bench.spent == [(USAGE, 0.25)]
    request = {
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Summarize."}]}],
        "tools": [],
        "max_tokens": 100,
        "tool_choice": None,
        "stop_sequences": ["END"],
    }
    assert bench.recorded == [
        (
            EntryKind.SAMPLING,
            {
                "server": "kb",
                "tool_use_id": "toolu_1",
                "digest": digest(request),
                "request": request,
                "reply": {
                    "content": [{"type": "text", "text": "Sure."}],
                    "stop_reason": "end_turn",
                    "model": "one-1",
                },
                "usage": USAGE.as_json(),
                "cost_usd": 0.25,
            },
        )
    ]


async def test_a_server_gets_no_more_tokens_than_the_limit_and_as_much_time_as_a_reply():
    bench = Bench(limits=Limits(sampling_tokens=50, reply_seconds=7))
    await bench.call().sample(sampling(max_tokens=4000))
    await bench.call().sample(sampling(max_tokens=20))
    await bench.call().sample(sampling(max_tokens=-1))
    assert [request.max_tokens for request in bench.model.requests] == [50, 20, 1]
    assert bench.model.requests[0].timeout_s == 7


async def test_a_run_answers_only_so_many_sampling_requests():
    bench = Bench(limits=Limits(sampling_calls=2, sampling_depth=5))
    for number in (1, 2):
        assert isinstance(await bench.call(f"toolu_{number}").sample(sampling()), mcp.CreateMessageResult)
    refused = await bench.call("toolu_3").sample(sampling())
    assert isinstance(refused, mcp.ErrorData)
    assert refused.message == "This run may ask the model 2 times for servers, and has."
    assert len(bench.model.requests) == 2
    assert bench.recorded[-1][1]["error"] == refused.message


async def test_one_tool_call_may_sample_only_so_often_and_the_next_may_again():
    bench = Bench(limits=Limits(sampling_calls=10, sampling_depth=1))
    call = bench.call()
    assert isinstance(await call.sample(sampling()), mcp.CreateMessageResult)
    refused = await call.sample(sampling())
    assert isinstance(refused, mcp.ErrorData)
    assert refused.message == "One tool call may ask the model 1 times, and has."
    assert isinstance(await bench.call("toolu_2").sample(sampling()), mcp.CreateMessageResult)


async def test_a_run_that_has_used_its_dollars_asks_the_model_for_no_server():
    bench = Bench(limits=Limits(usd=0.2))
    bench.answers.has_money = lambda: not bench.spent
    assert not isinstance(await bench.call().sample(sampling()), mcp.ErrorData)
    refused = await bench.call().sample(sampling())
    assert isinstance(refused, mcp.ErrorData)
    assert refused.message == "This run has used its $0.20."
    assert len(bench.model.requests) == 1


async def test_a_model_that_gives_no_reply_is_a_sentence_for_the_server():
    bench = Bench()
    bench.model.failure = ModelUnavailable("The model is overloaded.")
    result = await bench.call().sample(sampling())
    assert isinstance(result, mcp.ErrorData)
    assert result.message == "The model is overloaded."
    assert bench.recorded[0][1]["error"] == "The model is overloaded."
    assert bench.spent == []


@pytest.mark.parametrize(
    ("anthropic", "protocol"),
    [
        ("end_turn", "endTurn"),
        ("max_tokens", "maxTokens"),
        ("stop_sequence", "stopSequence"),
        ("tool_use", "toolUse"),
        ("refusal", "refusal"),
    ],
)
async def test_stop_reasons_are_told_in_the_protocols_words(anthropic: str, protocol: str):
    for tools in (None, [mcp.Tool(name="t", input_schema={"type": "object"})]):
        result = await Bench(model=OneModel(stop_reason=anthropic)).call().sample(sampling(tools=tools))
        assert not isinstance(result, mcp.ErrorData)
        assert result.stop_reason == protocol


async def test_a_server_may_give_the_model_tools_of_its_own():
    model = OneModel(
        [
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}},
        ],
        "tool_use",
    )
    bench = Bench(model=model)
    tools = [
        mcp.Tool(name="zoom", input_schema={"type": "object"}),
        mcp.Tool(name="look", description="Look.", input_schema={"type": "object", "properties": {"at": {}}}),
    ]
    result = await bench.call().sample(sampling(tools=tools))
    assert isinstance(result, mcp.CreateMessageResultWithTools)
    assert result.content_as_list == [
        text("Let me look."),
        mcp.ToolUseContent(type="tool_use", id="t1", name="look", input={"at": "it"}),
    ]
    assert model.requests[0].tools == [
        {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {"at": {}}}},
        {"name": "zoom", "description": "", "input_schema": {"type": "object"}},
    ]


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        (None, None),
        (mcp.ToolChoice(), None),
        (mcp.ToolChoice(mode="auto"), {"type": "auto"}),
        (mcp.ToolChoice(mode="required"), {"type": "any"}),
        (mcp.ToolChoice(mode="none"), {"type": "none"}),
    ],
)
async def test_tool_choice_is_passed_on(choice: mcp.ToolChoice | None, asked: JsonObject | None):
    bench = Bench()
    tool = mcp.Tool(name="t", input_schema={"type": "object"})
    await bench.call().sample(sampling(tools=[tool], tool_choice=choice))
    await bench.call().sample(sampling(tool_choice=choice))
    assert [request.tool_choice for request in bench.model.requests] == [asked, None]


async def test_a_reply_without_text_is_an_empty_text():
    for tools in (None, [mcp.Tool(name="t", input_schema={"type": "object"})]):
        result = await Bench(model=OneModel([], "refusal")).call().sample(sampling(tools=tools))
        assert not isinstance(result, mcp.ErrorData)
        assert result.content in (text(""), [text("")])


async def test_texts_and_images_reach_the_model_as_they_are():
    blocks = await converted([text("See:"), mcp.ImageContent(type="image", data=PNG, mime_type="image/png")])
    assert blocks == [
        {"type": "text", "text": "See:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ]


async def test_what_the_model_cannot_be_given_is_named_in_its_place():
    data = base64.b64encode(b"x" * 300).decode()
    sound = mcp.AudioContent(type="audio", data=data, mime_type="audio/wav")
    scan = mcp.ImageContent(type="image", data=data, mime_type="image/tiff")
    for content in (sound, scan):
        [block] = await converted(content)
        assert block["type"] == "text"
        assert content.mime_type in block["text"]
        assert "about 300 bytes" in block["text"]


async def test_an_image_in_the_models_own_message_is_named():
    image = mcp.ImageContent(type="image", data=PNG, mime_type="image/png")
    assert await converted(image, role="assistant") == [
        {"type": "text", "text": "[image: image/png, which cannot be shown to you]"}
    ]


async def test_empty_texts_and_messages_become_texts_that_the_model_may_be_sent():
    assert await converted(text("  ")) == [{"type": "text", "text": "(an empty text)"}]
    assert await converted([]) == [{"type": "text", "text": "(an empty message)"}]


async def test_a_tool_conversation_keeps_its_shape_with_results_first():
    use = mcp.ToolUseContent(type="tool_use", id="t1", name="look", input={"at": "it"})
    result = mcp.ToolResultContent(
        type="tool_result",
        tool_use_id="t1",
        content=[
            text("seen"),
            mcp.ImageContent(type="image", data=PNG, mime_type="image/png"),
            mcp.AudioContent(type="audio", data="AAAA", mime_type="audio/wav"),
            mcp.ResourceLink(type="resource_link", uri="kb://a", name="a"),
            mcp.EmbeddedResource(type="resource", resource=mcp.TextResourceContents(uri="kb://b", text="body of b")),
        ],
        structured_content={"found": 1},
        is_error=True,
    )
    bench = Bench()
    await bench.call().sample(
        sampling(
            mcp.SamplingMessage(role="assistant", content=use),
            mcp.SamplingMessage(role="user", content=[text("And?"), result]),
        )
    )
    asked, answered = bench.model.requests[0].messages
    assert asked["content"] == [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}}]
    first, second = answered["content"]
    assert second == {"type": "text", "text": "And?"}
    assert (first["type"], first["tool_use_id"], first["is_error"]) == ("tool_result", "t1", True)
    assert first["content"][1]["type"] == "image"
    said = " ".join(block.get("text", "") for block in first["content"])
    for part in ("seen", "audio/wav", "kb://a", "body of b", '"found": 1'):
        assert part in said


async def test_tool_blocks_of_the_wrong_role_are_told_as_text():
    use = mcp.ToolUseContent(type="tool_use", id="t1", name="look", input={})
    result = mcp.ToolResultContent(type="tool_result", tool_use_id="t1", content=[text("seen")])
    [told] = await converted(use, role="user")
    assert told["type"] == "text"
    assert "look" in told["text"]
    [told] = await converted(result, role="assistant")
    assert told["type"] == "text"
    assert "seen" in told["text"]


async def test_lone_surrogates_reach_neither_the_model_nor_the_journal():
    bench = Bench(model=OneModel([{"type": "text", "text": "half \ud83d"}]))
    asked = mcp.SamplingMessage(role="user", content=text("half \ud83d"))
    result = await bench.call().sample(sampling(asked, system_prompt="\ud83d", stop_sequences=["\ud83d"]))
    assert isinstance(result, mcp.CreateMessageResult)
    assert result.content == text("half ?")
    request = bench.model.requests[0]
    assert (request.system, request.stop_sequences) == ("?", ("?",))
    assert request.messages[0]["content"] == [{"type": "text", "text": "half ?"}]


# Elicitation

FORM = {"type": "object", "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}, "required": ["colour"]}


def form(schema: Any = FORM) -> mcp.ElicitRequestFormParams:
    return mcp.ElicitRequestFormParams(message="Which colour?", requested_schema=schema)


def link(url: str) -> mcp.ElicitRequestURLParams:
    return mcp.ElicitRequestURLParams(message="Sign in.", url=url, elicitation_id="e1")


def operator(action: str, content: JsonObject | None = None) -> OneOperator:
    return OneOperator(FormAnswer(action=action, content=content))


async def test_a_form_that_is_filled_in_is_passed_on_and_recorded():
    bench = Bench(operator=operator("accept", {"colour": "blue"}))
    result = await bench.call().elicit(form())
    assert result == mcp.ElicitResult(action="accept", content={"colour": "blue"})
    assert bench.operator.asked == [("kb", "Which colour?", FORM)]
    [(kind, body)] = bench.recorded
    assert kind is EntryKind.ELICITATION
    assert body == {
        "server": "kb",
        "tool_use_id": "toolu_1",
        "digest": body["digest"],
        "mode": "form",
        "message": "Which colour?",
        "action": "accept",
        "content": {"colour": "blue"},
        "seconds": body["seconds"],
    }


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        ({"colour": "green"}, FORM),
        ({}, FORM),
        (None, FORM),
        ({"colour": {"nested": 1}}, {"type": "object", "properties": {"colour": {"type": "object"}}}),
        ({"colour": "red"}, {"type": "nonsense"}),
        ({"colour": "red"}, {"type": "object", "properties": {"colour": {"$ref": "https://example.com/x.json"}}}),
    ],
)
async def test_an_answer_that_does_not_fit_the_servers_schema_counts_as_declined(given: Any, schema: JsonObject):
    bench = Bench(operator=operator("accept", given))
    assert await bench.call().elicit(form(schema)) == mcp.ElicitResult(action="decline")
    assert bench.recorded[0][1]["action"] == "decline"
    assert bench.recorded[0][1]["content"] is None


@pytest.mark.parametrize(("said", "told"), [("decline", "decline"), ("cancel", "cancel"), ("shrug", "cancel")])
async def test_an_operator_who_does_not_accept_gives_no_content(said: str, told: str):
    for params in (form(), link("https://example.com")):
        result = await Bench(operator=operator(said, {"colour": "red"})).call().elicit(params)
        assert isinstance(result, mcp.ElicitResult)
        assert (result.action, result.content) == (told, None)


async def test_a_link_is_shown_and_confirmed():
    bench = Bench(operator=operator("accept"))
    assert await bench.call().elicit(link("https://example.com/login")) == mcp.ElicitResult(action="accept")
    assert bench.operator.asked == [("kb", "Sign in.", "https://example.com/login")]
    assert bench.recorded[0][1]["mode"] == "url"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "no url", "http://[::1"])
async def test_a_link_that_is_no_web_address_is_declined_unseen(url: str):
    bench = Bench(operator=operator("accept"))
    assert await bench.call().elicit(link(url)) == mcp.ElicitResult(action="decline")
    assert bench.operator.asked == []
    assert bench.recorded[0][1]["action"] == "decline"


# Roots


async def test_the_folders_that_exist_are_the_roots(tmp_path: Path):
    knowledge = tmp_path / "know ledge"
    knowledge.mkdir()
    (tmp_path / "file").write_text("")
    bench = Bench(roots=[knowledge, tmp_path / "missing", tmp_path / "file"])
    result = await bench.call().list_roots()
    [root] = result.roots
    assert root.name == "know ledge"
    assert str(root.uri) == knowledge.resolve().as_uri()
    assert bench.recorded == [
        (EntryKind.ROOTS, {"server": "kb", "tool_use_id": "toolu_1", "uris": [knowledge.resolve().as_uri()]})
    ]


async def test_a_run_without_folders_has_no_roots():
    assert (await Bench().call().list_roots()).roots == []


async def test_a_call_that_is_made_once_more_gets_the_answers_of_before_in_their_order():
    bench = Bench(operator=OneOperator(FormAnswer(action="accept", content={"colour": "red"})))
    call = bench.call()
    first = [await call.sample(sampling()), await call.sample(sampling()), await call.elicit(form())]
    bench.model.content, bench.operator.answer = [{"type": "text", "text": "Another."}], FormAnswer(action="decline")
    call.again()
    assert [await call.sample(sampling()), await call.sample(sampling()), await call.elicit(form())] == first
    assert (len(bench.model.requests), len(bench.operator.asked), len(bench.recorded)) == (2, 1, 3)


async def test_what_is_asked_beyond_the_answers_of_before_is_asked_anew():
    bench = Bench()
    call = bench.call()
    for _ in range(3):
        await call.sample(sampling())
        call.again()
    assert len(bench.model.requests) == 1
    await call.sample(sampling())
    await call.sample(sampling())
    assert len(bench.model.requests) == 2


async def test_another_call_gets_answers_of_its_own():
    bench = Bench()
    first = bench.call("toolu_1")
    await first.sample(sampling())
    first.again()
    await bench.call("toolu_2").sample(sampling())
    assert len(bench.model.requests) == 2
