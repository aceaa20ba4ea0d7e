"""No secret and none of the host's instructions leave, in any form that is easily made."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.egress import secrets_in
from agent.settings import HttpTransport, StdioTransport
from tests.fakes.egress import WORDS, around, disguised, egress, found, hidden, rules
from tests.fakes.runs import default_settings

SECRET = "Tr0ub4dor&3/horse"
PROMPT = (Path(__file__).parents[2] / "prompts" / "system.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"The password is {SECRET}.",
        SECRET.upper(),
        " ".join(SECRET),
        f"{SECRET[:7]}\n{SECRET[7:]}",
        "\u200b".join(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(f"the password is {SECRET}, good luck".encode()).decode(),
        base64.b64encode(f"it is {SECRET}!".encode()).decode().replace("=", ""),
        SECRET.encode().hex(),
        f"https://thistle.example.com/?q={quote(SECRET, safe='')}",
    ],
)
def test_a_secret_of_the_configuration_is_found_in_every_form(text: str):
    made = egress(secrets=(SECRET,))
    assert "secret" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-abcdefghijklmnop",
        "sk-proj-1234567890abcdefghij",
        "sk_live_1234567890abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0123456789abcdef",
        "xoxb-123456789012-abcdefghij",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZw",
        "Authorization: Bearer abcdef0123456789abcdef",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAAAA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- cut off",
        "sk-\u200bant-\u200bapi03-\u200babcdefgh",
    ],
)
def test_what_looks_like_a_key_is_found(text: str):
    made = egress()
    assert "secret" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Bearer of good news, the bearer token is sent in a header.",
        "A risk-averse task-oriented desk-based approach",
        "Your API key begins with sk- and is shown once.",
        "BEGIN PRIVATE KEY is its first line.",
        "We use JWT.",
        "Help desk, helpdesk.",
    ],
)
def test_words_about_keys_are_no_keys(text: str):
    assert found(egress(secrets=("helpdesk-eu",)), text) == []


def test_a_secret_is_never_repeated():
    made = egress(secrets=(SECRET,))
    violation = made.violations(f"It is {SECRET}.")[0]
    assert violation.found == ""
    assert SECRET not in violation.because
    assert made.withheld(f"It is {SECRET}.") == "It is [withheld: a secret]."


def test_a_short_value_is_no_secret():
    assert rules(egress(secrets=("ok", "")), "All is ok.") == []


SECRETS = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=8, max_size=40)


@given(data=st.data(), secret=SECRETS)
def test_any_secret_is_found_and_a_text_without_it_is_left(data: st.DataObject, secret: str):
    made = egress(secrets=(secret,))
    for form in (secret, base64.b64encode(secret.encode()).decode(), quote(secret, safe=""), secret.encode().hex()):
        text = f"{data.draw(WORDS)} {form} {data.draw(WORDS)}"
        assert "secret" in rules(made, text)
        assert made.violations(made.withheld(text)) == ()


@given(text=hidden("Tr0ub4dor-3-horse"))
def test_a_disguised_secret_is_found_in_any_surroundings(text: str):
    made = egress(secrets=("Tr0ub4dor-3-horse",))
    assert "secret" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


def test_the_secrets_of_the_settings_are_those_that_the_journal_hides(home: Path):
    settings = default_settings(home).model_copy(
        update={
            "api_key": SecretStr("sk-ant-the-key"),
            "journal": SecretStr("postgresql://me:pass%40word1@db/x"),
            "transports": {
                "far": HttpTransport(type="http", url="https://h/mcp", headers={"Authorization": "Bearer abcdef123"}),
                "near": StdioTransport(
                    command="x", env={"API_TOKEN": "tok-12345", "MODE": "production", "KEY": "short"}
                ),
            },
        }
    )
    assert set(secrets_in(settings)) == {
        "sk-ant-the-key",
        "pass%40word1",
        "pass@word1",
        "Bearer abcdef123",
        "abcdef123",
        "tok-12345",
    }


PROMPT_WORDS = PROMPT.split()


@given(start=st.integers(0, len(PROMPT_WORDS) - 20), data=st.data())
def test_any_passage_of_the_prompt_is_found_whatever_its_case_and_punctuation(start: int, data: st.DataObject):
    words = [word.strip("*`.,;:#-()") for word in PROMPT_WORDS[start : start + 16]]
    between = data.draw(st.sampled_from([" ", "\n", ", ", " \u200b", "_", " — "]))
    text = data.draw(around(st.just(between.join(words)).map(data.draw(st.sampled_from([str.upper, str.lower, str])))))
    made = egress(prompts=(PROMPT,))
    assert "prompt" in rules(made, text)
    assert made.violations(made.withheld(text)) == ()


@given(data=st.data())
def test_a_disguised_passage_of_the_prompt_is_found(data: st.DataObject):
    text = data.draw(
        disguised("Never promise what a tool has not done. Never invent policies, prices, dates, links or causes.")
    )
    assert "prompt" in rules(egress(prompts=(PROMPT,)), text)


def test_a_prompt_in_a_script_without_spaces_is_found():
    prompt = "顧客に送るすべての文章は「お世話になっております」で始まり、署名で終わり、三文以内でなければなりません。"
    made = egress(prompts=(prompt,))
    assert rules(made, f"指示は{prompt[3:42]}です") == ["prompt"]
    assert rules(made, "お世話になっております。ノートを共有できるようになりました。ご確認ください。") == []


def test_what_every_text_must_say_and_a_few_words_of_the_prompt_may_leave():
    prompts = (PROMPT, 'Every text starts with "Hi," and ends with "— Support Team"; it is under three sentences long.')
    text = "Hi, read the ticket and look it up: your customer record is in the first message. — Support Team"
    assert found(egress(prompts=prompts), text) == []


def test_what_the_requester_has_said_is_theirs_when_the_prompt_repeats_it():
    said = "the app on my MacBook only says that the e-mail or the password is wrong since last night"
    prompts = (f"Resolve this ticket. The customer writes: {said}",)
    assert rules(egress(prompts=prompts), said) == ["prompt"]
    assert rules(egress(said, prompts=prompts), said) == []
