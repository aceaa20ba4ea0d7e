"""The fake Messages API refuses what the real one refuses: a lenient fake hides the mistakes it is there to find."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent.records import JsonObject
from tests.conftest import CleanEnv
from tests.fakes.answers import Answer, FaultKind, broken, by_turn, calls, error, says
from tests.fakes.messages_api import KEY, MessagesApi

ROOT = Path(__file__).parents[2]
TOOL = {"name": "close", "description": "Close it.", "input_schema": {"type": "object"}}
ASK = {"role": "user", "content": "Why?"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "close", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "closed"}
TEXT = {"type": "text", "text": "And?"}


@pytest.fixture(scope="module")
def service() -> Iterator[MessagesApi]:
    with MessagesApi(lambda _: says("Yes.")) as api:
        yield api


def post(api: MessagesApi, body: Any, *, key: str = KEY, path: str = "/v1/messages") -> tuple[int, JsonObject]:
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2026-10-21"}
    answer = httpx2.post(api.url + path, content=json.dumps(body), headers=headers, timeout=30)
    return answer.status_code, answer.json()


def request(*messages: JsonObject, **fields: Any) -> JsonObject:
    body = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": list(messages) or [ASK], "tools": [TOOL]}
    return {**body, **fields}


def assistant(*blocks: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: JsonObject) -> JsonObject:
    return {"role": "user", "content": list(blocks)}


@pytest.mark.parametrize(
    "body",
    [
        request(),
        request(tools=[]),
        request(system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]),
        request(cache_control={"type": "ephemeral"}, thinking={"type": "adaptive", "display": "summarized"}),
        request(tool_choice={"type": "auto"}, output_config={"effort": "low"}, stop_sequences=["END"]),
        request(ASK, assistant(CALL), user(RESULT)),
        request(ASK, assistant(TEXT, CALL), user({**RESULT, "is_error": True}, TEXT)),
        request(ASK, assistant(CALL, {**CALL, "id": "toolu_2"}), user({**RESULT, "tool_use_id": "toolu_2"}, RESULT)),
        request(ASK, assistant(TEXT), user(TEXT)),
        request(model="claude-sonnet-4-6", temperature=0.5, tool_choice={"type": "any"}),
    ],
    ids=str,
)
def test_a_valid_request_is_answered(service: MessagesApi, body: JsonObject):
    status, answer = post(service, body)
    assert (status, answer["content"]) == (200, [{"type": "text", "text": "Yes."}]), answer


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"model": "claude-sonnet-5-5", "messages": [ASK]}, "max_tokens: Field required"),
        ({"max_tokens": 9, "messages": [ASK]}, "model: Field required"),
        ({"model": "claude-sonnet-5-5", "max_tokens": 9}, "messages: Field required"),
        (request(max_tokens=0), "max_tokens: Input should be greater"),
        (request(max_token=9), "max_token: Extra inputs are not permitted"),
        ([], "not valid JSON"),
        (request(messages=[]), "at least one message is required"),
        (request(messages={}), "messages: Input should be a valid list"),
        (request(messages=["hi"]), "wrong shape"),
        (request({"role": "system", "content": "x"}), "messages.0.role"),
        (request({"role": "user", "content": "x", "name": "bob"}), "messages.0: Extra inputs"),
        (request(assistant(TEXT), ASK), "first message must use"),
        (request({"role": "user", "content": ""}), "must have non-empty content"),
        (request(user()), "must have non-empty content"),
        (request(user({"type": "text", "text": ""})), "text content blocks must be non-empty"),
        (request(user({"type": "text", "text": " \n"})), "must contain non-whitespace text"),
        (request(user({"type": "text", "text": "x", "parsed": 1})), "text.parsed: Extra inputs"),
        (request(user({"type": "video"})), "'video' is not allowed in user messages"),
        (request(user(CALL)), "'tool_use' is not allowed in user messages"),
        (request(ASK, assistant(RESULT), ASK), "'tool_result' is not allowed in assistant messages"),
        (request(user({"type": "image"})), "image.source: Field required"),
        (request(system=[{"type": "text", "text": ""}]), "system.0: text content blocks must be non-empty"),
        (request(ASK, assistant(CALL)), "`tool_use` ids were found without `tool_result` blocks immediately after"),
        (request(ASK, assistant(CALL), user(TEXT)), "without `tool_result` blocks immediately after: toolu_1"),
        (request(ASK, assistant(CALL), user(TEXT, RESULT)), "without `tool_result` blocks immediately after: toolu_1"),
        (request(ASK, assistant(CALL), user(TEXT), user(RESULT)), "immediately after: toolu_1"),
        (request(ASK, assistant(CALL, {**CALL, "id": "toolu_2"}), user(RESULT)), "immediately after: toolu_2"),
        (request(user(RESULT)), "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
        (request(ASK, assistant(CALL), user(RESULT, {**RESULT, "tool_use_id": "t2"})), "unexpected `tool_use_id`"),
        (request(ASK, assistant(CALL), user(RESULT, RESULT)), "multiple `tool_result` blocks with id: toolu_1"),
        (request(ASK, assistant(CALL), user(RESULT), assistant(CALL), user(RESULT)), "ids must be unique"),
        (request(ASK, assistant({**CALL, "input": "{}"}), user(RESULT)), "tool_use.input"),
        (request(ASK, assistant({**CALL, "id": "a b"}), user(RESULT)), "tool_use.id: String should match"),
        (
            request(ASK, assistant(CALL), user({**RESULT, "content": [{"type": "text", "text": ""}]})),
            "text content blocks must be non-empty",
        ),
        (
            request(ASK, assistant(CALL), user({**RESULT, "content": [{"type": "audio"}]})),
            "'audio' is not allowed here",
        ),
        (request(ASK, assistant(CALL), user({**RESULT, "content": [], "is_error": True})), "content cannot be empty"),
        (request(ASK, assistant(CALL), user(RESULT), tools=[]), "must define tools"),
        (request(max_tokens=float("nan")), "not valid JSON"),
        (request(tools=[TOOL, TOOL]), "Tool names must be unique"),
        (request(tools=[{**TOOL, "name": "tickets.close"}]), "name: String should match pattern"),
        (request(tools=[{**TOOL, "name": "x" * 129}]), "name: String should match pattern"),
        (request(tools=[{**TOOL, "annotations": {}}]), "annotations: Extra inputs"),
        (request(tools=[{"name": "close"}]), "input_schema: Field required"),
        (request(tools=[{**TOOL, "input_schema": {"type": "string"}}]), "input_schema.type: Input should be 'object'"),
        (request(tools=[{**TOOL, "input_schema": {"type": "object", "anyOf": []}}]), "anyOf at the top level"),
        (
            request(tools=[{**TOOL, "input_schema": {"type": "object", "properties": {"a b": {}}}}]),
            "Property keys should match",
        ),
        (request(tools=[], tool_choice={"type": "auto"}), "only be specified while providing tools"),
        (request(tool_choice={"type": "required"}), "tool_choice.type"),
        (request(model="claude-sonnet-4-6", tool_choice={"type": "tool", "name": "no"}), "'no' not found"),
        (request(tool_choice={"type": "any"}), "forced tool use is not supported"),
        (request(tool_choice={"type": "tool", "name": "close"}), "forced tool use is not supported"),
        (request(temperature=0), "`temperature` is not supported"),
        (request(top_p=1), "`top_p` is not supported"),
        (request(top_k=1), "`top_k` is not supported"),
        (request(thinking={"type": "enabled", "budget_tokens": 2000}), "thinking.type.enabled"),
        (request(ASK, assistant(TEXT)), "does not support assistant message prefill"),
        (
            request(ASK, assistant({"type": "thinking", "thinking": "Hm.", "signature": "x"}, TEXT), ASK),
            "Invalid `signature` in `thinking` block",
        ),
        (
            request(tools=[{**TOOL, "name": f"t{n}", "cache_control": {"type": "ephemeral"}} for n in range(5)]),
            "A maximum of 4 blocks with cache_control",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_request_is_refused_in_the_real_shape(service: MessagesApi, body: Any, complaint: str):
    status, answer = post(service, body)
    assert status == 400
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert complaint in answer["error"]["message"]


def test_a_wrong_key_is_a_401_and_an_unknown_model_or_path_a_404(service: MessagesApi):
    status, answer = post(service, request(), key="sk-ant-wrong")
    assert (status, answer["error"]["type"]) == (401, "authentication_error")
    status, answer = post(service, request(model="claude-9"))
    assert (status, answer["error"]["message"]) == (404, "model: claude-9")
    status, answer = post(service, request(), path="/v1/v1/messages")
    assert (status, answer["error"]["message"]) == (404, "Not Found")


def test_a_request_without_a_version_header_is_refused(service: MessagesApi):
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx2.post(f"{service.url}/v1/messages", json=request(), headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_thinking_must_come_back_with_everything_before_it_as_it_was():
    with MessagesApi([calls(("close", {}), thinking="Hm."), says("Yes."), says("Yes.")]) as api:
        _, answer = post(api, request())
        history = [ASK, assistant(*answer["content"]), user({**RESULT, "tool_use_id": answer["content"][1]["id"]})]
        assert post(api, request(*history))[0] == 200
        marked = [{**TOOL, "cache_control": {"type": "ephemeral"}}]
        assert post(api, request(*history, tools=marked))[0] == 200
        for changed in (
            request({"role": "user", "content": "What?"}, *history[1:]),
            request(*history, tools=[{**TOOL, "description": "Other."}]),
            request(*history, system="Other."),
            request(ASK, assistant({**answer["content"][0], "thinking": "H."}, answer["content"][1]), history[2]),
        ):
            status, refusal = post(api, changed)
            assert status == 400
            assert "Invalid `signature`" in refusal["error"]["message"]


def test_a_paused_turn_may_be_sent_back_as_it_is():
    paused = Answer(content=says("Searching …").content, stop_reason="pause_turn")
    with MessagesApi([paused, says("Found.")]) as api:
        _, answer = post(api, request())
        status, last = post(api, request(ASK, assistant(*answer["content"])))
    assert (status, last["content"][0]["text"]) == (200, "Found.")


def test_a_stream_has_the_events_of_the_real_one_in_order():
    with MessagesApi([calls(("close", {"a": 1}), text="Hm.", thinking="Hm.")]) as api:
        headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}
        answer = httpx2.post(f"{api.url}/v1/messages", json=request(stream=True), headers=headers, timeout=30)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data")]
    names = [event.get("delta", {}).get("type") or event["type"] for event in events]
    assert list(dict.fromkeys(names)) == [
        "message_start",
        "ping",
        "content_block_start",
        "thinking_delta",
        "signature_delta",
        "content_block_stop",
        "text_delta",
        "input_json_delta",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["stop_reason"] is None
    assert events[-2]["usage"]["output_tokens"] == 20
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_answers_that_nobody_asked_for_are_an_error():
    with pytest.raises(AssertionError, match="1 answers were never asked for"), MessagesApi([says("Yes.")]):
        pass


def test_a_question_too_many_is_told_at_once():
    with MessagesApi([says("Yes.")]) as api:
        post(api, request())
        status, answer = post(api, request())
    assert (status, answer["error"]["message"]) == (400, "The script of the fake Messages API has no answer left.")


def test_a_mistake_in_the_script_comes_out_of_the_context():
    def script(_: JsonObject) -> Answer:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), MessagesApi(script) as api, pytest.raises(httpx2.RemoteProtocolError):
        post(api, request())


def test_a_refused_request_takes_no_answer_from_the_script_and_is_still_on_record():
    with MessagesApi([says("Yes.")]) as api:
        assert post(api, request(temperature=1))[0] == 400
        assert post(api, request())[0] == 200
    assert [body.get("temperature") for body in api.bodies] == [1, None]


def test_a_fault_that_cannot_strike_is_an_error():
    never = broken(says("Yes."), FaultKind.CUT, after="input_json_delta")
    with (
        pytest.raises(AssertionError, match="no event for this fault"),
        MessagesApi([never]) as api,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        post(api, request(stream=True))


def test_an_error_answer_carries_its_headers():
    with MessagesApi([error(429, "Slow down.", retry_after="7")]) as api:
        headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}
        answer = httpx2.post(f"{api.url}/v1/messages", json=request(), headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"] == {"type": "rate_limit_error", "message": "Slow down."}


def test_a_script_by_turn_starts_anew_with_every_conversation():
    with MessagesApi(by_turn([calls(("close", {})), says("Done.")])) as api:
        for _ in range(2):
            _, first = post(api, request())
            answered = user({**RESULT, "tool_use_id": first["content"][0]["id"]})
            _, second = post(api, request(ASK, assistant(*first["content"]), answered))
            assert (first["stop_reason"], second["stop_reason"]) == ("tool_use", "end_turn")


def test_the_fake_runs_as_a_program_and_prints_its_address(tmp_path: Path, clean_env: CleanEnv):
    script = tmp_path / "script.json"
    fault = {"kind": "status", "status": 529, "type": "overloaded_error", "message": "Overloaded"}
    script.write_text(json.dumps([{"content": [TEXT]}, {"fault": fault}]))
    command = [sys.executable, "-m", "tests.fakes.messages_api", "--script", str(script)]
    environment = clean_env(PYTHONPATH=str(ROOT))
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            api = MessagesApi()
            api._port = int(program.stdout.readline().rpartition(":")[2])
            assert post(api, request())[1]["content"] == [TEXT]
            assert post(api, request(ASK, assistant(TEXT), ASK))[0] == 529
        finally:
            program.terminate()
