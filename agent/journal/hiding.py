"""Secrets that the configuration holds, and how they are kept out of the record."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from agent.journal.bodies import dumps
from agent.records import JsonObject
from agent.settings import HttpTransport, Settings

HIDDEN = "[secret]"

SHORTEST = 8
"""Characters: a shorter value stands in too many texts that are no secret."""

_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Say what every program says, and would hide those words everywhere."""


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
    return Secrets(_values(settings))


def _values(settings: Settings) -> Iterator[str]:
    for secret in (settings.api_key, settings.journal_key):
        if secret is not None:
            yield secret.get_secret_value()
    if settings.journal is not None:
        yield from _passwords(settings.journal.get_secret_value())
    for transport in settings.transports.values():
        if isinstance(transport, HttpTransport):
            yield from _passwords(transport.url)
            for name, value in transport.headers.items():
                if name.lower() not in _OPEN_HEADERS:
                    yield value
                    yield value.partition(" ")[2]  # `Bearer …`
        else:
            for name, value in transport.env.items():
                yield from [value] if _SECRET_NAME.search(name) else _passwords(value)


def _passwords(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield from {password, unquote(password)}
