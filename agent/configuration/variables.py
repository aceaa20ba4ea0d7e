"""The variables that configuration may speak of: the process's own over those of `.env`, and `${NAME}` in a text."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dotenv.parser import parse_stream

from agent.configuration.locations import Source
from agent.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Unexpandable(ValueError):  # noqa: N818 - reads as the sentence it is
    """A text that cannot be used; the message ends a sentence that begins with where the text stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """Values by name; `origins` says where those of `.env` stand."""

    values: Mapping[str, str]
    origins: Mapping[str, str]

    def get(self, name: str) -> str:
        """Return the value without surrounding space; empty if there is none."""
        return self.values.get(name, "").strip()

    def supplied(self, **values: str) -> "Variables":
        """Return the same variables with what the program itself decides: no environment overrides it."""
        return replace(self, values={**self.values, **values})

    def error(self, name: str, sentence: str) -> ConfigurationError:
        """Return the mistake in this variable's value; the value itself may be a secret and is not told."""
        return ConfigurationError(f"{self.origins.get(name, 'The environment')}: {name} {sentence}")

    def expanded(self, text: str) -> str:
        """Return the text with `${NAME}` and `${NAME:-default}` replaced; values are not expanded again.

        Raises:
            Unexpandable: a variable without default is not set, or the result is no text that can be handed on.
        """
        result = _REFERENCE.sub(self._value, text)
        # A lone surrogate is valid JSON and a NUL valid UTF-8; no process can be started with either.
        if "\0" in result or not _is_encodable(result):
            raise Unexpandable("holds a character that is no text.")
        return result

    def _value(self, reference: re.Match[str]) -> str:
        name, default = reference.groups()
        value = self.values.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise Unexpandable(f"needs the variable {name}: set it in the environment or in .env.")
        return value


def read_variables(environ: Mapping[str, str], dotenv: Source | None) -> Variables:
    """Return the environment laid over what `.env` sets.

    Raises:
        ConfigurationError: a line of `.env` sets nothing.
    """
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(dotenv.text)) if dotenv else ():
        statement = binding.original.string
        blank_lines = statement[: len(statement) - len(statement.lstrip())].count("\n")
        where = f"{dotenv.path if dotenv else ''}, line {binding.original.line + blank_lines}"
        if binding.error:
            raise ConfigurationError(f"{where}: expected NAME=value, with a closing quote if the value has one.")
        if binding.key is not None and binding.value is not None:
            values[binding.key], origins[binding.key] = binding.value, where
    return Variables(
        values={**values, **environ}, origins={name: place for name, place in origins.items() if name not in environ}
    )


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
