"""Pointers into documents, templates filled from what the host knows, and texts that can be encoded."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.documents import at, fill, without_surrogates

RFC_6901 = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, 'k"l': 6, " ": 7, "m~n": 8, "~1": 9}

_any_text = st.text(st.characters())  # lone surrogates included
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _any_text
documents = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(_any_text, inner), max_leaves=20)


def everything_in(document: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    yield pointer, document
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from everything_in(value, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/~01", 9),
    ],
)
def test_a_pointer_finds_what_the_rfc_says(pointer: str, value: Any):
    assert at(RFC_6901, pointer) == value


@pytest.mark.parametrize(
    "pointer",
    [
        "/bar",
        "/foo/2",
        "/foo/-",
        "/foo/-1",
        "/foo/01",
        "/foo/\N{ARABIC-INDIC DIGIT ZERO}",
        "/foo/x",
        "/foo/0/0",
        "/ /0",
        "/foo/" + "9" * 5000,
    ],
)
def test_a_pointer_at_nothing_finds_none(pointer: str):
    assert at(RFC_6901, pointer) is None


@given(documents)
def test_every_value_of_a_document_is_found_by_its_pointer(document: Any):
    for pointer, value in everything_in(document):
        assert at(document, pointer) == value


@given(documents, st.text())
def test_no_pointer_fails(document: Any, pointer: str):
    found = at(document, f"/{pointer}")
    assert found is None or any(found == value for _, value in everything_in(document))


def test_a_placeholder_is_replaced_by_its_value_whatever_the_type():
    template = {"id": "$id", "page": [1, "$tags", {"deep": "$none"}], "n": 3}
    filled = fill(template, {"id": 42, "tags": ["a", "b"], "none": None})
    assert filled == {"id": 42, "page": [1, ["a", "b"], {"deep": None}], "n": 3}


@pytest.mark.parametrize("text", ["costs $5", "a$id", " $id", ""])
def test_only_a_whole_string_is_a_placeholder(text: str):
    assert fill([text], {"id": 1}) == [text]


@pytest.mark.parametrize("template", ["$missing", ["$missing"], {"a": {"b": "$missing"}}, "$"])
def test_a_placeholder_without_a_value_is_a_key_error(template: Any):
    with pytest.raises(KeyError):
        fill(template, {"id": 1})


@given(documents)
def test_what_is_filled_in_is_not_read_as_a_template(value: Any):
    assert fill({"a": "$value"}, {"value": value}) == {"a": value}
    assert fill({"a": "$value"}, {"value": "$value"}) == {"a": "$value"}


@given(documents)
def test_without_surrogates_every_document_can_be_sent(document: Any):
    json.dumps(without_surrogates(document), ensure_ascii=False).encode("utf-8")


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_document_that_can_be_sent_stays_as_it_is(document: Any):
    assert without_surrogates(document) == document


def test_only_the_lone_surrogate_is_replaced():
    assert without_surrogates({"k\ud83d": ["a\udc00b", "😀", 1]}) == {"k?": ["a?b", "😀", 1]}
