"""The knowledge index by itself: how articles become passages, and what stays out of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.ticketing.knowledge import Knowledge, Passage


@pytest.fixture
def knowledge(tmp_path: Path):
    folder = tmp_path / "knowledge"
    folder.mkdir()
    knowledge = Knowledge(folder)
    yield knowledge
    knowledge.close()


def write(knowledge: Knowledge, slug: str, text: str) -> None:
    path = knowledge.folder / f"{slug}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def search(knowledge: Knowledge, query: str, limit: int = 10, folders: list[Path] | None = None) -> list[Passage]:
    knowledge.learn(knowledge.changed())
    return knowledge.search(query, limit, folders)


def texts(passages: list[Passage]) -> set[str]:
    return {passage.text for passage in passages}


ARTICLE = """# Sync
Tags: devices, tablet

Every device syncs.

## On a phone

Pull down.

```
## not a heading
```

### Still stuck

Sign in again.

## Empty

"""


def test_each_section_is_a_passage_and_keeps_its_heading(knowledge: Knowledge):
    write(knowledge, "sync", ARTICLE)
    found = search(knowledge, "sync")
    assert texts(found) == {
        "Every device syncs.",
        "## On a phone\n\nPull down.\n\n```\n## not a heading\n```",
        "## Still stuck\n\nSign in again.",
    }
    assert {(passage.uri, passage.title) for passage in found} == {("kb://sync", "Sync")}


def test_a_word_in_the_title_outweighs_one_in_the_text(knowledge: Knowledge):
    write(knowledge, "a", "# Other\n\nA refund, and again a refund.\n")
    write(knowledge, "b", "# Refund\n\nSome text.\n")
    assert [passage.uri for passage in search(knowledge, "refund")] == ["kb://b", "kb://a"]


def test_tags_are_searched_and_not_shown(knowledge: Knowledge):
    write(knowledge, "sync", ARTICLE)
    found = search(knowledge, "tablet")
    assert found
    assert all("Tags:" not in passage.text for passage in found)


@pytest.mark.parametrize("query", ["refunded", "REFUNDS", "réfund"])
def test_other_forms_of_a_word_find_it(knowledge: Knowledge, query: str):
    write(knowledge, "a", "# Money\n\nWe refund.\n")
    assert len(search(knowledge, query)) == 1


def test_german_umlauts_are_found_with_and_without_their_dots(knowledge: Knowledge):
    write(knowledge, "a", "# Passwort\n\nDie Änderung gilt sofort.\n")
    assert len(search(knowledge, "Änderung")) == len(search(knowledge, "anderung")) == 1


def test_an_article_without_a_title_is_called_by_its_name(knowledge: Knowledge):
    write(knowledge, "plain", "zeppelin\n# Not the title\n")
    (passage,) = search(knowledge, "zeppelin")
    assert passage.title == "plain"
    assert "# Not the title" in passage.text


def test_an_empty_article_has_no_passages(knowledge: Knowledge):
    write(knowledge, "empty", "")
    write(knowledge, "title", "# Zeppelin\n")
    assert search(knowledge, "zeppelin empty title") == []


def test_only_changed_articles_are_read_again(knowledge: Knowledge):
    write(knowledge, "a", "# A\n\none\n")
    write(knowledge, "b", "# B\n\ntwo\n")
    assert knowledge.changed() == ["a", "b"]
    knowledge.learn(["a", "b"])
    assert knowledge.changed() == []
    write(knowledge, "b", "# B\n\nthree\n")
    assert knowledge.changed() == ["b"]


def test_an_article_that_vanishes_while_it_is_read_is_forgotten(knowledge: Knowledge):
    write(knowledge, "a", "# A\n\nzeppelin\n")
    changed = knowledge.changed()
    (knowledge.folder / "a.md").unlink()
    knowledge.learn(changed)
    assert knowledge.search("zeppelin", 5) == []


def test_only_a_million_bytes_of_an_article_are_read(knowledge: Knowledge):
    write(knowledge, "a", "# A\n\nzeppelin\n" + "x " * 600_000 + "balloon\n")
    assert search(knowledge, "zeppelin")
    assert not search(knowledge, "balloon")


def test_folders_narrow_a_search_by_whole_names(knowledge: Knowledge):
    for slug in ("pub/a", "pub/deep/b", "public/c", "d"):
        write(knowledge, slug, "# T\n\nzeppelin\n")
    found = search(knowledge, "zeppelin", folders=[knowledge.folder / "pub"])
    assert {passage.uri for passage in found} == {"kb://pub%2Fa", "kb://pub%2Fdeep%2Fb"}
    everything = search(knowledge, "zeppelin", folders=[knowledge.folder])
    assert len(everything) == 4


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("file://{parent}", ["{folder}"]),
        ("file://{folder}/", ["{folder}"]),
        ("file://localhost{folder}", ["{folder}"]),
        ("file://{folder}/in%20side", ["{folder}/in side"]),
        ("file://{folder}/../knowledge2", []),
        ("file://{folder}2", []),
        ("file://other{folder}", []),
        ("https://example.com{folder}", []),
        ("file://%00", []),
        ("nonsense", []),
        ("", []),
    ],
)
def test_roots_and_the_folder_share_what_lies_in_both(knowledge: Knowledge, root: str, expected: list[str]):
    names = {"folder": str(knowledge.folder), "parent": str(knowledge.folder.parent)}
    shared = knowledge.within([root.format(**names)])
    assert [str(folder) for folder in shared] == [path.format(**names) for path in expected]


def test_slugs_are_listed_by_prefix_without_hidden_files_and_links_to_elsewhere(knowledge: Knowledge, tmp_path: Path):
    for slug in ("b", "a", "ab", "sub/c", ".x", ".git/d"):
        write(knowledge, slug, "# T\n\nzeppelin\n")
    (tmp_path / "out.md").write_text("zeppelin", encoding="utf-8")
    (knowledge.folder / "out.md").symlink_to(tmp_path / "out.md")
    (knowledge.folder / "notes.txt").write_text("zeppelin", encoding="utf-8")
    assert knowledge.slugs() == ["a", "ab", "b", "sub/c"]
    assert knowledge.slugs("a") == ["a", "ab"]
    assert len(search(knowledge, "zeppelin")) == 4


def test_many_threads_may_learn_and_search_at_once(knowledge: Knowledge):
    for number in range(40):
        write(knowledge, f"a{number}", f"# Article {number}\n\nzeppelin\n")

    def work(_: int) -> int:
        return len(search(knowledge, "zeppelin", limit=100))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [40] * 16
