"""What may leave in text: nobody else's addresses, numbers and ids, no secret, no instructions, no foreign link."""

from agent.egress.addresses import addresses
from agent.egress.egress import Egress
from agent.egress.reading import Reading
from agent.egress.values import Violation
from agent.secrecy import SHORTEST, secret_values
from agent.settings import Settings

__all__ = ["Egress", "Violation", "addresses_in", "secrets_in"]


def addresses_in(text: str) -> frozenset[str]:
    """Return the e-mail addresses of a text, in small letters, as they are usually written."""
    return frozenset(find.key for find in addresses(Reading(text).text))


def secrets_in(settings: Settings) -> tuple[str, ...]:
    """Return the values that the configuration holds and no text may, each once."""
    return tuple(dict.fromkeys(value for value in secret_values(settings) if len(value) >= SHORTEST))
