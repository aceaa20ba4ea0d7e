"""Which values of the configuration are secret: what neither the record nor a text that leaves may hold."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from agent.settings import HttpTransport, Settings

SHORTEST = 8
"""Characters: a shorter value stands in too many texts that are no secret."""

_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Say what every program says, and would hide those words everywhere."""


def secret_values(settings: Settings) -> Iterator[str]:
    """Yield every value of these settings that nobody may read, however short, some of them twice."""
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
