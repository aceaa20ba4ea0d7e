"""ClaudeModel against a Messages API that validates like the real one: what is sent, and what comes back."""

import json

import anyio
import httpx2
import pytest

from agent.errors import ConfigurationError
from agent.models.claude import OFFICIAL, ClaudeModel
from agent.records import JsonObject, ModelRequest, Reply, Usage
from tests.fakes.answers import Answer, FaultKind, broken, calls, says
from tests.fakes.asking import TOOLS, asking, question
from tests.fakes.messages_api import MessagesApi

CLOSE = ("ticketing__close_ticket", {"resolution": "Cleared the session — done ✓"})


def result_of(reply: Reply, text: str = "closed") -> JsonObject:
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": text}]}
        for call in reply.tool_calls
    ]
    return {"role": "user", "content": results}


async def test_visible_text_arrives_in_pieces_that_make_up_the_reply():
    deltas: list[str] = []
    with MessagesApi([says("The session is still cached.")]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), deltas.append)
    assert len(deltas) > 1
    assert "".join(deltas) == reply.text == "The session is still cached."
    assert reply.stop_reason == "end_turn"
    assert reply.model == "claude-sonnet-5-5"


async def test_text_arrives_while_the_reply_is_still_being_made():
    with MessagesApi([broken(says("Slowly said."), FaultKind.HANG, after="text_delta")]) as api:
        async with asking(api) as model, anyio.create_task_group() as tasks:
            heard = anyio.Event()

            async def ask() -> None:
                await model.reply(question(), lambda _: heard.set())

            tasks.start_soon(ask)
            with anyio.fail_after(600):
                await heard.wait()
            tasks.cancel_scope.cancel()


async def test_a_call_comes_back_with_its_arguments_and_nothing_of_it_is_spoken():
    deltas: list[str] = []
    with MessagesApi([calls(CLOSE)]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), deltas.append)
    assert reply.stop_reason == "tool_use"
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [CLOSE]
    assert deltas == []


async def test_thinking_is_kept_verbatim_and_can_be_sent_back():
    with MessagesApi([calls(CLOSE, text="Closing it.", thinking="The password was changed."), says("Done.")]) as api:
        async with asking(api, profile=OFFICIAL) as model:
            first = question()
            reply = await model.reply(first, lambda _: None)
            assert [block["type"] for block in reply.content] == ["thinking", "text", "tool_use"]
            assert reply.content[0]["thinking"] == "The password was changed."
            messages = [*first.messages, {"role": "assistant", "content": reply.content}, result_of(reply)]
            # The fake refuses a thinking block whose signature, text or preceding conversation has changed.
            last = await model.reply(question(messages=messages), lambda _: None)
    assert last.text == "Done."
    assert api.bodies[1]["messages"][1]["content"] == reply.content


async def test_the_content_of_a_reply_is_plain_json():
    with MessagesApi([calls(CLOSE, text="Closing it.", thinking="Hm.")]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert json.loads(json.dumps(reply.content)) == reply.content


async def test_a_reply_that_pauses_or_refuses_or_is_too_long_says_so():
    reasons = ["pause_turn", "refusal", "max_tokens", "model_context_window_exceeded", "something_new"]
    with MessagesApi([Answer(content=says("…").content, stop_reason=reason) for reason in reasons]) as api:
        async with asking(api) as model:
            assert [(await model.reply(question(), lambda _: None)).stop_reason for _ in reasons] == reasons


async def test_lone_surrogates_of_a_reply_are_replaced_where_they_come_in_and_where_they_go_out():
    deltas: list[str] = []
    with MessagesApi([says("half \ud83d"), says("Fine.")]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), deltas.append)
            await model.reply(question("half \udc00"), deltas.append)
    assert reply.text == "half ?"
    assert "".join(deltas) == "half ?Fine."
    assert api.bodies[1]["messages"][0]["content"][0]["text"] == "half ?"


async def test_the_official_service_is_asked_to_cache_and_to_show_its_thinking():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api, profile=OFFICIAL) as model:
            await model.reply(question(), lambda _: None)
    body = api.bodies[0]
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert body["cache_control"] == {"type": "ephemeral"}
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert "output_config" not in body


async def test_another_service_is_sent_nothing_but_messages_and_plain_tools():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            await model.reply(question(), lambda _: None)
    body = api.bodies[0]
    assert body.keys() == {"model", "max_tokens", "messages", "system", "tools", "stream"}
    assert body["system"] == "Be brief."
    assert body["tools"] == list(TOOLS)


async def test_the_key_goes_out_as_a_bearer_token():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            await model.reply(question(), lambda _: None)
    assert api.requests[0].headers["authorization"] == f"Bearer {api.key}"


async def test_a_request_without_tools_thinks_little_because_its_tokens_are_few():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api, profile=OFFICIAL) as model:
            await model.reply(question(tools=(), max_tokens=200), lambda _: None)
    assert api.bodies[0]["output_config"] == {"effort": "low"}
    assert "tools" not in api.bodies[0]


async def test_a_model_that_knows_no_adaptive_thinking_is_not_asked_for_it():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api, profile=OFFICIAL, model="claude-haiku-4-5") as model:
            await model.reply(question(tools=()), lambda _: None)
    assert not api.bodies[0].keys() & {"thinking", "output_config"}


async def test_an_empty_system_prompt_is_left_out():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api, profile=OFFICIAL) as model:
            await model.reply(question(system=""), lambda _: None)
    assert "system" not in api.bodies[0]


async def test_stop_sequences_and_the_choice_of_no_tool_are_passed_on():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            await model.reply(question(stop_sequences=("END",), tool_choice={"type": "none"}), lambda _: None)
    assert api.bodies[0]["stop_sequences"] == ["END"]
    assert api.bodies[0]["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("forced", [{"type": "any"}, {"type": "tool", "name": "ticketing__search"}])
async def test_a_forced_choice_becomes_auto_because_current_models_refuse_it(forced: JsonObject):
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            choice = {**forced, "disable_parallel_tool_use": True}
            await model.reply(question(tool_choice=choice), lambda _: None)
    assert api.bodies[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


async def test_a_choice_without_tools_is_not_sent():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            await model.reply(question(tools=(), tool_choice={"type": "auto"}), lambda _: None)
    assert "tool_choice" not in api.bodies[0]


async def test_tools_and_system_stay_byte_identical_from_turn_to_turn():
    with MessagesApi([calls(CLOSE), calls(CLOSE), says("Done.")]) as api:
        async with asking(api, profile=OFFICIAL) as model:
            messages = list(question().messages)
            for _ in range(3):
                reply = await model.reply(question(messages=messages), lambda _: None)
                messages += [{"role": "assistant", "content": reply.content}, result_of(reply)]
    prefixes = {json.dumps([body["tools"], body["system"], body["messages"][0]]) for body in api.bodies}
    assert len(api.bodies) == 3
    assert len(prefixes) == 1


async def test_usage_is_counted_the_way_anthropic_counts_it():
    answer = says("Yes.", input_tokens=7, cache_read_input_tokens=900, cache_creation_input_tokens=40, output_tokens=5)
    with MessagesApi([answer]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.usage == Usage(input_tokens=7, output_tokens=5, cache_read_tokens=900, cache_write_tokens=40)


@pytest.mark.parametrize(
    ("model", "input_tokens", "cost_usd"),
    [
        ("claude-sonnet-5-5", 1_000_000, 2 + 0.10 + 2.50 + 10),
        ("claude-opus-5-5", 1_000_000, 4 + 0.20 + 5 + 20),
        ("claude-haiku-5-5", 1_000_000, 0.50 + 0.05 + 0.625 + 2.50),  # above 100,000 tokens everything costs more
    ],
)
async def test_a_reply_costs_what_the_price_list_says(model: str, input_tokens: int, cost_usd: float):
    million = 1_000_000
    usage = {"cache_read_input_tokens": million, "cache_creation_input_tokens": million, "output_tokens": million}
    with MessagesApi([says("Yes.", input_tokens=input_tokens, **usage)]) as api:
        async with asking(api, model=model) as claude:
            reply = await claude.reply(question(), lambda _: None)
    assert reply.cost_usd == pytest.approx(cost_usd)


async def test_the_price_of_an_unknown_model_is_unknown_and_not_zero():
    with MessagesApi([Answer(content=says("Yes.").content, model="qwen3:8b")]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.model == "qwen3:8b"
    assert reply.cost_usd is None


async def test_a_service_that_counts_no_input_costs_an_unknown_amount():
    with MessagesApi([Answer(content=says("Yes.").content, usage={"output_tokens": 3})]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.usage == Usage(output_tokens=3)
    assert reply.cost_usd is None


async def test_many_replies_can_be_under_way_at_once():
    together = anyio.Event()
    with MessagesApi(lambda body: says(body["messages"][0]["content"][0]["text"])) as api:
        async with asking(api) as model:
            texts: list[str] = []

            async def ask(text: str) -> None:
                await together.wait()
                texts.append((await model.reply(question(text), lambda _: None)).text)

            with anyio.fail_after(600):
                async with anyio.create_task_group() as tasks:
                    for number in range(64):
                        tasks.start_soon(ask, f"Question {number}")
                    together.set()
    assert sorted(texts) == sorted(f"Question {number}" for number in range(64))


async def test_a_closed_model_has_closed_its_connections():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            await model.reply(question(), lambda _: None)
        with pytest.raises(RuntimeError, match="closed"):
            await model._client._client.send(httpx2.Request("GET", api.url))


def test_the_model_is_called_by_its_id():
    model = ClaudeModel(model="claude-opus-5-5", api_key="sk-x", base_url=None)
    assert model.name == "claude-opus-5-5"


@pytest.mark.parametrize("key", ["", "  \n"])
def test_an_empty_key_is_told_before_anything_is_asked(key: str):
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY is empty"):
        ClaudeModel(model="claude-sonnet-5-5", api_key=key)


def test_a_key_that_cannot_be_one_is_not_repeated_in_the_message():
    with pytest.raises(ConfigurationError, match="characters that no key has") as told:
        ClaudeModel(model="claude-sonnet-5-5", api_key="sk-ant-“secret”")
    assert "secret" not in str(told.value)


async def test_blanks_around_the_key_and_a_v1_at_the_end_of_the_address_do_no_harm():
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api, api_key=f" {api.key}\n", base_url=f"{api.url}/v1/") as model:
            assert (await model.reply(question(), lambda _: None)).text == "Yes."


@pytest.mark.parametrize("address", ["localhost:11434", "ftp://localhost", "http://", "http://localhost:none"])
def test_an_address_that_is_none_is_told_before_anything_is_asked(address: str):
    with pytest.raises(ConfigurationError, match="ANTHROPIC_BASE_URL is"):
        ClaudeModel(model="claude-sonnet-5-5", api_key="sk-x", base_url=address)


async def test_what_the_environment_says_about_anthropic_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-other")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other")
    with MessagesApi([says("Yes.")]) as api:
        async with asking(api) as model:
            reply = await model.reply(ModelRequest(system="", messages=question().messages), lambda _: None)
    assert reply.text == "Yes."
    assert api.requests[0].headers["authorization"] == f"Bearer {api.key}"
