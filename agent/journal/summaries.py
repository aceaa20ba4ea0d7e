"""What `runs` says of a run: nothing but what follows from the parts of its entries that stay."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agent.journal.bodies import dumps
from agent.journal.chain import Line
from agent.journal.values import Totals
from agent.records import EntryKind, JsonObject, Usage

SPENDING = (EntryKind.REPLY.value, EntryKind.SAMPLING.value)
"""The entries that totals are computed from."""


def totals(lines: Iterable[tuple[str, str]]) -> Totals:
    """Return the totals of one run's entries, each as its kind and what is kept of it, in JSON."""
    turns, usage, cost_usd = 0, Usage(), 0.0
    is_cost_known = True
    for kind, text in lines:
        if kind not in SPENDING:
            continue
        kept: JsonObject = json.loads(text)
        turns += kind == EntryKind.REPLY
        usage += Usage(**kept.get("usage", {}))
        price = kept.get("cost_usd")
        is_cost_known &= price is not None
        cost_usd += price or 0.0
    return Totals(turns=turns, usage=usage, cost_usd=cost_usd if is_cost_known else None)


def columns(line: Line, spent: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what `runs` says from this entry on, but for the seal; `spent` is the run's entries, as `totals` takes."""
    match line.kind:
        case EntryKind.CASE:
            kept: JsonObject = json.loads(line.kept)
            names = ("ticket_id", "customer", "mode", "model")
            return {name: kept[name] for name in names} | {"owner": dumps(kept["owner"]), "started_at": line.at}
        case EntryKind.CLAIM:
            return {"owner": dumps(json.loads(line.kept)["owner"])}
        case EntryKind.OUTCOME:
            used = totals(spent)
            return {
                "finished_at": line.at,
                "outcome": json.loads(line.kept)["outcome"],
                "turns": used.turns,
                "usage": dumps(used.usage.as_json()),
                "cost_usd": used.cost_usd,
                "last_seq": line.seq,
            }
        case _:
            return {}


def all_columns(lines: Sequence[Line]) -> dict[str, Any]:
    """Return what `runs` must say of a run with these entries."""
    spent = [(line.kind, line.kept) for line in lines]
    said: dict[str, Any] = {}
    for line in lines:
        said |= columns(line, spent)
    return said
