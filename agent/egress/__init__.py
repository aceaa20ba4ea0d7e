"""What may leave in text: nobody else's addresses, numbers and ids, no secret, no instructions, no foreign link."""

from agent.egress.egress import Egress
from agent.egress.values import Violation
from agent.secrecy import SHORTEST, secret_values
from agent.settings import Settings

__all__ = ["Egress", "Violation", "secrets_in"]


def secrets_in(settings: Settings) -> tuple[str, ...]:
    """Return the values that the configuration holds and no text may, each once."""
    return tuple(dict.fromkeys(value for value in secret_values(settings) if len(value) >= SHORTEST))
