"""What no error may show: SQL, names of tables and columns, Python's exceptions, modules, functions and paths."""

import builtins
import inspect
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import MetaData

from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.ticketing.tables import SCHEMA as TICKETING

SHORTEST_ECHO = 4
"""Characters of its own text that a caller may read again; shorter ones cannot be told from the sentence."""

_GENERAL = (
    r"Traceback|\bFile \"|\bline \d+, in\b|\[Errno|<class '|object at 0x|site-packages|\.venv|\.py\b|During handling",
    r"\b[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit)\b|\b[A-Z]\w+\([\w'\"]",
    r"\b(?:servers|mcp|mcp_types|pydantic|pydantic_core|sqlalchemy|anyio|agent|prompts|asyncio|tests)\.[a-z_]\w*",
    r"(?i)\b(?:sqlite\w*|sqlalche\w*|psycopg\w*|postgres\w*|pydantic\w*)\b",
    r"\b(?:SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|DROP TABLE|PRAGMA|ROLLBACK|BEGIN IMMEDIATE)\b",
    r"(?i)no such (?:table|column)|(?:UNIQUE|NOT NULL|FOREIGN KEY|CHECK) constraint|database is locked|SQL variables",
    r"(?i)\bsurrogates not allowed\b|\bcodec can't\b|\brecursion depth\b|\bnot subscriptable\b|has no attribute",
    r"(?<![\w./-])/(?:home|tmp|usr|root|var|etc|opt|private|Users|dev|proc)/",
)


def inside(text: str, *, sent: Any = (), public: Collection[str] = ()) -> list[str]:
    """Return what this error shows of the program's inside; none if it may be shown.

    `sent` is the request: what the caller has written may stand in the answer. `public` are names that the server
    itself tells: its tools, their arguments, its prompts.
    """
    said = _without_echoes(text, set(_strings(sent)))
    patterns = [*_general(), *_names_of_the_database(), rf"\b(?:{'|'.join(sorted(_functions() - set(public)))})\b"]
    hits = [found[0] for pattern in patterns for found in re.finditer(pattern, said)]
    return [hit for hit in hits if hit not in public]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
            yield from _strings(_read_as_json(value))
        case {**fields}:
            for name, inner in fields.items():
                yield name
                yield from _strings(inner)
        case [*items]:
            for inner in items:
                yield from _strings(inner)
        case _:
            pass


def _read_as_json(text: str) -> Any:
    """Return the list or object that a text spells; the SDK takes it for one where a tool wants no text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, (list, dict)) else None


def _without_echoes(text: str, sent: Iterable[str]) -> str:
    """Return the text without what the caller has sent, whole or cut short, in whatever form it may be said again."""
    forms = defaultdict[str, set[str]](set)
    for form in {form for one in sent for form in _forms(one)}:
        forms[form[:SHORTEST_ECHO]].add(form)
    kept, at = "", 0
    while at < len(text):
        # The longest of all: forms of one text begin alike, and a wrong one would leave the end of the right one over.
        here = forms.get(text[at : at + SHORTEST_ECHO], ())
        length = max((_same(form, text[at : at + len(form)]) for form in here), default=0)
        is_echo = length >= SHORTEST_ECHO
        kept += "…" if is_echo else text[at]
        at += length if is_echo else 1
    return kept


def _same(one: str, other: str) -> int:
    """Return how many characters at their beginnings are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _forms(one: str) -> Iterator[str]:
    """Yield a text as it is, as the last part of an address, decoded, and each of them as Python and JSON quote it."""
    for part in {one, one.partition("://")[2]}:
        for plain in {part, part.strip(), " ".join(part.split()), unquote(part), unquote(part).strip()}:
            yield plain
            yield repr(plain)[1:-1]
            yield json.dumps(plain, ensure_ascii=False)[1:-1]


@cache
def _general() -> tuple[str, ...]:
    exceptions = [
        name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
    ]
    places = {sys.prefix, sys.base_prefix, tempfile.gettempdir(), str(Path.cwd()), str(Path.home())} - {"/"}
    return (*_GENERAL, rf"\b(?:{'|'.join(exceptions)})\b", "|".join(map(re.escape, sorted(places))))


@cache
def _names_of_the_database() -> tuple[str, ...]:
    """Names that could stand in no ordinary sentence: `table.column`, and tables of more than one word."""
    tables = [table for schema in (TICKETING, CUSTOMERS) for table in _tables(schema.metadata)]
    qualified = "|".join(f"{table.name}\\.(?:{'|'.join(table.c.keys())})" for table in tables)
    compound = "|".join([*(table.name for table in tables if "_" in table.name), "schema_versions", r"\w+_key\b"])
    return (rf"\b(?:{qualified})\b", rf"\b(?:{compound})\b")


def _tables(metadata: MetaData) -> Iterable[Any]:
    return metadata.tables.values()


@cache
def _functions() -> frozenset[str]:
    """Names of the servers' functions of more than one word, as the SDK would name them in an error."""
    modules = [module for name, module in sys.modules.items() if name.startswith("servers.")]
    names = {name for module in modules for name, _ in inspect.getmembers(module, inspect.isfunction)}
    return frozenset(name for name in names if "_" in name.strip("_"))
