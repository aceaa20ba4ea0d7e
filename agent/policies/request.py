"""One call as it is put before the policy: what the gate must know, and the context that Cedar is given of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from agent.catalog import OfferedTool
from agent.policies.plans import Record, Unencodable, encode
from agent.records import Case, JsonObject

MOST_CHARS = 500_000
"""Most that the facts and arguments of one call may hold: Cedar takes ten million, and 0.3 s of CPU for them."""

_MOST_DEPTH = 32
_MOST_BITS = 1024  # of a whole number; Python itself refuses to write the longest ones


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a run has done so far; calls that only would have been made count in the dry run that planned them."""

    run_id: str
    writes: int  # calls that were not reads and left, or would have
    replies: int  # of them, those that reached the customer
    has_ended: bool  # it has closed or escalated its ticket
    refunded_cents: int  # attempted and uncertain refunds count like those that were made


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call with everything that it is judged by; the host knows all of it, the model only chose some arguments."""

    tool: str  # server.tool
    arguments: JsonObject  # as they would leave, bound values included, checked against the tool's schema
    facts: Mapping[str, Any]
    case: Case
    standing: Standing
    refunded_today_cents: int  # to this customer since midnight UTC by any run, this one's included; counted alike
    is_by_host: bool  # the host's own hand-off, not the model's wish
    now: datetime  # aware


def context_of(request: Request, tool: OfferedTool, shape: Record, *, is_approved: bool) -> JsonObject:
    """Return the context of this call in Cedar's JSON format.

    Raises:
        Unencodable: something about the call cannot be shown to a policy as it is; nothing may be decided then.
    """
    known = _known(request, tool, shape, is_approved=is_approved)
    _measure(known)
    return encode(shape, known, "context")


def _known(request: Request, tool: OfferedTool, shape: Record, *, is_approved: bool) -> JsonObject:
    known: JsonObject = {
        "args": request.arguments,
        "ticket": _ticket(request.case),
        "customer": _customer(request),
        "call": {"confined": tool.is_confined, "public": tool.settings.public, "by_host": request.is_by_host},
        "run": _run(request.standing),
        "approved": is_approved,
        "now": request.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{request.now.microsecond // 1000:03}Z",
    }
    if "other_args" in shape.attributes:
        named = cast("Record", shape.attributes["args"].plan).attributes
        known["args"] = {name: value for name, value in request.arguments.items() if name in named}
        others = {name: value for name, value in request.arguments.items() if name not in named}
        known["other_args"] = others or None
    if "amount_cents" in shape.attributes:
        known |= {"amount_cents": _amount(request), "currency": request.facts.get("currency")}
    return known


def _ticket(case: Case) -> JsonObject:
    ticket = case.ticket
    return {
        "id": ticket.id,
        "requester": ticket.requester,
        "status": ticket.status,
        "priority": _if(str, ticket.fields.get("priority")),
    }


def _customer(request: Request) -> JsonObject | None:
    customer = request.case.customer
    if customer is None:
        return None
    return {
        "id": customer.id,
        "email": request.case.ticket.requester,  # the address by which the record was found
        "tier": customer.tier,
        "verified": _if(bool, customer.fields.get("verified")),
        "refunded_today_cents": request.refunded_today_cents,
    }


def _run(standing: Standing) -> JsonObject:
    return {
        "writes": standing.writes,
        "replies": standing.replies,
        "ended": standing.has_ended,
        "refunded_cents": standing.refunded_cents,
    }


def _amount(request: Request) -> int:
    amount = request.facts.get("amount_cents")
    # A negative amount would make room for others below every limit.
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
        raise Unencodable(f"The amount of {request.tool} is not a whole number of cents.")
    return amount


def _if(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else None


def _measure(value: Any) -> None:
    """Refuse what is no JSON, too large or too deep, before anything is made from it."""
    chars, todo = 0, [(value, 0)]
    while todo:
        item, depth = todo.pop()
        chars += 1
        if isinstance(item, str):
            chars += len(item)
        elif isinstance(item, dict):
            table = cast("dict[Any, Any]", item)
            if not all(isinstance(key, str) for key in table):
                raise Unencodable("The call holds a name that is no text.")
            chars += sum(map(len, table))
            todo += [(part, depth + 1) for part in table.values()]
        elif isinstance(item, list):
            todo += [(part, depth + 1) for part in cast("list[Any]", item)]
        elif isinstance(item, float) and not math.isfinite(item):
            raise Unencodable("The call holds a number that is none (NaN or infinity).")
        elif isinstance(item, int) and item.bit_length() > _MOST_BITS:
            raise Unencodable("The call holds a number of more than 300 digits.")
        elif not isinstance(item, int | float | None):
            raise Unencodable("The call holds a value that is no JSON.")
        if depth > _MOST_DEPTH:
            raise Unencodable(f"The call is nested more than {_MOST_DEPTH} levels deep.")
        if chars > MOST_CHARS:
            raise Unencodable(f"The call is longer than the {MOST_CHARS:,} characters that are judged.")
