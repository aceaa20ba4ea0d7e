"""What the service refuses for good: one sentence each, one try, and never the key."""

import pytest

from agent.errors import ModelRejected
from tests.fakes.answers import Answer, FaultKind, broken, error, says
from tests.fakes.asking import asking, question
from tests.fakes.messages_api import KEY, MessagesApi


async def refusal(answer: Answer) -> tuple[str, str]:
    """Return the sentence of a refusal, and the address that refused."""
    with MessagesApi([answer]) as api:
        async with asking(api) as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert len(api.requests) == 1
    return str(told.value), api.url


async def test_an_invalid_request_says_what_the_service_says():
    with MessagesApi() as api:
        async with asking(api) as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(text=" "), lambda _: None)
    assert str(told.value) == (
        f"{api.url} refuses the request "
        "(400: messages.0.content.0: text content blocks must contain non-whitespace text)."
    )


async def test_a_wrong_key_names_the_variable_and_not_the_key():
    with MessagesApi() as api:
        async with asking(api, api_key="sk-ant-wrong-key") as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert str(told.value) == f"The key was refused by {api.url} (401: invalid x-api-key): check ANTHROPIC_API_KEY."


async def test_a_key_without_the_right_names_the_model():
    sentence, url = await refusal(error(403, "Your organization has no access."))
    assert sentence == f"The key may not use claude-sonnet-5-5 at {url} (403: Your organization has no access)."


async def test_an_unknown_model_names_three_that_exist():
    with MessagesApi() as api:
        async with asking(api, model="claude-sonet-5-5") as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert str(told.value) == (
        f"There is no model 'claude-sonet-5-5' at {api.url}; there are, for example, "
        "claude-sonnet-5-5, claude-haiku-5-5, claude-opus-5-5."
    )


async def test_an_unknown_model_of_another_maker_is_not_compared_with_claude():
    with MessagesApi() as api:
        async with asking(api, model="qwen3:8b") as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert str(told.value) == f"There is no model 'qwen3:8b' at {api.url} (404: model: qwen3:8b)."


async def test_an_address_without_a_messages_api_names_the_variable():
    with MessagesApi() as api:
        async with asking(api, base_url=f"{api.url}/api") as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert str(told.value) == f"There is no Messages API at {api.url}/api (404: Not Found): check ANTHROPIC_BASE_URL."


async def test_a_conversation_that_is_too_large_says_so():
    sentence, url = await refusal(error(413, "Request exceeds the maximum size"))
    assert sentence == f"The conversation is too large for {url} (413: Request exceeds the maximum size)."


@pytest.mark.parametrize("status", [402, 405, 422])
async def test_any_other_refusal_is_final_too(status: int):
    sentence, url = await refusal(error(status, "Not like this."))
    assert sentence == f"{url} refuses the request ({status}: Not like this)."


@pytest.mark.parametrize("kind", ["invalid_request_error", "authentication_error", "billing_error"])
async def test_a_refusal_in_mid_stream_is_final(kind: str):
    fault = broken(says("Half of it"), FaultKind.ERROR_EVENT, after="text_delta", error_type=kind)
    sentence, url = await refusal(fault)
    assert sentence == f"{url} refuses the request: It went wrong."


async def test_an_error_page_is_not_quoted_at_length():
    sentence, _ = await refusal(error(400, "word " * 1000))
    assert len(sentence) < 600
    assert "\n" not in sentence


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_a_service_that_repeats_the_key_does_not_bring_it_to_the_screen(status: int):
    sentence, _ = await refusal(error(status, f"The key {KEY} is unwelcome."))
    assert KEY not in sentence
    assert "[key]" in sentence


async def test_a_password_in_the_address_is_not_shown():
    with MessagesApi() as api:
        async with asking(api, base_url=api.url.replace("//", "//someone:secret@")) as model:
            with pytest.raises(ModelRejected) as told:
                await model.reply(question(), lambda _: None)
    assert str(told.value).startswith(f"The key was refused by {api.url} (401")
