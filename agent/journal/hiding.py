"""Secrets that the configuration holds, and how they are kept out of the record."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from agent.journal.bodies import dumps
from agent.records import JsonObject
from agent.secrecy import SHORTEST, secret_values
from agent.settings import Settings

HIDDEN = "[secret]"


class Secrets:
    """The values that no body may hold."""

    def __init__(self, values: Iterator[str]) -> None:
        # The longest first: one may be a part of another.
        found = sorted({value for value in values if len(value) >= SHORTEST}, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(value) for value in found) or "(?!)")
        self._as_json = [dumps(value)[1:-1] for value in found]

    def hidden(self, body: JsonObject) -> JsonObject:
        """Return the body with `[secret]` wherever one of the values stood, in keys too."""
        if not self._as_json:
            return body
        text = dumps(body)
        # Looking is cheap, and nearly always all: what is replaced must be text, never a piece of JSON's escapes.
        return self._without(body) if any(value in text for value in self._as_json) else body

    def _without(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(HIDDEN, value)
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", value).items()
            return {self._without(key): self._without(item) for key, item in items}
        if isinstance(value, list | tuple):
            return [self._without(item) for item in cast("list[Any]", value)]
        return value


def secrets_of(settings: Settings) -> Secrets:
    """Return what these settings know that must not be written down."""
    return Secrets(secret_values(settings))
