"""The Markdown templates: every one can be filled, and nothing that is filled in is read as a template."""

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts

TEMPLATES = sorted(entry.name.removesuffix(".md") for entry in files(prompts).iterdir() if entry.name.endswith(".md"))


def placeholders(name: str) -> set[str]:
    text = files(prompts).joinpath(f"{name}.md").read_text(encoding="utf-8")
    return set(re.findall(r"\$\{?(\w+)", text))


def test_the_templates_are_there():
    assert {"system", "resolution", "summary", "handoff"} <= set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_holds_every_value_and_no_placeholder_is_left(name: str):
    values = {placeholder: f"«{placeholder}»" for placeholder in placeholders(name)}
    text = prompts.render(name, **values)
    assert all(value in text for value in values.values())
    assert "$" not in text
    assert text == text.strip()


@pytest.mark.parametrize("name", [name for name in TEMPLATES if placeholders(name)])
def test_a_missing_value_is_a_key_error(name: str):
    first, *others = sorted(placeholders(name))
    with pytest.raises(KeyError, match=first):
        prompts.render(name, **dict.fromkeys(others, "x"))


@given(st.text(min_size=1).filter(lambda text: text == text.strip()))
def test_a_value_is_inserted_as_it_is(ticket: str):
    text = prompts.render("summary", ticket=ticket)
    assert f"<ticket>\n{ticket}\n</ticket>" in text


def test_a_dollar_sign_in_a_value_fills_nothing():
    assert "\n$ticket $other $$ ${x}\n" in prompts.render("summary", ticket="$ticket $other $$ ${x}")


def test_the_system_prompt_is_the_same_for_every_run():
    assert placeholders("system") == set()
