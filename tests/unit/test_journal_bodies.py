"""Bodies come back exactly as they were, whatever JSON they are, from ASCII that any database keeps."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.journal.bodies import SHARED, references, whole, written
from agent.records import EntryKind
from tests.journals import case

TEXTS = st.text(st.characters(), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(body=st.dictionaries(TEXTS, JSON, max_size=4))
def test_any_body_comes_back_as_it_was(body: dict[str, Any]):
    stored = written(EntryKind.NUDGE, body)
    assert stored.text.isascii()
    assert "\0" not in stored.text
    # repr: 1.0 is not 1, and the order of keys counts.
    assert repr(whole(EntryKind.NUDGE, stored.text, {})) == repr(body)


@given(shared=st.dictionaries(st.sampled_from(SHARED), JSON))
def test_a_case_comes_back_whole_from_its_documents(shared: dict[str, Any]):
    body = case() | shared
    stored = written(EntryKind.CASE, body)
    assert set(references(EntryKind.CASE, stored.text)) == set(stored.documents)
    assert repr(whole(EntryKind.CASE, stored.text, stored.documents)) == repr(body)


def test_equal_documents_are_one_and_others_are_not():
    first, second, other = (
        written(EntryKind.CASE, case(ticket, system=system))
        for ticket, system in (("1", "Be kind."), ("2", "Be kind."), ("1", "Be brief."))
    )
    assert first.documents == second.documents
    assert first.text != second.text
    assert len(first.documents.keys() - other.documents.keys()) == 1


def test_what_is_no_body_refers_to_nothing():
    for text in ("", "nonsense", "[]", "null", '"system"', '{"kind": 1}'):
        assert references(EntryKind.CASE, text) == []
