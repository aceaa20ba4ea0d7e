"""The model that goes on with runs: the one that is named, or the one that they were begun with."""

from pathlib import Path

import pytest

from agent.commands.resuming import model_to_resume
from agent.errors import ConfigurationError, UsageError
from agent.models import DEFAULT_CLAUDE, NOBODY, OFFLINE
from tests.journals import settings_of


def test_runs_go_on_with_their_own_model(tmp_path: Path):
    assert model_to_resume(settings_of(tmp_path), {"claude-opus-5"}) == "claude-opus-5"
    assert model_to_resume(settings_of(tmp_path), {OFFLINE}) == OFFLINE


def test_a_named_model_goes_on_with_all_of_them(tmp_path: Path):
    named = settings_of(tmp_path, model=OFFLINE)
    assert model_to_resume(named, {"claude-opus-5", "claude-sonnet-5-5"}) == OFFLINE
    short = settings_of(tmp_path, model="claude", base_url="http://127.0.0.1:9")
    assert model_to_resume(short, {OFFLINE}) == DEFAULT_CLAUDE


def test_a_named_model_needs_its_key(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="needs a key"):
        model_to_resume(settings_of(tmp_path, model="claude-opus-5"), {OFFLINE})


def test_of_several_models_none_is_chosen(tmp_path: Path):
    with pytest.raises(UsageError) as several:
        model_to_resume(settings_of(tmp_path), {OFFLINE, "claude-opus-5"})
    assert str(several.value) == (
        "The unfinished runs were begun with claude-opus-5 and offline: name one with --model for all of them, "
        "or resume them one by one."
    )


def test_where_nothing_is_unfinished_no_key_is_asked_for(tmp_path: Path):
    assert model_to_resume(settings_of(tmp_path), set()) == OFFLINE


def test_runs_that_apply_plans_go_on_with_the_model_of_the_others(tmp_path: Path):
    assert model_to_resume(settings_of(tmp_path), {NOBODY, "claude-opus-5"}) == "claude-opus-5"
    assert model_to_resume(settings_of(tmp_path), {NOBODY}) == NOBODY
