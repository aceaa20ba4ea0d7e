"""MCP content as tool_result blocks: every type, every combination, and only what the Messages API accepts."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from agent.content import LARGEST_BINARY, clip, resource_content, result_content
from agent.records import JsonObject

BEGINNINGS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\n\x00\x00\x00WEBP",
    "application/pdf": b"%PDF-1.7",
}


def encoded(media_type: str, more: int = 8) -> str:
    return base64.b64encode(BEGINNINGS[media_type] + bytes(more)).decode()


def image(media_type: str = "image/png", data: str | None = None) -> ImageContent:
    return ImageContent(type="image", mime_type=media_type, data=encoded(media_type) if data is None else data)


def text(said: str) -> TextContent:
    return TextContent(type="text", text=said)


def told(content: ContentBlock, limit: int = 1000) -> str:
    [block] = result_content(CallToolResult(content=[content]), limit)
    assert block["type"] == "text"
    return block["text"]


any_text = st.text(st.characters())  # lone surrogates included
uris = st.builds("x://{}".format, st.text("abc/%", max_size=5))
data = st.sampled_from([encoded(media_type) for media_type in BEGINNINGS]) | any_text
media_types = st.sampled_from([*BEGINNINGS, "image/tiff", "audio/wav", "text/plain", ""])
contents = st.one_of(
    st.builds(text, any_text),
    st.builds(ImageContent, data=data, mime_type=media_types),
    st.builds(AudioContent, data=data, mime_type=media_types),
    st.builds(
        ResourceLink,
        name=any_text,
        uri=uris,
        title=st.none() | any_text,
        description=st.none() | any_text,
        mime_type=st.none() | media_types,
    ),
    st.builds(
        EmbeddedResource,
        resource=st.one_of(
            st.builds(TextResourceContents, uri=uris, text=any_text, mime_type=st.none() | media_types),
            st.builds(BlobResourceContents, uri=uris, blob=data, mime_type=st.none() | media_types),
        ),
    ),
)
structured = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
results = st.builds(CallToolResult, content=st.lists(contents, max_size=6), structured_content=structured)


def is_accepted(block: JsonObject) -> bool:
    """Whether the Messages API accepts the block in a tool_result."""
    if block["type"] == "text":
        return set(block) == {"type", "text"} and bool(block["text"].strip())
    source = block["source"]
    content = base64.b64decode(source["data"], validate=True)
    kind = "document" if source["media_type"] == "application/pdf" else "image"
    return (
        block["type"] == kind
        and source["type"] == "base64"
        and content.startswith(BEGINNINGS[source["media_type"]][:3])
    )


@given(results, st.integers(1, 200))
def test_every_result_becomes_blocks_that_can_be_sent(result: CallToolResult, limit: int):
    blocks = result_content(result, limit)
    assert blocks
    assert all(is_accepted(block) for block in blocks)
    json.dumps(blocks, ensure_ascii=False, allow_nan=False).encode("utf-8")


@given(results, st.integers(1, 200))
def test_what_is_cut_is_said_and_what_is_not_is_whole(result: CallToolResult, limit: int):
    whole = [block["text"] for block in result_content(result, 10**9) if block["type"] == "text"]
    said = [block["text"] for block in result_content(result, limit) if block["type"] == "text"]
    if said != whole:
        assert said[-1].startswith(f"[Cut: the first {limit:,} of ")
        shown = said[:-1]
        assert sum(map(len, shown)) <= limit
        assert all(full.startswith(part) for part, full in zip(shown, whole, strict=False))


@pytest.mark.parametrize("media_type", BEGINNINGS)
def test_images_and_documents_are_shown_as_they_are(media_type: str):
    blob = BlobResourceContents(uri="x://1", mime_type=media_type, blob=encoded(media_type))
    source = {"type": "base64", "media_type": media_type, "data": encoded(media_type)}
    kind = "document" if media_type == "application/pdf" else "image"
    assert result_content(CallToolResult(content=[image(media_type)]), 1) == [{"type": kind, "source": source}]
    assert resource_content(ReadResourceResult(contents=[blob]), 1) == [{"type": kind, "source": source}]


def test_an_image_that_is_declared_wrongly_is_shown_as_what_it_is():
    [block] = result_content(CallToolResult(content=[image("image/png", encoded("image/jpeg"))]), 1)
    assert block["source"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize("broken", ["", "not base64!", "iVBORw0KGgo", "iVBOR\nw0KGgo=", "aGVsbG8=", "\ud83d"])
def test_an_image_that_is_none_is_told_in_words(broken: str):
    assert told(image("image/png", broken)).startswith("[image: image/png, about ")


def test_an_image_beyond_the_size_is_told_in_words_and_one_within_is_shown():
    largest = base64.b64encode(BEGINNINGS["image/png"] + bytes(LARGEST_BINARY // 4 * 3 - 8)).decode()
    assert len(largest) == LARGEST_BINARY
    [block] = result_content(CallToolResult(content=[image(data=largest)]), 1000)
    assert block["type"] == "image"
    assert (
        told(image(data=largest + "AAAA")) == "[image: image/png, about 3,750,003 bytes, which cannot be shown to you]"
    )


def test_images_that_are_too_large_together_are_not_all_shown():
    half = base64.b64encode(BEGINNINGS["image/png"] + bytes(LARGEST_BINARY // 4 * 3 // 2)).decode()
    blocks = result_content(CallToolResult(content=[image(data=half), image(data=half), image()]), 1000)
    assert [block["type"] for block in blocks] == ["image", "text", "image"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text("hello"), "hello"),
        (text("a\ud83db"), "a?b"),
        (
            AudioContent(type="audio", mime_type="audio/wav", data="UklGRg=="),
            "[audio: audio/wav, about 6 bytes, which cannot be shown to you]",
        ),
        (
            image("image/tiff", base64.b64encode(b"II*\0" * 3).decode()),
            "[image: image/tiff, about 12 bytes, which cannot be shown to you]",
        ),
        (
            EmbeddedResource(type="resource", resource=TextResourceContents(uri="kb://login", text="Sign out.")),
            "kb://login:\nSign out.",
        ),
        (
            EmbeddedResource(type="resource", resource=BlobResourceContents(uri="x://log", blob="AAAA")),
            "[x://log: application/octet-stream, about 3 bytes, which cannot be shown to you]",
        ),
        (ResourceLink(type="resource_link", name="login", uri="kb://login"), "Resource login: kb://login"),
        (
            ResourceLink(
                type="resource_link",
                name="login",
                title="Login help",
                uri="kb://login",
                mime_type="text/markdown",
                description="How to sign in",
            ),
            "Resource Login help: kb://login (text/markdown) How to sign in",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(content: ContentBlock, said: str):
    assert told(content) == said


@pytest.mark.parametrize(
    ("content", "structure"),
    [
        ([text('{"id": 1}')], {"id": 1}),
        ([text('{\n "id" : 1 }')], {"id": 1}),
        ([text("a plain word")], {"result": "a plain word"}),
        ([text("[1, 2]")], {"result": [1, 2]}),
        ([text("line 1\nline 2\n")], {"content": "line 1\nline 2\n"}),
        ([text('{"id": 1}')], {"content": '{"id": 1}'}),
        ([text('[{"id": 1}]')], {"entities": [{"id": 1}]}),
        ([image(), text('{"id": 1}')], {"id": 1}),
    ],
)
def test_structured_content_that_the_text_repeats_is_told_once(content: list[ContentBlock], structure: Any):
    result = CallToolResult(content=content, structured_content=structure)
    assert result_content(result, 1000) == result_content(CallToolResult(content=content), 1000)


def test_the_name_of_a_single_value_is_told_with_it():
    result = CallToolResult(content=[text("500")], structured_content={"balance_cents": 500})
    assert [block["text"] for block in result_content(result, 1000)] == ["500", '{"balance_cents": 500}']


@pytest.mark.parametrize(
    "content", [[], [text("Two invoices.")], [text('{"id": 2}')], [image()], [text('{"id": 1')], [text("[" * 100_000)]]
)
def test_structured_content_that_no_text_repeats_is_told(content: list[ContentBlock]):
    blocks = result_content(CallToolResult(content=content, structured_content={"id": 1, "who": "é"}), 10**6)
    assert len(blocks) == len(content) + 1
    assert blocks[-1] == {"type": "text", "text": '{"id": 1, "who": "é"}'}


@pytest.mark.parametrize("content", [[], [text("")], [text(" \n\t")], [text(""), text("")]])
def test_an_empty_result_says_that_it_is_empty(content: list[ContentBlock]):
    assert result_content(CallToolResult(content=content), 1000) == [{"type": "text", "text": "(no output)"}]
    assert resource_content(ReadResourceResult(contents=[]), 1000) == [{"type": "text", "text": "(no output)"}]


def test_a_text_of_exactly_the_limit_is_whole_and_one_more_character_is_cut():
    assert result_content(CallToolResult(content=[text("x" * 10)]), 10) == [{"type": "text", "text": "x" * 10}]
    cut, note = result_content(CallToolResult(content=[text("x" * 11)]), 10)
    assert cut["text"] == "x" * 10
    assert note["text"].startswith("[Cut: the first 10 of 11 characters are shown. Ask for less:")


def test_the_limit_holds_for_all_texts_together_and_images_stay():
    blocks = clip([{"type": "text", "text": "12345"}, image_block(), {"type": "text", "text": "67890"}], 7)
    assert [block.get("text") for block in blocks[:-1]] == ["12345", None, "67"]
    assert "the first 7 of 10 characters" in blocks[-1]["text"]
    assert len(clip([{"type": "text", "text": "12345"}, {"type": "text", "text": "67890"}], 5)) == 2


def image_block() -> JsonObject:
    [block] = result_content(CallToolResult(content=[image()]), 1)
    return block


def test_ten_megabytes_become_the_limit_and_a_note():
    cut, note = result_content(CallToolResult(content=[text("x" * 10_000_000)]), 40_000)
    assert len(cut["text"]) == 40_000
    assert "40,000 of 10,000,000" in note["text"]


def test_a_resource_of_one_part_is_its_text_and_of_several_names_each():
    one, other = (TextResourceContents(uri=f"kb://{name}", text=name) for name in ("a", "b"))
    assert resource_content(ReadResourceResult(contents=[one]), 100) == [{"type": "text", "text": "a"}]
    both = resource_content(ReadResourceResult(contents=[one, other]), 100)
    assert [block["text"] for block in both] == ["kb://a:\na", "kb://b:\nb"]


def test_long_structured_content_whose_every_value_the_text_says_is_told_once():
    passage = "Type the new password by hand. " * 10
    said: list[ContentBlock] = [text(f"# Logging in\n\nSource: kb://login\n\n{passage}")]
    structured = {"passages": [{"uri": "kb://login", "title": "Logging in", "text": passage}]}
    assert len(result_content(CallToolResult(content=said, structured_content=structured), 1000)) == 1
    told = result_content(CallToolResult(content=said, structured_content=structured | {"total": 17}), 1000)
    assert json.loads(told[1]["text"])["total"] == 17
