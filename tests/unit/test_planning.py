"""What a dry run would do, read from its entries, and how the plans of many runs stand."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Ruling, RunSummary
from agent.journal.kept import kept
from agent.planning import Change, Plan, PlanState, applied_as, open_plans, plan_of, standings
from agent.records import (
    CallStatus,
    Effect,
    Entry,
    EntryKind,
    JsonObject,
    OutcomeKind,
    Reason,
    RunMode,
    Usage,
    Verdict,
)
from tests.fakes.recorded import DANA, summary
from tests.fakes.runs import CLOSE, NOTE, REFUND, RESOLUTION, bench, closes, does, says

RUN_ID = "20261122-171501-9f3a2c"
BEGAN = datetime(2026, 11, 22, 17, 15, 1, tzinfo=UTC)
READS = {"effect": "read"}

TOOLS: Mapping[str, JsonObject] = {
    "desk.sort": {"effect": "write", "changes": {"ticket.type": "$type", "ticket.tags": "$tags"}},
    "desk.close": {
        "effect": "close",
        "bind": {"ticket_id": "ticket.id", "version": "ticket.version"},
        "sends": ["text"],
        "changes": {"ticket.status": "closed", "ticket.resolution": "$text"},
    },
    "desk.reply": {"effect": "reply", "bind": {"ticket_id": "ticket.id"}, "changes": {"ticket.status": "pending"}},
    "desk.hand_over": {"effect": "escalate", "changes": {"ticket.group": "people", "ticket.priority": "$priority"}},
    "desk.end": {"effect": "close"},
    "desk.note": {"effect": "write"},
    "desk.look": READS,
    "crm.pay": {"effect": "money", "bind": {"who": "customer.id"}, "changes": {"invoice.status": "refunded"}},
    "crm.send_again": {"effect": "reply", "bind": {"who": "customer.id"}},
    "crm.update": {"effect": "account", "changes": {"customer.plan": "$plan", "customer.vip": "$vip"}},
}
OUTCOMES = {
    "closed": {"status": ["solved", "closed"]},
    "escalated": {"group": ["people"]},
    "pending": {"status": ["pending"]},
}
FIELDS = {"subject": "Twice", "requester": "alice@example.com", "status": "new", "type": None, "tags": [], "version": 3}


class Record:
    """The record of a dry run, written down call by call."""

    def __init__(self, *, mode: str = "dry-run", **case: Any) -> None:
        self.entries: list[Entry] = []
        body = {
            "format": 1,
            "ticket_id": "42",
            "mode": mode,
            "model": "claude-sonnet-5-5",
            "owner": DANA.as_json(),
            "ticket": {"id": "42", "fields": FIELDS, "context": ""},
            "customer": {"id": "c-1", "fields": {"tier": "pro", "plan": "pro", "version": 7}, "context": ""},
            "catalog": {"desk": {"tools": [tool("hand_over", priority={"default": None})]}},
            "settings": {"tools": TOOLS, "tickets": {"outcome": OUTCOMES}},
            "version": "0.1.0",
        }
        self.add(EntryKind.CASE, **body | case)

    def add(self, kind: EntryKind, **body: Any) -> "Record":
        seq = len(self.entries) + 1
        self.entries.append(Entry(run_id=RUN_ID, seq=seq, kind=kind, body=body, at=BEGAN + timedelta(seconds=seq - 1)))
        return self

    def reply(self, text: str = "", cost_usd: float | None = 0.01) -> "Record":
        turn = 1 + sum(entry.kind is EntryKind.REPLY for entry in self.entries)
        usage = Usage(input_tokens=10, output_tokens=1).as_json()
        content = [{"type": "text", "text": text}]
        return self.add(
            EntryKind.REPLY, turn=turn, content=content, stop_reason="tool_use", usage=usage, cost_usd=cost_usd
        )

    def decide(self, call: str, name: str, arguments: JsonObject, verdict: str = "allow", **body: Any) -> "Record":
        decision: JsonObject = {
            "tool_use_id": call,
            "tool": name,
            "effect": TOOLS.get(name, READS)["effect"],
            "arguments": arguments,
            "verdict": verdict,
            "reasons": [{"rule": "own", "because": "It is its own."}],
            "stripped": [],
            "facts": {},
        }
        return self.add(EntryKind.DECISION, **decision | body)

    def result(self, call: str, name: str, status: str = "planned", text: str = "ok", **body: Any) -> "Record":
        content = [{"type": "text", "text": text}]
        told: JsonObject = {"tool_use_id": call, "tool": name, "status": status, "content": content, "effect": None}
        return self.add(EntryKind.RESULT, **told | {"versions": {}, "seconds": 0.0} | body)

    def plan(self, name: str, call: str = "toolu_1", /, **arguments: Any) -> "Record":
        """A call that is allowed and planned."""
        return self.decide(call, name, arguments).result(call, name)

    def ends(self, outcome: str = "planned") -> "Record":
        return self.add(EntryKind.OUTCOME, outcome=outcome, reason="It would be closed.")

    @property
    def read(self) -> Plan:
        return plan_of(self.entries)


def tool(name: str, **properties: JsonObject) -> JsonObject:
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}}


def shown(changes: Iterable[Change]) -> list[tuple[str, Any, Any]]:
    """Changes as they are read; an unknown value before as three dots."""
    return [(change.field, change.before if change.is_before_known else ..., change.after) for change in changes]


# What would change.


def test_a_change_leads_from_what_the_run_read_to_what_the_call_says():
    plan = Record().reply().plan("desk.sort", type="task", tags=["refund"]).read
    assert shown(plan.changes) == [("ticket.type", None, "task"), ("ticket.tags", [], ["refund"])]
    assert [change.argument for change in plan.changes] == ["type", "tags"]


def test_a_second_change_of_a_field_begins_where_the_first_one_ends():
    plan = Record().reply().plan("desk.reply", "a").plan("desk.close", "b", text="Hi").read
    assert shown(plan.calls[0].changes) == [("ticket.status", "new", "pending")]
    assert shown(plan.calls[1].changes) == [("ticket.status", "pending", "closed"), ("ticket.resolution", ..., "Hi")]


def test_a_field_that_stays_as_it_is_does_not_change():
    again = Record().reply().plan("desk.sort", "a", type="task").plan("desk.sort", "b", type="task", tags=[]).read
    assert shown(again.changes) == [("ticket.type", None, "task")]


def test_a_placeholder_without_its_argument_changes_nothing():
    assert shown(Record().reply().plan("desk.hand_over").read.changes) == [("ticket.group", ..., "people")]


def test_a_null_changes_a_field_unless_its_tool_takes_it_for_nothing_said():
    left_out = Record().reply().plan("desk.hand_over", priority=None).read
    assert [change.field for change in left_out.changes] == ["ticket.group"]
    emptied = Record().reply().plan("crm.update", plan=None).read
    assert shown(emptied.changes) == [("customer.plan", "pro", None)]


def test_what_no_record_tells_has_no_value_before_until_a_call_has_set_it():
    plan = Record().reply().plan("crm.update", "a", vip=True).plan("crm.update", "b", vip=False).read
    assert shown(plan.changes) == [("customer.vip", ..., True), ("customer.vip", True, False)]


def test_records_of_others_are_never_known_before():
    plan = Record().reply().plan("crm.pay", "a", invoice="1").plan("crm.pay", "b", invoice="2").read
    assert shown(plan.changes) == [("invoice.status", ..., "refunded")] * 2
    unknown = Record(customer=None).reply().plan("crm.update", plan="free").read
    assert shown(unknown.changes) == [("customer.plan", ..., "free")]
    assert unknown.customer_id is None


def test_when_the_ticket_has_moved_during_the_run_only_what_the_plan_sets_is_known_of_it():
    plan = (
        Record()
        .reply()
        .plan("desk.sort", "a", type="task")
        .plan("desk.close", "b", version="4", text="Hi")
        .plan("desk.sort", "c", type="question")
        .read
    )
    assert shown(plan.changes)[1:] == [
        ("ticket.status", ..., "closed"),
        ("ticket.resolution", ..., "Hi"),
        ("ticket.type", "task", "question"),
    ]
    assert plan.versions == {"ticket": "4", "customer": 7}


def test_a_version_that_is_bound_as_a_number_is_the_one_that_was_read_as_a_text():
    plan = Record(ticket={"id": "42", "fields": FIELDS | {"version": "3"}}).reply().plan("desk.close", version=3).read
    assert shown(plan.changes) == [("ticket.status", "new", "closed")]
    assert plan.versions["ticket"] == "3"


# The calls.


def test_a_planned_call_is_everything_that_is_known_without_making_it():
    facts, asks = {"amount_cents": 1200}, [{"rule": "money", "because": "Money waits for a person."}]
    record = Record().reply("I pay.")
    record.decide("a", "crm.pay", {"invoice": "7", "who": "c-1"}, "ask", facts=facts, reasons=asks, sources=["kb://x"])
    [call] = record.result("a", "crm.pay").read.calls
    assert (call.tool_use_id, call.seq, call.tool, call.effect) == ("a", 2, "crm.pay", Effect.MONEY)
    assert (call.arguments, call.bound) == ({"invoice": "7", "who": "c-1"}, ("who",))
    assert (call.verdict, call.reasons) == (Verdict.ASK, (Reason(rule="money", because="Money waits for a person."),))
    assert (call.facts, call.sources, call.is_by_host) == (facts, ("kb://x",), False)


def test_what_the_customer_would_read_is_there_word_for_word():
    [call] = Record().reply().plan("desk.close", ticket_id="42", text="Hi,\n\nDone.  ").read.calls
    assert call.sends == {"text": "Hi,\n\nDone.  "}


def test_of_a_tool_that_declares_nothing_the_call_is_all_that_is_known():
    [call] = Record().reply().plan("far.away", x=1).read.calls
    assert (call.changes, call.sends, call.bound, call.arguments) == ((), {}, (), {"x": 1})


def test_of_several_decisions_about_one_call_the_last_one_holds():
    record = Record().reply().decide("a", "desk.note", {"text": "1"}).decide("a", "desk.note", {"text": "2"})
    assert [call.arguments for call in record.result("a", "desk.note").read.calls] == [{"text": "2"}]


def test_a_call_of_the_host_belongs_to_the_last_reply():
    [call] = Record().reply().reply().plan("desk.hand_over", "host-1", reason="It gave up.").read.calls
    assert (call.is_by_host, call.seq) == (True, 3)


def test_calls_that_were_denied_or_failed_are_no_part_of_the_plan_and_say_why():
    deny = {"verdict": "deny", "reasons": [{"rule": "no", "because": "Never."}]}
    record = Record().reply().decide("a", "crm.update", {"plan": "free"}, **deny)
    record.result("a", "crm.update", "denied", "Denied: Never.")
    record.result("b", "nope", "failed", "There is no tool 'nope'.")
    record.decide("c", "desk.look", {"q": "x"}).result("c", "desk.look", "failed", "Try again.")
    record.decide("d", "desk.close", {"text": "secret"}, **deny)
    record.result("d", "desk.close", "failed", "Not sent: Never.", effect={"arguments": {"text": "[withheld]"}})
    plan = record.read
    assert plan.calls == ()
    assert [(call.tool, call.status, [reason.rule for reason in call.reasons]) for call in plan.refused] == [
        ("crm.update", CallStatus.DENIED, ["no"]),
        ("nope", CallStatus.FAILED, []),
        ("desk.look", CallStatus.FAILED, []),
        ("desk.close", CallStatus.FAILED, ["no"]),
    ]
    assert plan.refused[1].told == "There is no tool 'nope'."
    assert plan.refused[3].arguments == {"text": "[withheld]"}


def test_what_was_read_is_told_once_in_the_order_in_which_it_was_asked_for():
    reads = [
        ("desk.look", {"q": "x"}),
        ("read_resource", {"uri": "kb://b"}),
        ("read_resource", {"uri": "kb://a"}),
        ("desk.look", {}),
    ]
    record = Record().reply()
    for number, (name, arguments) in enumerate(reads):
        record.decide(str(number), name, arguments)
    for number, (name, _) in reversed(list(enumerate(reads))):
        record.result(str(number), name, "done")
    assert record.read.read == ("desk.look", "kb://b", "kb://a")


# The run.


def test_a_plan_says_whose_ticket_it_is_who_made_it_and_what_it_took():
    plan = Record().reply("Hm.").reply("I am done.").ends().read
    assert (plan.run_id, plan.ticket_id, plan.subject, plan.requester) == (RUN_ID, "42", "Twice", "alice@example.com")
    assert (plan.customer_id, plan.tier, plan.made_at, plan.by, plan.mode) == (
        "c-1",
        "pro",
        BEGAN,
        "dana",
        RunMode.DRY_RUN,
    )
    assert (plan.turns, plan.usage.input_tokens, plan.cost_usd, plan.last_words) == (2, 20, 0.02, "I am done.")
    assert plan.versions == {"ticket": 3, "customer": 7}


def test_what_servers_asked_the_model_is_part_of_the_cost_and_one_unknown_price_makes_it_unknown():
    usage = Usage(output_tokens=5).as_json()
    record = Record().reply().add(EntryKind.SAMPLING, server="desk", tool_use_id="a", usage=usage, cost_usd=0.5)
    assert (record.read.usage.output_tokens, record.read.cost_usd) == (6, 0.51)
    assert record.reply(cost_usd=None).reply().read.cost_usd is None


@pytest.mark.parametrize(
    ("calls", "end"),
    [
        ([("desk.close", {"text": "Hi"})], "closed"),
        ([("desk.reply", {})], "pending"),
        ([("desk.reply", {}), ("desk.hand_over", {})], "escalated"),
        ([("desk.end", {})], "closed"),
        ([("crm.send_again", {})], None),
        ([("desk.note", {})], None),
    ],
)
def test_a_plan_says_where_it_would_leave_the_ticket(calls: Sequence[tuple[str, JsonObject]], end: str | None):
    record = Record().reply()
    for number, (name, arguments) in enumerate(calls):
        record.plan(name, str(number), **arguments)
    assert record.read.would_end is None
    assert record.ends().read.would_end == end


def test_a_run_that_has_not_finished_has_the_plan_of_so_far():
    plan = Record().reply().plan("desk.note", text="x").decide("b", "desk.close", {"text": "Hi"}).read
    assert (plan.outcome, plan.would_end, [call.tool for call in plan.calls]) == (None, None, ["desk.note"])


@pytest.mark.parametrize("entries", [[], Record(mode="live").entries, Record(mode="apply").entries])
def test_only_a_dry_run_has_a_plan(entries: Sequence[Entry]):
    with pytest.raises(ValueError, match="only a dry run has a plan"):
        plan_of(entries)


def test_of_a_forgotten_run_names_and_verdicts_are_left():
    record = Record().reply("Secret.").plan("desk.close", text="Hi Alice").ends()
    left = [
        Entry(run_id=entry.run_id, seq=entry.seq, kind=entry.kind, body=kept(entry.kind, entry.body), at=entry.at)
        for entry in record.entries
    ]
    plan = plan_of(left)
    assert (plan.is_forgotten, record.read.is_forgotten) == (True, False)
    assert [(call.tool, call.verdict, call.reasons[0].rule) for call in plan.calls] == [("desk.close", "allow", "own")]
    assert (plan.ticket_id, plan.cost_usd, plan.outcome and plan.outcome.kind) == ("42", 0.01, OutcomeKind.PLANNED)
    assert "Alice" not in json.dumps(plan.as_json())


def test_the_digest_is_about_the_calls_and_nothing_else():
    one, other = (
        Record().reply("a").plan("desk.note", text="x"),
        Record(model="other").reply("b").plan("desk.note", text="x"),
    )
    assert one.read.digest == other.ends().read.digest
    assert one.read.digest != Record().reply().plan("desk.note", text="y").read.digest
    assert one.read.digest != Record().reply().reply().plan("desk.note", text="x").read.digest


def test_a_plan_is_a_json_document():
    plan = Record().reply("Done.").plan("desk.close", text="Hi").ends().read
    document = json.loads(json.dumps(plan.as_json()))
    assert document["digest"] == plan.digest
    assert document["would_end"] == "closed"
    assert document["calls"][0]["changes"][0] == {
        "field": "ticket.status",
        "before": "new",
        "after": "closed",
        "is_before_known": True,
    }


# Of real runs.


async def test_a_live_run_of_the_same_replies_leaves_what_the_plan_shows(home: Path):
    sorting = {"type": "incident", "category": "login", "language": "en", "sentiment": "negative", "tags": ["login"]}
    turns = (does(("ticketing__classify_ticket", sorting), (NOTE, {"body": "Seen."})), closes(), says())
    async with bench(home) as desk:
        planned = await desk.play(*turns, mode=RunMode.DRY_RUN)
        before = desk.ticket()
        await desk.play(*turns)
        after = desk.ticket()
    plan = plan_of(planned.entries)
    of_ticket = [change for change in plan.changes if change.field.startswith("ticket.")]
    assert len(of_ticket) >= 5
    for change in of_ticket:
        name = change.field.removeprefix("ticket.")
        assert change.is_before_known
        assert as_recorded(getattr(before, name)) == change.before
        assert as_recorded(getattr(after, name)) == change.after
    assert plan.would_end == "closed"
    assert [call.tool.partition(".")[2] for call in plan.calls] == [
        "classify_ticket",
        "add_internal_note",
        "close_ticket",
    ]
    assert list(plan.calls[2].sends.values()) == [RESOLUTION]


async def test_the_plan_of_a_refund_has_its_facts_and_what_the_host_filled_in(home: Path):
    refund = {"invoice_id": "inv_1001", "reason": "Charged twice."}
    async with bench(home) as desk:
        planned = await desk.play(
            does((REFUND, refund), (CLOSE, {"resolution": RESOLUTION})), says(), mode=RunMode.DRY_RUN
        )
    plan = plan_of(planned.entries)
    refunding = next((call for call in plan.calls if call.effect is Effect.MONEY), None)
    assert refunding is not None, plan.refused
    assert set(refunding.bound) == {"customer_id", "expected_amount_cents"}
    assert plan.facts[refunding.tool_use_id]["amount_cents"] == refunding.arguments["expected_amount_cents"]


async def test_a_run_that_gives_up_plans_to_hand_the_ticket_over(home: Path):
    async with bench(home) as desk:
        planned = await desk.play(says("Hm."), says("I do not know."), mode=RunMode.DRY_RUN)
    plan = plan_of(planned.entries)
    [call] = plan.calls
    assert (call.effect, call.is_by_host, plan.would_end) == (Effect.ESCALATE, True, "escalated")
    assert plan.last_words == "I do not know."


def as_recorded(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# How plans stand.


def dry(run_id: str, after_s: int = 0, **changed: Any) -> RunSummary:
    began = BEGAN + timedelta(seconds=after_s)
    values: dict[str, Any] = {"mode": RunMode.DRY_RUN, "outcome": OutcomeKind.PLANNED, "started_at": began}
    return summary(run_id=run_id, **values | changed)


def rejected(run_id: str) -> dict[str, Ruling]:
    return {run_id: Ruling(run_id=run_id, at=BEGAN, by="dana", because="Too dear.")}


def test_plans_are_told_the_newest_first_and_an_older_one_of_the_same_ticket_is_superseded():
    runs = [dry("a"), dry("c", 20, ticket_id="43"), dry("b", 10), dry("z", 30, outcome=None), summary(run_id="live")]
    found = standings(runs, {})
    assert [(one.run.run_id, one.state, one.newer) for one in found] == [
        ("c", PlanState.OPEN, None),
        ("b", PlanState.OPEN, None),
        ("a", PlanState.SUPERSEDED, "b"),
    ]
    assert [run.run_id for run in open_plans(runs, {})] == ["c", "b"]
    assert found[2].sentence == "The plan of run a is superseded: run b has planned for ticket 42 since."


@pytest.mark.parametrize(
    ("outcome", "state", "told"),
    [
        (OutcomeKind.CLOSED, PlanState.APPLIED, "The plan of run a has been applied, by run a-apply: closed."),
        (None, PlanState.APPLYING, "The plan of run a is being applied, by run a-apply."),
    ],
)
def test_a_plan_is_applied_by_the_run_that_is_named_after_it(outcome: OutcomeKind | None, state: PlanState, told: str):
    apply = summary(run_id=applied_as("a"), mode=RunMode.APPLY, outcome=outcome)
    # Whatever else is so: what was applied, or is being, was.
    [_, standing] = standings([dry("a"), dry("b", 10), apply], rejected("a"))
    assert (standing.state, standing.applied, standing.sentence) == (state, apply, told)


def test_a_rejected_plan_stays_rejected_and_says_by_whom_and_why():
    [standing] = standings([dry("a", is_forgotten=True)], rejected("a"))
    assert standing.state is PlanState.REJECTED
    assert standing.sentence.startswith("The plan of run a is rejected by dana on 2026-11-22 17:15 UTC: Too dear")
    assert open_plans([dry("a")], rejected("a")) == []


def test_a_forgotten_plan_is_not_open():
    [standing] = standings([dry("a", is_forgotten=True)], {})
    assert (standing.state, standing.sentence) == (
        PlanState.FORGOTTEN,
        "The plan of run a cannot be had any more: its texts were deleted.",
    )
