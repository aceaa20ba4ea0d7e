"""What breaks a reply off, how often it is asked for again, and when that ends."""

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest

from agent.errors import ModelUnavailable
from agent.models.patience import Broken, Patience
from agent.records import Usage
from tests.fakes.answers import USAGE, Answer, FaultKind, broken, calls, error, says
from tests.fakes.asking import Pauses, asking, question
from tests.fakes.hosting import let_pass
from tests.fakes.messages_api import MessagesApi

REFUND = calls(("billing__refund", {"invoice_id": "inv-2031", "reason": "double charge"}), text="I refund it.")
WHOLE = says("Nothing was refunded.")
REPLY_S = 50  # less than a stream may say nothing
TEMPORARY = ["overloaded_error", "api_error", "timeout_error", "rate_limit_error"]


@pytest.mark.parametrize(
    "fault",
    [
        broken(REFUND, FaultKind.CUT),
        broken(REFUND, FaultKind.CUT, after="message_start"),
        broken(REFUND, FaultKind.CUT, after="text_delta"),
        broken(REFUND, FaultKind.CUT, after="input_json_delta", nth=3),
        broken(REFUND, FaultKind.EOF, after="message_start"),
        broken(REFUND, FaultKind.EOF, after="text_delta"),
        broken(REFUND, FaultKind.EOF, after="input_json_delta", nth=3),
        broken(REFUND, FaultKind.EOF, after="content_block_stop", nth=2),
        broken(REFUND, FaultKind.GARBLED, after="message_start"),
        broken(REFUND, FaultKind.GARBLED, after="input_json_delta", nth=3),
        *(broken(REFUND, FaultKind.ERROR_EVENT, after="text_delta", error_type=kind) for kind in TEMPORARY),
        broken(REFUND, FaultKind.ERROR_EVENT, after="message_start", error_type="a_new_kind_of_error"),
        broken(REFUND, FaultKind.NOT_JSON),
        *(error(status) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
    ],
    ids=lambda answer: f"{answer.fault.kind}-{answer.fault.after}{answer.fault.nth}-{answer.fault.status}",
)
async def test_a_reply_that_breaks_off_is_asked_for_again_and_none_of_its_calls_comes_back(fault: Answer):
    pauses = Pauses()
    with MessagesApi([fault, WHOLE]) as api:
        async with asking(api, pauses=pauses) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.content == [{"type": "text", "text": "Nothing was refunded."}]
    assert reply.tool_calls == []
    assert api.bodies[0] == api.bodies[1]
    assert pauses.seconds == [0.5]


@pytest.mark.parametrize("text", ['{"invoice_id": "inv-20', '["inv-2031"]', '{"amount": NaN}'])
async def test_a_call_whose_arguments_are_no_whole_object_is_no_call(text: str):
    sloppy = Answer(content=[{"type": "tool_use", "name": "billing__refund", "input": text}])
    with MessagesApi([sloppy, WHOLE]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.text == "Nothing was refunded."


async def test_a_call_without_arguments_is_a_call():
    with MessagesApi([Answer(content=[{"type": "tool_use", "name": "ticketing__list", "input": ""}])]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert [call.arguments for call in reply.tool_calls] == [{}]


async def test_pauses_double_up_to_a_limit_and_the_last_failure_is_named():
    pauses = Pauses()
    with MessagesApi([error(529, "Overloaded")] * 8) as api:
        async with asking(api, patience=Patience(tries=8, sleep=pauses, chance=lambda: 1.0)) as model:
            with pytest.raises(ModelUnavailable) as told:
                await model.reply(question(), lambda _: None)
    assert pauses.seconds == [0.5, 1, 2, 4, 8, 16, 16]
    assert str(told.value) == "claude-sonnet-5-5 gives no reply: the service answers 529: Overloaded (8 tries)."


async def test_pauses_vary_between_half_and_whole():
    pauses = Pauses()
    with MessagesApi([error(500), WHOLE]) as api:
        async with asking(api, patience=Patience(sleep=pauses, chance=lambda: 0.0)) as model:
            await model.reply(question(), lambda _: None)
    assert pauses.seconds == [0.25]


@pytest.mark.parametrize(("headers", "pause"), [({"retry_after": "7"}, 7), ({"retry_after_ms": "250"}, 0.25)])
async def test_a_pause_is_as_long_as_the_service_asks_for(headers: dict[str, str], pause: float):
    pauses = Pauses()
    with MessagesApi([error(429, **headers), WHOLE]) as api:
        async with asking(api, pauses=pauses) as model:
            await model.reply(question(), lambda _: None)
    assert pauses.seconds == [pause]


async def test_a_service_may_also_ask_for_a_pause_with_a_date():
    pauses = Pauses()
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    with MessagesApi([error(429, retry_after=when), WHOLE]) as api:
        async with asking(api, pauses=pauses) as model:
            await model.reply(question(), lambda _: None)
    assert 30 < pauses.seconds[0] <= 90


@pytest.mark.parametrize("nonsense", ["soon", "-5", "nan", "inf"])
async def test_a_pause_that_makes_no_sense_is_replaced_by_our_own(nonsense: str):
    pauses = Pauses()
    with MessagesApi([error(429, retry_after=nonsense), WHOLE]) as api:
        async with asking(api, pauses=pauses) as model:
            await model.reply(question(), lambda _: None)
    assert pauses.seconds == [0.5]


async def test_a_pause_beyond_the_deadline_is_not_waited_for():
    pauses = Pauses()
    with MessagesApi([error(429, "Number of requests exceeded", retry_after="3600")]) as api:
        async with asking(api, pauses=pauses) as model:
            with pytest.raises(ModelUnavailable) as told:
                await model.reply(question(timeout_s=120), lambda _: None)
    assert pauses.seconds == []
    assert str(told.value) == (
        "claude-sonnet-5-5 gives no reply: the service answers 429: Number of requests exceeded (1 try); "
        "it asks to wait 3600 s, and 120 s are left for this reply."
    )


async def test_a_service_that_says_do_not_retry_is_not_asked_again():
    with MessagesApi([error(529, "Not today", x_should_retry="false")]) as api:
        async with asking(api) as model:
            with pytest.raises(ModelUnavailable, match=r"Not today \(1 try\)"):
                await model.reply(question(), lambda _: None)
    assert len(api.requests) == 1


async def test_a_service_that_nothing_listens_for_is_given_up_early_and_named():
    with socket.socket() as unused, MessagesApi() as api:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        pauses = Pauses()
        async with asking(api, pauses=pauses, base_url=address) as model:
            with pytest.raises(ModelUnavailable) as told:
                await model.reply(question(), lambda _: None)
    assert pauses.seconds == [0.5, 1]
    assert f"no connection to {address}" in str(told.value)
    assert "(3 tries)" in str(told.value)


async def outwait(api: MessagesApi, requests: int) -> None:
    """Let more time pass than a reply may take, when so many requests have arrived."""
    await api.seen(requests)
    await let_pass(REPLY_S)


@pytest.mark.parametrize("after", ["", "text_delta"])
async def test_a_service_that_falls_silent_ends_with_the_deadline(after: str):
    with MessagesApi([broken(REFUND, FaultKind.HANG, after=after)]) as api:
        async with asking(api) as model, anyio.create_task_group() as clock:
            clock.start_soon(outwait, api, 1)
            with pytest.raises(ModelUnavailable) as told:
                await model.reply(question(timeout_s=REPLY_S), lambda _: None)
            assert str(told.value) == "claude-sonnet-5-5 gave no whole reply within 50 s."


async def test_the_deadline_counts_for_all_tries_together_and_the_earlier_failure_is_told():
    with MessagesApi([error(529, "Overloaded"), broken(REFUND, FaultKind.HANG)]) as api:
        async with (
            asking(api, patience=Patience(first_pause_s=0.001, sleep=Pauses())) as model,
            anyio.create_task_group() as clock,
        ):
            clock.start_soon(outwait, api, 2)
            with pytest.raises(ModelUnavailable) as told:
                await model.reply(question(timeout_s=REPLY_S), lambda _: None)
            assert str(told.value) == (
                "claude-sonnet-5-5 gave no whole reply within 50 s; "
                "before that: the service answers 529: Overloaded (1 try)."
            )


async def test_a_slow_first_byte_is_waited_for():
    with MessagesApi([replace(WHOLE, delay_s=0.05)]) as api:
        async with asking(api) as model:
            assert (await model.reply(question(), lambda _: None)).text == "Nothing was refunded."


async def test_a_cancelled_reply_is_cancelled_and_not_retried():
    with MessagesApi([broken(REFUND, FaultKind.HANG)]) as api:
        async with asking(api) as model:
            asked = asyncio.create_task(model.reply(question(), lambda _: None))
            with anyio.fail_after(600):
                await api.seen(1)
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
    assert len(api.requests) == 1


async def test_text_that_broke_off_ends_with_a_line_break_before_it_starts_over():
    deltas: list[str] = []
    with MessagesApi([broken(says("Half of it"), FaultKind.EOF, after="text_delta", nth=2), says("All.")]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), deltas.append)
    assert "".join(deltas) == "Half o\nAll."
    assert reply.text == "All."


async def test_a_broken_try_counts_with_what_it_reported_and_a_refused_one_with_nothing():
    cut = broken(says("Half of it", input_tokens=1000), FaultKind.CUT, after="text_delta")
    whole = says("All.", input_tokens=1000, output_tokens=50)
    with MessagesApi([cut, error(529), whole]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.usage == Usage(input_tokens=2000, output_tokens=51)
    assert reply.cost_usd == pytest.approx(2000 * 2e-6 + 51 * 10e-6)


async def test_a_whole_reply_counts_once():
    with MessagesApi([WHOLE]) as api:
        async with asking(api) as model:
            reply = await model.reply(question(), lambda _: None)
    assert reply.usage == Usage(input_tokens=USAGE["input_tokens"], output_tokens=USAGE["output_tokens"])


@pytest.mark.parametrize("failure", [ValueError("mine"), TimeoutError("mine"), AttributeError("mine")])
async def test_a_failure_of_whoever_listens_is_not_taken_for_one_of_the_service(failure: Exception):
    def fail(_: str) -> None:
        raise failure

    with MessagesApi([WHOLE]) as api:
        async with asking(api) as model:
            with pytest.raises(type(failure), match="mine"):
                await model.reply(question(), fail)
    assert len(api.requests) == 1


async def test_a_failure_that_deserves_one_try_ends_at_the_first():
    async def attempt() -> str:
        raise Broken("it broke", tries=1)

    with pytest.raises(ModelUnavailable, match=r"^x gives no reply: it broke \(1 try\)\.$"):
        await Patience(sleep=Pauses()).ask(attempt, service="x", within_s=60)
