"""The examples of an ordinary run: the same ones wherever and whenever it runs."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import examples

pytestmark = pytest.mark.skipif(examples.IS_EXPLORING, reason="SUPPORT_AGENT_FUZZ asks for new examples")


def texts() -> list[str]:
    seen = list[str]()

    @settings(max_examples=300)
    @given(st.text())
    def see(text: str) -> None:
        seen.append(text)

    see()
    return seen


def test_every_run_tries_the_same_examples():
    assert texts() == texts()


def test_examples_do_not_depend_on_what_happens_to_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = texts()
    (tmp_path / "words.py").write_text("".join(f"{word!r},\n" for word in ("postgres", "KeyError", "refunds")))
    spec = importlib.util.spec_from_file_location("words", tmp_path / "words.py")
    assert spec is not None
    monkeypatch.setitem(sys.modules, "words", importlib.util.module_from_spec(spec))
    assert texts() == before
