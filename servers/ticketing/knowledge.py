"""The knowledge base: a folder of Markdown articles and a full-text index of their passages in memory.

The folder is the truth and people edit it while the server runs, so every search first looks for changed files.
"""

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from servers.ticketing.stopwords import STOPWORDS

LARGEST_FILE_BYTES = 1_000_000
"""More than this of one article is not read."""

_HEADING = re.compile(r"^#{2,6}\s+(.+?)\s*#*\s*$")
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uff66-\uff9f]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Article:
    """A Markdown file. `slug` is its path below the folder without `.md`."""

    slug: str
    title: str
    tags: str
    text: str  # the whole file

    @property
    def uri(self) -> str:
        """The article's resource."""
        return f"kb://{quote(self.slug, safe='')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A section of an article that a search found; a higher score fits better."""

    uri: str
    title: str
    text: str
    score: float


class Knowledge:
    """The articles below one folder. Methods block, and may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._files: dict[str, tuple[int, int]] = {}  # slug → modification time and size, as indexed
        self._index = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._index.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(title, heading, body, slug UNINDEXED, name UNINDEXED, "
            "text UNINDEXED, tokenize='porter unicode61 remove_diacritics 2')"
        )

    def close(self) -> None:
        """Drop the index."""
        self._index.close()

    def within(self, roots: Iterable[str]) -> list[Path]:
        """Return what `roots` (file:// URIs) and the folder have in common, as folders."""
        own = self.folder.resolve()
        shared: list[Path] = []
        for root in roots:
            parts = urlsplit(root)
            if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
                continue
            with suppress(OSError, ValueError):  # a path that no file can have
                other = Path(url2pathname(parts.path)).resolve()
                if own.is_relative_to(other):
                    return [own]
                if other.is_relative_to(own):
                    shared.append(other)
        return shared

    def read(self, slug: str) -> Article | None:
        """Return one article; None if there is none of this name inside the folder."""
        if "\0" in slug or not all(part and part[0] != "." for part in slug.split("/")):
            return None
        path = self.folder / f"{slug}.md"
        return _article(slug, path) if _is_inside(path, self.folder.resolve()) else None

    def slugs(self, prefix: str = "") -> list[str]:
        """Return the slugs that start with `prefix`, in alphabetical order."""
        return sorted(slug for slug, _, _ in self._walk() if slug.startswith(prefix))

    def changed(self) -> list[str]:
        """Forget articles that are gone, and return the slugs that `learn` must read before a search is complete."""
        found = {slug: (mtime, size) for slug, mtime, size in self._walk()}
        with self._lock:
            for slug in self._files.keys() - found.keys():
                self._forget(slug)
            return sorted(slug for slug, state in found.items() if self._files.get(slug) != state)

    def learn(self, slugs: Sequence[str]) -> None:
        """Index these articles as they are now."""
        for slug in slugs:
            path = self.folder / f"{slug}.md"
            # Before the text: a file that changes between the two is read again by the next search.
            state = _state(path)
            article = self.read(slug)
            with self._lock:
                self._forget(slug)
                if article is not None and state is not None:
                    self._index.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)", _rows(article))
                    self._files[slug] = state

    def search(self, query: str, limit: int, folders: Sequence[Path] | None = None) -> list[Passage]:
        """Return the passages that fit best, best first; `folders` narrows the search to what lies in them."""
        expression = " OR ".join(f'"{term}"' for term in _query_terms(query))
        if not expression:
            return []
        own = self.folder.resolve()
        prefixes = None if folders is None else [_prefix(folder, own) for folder in folders]
        with self._lock:
            rows = self._index.execute(
                "SELECT slug, name, text, -bm25(passages, 6.0, 3.0, 1.0) AS score FROM passages "
                "WHERE passages MATCH ? ORDER BY score DESC, slug",
                (expression,),
            )
            found = (row for row in rows if prefixes is None or any(row[0].startswith(prefix) for prefix in prefixes))
            return [
                Passage(uri=f"kb://{quote(slug, safe='')}", title=name, text=text, score=round(score, 3))
                for (slug, name, text, score), _ in zip(found, range(limit), strict=False)
            ]

    def _forget(self, slug: str) -> None:
        if self._files.pop(slug, None) is not None:
            self._index.execute("DELETE FROM passages WHERE slug = ?", (slug,))

    def _walk(self) -> Iterator[tuple[str, int, int]]:
        """Yield slug, modification time (ns) and size of every article; a link out of the folder is none."""
        own = self.folder.resolve()
        for place, folders, names in os.walk(own):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                if not name.endswith(".md") or name.startswith("."):
                    continue
                state = _state(path) if not path.is_symlink() or _is_inside(path, own) else None
                if state is not None:
                    yield path.relative_to(own).with_suffix("").as_posix(), *state


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # a link that leads to itself; a name that no file can have
        return False
    return real.is_relative_to(folder) and real.is_file()


def _prefix(folder: Path, own: Path) -> str:
    inner = folder.relative_to(own).as_posix()
    return "" if inner == "." else f"{inner}/"


def _article(slug: str, path: Path) -> Article | None:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE_BYTES).decode("utf-8", errors="replace").replace("\0", "\ufffd")
    except OSError:
        return None
    lines = text.removeprefix("\ufeff").splitlines()
    title = next((line[2:].strip() for line in lines[:1] if line.startswith("# ")), slug)
    tags = next((line[5:].strip() for line in lines[1:4] if line.startswith("Tags:")), "")
    return Article(slug=slug, title=title, tags=tags, text=text)


def _rows(article: Article) -> Iterator[tuple[str, str, str, str, str, str]]:
    named = f"{article.title} {article.tags}"
    for heading, text in _sections(article):
        yield _terms(named), _terms(heading), _terms(text), article.slug, article.title, text


def _sections(article: Article) -> Iterator[tuple[str, str]]:
    """Yield heading and text of each section; the first one stands under the title, without the title line."""
    heading, lines = "", list[str]()
    named = {f"# {article.title}", f"Tags: {article.tags}"}
    is_code = False
    for line in article.text.removeprefix("\ufeff").splitlines():
        is_code ^= line.lstrip().startswith("```")
        found = None if is_code else _HEADING.match(line)
        if found is not None:
            yield from _section(heading, lines)
            heading, lines = found[1], []
        elif heading or line not in named:
            lines.append(line)
    yield from _section(heading, lines)


def _section(heading: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    body = "\n".join(lines).strip()
    if body:
        yield heading, f"## {heading}\n\n{body}" if heading else body


def _terms(text: str) -> str:
    """Return the text as the index reads it: Chinese, Japanese and Korean have no spaces, so pairs stand for words."""
    return _UNSPACED.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", text)


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def _query_terms(query: str) -> list[str]:
    words = dict.fromkeys(word.lower() for word in _WORD.findall(_terms(query)))
    return [word for word in words if word not in STOPWORDS][:64]
