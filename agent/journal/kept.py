"""What of each entry says nothing about a person, and stays when its texts are forgotten.

Names, counts, amounts and verdicts; no text that a customer, a model or a server wrote. Spending and totals are
computed from these.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from agent.records import EntryKind, JsonObject

_COLUMNS: Mapping[EntryKind, tuple[str, ...]] = {
    EntryKind.CASE: ("format", "ticket_id", "mode", "model", "owner", "version"),
    EntryKind.CLAIM: ("owner", "is_taken_over"),
    EntryKind.REPLY: ("turn", "stop_reason", "model", "usage", "cost_usd", "seconds"),
    EntryKind.DECISION: ("tool_use_id", "tool", "effect", "verdict", "spent", "now", "is_approved"),
    EntryKind.APPROVAL: ("tool_use_id", "tool", "is_granted", "by", "seconds"),
    EntryKind.ATTEMPT: ("tool_use_id", "tool", "effect", "key"),
    # Not `tool`: a call of a tool that does not exist is named in the model's own words.
    EntryKind.RESULT: ("tool_use_id", "status", "seconds"),
    EntryKind.SAMPLING: ("server", "tool_use_id", "usage", "cost_usd"),
    EntryKind.ELICITATION: ("server", "tool_use_id", "mode", "action", "seconds"),
    EntryKind.ROOTS: ("server", "tool_use_id"),
    EntryKind.NUDGE: (),
    EntryKind.HANDOVER: (),
    EntryKind.STOPPED: ("is_failure",),
    EntryKind.CANCEL: ("by", "voided", "uncertain"),
    EntryKind.OUTCOME: ("outcome",),
}
_OF_AN_EFFECT = ("server", "tool", "status", "key")
_CURRENCY = re.compile("[A-Za-z]{3}")


def kept(kind: EntryKind, body: JsonObject) -> JsonObject:
    """Return the parts of this body that stay."""
    found = {name: body[name] for name in _COLUMNS[kind] if name in body}
    if "reasons" in body:
        found["rules"] = [reason["rule"] for reason in body["reasons"]]
    if "facts" in body:
        found["facts"] = _amounts(body["facts"])
    if kind is EntryKind.RESULT and isinstance(body.get("effect"), dict):
        effect = cast("JsonObject", body["effect"])
        found["effect"] = {name: effect[name] for name in _OF_AN_EFFECT if name in effect}
    return found


def _amounts(facts: Mapping[str, Any]) -> JsonObject:
    return {name: value for name, value in facts.items() if _is_amount(value) or _is_currency(name, value)}


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_currency(name: str, value: Any) -> bool:
    return name == "currency" and isinstance(value, str) and _CURRENCY.fullmatch(value) is not None
