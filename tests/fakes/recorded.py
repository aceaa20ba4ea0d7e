"""A recorded run in which everything happens that a run can record, and a journal that holds it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.configuration import load
from agent.journal import RunSummary, open_journal
from agent.records import Entry, EntryKind, JsonObject, OutcomeKind, Owner, RunMode, Usage

RUN_ID = "20261122-171501-9f3a2c"
BEGAN = datetime(2026, 11, 22, 17, 15, 1, tzinfo=UTC)
DANA = Owner(pid=4711, machine="desk-3", place="0" * 32, user="dana")
ERIN = Owner(pid=812, machine="desk-4", place="0" * 32, user="erin")

EVIL = "[bold red]now[/] \x1b[31mred\x1b[0m \u202eevil"
"""What a terminal, rich or a reader could take for something else than text."""

SHOWN_EVIL = r"[bold red]now[/] \x1b[31mred\x1b[0m <U+202E>evil"

_READ = "helpdesk.search"
_REFUND = "billing.refund"
_HAND_OVER = "helpdesk.escalate"
_ARGUMENTS = {"invoice_id": "INV-7", "reason": f"charged twice {EVIL}"}


def entries(run_id: str = RUN_ID) -> list[Entry]:
    """Return the whole record."""
    return [
        Entry(run_id=run_id, seq=seq, kind=kind, body=body, at=BEGAN + timedelta(seconds=after_s))
        for seq, (after_s, kind, body) in enumerate(_lines(run_id), 1)
    ]


def summary(**changed: Any) -> RunSummary:
    """Return the run in a line."""
    values: dict[str, Any] = {
        "run_id": RUN_ID,
        "ticket_id": "42",
        "customer": "5f" * 32,
        "mode": RunMode.LIVE,
        "model": "claude-sonnet-5-5",
        "outcome": OutcomeKind.ESCALATED,
        "reason": "Handed over to people.",
        "started_at": BEGAN,
        "finished_at": BEGAN + timedelta(seconds=75),
        "turns": 2,
        "usage": Usage(input_tokens=800, output_tokens=212, cache_read_tokens=3000),
        "cost_usd": 0.0125,
        "owner": DANA,
        "is_forgotten": False,
    }
    return RunSummary(**values | changed)


def record(
    home: Path,
    run_id: str = RUN_ID,
    *,
    customer: str = "alice@example.com",
    first: int | None = None,
    **case: Any,
) -> None:
    """Write the run into the journal of a data folder: the `first` entries of it, its case with other values."""

    async def write() -> None:
        settings = load(folder=home, environ={"SUPPORT_AGENT_HOME": str(home), "HOME": str(home)})
        journal = open_journal(settings)
        record = journal.record(run_id=run_id, customer=journal.customer_hash(customer), on_entry=_unseen)
        for entry in entries(run_id)[:first]:
            if entry.kind is EntryKind.CLAIM:
                owner, is_taken_over = Owner(**entry.body["owner"]), entry.body["is_taken_over"]
                record = await journal.claim(run_id, owner=owner, is_taken_over=is_taken_over, on_entry=_unseen)
            else:
                await record.append(entry.kind, entry.body | case if entry.kind is EntryKind.CASE else entry.body)
        await journal.aclose()

    asyncio.run(write())


def _unseen(entry: Entry) -> None:
    pass


def _text(text: str) -> list[JsonObject]:
    return [{"type": "text", "text": text}]


def _usage(read: int, written: int, cached: int = 0) -> JsonObject:
    return Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached).as_json()


def _lines(run_id: str) -> Iterator[tuple[float, EntryKind, JsonObject]]:
    yield 0, EntryKind.CASE, _case()
    yield 2, EntryKind.REPLY, _first_reply()
    yield 2, EntryKind.DECISION, _decision("toolu_1", _READ, "read", "allow", "reads", "It only reads.", {"query": "x"})
    # Two calls that were made together: their entries lie between each other's.
    yield (
        2,
        EntryKind.DECISION,
        {
            **_decision("toolu_2", _REFUND, "money", "ask", "money", "Money waits for a person.", _ARGUMENTS),
            "arguments": {**_ARGUMENTS, "customer_id": "c-1"},
            "stripped": ["customer_id"],
            "facts": {"amount_cents": 1200},
        },
    )
    yield 2, EntryKind.ATTEMPT, _attempt(run_id, "toolu_1", _READ, "read")
    yield 3, EntryKind.ROOTS, {"server": "helpdesk", "tool_use_id": "toolu_1", "uris": ["file:///srv/articles"]}
    yield 3, EntryKind.RESULT, _result("toolu_1", _READ, "done", "\n".join(f"article {n}" for n in range(1, 11)))
    yield (
        9,
        EntryKind.APPROVAL,
        {
            "tool_use_id": "toolu_2",
            "tool": _REFUND,
            "digest": "00",
            "is_granted": True,
            "by": "dana",
            "because": "I looked at the invoice",
            "seconds": 6.0,
        },
    )
    yield 9, EntryKind.ATTEMPT, _attempt(run_id, "toolu_2", _REFUND, "money")
    yield 90_000, EntryKind.CLAIM, {"owner": ERIN.as_json(), "is_taken_over": True}
    yield (
        90_001,
        EntryKind.SAMPLING,
        {
            "server": "billing",
            "tool_use_id": "toolu_2",
            "digest": "01",
            "request": {"system": "Be brief.", "messages": [{"role": "user", "content": _text(f"Sum it up. {EVIL}")}]},
            "reply": {"content": _text("She paid twice."), "stop_reason": "end_turn", "model": "claude-haiku-5"},
            "usage": _usage(100, 10),
            "cost_usd": 0.0002,
        },
    )
    yield (
        90_002,
        EntryKind.ELICITATION,
        {
            "server": "billing",
            "tool_use_id": "toolu_2",
            "digest": "02",
            "mode": "form",
            "message": f"Which account? {EVIL}",
            "action": "accept",
            "content": {"account": "main"},
            "seconds": 3.0,
        },
    )
    yield 90_003, EntryKind.RESULT, _result("toolu_2", _REFUND, "failed", "The amount has changed.", run_id)
    yield (
        90_004,
        EntryKind.REPLY,
        {
            "turn": 2,
            "content": _text("I am done."),
            "stop_reason": "max_tokens",
            "model": "claude-sonnet-5-5",
            "usage": _usage(300, 2),
            "cost_usd": None,
            "seconds": 0.5,
        },
    )
    yield 90_005, EntryKind.NUDGE, {"text": "The ticket is not finished."}
    yield 90_006, EntryKind.STOPPED, {"reason": "The model is down."}
    yield 90_007, EntryKind.CLAIM, {"owner": DANA.as_json(), "is_taken_over": False}
    yield 90_008, EntryKind.HANDOVER, {"because": "the model gave up"}
    handed = {"reason": "The model gave up."}
    yield 90_008, EntryKind.DECISION, _decision("host-1", _HAND_OVER, "escalate", "allow", "end", "It ends.", handed)
    yield 90_008, EntryKind.ATTEMPT, _attempt(run_id, "host-1", _HAND_OVER, "escalate")
    yield (
        90_009,
        EntryKind.CANCEL,
        {
            "by": "dana",
            "because": "she called",
            "voided": [f"{run_id}/19/host-1"],
            "uncertain": [f"{run_id}/2/toolu_2"],
        },
    )
    yield 90_009, EntryKind.OUTCOME, {"outcome": "escalated", "reason": f"Handed over to people. {EVIL}"}


def _case() -> JsonObject:
    return {
        "format": 1,
        "ticket_id": "42",
        "mode": "live",
        "model": "claude-sonnet-5-5",
        "owner": DANA.as_json(),
        "ticket": {"id": "42", "fields": {"subject": f"Twice {EVIL}", "requester": "alice@example.com"}, "context": ""},
        "customer": {"id": "c-1", "fields": {"tier": "pro"}, "context": ""},
        "messages": [{"role": "user", "content": _text(f"I was charged twice.\n{EVIL}\n{'please ' * 200}the end")}],
        "version": "0.1.0",
        "system": "You work for the support team.",
        "tools": [
            {"name": "helpdesk__search", "description": "Search articles.", "input_schema": {}},
            {"name": "billing__refund", "description": "Pay back.", "input_schema": {}},
        ],
        "catalog": {},
        "settings": {},
    }


def _first_reply() -> JsonObject:
    return {
        "turn": 1,
        "content": [
            {"type": "thinking", "thinking": "An invoice, then."},
            *_text(f"I will look. {EVIL}"),
            {"type": "tool_use", "id": "toolu_1", "name": "helpdesk__search", "input": {"query": "x"}},
            {
                "type": "tool_use",
                "id": "toolu_2",
                "name": "billing__refund",
                "input": {**_ARGUMENTS, "customer_id": "c-9"},
            },
        ],
        "stop_reason": "tool_use",
        "model": "claude-sonnet-5-5",
        "usage": _usage(400, 200, 3000),
        "cost_usd": 0.0123,
        "seconds": 2.0,
    }


def _decision(
    call_id: str, tool: str, effect: str, verdict: str, rule: str, because: str, arguments: JsonObject
) -> JsonObject:
    return {
        "tool_use_id": call_id,
        "tool": tool,
        "effect": effect,
        "arguments": arguments,
        "verdict": verdict,
        "reasons": [{"rule": rule, "because": because}],
        "stripped": [],
        "facts": {},
    }


def _attempt(run_id: str, call_id: str, tool: str, effect: str) -> JsonObject:
    key = f"{run_id}/2/{call_id}"
    return {"tool_use_id": call_id, "tool": tool, "effect": effect, "arguments": {}, "key": key, "facts": {}}


def _result(call_id: str, tool: str, status: str, text: str, run_id: str | None = None) -> JsonObject:
    server, _, name = tool.partition(".")
    effect = {"kind": "money", "server": server, "tool": name, "arguments": {}, "status": status, "reasons": [text]}
    return {
        "tool_use_id": call_id,
        "tool": tool,
        "status": status,
        "content": _text(text),
        "versions": {},
        "effect": None if run_id is None else {**effect, "key": f"{run_id}/2/{call_id}"},
        "seconds": 0.3,
    }
