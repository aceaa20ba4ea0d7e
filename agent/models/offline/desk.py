"""The tools by their roles: which of them this request offers, and calls that they will accept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.offline.conversation import Result, Status
from agent.models.offline.rules import Rules
from agent.records import JsonObject, ModelRequest

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A call to be made."""

    role: str
    name: str  # as offered
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Step:
    """One reply: what is said, and the calls that go with it; without calls, the reply is the last."""

    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The results of one reply's calls, by role."""

    pairs: tuple[tuple[Call, Result], ...] = ()

    def all(self, role: str) -> list[Result]:
        """Return the results of every call of this role, in order."""
        return [result for call, result in self.pairs if call.role == role]

    def first(self, role: str) -> Result | None:
        """Return the result of the first call of this role, or None when there was none."""
        return next(iter(self.all(role)), None)

    def text(self, role: str) -> str:
        """Return what the first call of this role told, or an empty string when it told nothing."""
        result = self.first(role)
        return result.text if result and result.status is Status.DONE else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What one request offers."""

    names: Mapping[str, str]  # role → offered name
    schemas: Mapping[str, JsonObject]  # offered name → input schema

    def has(self, role: str) -> bool:
        """Return whether this role's tool is offered."""
        return self.names.get(role) in self.schemas

    def call(self, role: str, **arguments: Any) -> Call | None:
        """Return a call with the arguments that the tool declares; None when it is not offered or needs others."""
        name = self.names.get(role, "")
        schema = self.schemas.get(name)
        if schema is None:
            return None
        declared: Mapping[str, Any] = schema.get("properties", {})
        sent = {key: value for key, value in arguments.items() if key in declared and value is not None}
        if not set(schema.get("required", ())) <= set(sent):
            return None
        return Call(role=role, name=name, arguments=sent)


def desk_of(request: ModelRequest, rules: Rules) -> Desk:
    """Return the desk that this request's tools make."""
    return Desk(
        names={role: _offered(tool) for role, tool in rules.tools.items()},
        schemas={str(tool["name"]): tool["input_schema"] for tool in request.tools},
    )


def answered(calls: Sequence[Call], results: Sequence[Result]) -> Answers:
    """Return calls and their results, paired by position."""
    return Answers(pairs=tuple(zip(calls, results, strict=True)))


def _offered(tool: str) -> str:
    return _NOT_IN_NAMES.sub("_", tool.replace(".", "__", 1))
