"""Where a request meets Cedar: the one place that calls its engine, in the one way in which it cannot fail open."""

import json
from dataclasses import dataclass

import cedarpy

from agent.records import JsonObject

_DECIDED = (cedarpy.Decision.Allow, cedarpy.Decision.Deny)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What requests and rules are understood by."""

    schema: cedarpy.Schema
    entities: cedarpy.Entities


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What Cedar says to one request."""

    is_allowed: bool  # never with an error
    applied: frozenset[str]  # the rules that decided, by position
    errors: tuple[str, ...]  # sorted: Cedar says them in any order


def ground(schema: JsonObject) -> Ground:
    """Parse a schema once for all requests."""
    parsed = cedarpy.Schema.from_json_str(json.dumps(schema))
    # With the schema: only so does Cedar know which actions are in which group, and rules about groups hold.
    entities = cedarpy.Entities.from_json_str("[]", schema=parsed)  # pyright: ignore[reportUnknownMemberType]  # untyped
    return Ground(schema=parsed, entities=entities)


def ask(request: JsonObject, policy_set: cedarpy.PolicySet, on: Ground) -> Answer:
    """Put one request, in Cedar's JSON format, before a policy."""
    [result] = cedarpy.is_authorized_batch([request], policy_set, on.entities, on.schema)  # pyright: ignore[reportUnknownMemberType]  # untyped
    errors = [str(error) for error in result.diagnostics.errors]
    if not errors and result.decision not in _DECIDED:
        errors = ["Cedar came to no decision"]
    return Answer(
        # A forbid that fails is skipped by Cedar, and the permit beside it would hold. A result has no truth value.
        is_allowed=not errors and result.decision is cedarpy.Decision.Allow,
        applied=frozenset(result.diagnostics.reasons),
        errors=tuple(sorted(set(errors))),
    )


def refusals(source: str, on: Ground) -> list[tuple[str, str]]:
    """Return what Cedar's validator has against a policy: the position of the rule, and a message."""
    result = cedarpy.validate_policies(source, on.schema)  # pyright: ignore[reportUnknownMemberType]  # untyped
    found = [(error.policy_id, error.error) for error in result.errors]
    return found if found or result.validation_passed else [("", "Cedar's validator refuses it and does not say why")]
