"""Marks: words that stand in everybody's data and that the adversary is never told, so that a leak shows itself."""

import hashlib
import re

OUTSIDE = "outside"
"""The owner of what lies on the machine and belongs to no case."""

_MARK = re.compile(r"mk-([a-z0-9]+)-[0-9a-f]{8}", re.IGNORECASE)


def mark(owner: str, what: str = "") -> str:
    """Return the mark of one piece of this owner's data; it can stand in an id, an address or a text."""
    return f"mk-{owner}-{hashlib.sha256(f'{owner} {what}'.encode()).hexdigest()[:8]}"


def owners_in(text: str) -> set[str]:
    """Return whose data this text shows."""
    return {found.lower() for found in _MARK.findall(text)}
