"""What stays of an entry when its texts are forgotten: verdicts, amounts and counts, and nobody's words."""

import json
from typing import Any

import pytest

from agent.journal.kept import kept
from agent.records import EntryKind, JsonObject
from tests.journals import HERE, OUTCOME, case, reply

WORDS = "words of a person"
CALL = {"tool_use_id": "toolu_1", "tool": "desk.refund"}
USAGE = {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4}
EFFECT = {"server": "desk", "tool": "refund", "status": "done", "key": "run/2/toolu_1"}
FACTS = {"amount_cents": 1250, "rate": 0.5, "currency": "EUR", "is_paid": True, "iban": WORDS, "lines": [1]}
AMOUNTS = {"amount_cents": 1250, "rate": 0.5, "currency": "EUR"}

BODIES: dict[EntryKind, tuple[JsonObject, JsonObject]] = {
    EntryKind.CASE: (
        case(ticket={"id": "42", "fields": {"requester": WORDS}, "context": WORDS}, system=WORDS, messages=[WORDS]),
        {
            "format": 1,
            "ticket_id": "42",
            "mode": "live",
            "model": "scripted",
            "owner": HERE.as_json(),
            "version": "0.1.0",
        },
    ),
    EntryKind.CLAIM: (
        {"owner": HERE.as_json(), "is_taken_over": True},
        {"owner": HERE.as_json(), "is_taken_over": True},
    ),
    EntryKind.REPLY: (
        reply(said=WORDS),
        {name: value for name, value in reply().items() if name != "content"},
    ),
    EntryKind.DECISION: (
        {
            **CALL,
            "effect": "money",
            "arguments": {"to": WORDS},
            "verdict": "ask",
            "reasons": [{"rule": "money", "because": WORDS}],
            "stripped": [WORDS],
            "facts": FACTS,
        },
        {**CALL, "effect": "money", "verdict": "ask", "rules": ["money"], "facts": AMOUNTS},
    ),
    EntryKind.APPROVAL: (
        {**CALL, "digest": WORDS, "is_granted": True, "by": "ann", "because": WORDS, "seconds": 2.0},
        {**CALL, "is_granted": True, "by": "ann", "seconds": 2.0},
    ),
    EntryKind.ATTEMPT: (
        {**CALL, "effect": "money", "arguments": {"to": WORDS}, "key": "run/2/toolu_1", "facts": FACTS},
        {**CALL, "effect": "money", "key": "run/2/toolu_1", "facts": AMOUNTS},
    ),
    EntryKind.RESULT: (
        {
            "tool_use_id": "toolu_1",
            "tool": WORDS,
            "status": "done",
            "content": [{"type": "text", "text": WORDS}],
            "versions": {"ticket": WORDS},
            "effect": {**EFFECT, "arguments": {"to": WORDS}, "reasons": [WORDS]},
            "seconds": 0.5,
        },
        {"tool_use_id": "toolu_1", "status": "done", "effect": EFFECT, "seconds": 0.5},
    ),
    EntryKind.SAMPLING: (
        {
            "server": "desk",
            "tool_use_id": "toolu_1",
            "digest": WORDS,
            "request": WORDS,
            "reply": WORDS,
            "usage": USAGE,
            "cost_usd": 0.5,
        },
        {"server": "desk", "tool_use_id": "toolu_1", "usage": USAGE, "cost_usd": 0.5},
    ),
    EntryKind.ELICITATION: (
        {
            "server": "desk",
            "tool_use_id": "toolu_1",
            "digest": WORDS,
            "mode": "form",
            "message": WORDS,
            "action": "accept",
            "content": {"name": WORDS},
            "seconds": 1.0,
        },
        {"server": "desk", "tool_use_id": "toolu_1", "mode": "form", "action": "accept", "seconds": 1.0},
    ),
    EntryKind.ROOTS: (
        {"server": "desk", "tool_use_id": "toolu_1", "uris": [WORDS]},
        {"server": "desk", "tool_use_id": "toolu_1"},
    ),
    EntryKind.NUDGE: ({"text": WORDS}, {}),
    EntryKind.HANDOVER: ({"because": WORDS}, {}),
    EntryKind.STOPPED: ({"reason": WORDS, "is_failure": True}, {"is_failure": True}),
    EntryKind.CANCEL: (
        {"by": "ann", "because": WORDS, "voided": ["run/2/a"], "uncertain": []},
        {"by": "ann", "voided": ["run/2/a"], "uncertain": []},
    ),
    EntryKind.OUTCOME: ({**OUTCOME, "reason": WORDS}, {"outcome": "closed"}),
}


@pytest.mark.parametrize("kind", EntryKind)
def test_verdicts_and_amounts_stay_and_words_do_not(kind: EntryKind):
    body, stays = BODIES[kind]
    assert kept(kind, body) == stays
    assert WORDS not in json.dumps(kept(kind, body))


@pytest.mark.parametrize("effect", [None, {}])
def test_a_result_without_an_effect_keeps_what_it_has(effect: Any):
    body = {"tool_use_id": "toolu_1", "tool": WORDS, "status": "failed", "content": [], "effect": effect}
    found = kept(EntryKind.RESULT, body)
    assert found | {"effect": None} == {"tool_use_id": "toolu_1", "status": "failed", "effect": None}
