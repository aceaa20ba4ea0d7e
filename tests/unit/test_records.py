"""The values that travel: what a case stands for, what a reply says, and the documented JSON of a run."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.records import (
    CallStatus,
    Case,
    Customer,
    Effect,
    EffectReport,
    Outcome,
    OutcomeKind,
    Reply,
    RunMode,
    RunReport,
    Ticket,
    ToolResult,
    Usage,
)

TICKET = Ticket(id="42", fields={"requester": "alice@example.com", "status": "open", "priority": None}, context="…")
CUSTOMER = Customer(id="c1", fields={"tier": "pro", "verified": True}, context="…")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ticket.id", "42"),
        ("ticket.requester", "alice@example.com"),
        ("ticket.priority", None),
        ("ticket.unheard_of", None),
        ("ticket", None),
        ("customer.id", "c1"),
        ("customer.tier", "pro"),
        ("customer.verified", True),
        ("facts.amount_cents", None),
        ("", None),
    ],
)
def test_a_path_stands_for_a_value_of_the_case(path: str, value: Any):
    assert Case(ticket=TICKET, customer=CUSTOMER).value(path) == value


def test_of_an_unknown_customer_nothing_is_known():
    case = Case(ticket=TICKET, customer=None)
    assert case.value("customer.id") is None
    assert case.value("customer.tier") is None
    assert case.value("ticket.id") == "42"


def test_an_id_is_the_id_that_was_asked_for_and_not_a_field():
    ticket = Ticket(id="42", fields={"id": "43", "requester": "a", "status": "new"}, context="")
    assert Case(ticket=ticket, customer=None).value("ticket.id") == "42"


def test_a_customer_without_a_tier_has_none():
    assert Customer(id="c1", fields={}, context="").tier is None
    assert Customer(id="c1", fields={"tier": 2}, context="").tier == "2"


def test_a_reply_says_its_text_and_its_calls_in_order():
    reply = Reply(
        content=[
            {"type": "thinking", "thinking": "…", "signature": "s"},
            {"type": "text", "text": "One."},
            {"type": "tool_use", "id": "t1", "name": "desk__look", "input": {"a": 1}},
            {"type": "text", "text": ""},
            {"type": "tool_use", "id": "t2", "name": "desk__act", "input": {}},
            {"type": "text", "text": "Two."},
        ],
        stop_reason="tool_use",
        model="m",
    )
    assert reply.text == "One.\n\nTwo."
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("t1", "desk__look", {"a": 1}),
        ("t2", "desk__act", {}),
    ]


@pytest.mark.parametrize("status", CallStatus)
def test_a_planned_call_is_no_error_and_an_uncertain_one_is(status: CallStatus):
    result = ToolResult(content=[{"type": "text", "text": "a"}, {"type": "image"}], status=status)
    assert result.is_error is (status not in {CallStatus.DONE, CallStatus.PLANNED})
    assert result.text == "a"


usages = st.builds(Usage, **dict.fromkeys(("input_tokens", "output_tokens"), st.integers(0, 10**9)))


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(one: Usage, other: Usage, third: Usage):
    assert one + other == other + one
    assert (one + other) + third == one + (other + third)
    assert one + Usage() == one


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TICKET.id = "43"  # pyright: ignore[reportAttributeAccessIssue]  # that is the point


@pytest.mark.parametrize("cost_usd", [0.0123, None])
def test_a_run_is_reported_in_the_documented_shape(cost_usd: float | None):
    effect = EffectReport(
        server="desk",
        tool="close",
        arguments={"ticket_id": "42"},
        status=CallStatus.DONE,
        reasons=("It acts on the run's own ticket.",),
        key="run-1/2/t1",
    )
    report = RunReport(
        run_id="run-1",
        ticket_id="42",
        mode=RunMode.DRY_RUN,
        model="offline",
        outcome=Outcome(kind=OutcomeKind.CLOSED, reason="The ticket's status is closed."),
        turns=3,
        effects=(effect,),
        usage=Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4),
        cost_usd=cost_usd,
        duration_s=1.23456,
    )
    assert json.loads(json.dumps(report.as_json())) == {
        "run_id": "run-1",
        "ticket_id": "42",
        "mode": "dry-run",
        "model": "offline",
        "outcome": "closed",
        "reason": "The ticket's status is closed.",
        "turns": 3,
        "effects": [
            {
                "server": "desk",
                "tool": "close",
                "arguments": {"ticket_id": "42"},
                "status": "done",
                "reasons": ["It acts on the run's own ticket."],
                "key": "run-1/2/t1",
            }
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4},
        "cost_usd": cost_usd,
        "duration_s": 1.235,
    }


def test_every_effect_is_spelt_as_the_configuration_spells_it():
    assert {effect.value for effect in Effect} == {
        "read", "write", "reply", "money", "close", "escalate", "access", "account", "deletion", "unnamed",
    }  # fmt: skip
