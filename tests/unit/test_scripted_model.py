"""The scripted model and the rules of the Messages API that it holds every request to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.errors import ConfigurationError, ModelUnavailable
from agent.models.message_rules import reply_violations, violations
from agent.models.scripted import Call, Conversation, ScriptedModel, ScriptMismatch, Turn
from agent.records import JsonObject, ModelRequest, Reply, Usage

TOOL: JsonObject = {"name": "desk__look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}
OTHER: JsonObject = {**TOOL, "name": "desk__close"}


def user(*blocks: JsonObject | str) -> JsonObject:
    return {"role": "user", "content": [text(block) if isinstance(block, str) else block for block in blocks]}


def assistant(*blocks: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def use(id_: str, name: str = "desk__look", arguments: Any = None) -> JsonObject:
    return {"type": "tool_use", "id": id_, "name": name, "input": {} if arguments is None else arguments}


def result(id_: str, words: str = "seen") -> JsonObject:
    return {"type": "tool_result", "tool_use_id": id_, "content": [text(words)]}


def request(*messages: JsonObject, tools: Sequence[JsonObject] = (TOOL,), **more: Any) -> ModelRequest:
    return ModelRequest(system="…", messages=list(messages), tools=list(tools), **more)


async def ask(model: ScriptedModel, *messages: JsonObject, tools: Sequence[JsonObject] = (TOOL,)) -> Reply:
    return await model.reply(request(*messages, tools=tools), lambda _: None)


async def go_on(model: ScriptedModel, messages: list[JsonObject], reply: Reply, *answers: JsonObject | str) -> Reply:
    messages += [assistant(*reply.content), user(*answers)]
    return await ask(model, *messages)


async def test_turns_are_played_in_order_with_ids_that_are_always_the_same():
    model = ScriptedModel(
        [Turn(text="I look.", calls=[Call(name="desk__look", arguments={"at": 1})]), Turn(text="Done.")]
    )
    messages, heard = [user("Hello")], list[str]()
    first = await model.reply(request(*messages), heard.append)
    assert first.content == [text("I look."), use("toolu_1_1_1", arguments={"at": 1})]
    assert (first.stop_reason, first.cost_usd, first.model, heard) == ("tool_use", 0.0, "scripted", ["I look."])
    last = await go_on(model, messages, first, result("toolu_1_1_1"))
    assert (last.content, last.stop_reason) == ([text("Done.")], "end_turn")
    await model.aclose()


async def test_left_over_turns_are_a_mismatch_when_the_model_is_closed():
    model = ScriptedModel([Turn(text="One."), Turn(text="Two.")])
    await ask(model, user("Hello"))
    with pytest.raises(ScriptMismatch, match=r"never asked for: Conversation 1: 1 of 2\."):
        await model.aclose()


async def test_a_request_after_the_last_turn_is_a_mismatch():
    model = ScriptedModel([Turn(text="One.")])
    messages = [user("Hello")]
    reply = await ask(model, *messages)
    with pytest.raises(ScriptMismatch, match="Conversation 1 is over: expected 1 requests, got one more"):
        await go_on(model, messages, reply, "And?")


async def test_expected_strings_are_looked_for_in_the_last_message_and_its_results():
    turns = [Turn(calls=[Call(name="desk__look")]), Turn(text="Done.", expect=["kb://log-in"])]
    for words, is_expected in [("see kb://log-in", True), ("nothing", False)]:
        model, messages = ScriptedModel(turns), [user("kb://log-in")]
        first = await ask(model, *messages)
        if is_expected:
            assert (await go_on(model, messages, first, result("toolu_1_1_1", words))).text == "Done."
        else:
            with pytest.raises(
                ScriptMismatch, match=r"turn 2: expected 'kb://log-in' in the last message, got 'nothing'"
            ):
                await go_on(model, messages, first, result("toolu_1_1_1", words))


async def test_tools_that_must_be_offered_or_must_not_are_checked():
    with pytest.raises(ScriptMismatch, match=r"expected the tool 'desk__close' to be offered, got \['desk__look'\]"):
        await ask(ScriptedModel([Turn(text="x", offered=["desk__close"])]), user("Hello"))
    with pytest.raises(ScriptMismatch, match="expected the tool 'desk__look' not to be offered"):
        await ask(ScriptedModel([Turn(text="x", not_offered=["desk__look"])]), user("Hello"))


async def test_conversations_are_matched_by_their_first_message_and_run_interleaved():
    call = Call(name="desk__look")
    model = ScriptedModel(
        conversations=[
            Conversation(match="ticket 42", turns=[Turn(calls=[call]), Turn(text="42 done.")]),
            Conversation(match="ticket 43", turns=[Turn(calls=[call]), Turn(text="43 done.")]),
            Conversation(match="Summarize", turns=[Turn(text="A summary.")]),
        ]
    )
    later, sooner = [user("ticket 43")], [user("ticket 42")]
    second, first = await ask(model, *later), await ask(model, *sooner)
    assert (first.tool_calls[0].id, second.tool_calls[0].id) == ("toolu_1_1_1", "toolu_2_1_1")
    assert (await ask(model, user("Summarize this"), tools=())).text == "A summary."
    assert (await go_on(model, later, second, result("toolu_2_1_1"))).text == "43 done."
    assert (await go_on(model, sooner, first, result("toolu_1_1_1"))).text == "42 done."
    await model.aclose()


async def test_a_conversation_that_was_played_is_not_matched_again():
    model = ScriptedModel(conversations=[Conversation(match="42", turns=[Turn(text="Done.")])])
    await ask(model, user("ticket 42"))
    with pytest.raises(
        ScriptMismatch, match=r"No conversation .* expected a first message with one of \[\], got 'ticket 42'"
    ):
        await ask(model, user("ticket 42"))


async def test_two_conversations_that_begin_alike_are_played_one_after_the_other():
    script = [Conversation(match="42", turns=[Turn(text=words), Turn(text="Bye.")]) for words in ("First.", "Second.")]
    model = ScriptedModel(conversations=script)
    one, two = [user("ticket 42")], [user("ticket 42")]
    first, second = await ask(model, *one), await ask(model, *two)
    assert (first.text, second.text) == ("First.", "Second.")
    await go_on(model, one, first, "Go on.")
    await go_on(model, two, second, "Go on.")
    await model.aclose()


async def test_a_run_may_be_resumed_in_the_middle_of_its_history():
    model = ScriptedModel([Turn(calls=[Call(name="look", id="toolu_a")]), Turn(text="Done.")])
    reply = await ask(model, user("ticket 42"), assistant(use("toolu_a")), user(result("toolu_a")))
    assert reply.text == "Done."
    await model.aclose()


async def test_a_reply_must_be_sent_back_unchanged():
    model = ScriptedModel([Turn(text="One."), Turn(text="Two.")])
    await ask(model, user("Hello"))
    with pytest.raises(ScriptMismatch, match=r"must be sent back unchanged, expected .*One\..*got .*Eins\."):
        await ask(model, user("Hello"), assistant(text("Eins.")), user("And?"))


async def test_what_was_sent_before_must_not_change():
    model = ScriptedModel([Turn(text="One."), Turn(text="Two."), Turn(text="Three.")])
    messages = [user("Hello")]
    first = await ask(model, *messages)
    second = await go_on(model, messages, first, "And?")
    messages[2] = user("Or?")
    with pytest.raises(ScriptMismatch, match=r"messages\[2\] has changed since it was sent"):
        await go_on(model, messages, second, "And then?")


async def test_a_list_of_messages_that_grows_after_the_request_is_no_mismatch():
    model = ScriptedModel([Turn(text="One."), Turn(text="Two.")])
    growing = [user("Hello")]
    held = ModelRequest(system="…", messages=growing)
    reply = await model.reply(held, lambda _: None)
    growing += [assistant(*reply.content), user("And?")]
    assert (await model.reply(held, lambda _: None)).text == "Two."
    assert [len(seen.messages) for seen in model.requests] == [1, 3]


async def test_a_reply_that_breaks_the_rules_may_be_mended_before_it_is_sent_back():
    repeated = [Call(name="desk__look", id="toolu_same"), Call(name="desk__look", id="toolu_same")]
    model = ScriptedModel([Turn(calls=repeated), Turn(text="Done.")])
    reply = await ask(model, user("Hello"))
    assert len(reply.tool_calls) == 2
    messages = [user("Hello"), assistant(use("toolu_same")), user(result("toolu_same"))]
    assert (await ask(model, *messages)).text == "Done."


async def test_a_paused_reply_is_gone_on_from_without_a_user_message():
    paused = Turn(text="Let me", stop_reason="pause_turn")
    model = ScriptedModel(
        [paused, Turn(text="think.", stop_reason="pause_turn"), Turn(text="Done."), Turn(text="Bye.")]
    )
    first = await ask(model, user("Hello"))
    second = await ask(model, user("Hello"), assistant(*first.content))
    third = await ask(model, user("Hello"), assistant(*first.content, *second.content))
    whole = assistant(*first.content, *second.content, *third.content)
    assert (await ask(model, user("Hello"), whole, user("And?"))).text == "Bye."
    await model.aclose()


async def test_a_gate_holds_a_turn_while_other_conversations_go_on():
    opened, waiting = anyio.Event(), anyio.Event()

    async def gate() -> None:
        waiting.set()
        await opened.wait()

    model = ScriptedModel(
        conversations=[
            Conversation(match="42", turns=[Turn(text="Late.", gate=gate)]),
            Conversation(match="43", turns=[Turn(text="Early.", gate=waiting.wait)]),
        ]
    )
    order: list[str] = []

    async def hear(words: str) -> None:
        order.append((await ask(model, user(words))).text)

    with anyio.fail_after(600):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear, "ticket 42")
            await hear("ticket 43")
            opened.set()
    assert order == ["Early.", "Late."]


async def test_a_model_that_is_down_says_so_and_plays_the_next_turn_for_the_same_request():
    model = ScriptedModel([Turn(unavailable="The model is overloaded."), Turn(text="Back.")])
    with pytest.raises(ModelUnavailable, match="overloaded"):
        await ask(model, user("Hello"))
    assert (await ask(model, user("Hello"))).text == "Back."
    await model.aclose()


async def test_a_file_holds_one_conversation(tmp_path: Path):
    script = {
        "turns": [
            {
                "text": "I look.",
                "calls": [{"name": "desk__look", "arguments": {"at": 1}, "id": "toolu_mine"}],
                "usage": {"input_tokens": 9, "output_tokens": 3},
                "offered": ["desk__look"],
            },
            {"text": "Stop.", "stop_reason": "max_tokens", "expect": ["seen"]},
        ]
    }
    model = ScriptedModel.from_file(write(tmp_path, script))
    messages = [user("Hello")]
    first = await ask(model, *messages)
    assert first.content == [text("I look."), use("toolu_mine", arguments={"at": 1})]
    assert first.usage == Usage(input_tokens=9, output_tokens=3)
    assert (await go_on(model, messages, first, result("toolu_mine"))).stop_reason == "max_tokens"
    await model.aclose()


async def test_a_file_holds_several_conversations(tmp_path: Path):
    script = {"conversations": [{"match": "42", "turns": [{"text": "A."}]}, {"match": "43", "turns": [{"text": "B."}]}]}
    model = ScriptedModel.from_file(write(tmp_path, script))
    assert (await ask(model, user("ticket 43"))).text == "B."
    assert (await ask(model, user("ticket 42"))).text == "A."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not valid at the whole file"),
        ('{"turns": [{"txt": "x"}]}', "is not valid at turns/0/txt: Extra inputs"),
        ('{"conversations": [{"turns": []}]}', "is not valid at conversations/0/match: Field required"),
    ],
)
def test_a_file_that_is_no_script_is_told_in_a_sentence(content: str | None, sentence: str, tmp_path: Path):
    path = tmp_path / "script.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=sentence):
        ScriptedModel.from_file(path)


def write(folder: Path, script: JsonObject) -> Path:
    path = folder / "script.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    return path


def test_a_conversation_by_the_rules_breaks_none():
    good = request(
        user("Hello", "again"),
        assistant(text("I look."), use("toolu_a"), use("toolu_b")),
        user(result("toolu_b"), {"type": "tool_result", "tool_use_id": "toolu_a"}, "Go on."),
        assistant({"type": "thinking", "thinking": "…", "signature": "s"}, text("Done.")),
        user("Are you?"),
        tools=[TOOL, OTHER],
        tool_choice={"type": "tool", "name": "desk__close"},
        stop_sequences=["END"],
    )
    assert violations(good) == []


HELLO = user("Hello")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (request(), "There must be at least one message."),
        (request(assistant(text("Hi"))), "messages[0] must have the role user"),
        (request(HELLO, HELLO), "messages[1] must have the role assistant"),
        (request(HELLO, assistant(text("Hi"))), "The last message must be the user's."),
        (request(user()), "messages[0] must have content"),
        (request({"role": "user", "content": ""}), "messages[0] must have content"),
        (request({"role": "user", "content": " "}), "is a text block without text"),
        (request(user(" \n")), "messages[0].content[0] is a text block without text"),
        (request(user(use("toolu_a"))), "is a 'tool_use' block, which a message of the role user cannot hold"),
        (request(HELLO, assistant(result("a")), HELLO), "a 'tool_result' block, which a message of the role assistant"),
        (request(HELLO, assistant(use("a")), HELLO), "expected results for ['a'], got []"),
        (request(HELLO, assistant(use("a")), user(result("b"))), "expected results for ['a'], got ['b']"),
        (request(HELLO, assistant(use("a")), user(result("a"), result("a"))), "got ['a', 'a']"),
        (request(user(result("a"))), "expected results for [], got ['a']"),
        (request(HELLO, assistant(use("a")), user("So:", result("a"))), "must begin with its tool_result blocks"),
        (request(HELLO, assistant(use("a"), use("a")), user(result("a"))), "The tool_use id 'a' is not unique."),
        (
            request(HELLO, assistant(use("a")), user(result("a")), assistant(use("a")), user(result("a"))),
            "The tool_use id 'a' is not unique.",
        ),
        (request(HELLO, assistant(use("a b")), user(result("a b"))), "has the id 'a b', which does not match"),
        (request(HELLO, assistant(use("a", "x.y")), user(result("a"))), "calls 'x.y', which does not match"),
        (request(HELLO, assistant(use("a", arguments=[1])), user(result("a"))), "must have an object as its input"),
        (request(HELLO, assistant(use("a")), user(result("a", " "))), "content[0].content[0] is a text block without"),
        (
            request(HELLO, assistant(use("a")), user({**result("a"), "content": [], "is_error": True})),
            "is an error without content",
        ),
        (
            request(HELLO, assistant(use("a")), user({**result("a"), "content": [use("b")]})),
            "which a tool_result cannot hold",
        ),
        (request(HELLO, assistant(use("a")), user(result("a")), tools=()), "the request must define tools"),
        (request(HELLO, tools=[TOOL, TOOL]), "The tool name 'desk__look' is not unique."),
        (request(HELLO, tools=[{**TOOL, "name": "desk.look"}]), "The tool name 'desk.look' does not match"),
        (request(HELLO, tools=[{**TOOL, "name": "x" * 129}]), "does not match"),
        (request(HELLO, tools=[{**TOOL, "input_schema": {"type": "array"}}]), "must be a JSON schema of type object"),
        (request(HELLO, tool_choice={"type": "required"}), "must be of type auto, any, tool or none"),
        (request(HELLO, tool_choice={"type": "tool", "name": "x"}), "which is not among the tools ['desk__look']"),
        (request(HELLO, tools=(), tool_choice={"type": "auto"}), "tool_choice needs tools"),
        (request(HELLO, max_tokens=0), "max_tokens must be at least 1"),
        (request(HELLO, stop_sequences=["\n"]), "must hold more than white space"),
        (request(user("half a \ud83d smile")), "messages[0] holds a lone surrogate ('\\ud83d')"),
        (request(user({**text("x"), "more": {1, 2}})), "messages[0] cannot be written as JSON"),
        (request(user({**text("x"), "more": float("nan")})), "messages[0] cannot be written as JSON"),
    ],
)
def test_a_broken_rule_is_told_in_a_sentence(broken: ModelRequest, sentence: str):
    assert any(sentence in found for found in violations(broken)), violations(broken)


async def test_a_broken_rule_is_a_mismatch():
    with pytest.raises(
        ScriptMismatch, match=r"Conversation 1, turn 1: messages\[0\].content\[0\] is a text block without"
    ):
        await ask(ScriptedModel([Turn(text="x")]), user(""))


def test_a_reply_is_judged_as_the_message_that_it_will_be():
    assert reply_violations([text("Hi"), use("a")]) == []
    assert reply_violations([use("a"), use("a")]) == ["The tool_use id 'a' is not unique."]
    assert reply_violations([]) != []
