"""Which entries say that a run has moved money, or may have."""

import json
from collections.abc import Sequence

from agent.journal.chain import Line
from agent.journal.values import Payment
from agent.records import CallStatus, Effect, EntryKind, JsonObject

_SURELY_NOT = frozenset({CallStatus.FAILED, CallStatus.DENIED})


def payment_of(line: Line, *, customer: str) -> Payment | None:
    """Return the payment that this entry attempts, or None."""
    if line.kind != EntryKind.ATTEMPT:
        return None
    kept: JsonObject = json.loads(line.kept)
    cents = kept.get("facts", {}).get("amount_cents")
    if kept.get("effect") != Effect.MONEY or not isinstance(cents, int):
        return None
    call = json.dumps(kept["tool_use_id"])
    return Payment(run_id=line.run_id, call=call, customer=customer, at=line.at, cents=cents)


def failed_call_of(line: Line) -> str | None:
    """Return the call that has surely failed by this entry, or None."""
    if line.kind != EntryKind.RESULT:
        return None
    kept: JsonObject = json.loads(line.kept)
    return json.dumps(kept["tool_use_id"]) if kept.get("status") in _SURELY_NOT else None


def payments_due(lines: Sequence[Line]) -> dict[str, tuple[Payment, bool]]:
    """Return the payments of a run with these entries, by call, and whether each of them counts."""
    customer: str = json.loads(lines[0].kept)["customer"] if lines else ""
    due: dict[str, tuple[Payment, bool]] = {}
    for line in lines:
        if payment := payment_of(line, customer=customer):
            due[payment.call] = (payment, True)
        elif (call := failed_call_of(line)) and call in due:
            due[call] = (due[call][0], False)
    return due
