"""No secret that the configuration holds enters a body, whatever it looks like there."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.journal import Journal
from agent.journal.hiding import HIDDEN, Secrets, secrets_of
from agent.records import EntryKind
from agent.settings import HttpTransport, StdioTransport
from tests.journals import OpenJournal, begun, settings_of

TEXTS = st.text(st.characters(codec="utf-8"), min_size=8, max_size=20)
DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def strings(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for pair in document.items() for part in pair for text in strings(part)]
    if isinstance(document, list):
        return [text for item in document for text in strings(item)]
    return [document] if isinstance(document, str) else []


def hidden(body: Any, *values: str) -> Any:
    return Secrets(iter(values)).hidden(body)


@given(secret=TEXTS, around=st.text(st.characters(codec="utf-8"), max_size=5), document=DOCUMENTS)
def test_a_secret_is_found_in_any_text_and_everything_else_stays(secret: str, around: str, document: Any):
    body = {"a": [f"{around}{secret}{around}", {f"{secret}!": 1}], "b": document}
    found = hidden(body, secret)
    assert not any(secret in text for text in strings(found) if HIDDEN not in text)
    assert found["a"] == [
        f"{around}{secret}{around}".replace(secret, HIDDEN),
        {f"{secret}!".replace(secret, HIDDEN): 1},
    ]
    assert json.loads(json.dumps(found)) == found
    if not any(secret in text for text in strings(document)):
        assert found["b"] == document


def test_what_only_json_writes_like_a_secret_is_no_secret():
    # As JSON this is "\\n1234567…": the secret stands in it, and in no text.
    body = {"text": "\n12345678"}
    assert hidden(body, "n12345678") == body


def test_the_longer_of_two_secrets_is_hidden_whole():
    assert hidden({"text": "Bearer abcdefgh!"}, "abcdefgh", "Bearer abcdefgh") == {"text": "[secret]!"}


def test_short_values_hide_nothing():
    assert hidden({"text": "1234567"}, "1234567", "") == {"text": "1234567"}


SETTINGS: dict[str, Any] = {
    "api_key": SecretStr("sk-ant-0123456789"),
    "journal_key": SecretStr("5a" * 32),
}


@pytest.mark.parametrize(
    ("value", "is_hidden"),
    [
        ("sk-ant-0123456789", True),
        ("5a" * 32, True),
        ("warehouse-0123", True),  # env, by its name
        ("hush/hush", True),  # env, the password of a URL, decoded
        ("hush%2Fhush", True),
        ("visible-value", False),
        ("header-0123456", True),
        ("token-0123456", True),  # without its `Bearer`
        ("application/json", False),
    ],
)
def test_the_configuration_says_what_is_secret(tmp_path: Path, value: str, is_hidden: bool):
    settings = settings_of(tmp_path, **SETTINGS).model_copy(
        update={
            "transports": {
                "shop": StdioTransport(
                    command="shop",
                    env={
                        "WAREHOUSE_TOKEN": "warehouse-0123",
                        "DATABASE_URL": "postgresql://u:hush%2Fhush@h/d",
                        "REGION": "visible-value",
                    },
                ),
                "web": HttpTransport(
                    type="http",
                    url="https://h/mcp",
                    headers={
                        "X-Key": "header-0123456",
                        "Authorization": "Bearer token-0123456",
                        "Accept": "application/json",
                    },
                ),
            }
        }
    )
    found = secrets_of(settings).hidden({"text": f"({value})"})
    assert found == {"text": "([secret])" if is_hidden else f"({value})"}


async def test_no_secret_reaches_the_file(tmp_path: Path, open_one: OpenJournal):
    home = tmp_path / "home"
    journal: Journal = open_one(settings_of(home, api_key=SecretStr("sk-ant-0123456789")))
    record = await begun(journal)
    entry = await record.append(EntryKind.NUDGE, {"text": "The key is sk-ant-0123456789, keep it."})
    assert entry.body == {"text": "The key is [secret], keep it."}
    assert (await journal.entries(record.run_id))[-1] == entry
    for file in home.iterdir():
        assert b"sk-ant" not in file.read_bytes()
