"""Which model a command uses, and what it says when there is none."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agent.errors import ConfigurationError
from agent.models import DEFAULT_CLAUDE, OFFLINE, load_model, model_name
from agent.settings import Settings, TicketSettings

KEY = SecretStr("sk-test")
COMPATIBLE = "http://127.0.0.1:11434"


def settings(**more: Any) -> Settings:
    tickets = TicketSettings(server="desk", record="x://{ticket_id}", context="x://{ticket_id}", fields={}, outcome={})
    return Settings(home=Path(), transports={}, tickets=tickets, **more)


@pytest.mark.parametrize("is_dry_run", [True, False])
@pytest.mark.parametrize(
    ("configured", "name"),
    [
        ({"model": "my-model", "base_url": COMPATIBLE}, "my-model"),
        ({"model": "claude-haiku-5-5", "api_key": KEY}, "claude-haiku-5-5"),
        ({"model": OFFLINE, "api_key": KEY}, OFFLINE),
        ({"model": "scripted:replies.json", "api_key": KEY}, "scripted:replies.json"),
        ({"model": "claude", "api_key": KEY}, DEFAULT_CLAUDE),
        ({"api_key": KEY}, DEFAULT_CLAUDE),
        ({"base_url": COMPATIBLE}, DEFAULT_CLAUDE),
    ],
)
def test_the_configured_model_wins_and_a_key_means_claude(configured: dict[str, Any], name: str, is_dry_run: bool):
    assert model_name(settings(**configured), is_dry_run=is_dry_run) == name


@pytest.mark.parametrize("model", ["claude", "claude-haiku-5-5", "offlin"])
def test_a_model_that_needs_a_key_is_refused_by_name_before_anything_starts(model: str):
    with pytest.raises(ConfigurationError, match="needs a key: set ANTHROPIC_API_KEY"):
        model_name(settings(model=model), is_dry_run=False)


def test_a_dry_run_without_a_key_is_offline():
    assert model_name(settings(), is_dry_run=True) == OFFLINE


def test_a_live_run_without_a_key_names_both_ways_on():
    with pytest.raises(ConfigurationError) as error:
        model_name(settings(), is_dry_run=False)
    assert "ANTHROPIC_API_KEY" in str(error.value)
    assert "--model offline" in str(error.value)


def test_a_claude_model_without_a_key_is_a_sentence_that_names_the_key():
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        load_model("claude-haiku-5-5", settings())


def test_the_offline_model_needs_no_key():
    assert load_model(OFFLINE, settings()).name == OFFLINE


@pytest.mark.parametrize("more", [{"api_key": KEY}, {"base_url": COMPATIBLE}])
async def test_a_claude_model_is_known_by_its_id(more: dict[str, Any]):
    model = load_model("claude-haiku-5-5", settings(**more))
    assert model.name == "claude-haiku-5-5"
    await model.aclose()


@pytest.mark.parametrize("name", ["missing.json", ""])
def test_a_script_that_cannot_be_read_is_a_sentence(name: str, tmp_path: Path):
    script = tmp_path / name
    with pytest.raises(ConfigurationError) as error:
        load_model(f"scripted:{script}", settings())
    assert str(script) in str(error.value)
