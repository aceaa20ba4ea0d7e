"""Bodies as they are stored: JSON in ASCII, what many runs share by its digest, and what stays when texts go.

ASCII, because every database and encoding keeps it as it is: PostgreSQL refuses a NUL in text and in its own JSON.
The order of keys stays: what was sent to a model must be sent again to the byte.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.journal.kept import kept
from agent.records import EntryKind, JsonObject

SHARED = ("system", "tools", "catalog", "settings")
"""Of a CASE: the same for every run of a configuration, and by far the largest. They say nothing about a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A body in the three parts in which it is stored."""

    text: str  # JSON; of a CASE, the values of `SHARED` are digests
    kept: str  # JSON
    documents: Mapping[str, str] = field(default_factory=dict[str, str])  # digest → JSON


_encoder = json.JSONEncoder(separators=(",", ":"))


def dumps(document: Any) -> str:
    """Return the document as JSON in ASCII, keys in their order."""
    return _encoder.encode(document)


def written(kind: EntryKind, body: JsonObject, **also_kept: str) -> Written:
    """Return the body as it is stored, and what is to be kept of it; nothing is shared with the caller."""
    documents: dict[str, str] = {}
    if kind is EntryKind.CASE:
        reduced = dict(body)
        for name in SHARED:
            if name in body:
                text = dumps(body[name])
                reduced[name] = hashlib.sha256(text.encode()).hexdigest()
                documents[reduced[name]] = text
    else:
        reduced = body
    return Written(text=dumps(reduced), kept=dumps(kept(kind, body) | also_kept), documents=documents)


def references(kind: str, text: str) -> list[str]:
    """Return the digests of the documents that a stored body refers to; none if it is not what was written."""
    if kind != EntryKind.CASE:
        return []
    try:
        body = json.loads(text)
        return [str(body[name]) for name in SHARED if name in body]
    except (ValueError, TypeError):
        return []


def whole(kind: str, text: str, documents: Mapping[str, str]) -> JsonObject:
    """Return the body that was stored as this text.

    Raises:
        ValueError: it is no JSON.
        KeyError: a document that it refers to is missing.
    """
    body: JsonObject = json.loads(text)
    if kind == EntryKind.CASE:
        for name in SHARED:
            if name in body:
                body[name] = json.loads(documents[body[name]])
    return body
