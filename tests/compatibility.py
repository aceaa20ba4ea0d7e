"""The tables of docs/compatibility.md are written by tests, and hold what the tests found.

A test takes the fixture `compatibility` and records what came out, cell by cell:

    def test_roots(compatibility: Record):
        ...
        compatibility("Outside programs", ["server-filesystem", "2025-11-25"], {"roots": "allowed folders follow"})

An ordinary run compares each cell with the committed table and fails the test that finds something else; a run of all
of a section's writers also fails for rows and cells that none of them recorded. After a change:

    pytest --write-compatibility tests/process/test_transports_matrix.py

writes what these tests found (rows and cells of tests that did not run stay as they are). The prose around a table is
written by hand; the table stands anywhere below the heading of its section's title, and rows are sorted by their key.
To add a section: one `Section` below, its heading in docs/compatibility.md, and the tests named as its writers.
Versions of programs are cells or keys, read from the programs by the tests.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.left_out import LEFT_OUT, told_by_worker, told_to_session

DOCUMENT = Path(__file__).parents[1] / "docs" / "compatibility.md"

EMPTY = "-"
"""A cell that no test records: there is no such thing in this row."""

Record: TypeAlias = Callable[[str, Sequence[str], Mapping[str, str]], None]
"""What the fixture is: section, key of the row, and the cells that the test found, by column."""

Rows: TypeAlias = dict[tuple[str, ...], dict[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One table: under which heading it stands, its columns, and which files of tests write it."""

    title: str
    key: tuple[str, ...]  # the columns that name a row
    cells: tuple[str, ...]
    writers: tuple[str, ...]  # relative to the repository


SECTIONS: tuple[Section, ...] = (
    Section(
        title="Protocol versions and transports",
        key=("version", "transport", "server"),
        cells=(
            "tools",
            "sampling",
            "sampling with tools",
            "form elicitation",
            "URL elicitation",
            "roots",
            "progress",
            "logging",
            "list_changed",
            "resources/updated",
        ),
        writers=("tests/process/test_transports_matrix.py",),
    ),
    Section(
        title="Outside programs",
        key=("program", "transport", "version"),
        cells=(
            "tools",
            "resources",
            "prompts",
            "sampling",
            "elicitation",
            "roots",
            "progress",
            "logging",
        ),
        writers=(
            "tests/outside/test_everything.py",
            "tests/outside/test_filesystem.py",
            "tests/outside/test_inspector.py",
            "tests/outside/test_memory.py",
        ),
    ),
    Section(
        title="The conformance suite: the host as a client",
        key=("scenario", "version"),
        cells=("suite", "spoken", "checks"),
        writers=("tests/outside/test_conformance_suite.py",),
    ),
    Section(
        title="The conformance suite: the built-in server",
        key=("scenario", "version"),
        cells=("suite", "checks"),
        writers=("tests/outside/test_conformance_suite_server.py",),
    ),
    Section(
        title="Fuzzing",
        key=("server", "database"),
        cells=("tools", "resources and templates", "prompts", "completions", "sequences", "calls at once"),
        writers=("tests/protocol/test_fuzz_offers.py", "tests/protocol/test_fuzz_sequences.py"),
    ),
)
"""Every table, in the order in which they stand in the document."""


class Tables:
    """The tables as they are committed, and what the tests of this session have found."""

    def __init__(self, document: Path, sections: Iterable[Section], *, is_writing: bool) -> None:
        self.document = document
        self.sections = {section.title: section for section in sections}
        self.is_writing = is_writing
        self.committed = {title: _read(document, section) for title, section in self.sections.items()}
        self.found: dict[str, Rows] = {title: {} for title in self.sections}

    def record(self, title: str, key: Sequence[str], cells: Mapping[str, str]) -> None:
        """Take what a test has found; an ordinary run compares it with the committed table at once."""
        section = self.sections[title]
        assert len(key) == len(section.key), f"a row of {title!r} is named by {section.key}"
        assert not (strange := cells.keys() - set(section.cells)), f"{title!r} has no columns {strange}"
        row = {name: _one_line(value) for name, value in cells.items()}
        name = tuple(_one_line(part) for part in key)
        self.found[title].setdefault(name, {}).update(row)
        if self.is_writing:
            return
        committed = self.committed[title].get(name, {})
        for column, value in row.items():
            said = committed.get(column, EMPTY)
            assert said == value, (
                f"{self.document.name}, {title}, {' · '.join(name)}: {column} is {said!r} there and {value!r} here; "
                "if that is right, run this test with --write-compatibility"
            )

    def add(self, found: Iterable[tuple[str, Sequence[str], Mapping[str, str]]]) -> None:
        """Take what was found, and compared, elsewhere."""
        for title, name, row in found:
            self.found[title].setdefault(tuple(name), {}).update(row)

    def left_over(self, title: str) -> list[str]:
        """Return the committed cells that no test of this session has found."""
        found = self.found[title]
        return [
            " · ".join((*name, column))
            for name, row in self.committed[title].items()
            for column in row
            if column not in found.get(name, {})
        ]

    def write(self, whole: Collection[str]) -> None:
        """Write what was found; the tables named by `whole` hold nothing else afterwards."""
        for title, section in self.sections.items():
            rows = {} if title in whole else _read(self.document, section)
            for name, row in self.found[title].items():
                rows.setdefault(name, {}).update(row)
            if self.found[title]:
                text = _replaced(self.document.read_text(encoding="utf-8"), section, rows)
                self.document.write_text(text, encoding="utf-8")


def _one_line(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|")


def _place(lines: Sequence[str], section: Section) -> tuple[int, int]:
    """Return where the section's table stands among the lines; its end is its start if there is none yet."""
    headings = [number for number, line in enumerate(lines) if line.startswith("#")]
    own = [number for number in headings if lines[number].lstrip("#").strip() == section.title]
    if not own:
        return len(lines), len(lines)
    start, end = own[0] + 1, next((number for number in headings if number > own[0]), len(lines))
    table = [number for number in range(start, end) if lines[number].startswith("|")]
    if table:
        return table[0], table[-1] + 1
    last = max(number for number in range(own[0], end) if lines[number].strip())
    return last + 1, last + 1


def _read(document: Path, section: Section) -> Rows:
    lines = document.read_text(encoding="utf-8").splitlines()
    start, end = _place(lines, section)
    rows: Rows = {}
    for line in lines[start + 2 : end]:
        values = line.removeprefix("| ").removesuffix(" |").split(" | ")
        cells = zip(section.cells, values[len(section.key) :], strict=True)
        rows[tuple(values[: len(section.key)])] = {column: value for column, value in cells if value != EMPTY}
    return rows


def _replaced(text: str, section: Section, rows: Rows) -> str:
    lines = text.splitlines()
    start, end = _place(lines, section)
    body = [[*name, *(row.get(column, EMPTY) for column in section.cells)] for name, row in sorted(rows.items())]
    table = [[*section.key, *section.cells], ["---"] * (len(section.key) + len(section.cells)), *body]
    has_heading = any(line.lstrip("#").strip() == section.title for line in lines if line.startswith("#"))
    head = [] if has_heading else ["", f"## {section.title}"]
    lines[start:end] = [*head, *([""] if start == end else []), *[f"| {' | '.join(row)} |" for row in table]]
    return "\n".join(lines).rstrip("\n") + "\n"


# The pytest plugin. Tests may run in several workers: each compares what it finds with the committed tables, and tells
# it to the session, which knows the whole.

_tables = pytest.StashKey[Tables]()
_progress = pytest.StashKey["Progress"]()


@dataclass(kw_only=True, slots=True)
class Progress:
    """How many tests of each file there are, and how many of them have passed, in all workers."""

    collected: Counter[str] = field(default_factory=Counter[str])
    passed: Counter[str] = field(default_factory=Counter[str])

    def is_done(self, file: str) -> bool:
        """Whether every test of a file ran and passed."""
        return 0 < self.collected[file] == self.passed[file]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-compatibility", action="store_true", help=f"write what tests find into {DOCUMENT.name}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_tables] = Tables(DOCUMENT, SECTIONS, is_writing=bool(config.getoption("--write-compatibility")))
    config.stash[_progress] = Progress()


@pytest.fixture
def compatibility(request: pytest.FixtureRequest) -> Record:
    """Record what this test has found: section, key of the row, cells by column."""
    return request.config.stash[_tables].record


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[_progress].collected.update(_file(item) for item in session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterable[None]:  # a generator, as pluggy wants a wrapper
    report: pytest.TestReport = yield  # pyright: ignore[reportAssignmentType]  # what the inner hook returns
    if report.when == "call" and report.passed:
        item.config.stash[_progress].passed[_file(item)] += 1
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tables, progress = node.config.stash[_tables], node.config.stash[_progress]
    told = told_to_session(node).get(__name__, {"found": [], "collected": {}, "passed": {}})
    tables.add(told["found"])
    progress.collected |= Counter(told["collected"])  # every worker collects the same
    progress.passed += Counter(told["passed"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    tables, progress = session.config.stash[_tables], session.config.stash[_progress]
    if (told := told_by_worker(session.config)) is not None:
        found = [(title, name, row) for title, rows in tables.found.items() for name, row in rows.items()]
        told[__name__] = {"found": found, "collected": dict(progress.collected), "passed": dict(progress.passed)}
        return
    whole = list(_wholly_run(session.config))
    if tables.is_writing:
        tables.write(whole)
    elif any(tables.left_over(title) for title in whole) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tables = config.stash[_tables]
    for title in [] if tables.is_writing else _wholly_run(config):
        for cell in tables.left_over(title):
            terminalreporter.write_line(f"{DOCUMENT.name}, {title}: no test records {cell}", red=True)


def _wholly_run(config: pytest.Config) -> Iterable[str]:
    """Yield the sections all of whose writers ran in full and passed; only there a missing row says something."""
    left_out, progress = config.stash[LEFT_OUT], config.stash[_progress]
    if any("::" in argument for argument in config.args):
        return
    yield from (
        section.title
        for section in SECTIONS
        if all(progress.is_done(file) and not left_out[file] for file in section.writers)
    )


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
