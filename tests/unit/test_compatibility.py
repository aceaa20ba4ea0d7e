"""The recorder of docs/compatibility.md: no table says what no test has found."""

from pathlib import Path

import pytest

from tests.compatibility import Section, Tables

PAGE = """# Page

## Programs

Words about them.

## Others

More words.
"""
PROGRAMS = Section(title="Programs", key=("program", "version"), cells=("tools", "roots"), writers=("test_it.py",))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def written(page: Path, *rows: tuple[str, str, dict[str, str]], whole: bool = False) -> str:
    tables = Tables(page, [PROGRAMS], is_writing=True)
    for program, version, cells in rows:
        tables.record("Programs", [program, version], cells)
    tables.write(["Programs"] if whole else [])
    return page.read_text()


def test_rows_are_written_in_order_below_their_heading(page: Path):
    text = written(
        page, ("two", "1", {"tools": "a | b"}), ("one", "2", {"roots": "told"}), ("one", "2", {"tools": "x"})
    )
    table = """
| program | version | tools | roots |
| --- | --- | --- | --- |
| one | 2 | x | told |
| two | 1 | a \\| b | - |
"""
    assert text == PAGE.replace("Words about them.\n", f"Words about them.\n{table}")


def test_what_did_not_run_stays_and_what_ran_in_full_is_replaced(page: Path):
    written(page, ("one", "1", {"tools": "x"}), ("two", "1", {"tools": "y"}))
    assert "| one | 1 | x | told |\n| two | 1 | y | - |" in written(page, ("one", "1", {"roots": "told"}))
    text = written(page, ("three", "1", {"tools": "z"}), whole=True)
    assert "| three | 1 | z | - |" in text
    assert "| one |" not in text


def test_a_heading_that_is_missing_is_added(page: Path):
    page.write_text("# Page\n")
    assert written(page, ("one", "1", {"tools": "x"})).startswith("# Page\n\n## Programs\n\n| program |")


def test_another_finding_than_the_committed_one_fails_and_says_where(page: Path):
    written(page, ("one", "1", {"tools": "x"}))
    tables = Tables(page, [PROGRAMS], is_writing=False)
    tables.record("Programs", ["one", "1"], {"tools": "x"})
    with pytest.raises(AssertionError, match=r"page\.md, Programs, one · 1: tools is 'x' there and 'y' here"):
        tables.record("Programs", ["one", "1"], {"tools": "y"})
    with pytest.raises(AssertionError, match=r"two · 1: tools is '-' there"):
        tables.record("Programs", ["two", "1"], {"tools": "x"})


def test_cells_that_no_test_found_are_left_over(page: Path):
    written(page, ("one", "1", {"tools": "x", "roots": "told"}), ("two", "1", {"tools": "y"}))
    tables = Tables(page, [PROGRAMS], is_writing=False)
    tables.record("Programs", ["one", "1"], {"tools": "x"})
    assert tables.left_over("Programs") == ["one · 1 · roots", "two · 1 · tools"]


def test_what_other_workers_have_found_is_found_and_written(page: Path):
    written(page, ("one", "1", {"tools": "x", "roots": "told"}))
    tables = Tables(page, [PROGRAMS], is_writing=True)
    tables.record("Programs", ["one", "1"], {"tools": "y"})
    tables.add([("Programs", ["one", "1"], {"roots": "other"}), ("Programs", ["two", "1"], {"tools": "z"})])
    assert tables.left_over("Programs") == []
    tables.write(["Programs"])
    assert "| one | 1 | y | other |\n| two | 1 | z | - |" in page.read_text()


@pytest.mark.parametrize(("key", "cells"), [(["one"], {"tools": "x"}), (["one", "1"], {"prompts": "x"})])
def test_a_row_of_another_shape_is_refused(page: Path, key: list[str], cells: dict[str, str]):
    with pytest.raises(AssertionError, match="Programs"):
        Tables(page, [PROGRAMS], is_writing=True).record("Programs", key, cells)
