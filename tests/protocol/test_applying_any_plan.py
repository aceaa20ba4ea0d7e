"""Whatever is planned: applied, it leaves exactly what the plan showed, or says at which call it stopped."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import approval
from agent.planning import Plan, PlannedCall, plan_of
from agent.records import Case, EffectReport, JsonObject, OutcomeKind, Reply, RunMode
from tests.fakes.applies import PRIORITY, apply
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, ESCALATE, NOTE, REFUND, REPLY, Bench, Replies, Worked, bench

ANY = st.text(st.characters(codec="utf-8"), max_size=20)
WORDS = st.sampled_from(["we", "are", "looking", "at", "your", "invoice", "and", "the", "login", "page"])
SPACE = st.sampled_from(["", "", "", " ", "\n"])
"""What a helpdesk takes off a text, at either end."""


@st.composite
def to_customer(draw: st.DrawFn) -> str:
    """A text as the prompt demands it, most of the time."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ANY)
    said = " ".join(draw(st.lists(WORDS, min_size=3, max_size=8)))
    return f"Hi, {said}. — Support Team{draw(SPACE)}"


def some(**optional: st.SearchStrategy[Any]) -> Any:
    return optional


def call(name: str, optional: Mapping[str, Any] | None = None, **required: Any) -> st.SearchStrategy[JsonObject]:
    arguments = st.fixed_dictionaries(required, optional=dict(optional or {}))
    return st.fixed_dictionaries({"type": st.just("tool_use"), "name": st.just(name), "input": arguments})


PRIORITIES = st.sampled_from(["low", "normal", "high", "urgent"])
TAGS = st.none() | st.lists(st.sampled_from(["login", "billing", "Pro", "a b", " x "]), max_size=4)
EMAILS = st.sampled_from(["alice@example.com", "ALICE@example.com"])
SOUND = st.one_of(
    call(PRIORITY, priority=PRIORITIES),
    call(
        "ticketing__classify_ticket",
        some(tags=TAGS, confidence=st.none() | st.floats(0, 1)),
        type=st.sampled_from(["question", "incident", "problem", "task"]),
        category=SPACE.map(lambda space: f"log in{space}"),
        language=st.sampled_from(["en", "de", "ja"]),
        sentiment=st.sampled_from(["positive", "neutral", "negative"]),
    ),
    call(NOTE, some(marker=st.none() | st.just("m")), body=SPACE.map(lambda space: f"Looked at it.{space}")),
    call(REPLY, body=to_customer()),
    call(
        "customers__update_account",
        some(contact_email=st.none() | EMAILS, marketing_opt_in=st.none() | st.booleans()),
        plan=st.sampled_from(["free", "pro-yearly", "pro-monthly"]),
    ),
    call("customers__send_password_reset"),
)
ODD = st.one_of(
    call(PRIORITY),  # the server asks
    call(NOTE, body=ANY),
    call("customers__update_account", some(plan=st.none(), expected_version=st.just(1))),
    call("customers__update_account", contact_email=st.just("nonsense")),
    call(REFUND, invoice_id=st.sampled_from(["inv_1001", "inv_1002", "inv_1003"]), reason=st.just("Charged twice.")),
)
ACTS = st.integers(0, 7).flatmap(lambda number: SOUND if number else ODD)
ENDS = st.one_of(
    call(CLOSE, resolution=to_customer()),
    call(ESCALATE, some(priority=st.none() | PRIORITIES), reason=st.just("A person must look.")),
)


@st.composite
def any_replies(draw: st.DrawFn) -> list[Reply]:
    """Up to three replies that act, mostly one that ends, and one that says so."""
    turns = draw(st.lists(st.lists(ACTS, min_size=1, max_size=3), max_size=3))
    if draw(st.integers(0, 4)):
        turns.append([draw(ENDS)])
    return [
        *(_reply(turn, number) for number, turn in enumerate(turns)),
        *[Reply(content=[{"type": "text", "text": "Done."}], stop_reason="end_turn", model="replies", cost_usd=0.0)]
        * 2,
    ]


def _reply(turn: Sequence[JsonObject], number: int) -> Reply:
    content = [{**block, "id": f"toolu_{number}_{place}"} for place, block in enumerate(turn)]
    return Reply(content=content, stop_reason="tool_use", model="replies", cost_usd=0.0)


NEW = {"subject": "Hm", "requester": "alice@example.com", "body": "The login does not work."}
ESCALATED = {"ticket.group": "people", "ticket.status": "open"}


def fields(case: Case) -> JsonObject:
    """What the records hold but for their versions, as the plan names it."""
    assert case.customer is not None
    records = {"ticket": case.ticket.fields, "customer": case.customer.fields}
    values = {f"{owner}.{name}": value for owner, record in records.items() for name, value in record.items()}
    return {name: _normal(name, value) for name, value in values.items() if not name.endswith(".version")}


def shown(before: JsonObject, calls: Iterable[PlannedCall]) -> JsonObject:
    """What they will hold when these calls are made, by what the plan shows."""
    changes = [change for one in calls for change in one.changes if change.field in before]
    return before | {change.field: _normal(change.field, change.after) for change in changes}


def _normal(name: str, value: Any) -> Any:
    """A value without what the helpdesk makes the same: space around a text, the order of tags, their case."""
    if name == "ticket.tags":
        return sorted({tag.strip().lower() for tag in value})
    return value.strip() if isinstance(value, str) else value


def made(plan: Plan, worked: Worked) -> list[PlannedCall]:
    """The calls of the plan that were done."""
    done = [effect.status.value == "done" for effect in worked.report.effects]
    return [one for one, is_done in zip(plan.calls, done, strict=False) if is_done]


async def planned_and_applied(desk: Bench, replies: list[Reply], left_out: bool) -> None:
    [ticket_id] = (await desk.session.helpdesk.import_tickets([NEW]))["ids"]
    before = fields(await desk.session.helpdesk.open(ticket_id))
    dry = await desk.work(ticket_id, model=Replies(replies), mode=RunMode.DRY_RUN)
    assert fields(await desk.session.helpdesk.open(ticket_id)) == before
    plan = plan_of(dry.entries)
    without = [plan.calls[0].tool] if left_out and plan.calls else []
    worked = await apply(desk, dry, left_out=without, approver=approval.always())
    after = fields(await desk.session.helpdesk.open(ticket_id))

    effects, own = worked.report.effects, worked.report.effects[: len(plan.calls)]
    assert [effect.qualified for effect in own] == [one.tool for one in plan.calls]
    was_handed_over = len(effects) > len(own)
    expected = shown(before, made(plan, worked))
    assert after == expected | (ESCALATED if was_handed_over else {})
    _is_told(plan, worked, own, without, was_handed_over=was_handed_over)
    said = [message.body for message in desk.tickets.record(ticket_id).messages if message.kind == "public_reply"]
    assert said == [
        text.strip()
        for one in made(plan, worked)
        if one.tool.endswith("reply_to_customer")
        for text in one.sends.values()
    ]


def _is_told(
    plan: Plan, worked: Worked, own: Sequence[EffectReport], without: Sequence[str], *, was_handed_over: bool
) -> None:
    """Check that the report names the call at which it stopped, if it did, and that it did not go on from there."""
    outcome = worked.report.outcome
    wanted = [effect for effect in own if effect.qualified not in without]
    stopped = next((number for number, effect in enumerate(wanted) if effect.status.value != "done"), None)
    if stopped is not None:
        assert all(effect.key is None for effect in wanted[stopped + 1 :])
        assert wanted[stopped].qualified in outcome.reason
        assert was_handed_over
    elif not without:
        assert outcome.kind.value == plan.would_end
        assert not was_handed_over
    else:
        assert outcome.kind in {OutcomeKind.UNRESOLVED, OutcomeKind.PENDING, OutcomeKind.CLOSED, OutcomeKind.ESCALATED}


def test_an_applied_plan_leaves_what_it_showed_or_says_where_it_stopped(home: Path):
    @given(replies=any_replies(), left_out=st.sampled_from([False, False, False, True]))
    @settings(max_examples=40, deadline=None)
    def check(replies: list[Reply], left_out: bool):
        portal.call(planned_and_applied, desk, replies, left_out)

    opened = bench(home, rows=[ticket(1, "bob@example.com")])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as desk:
        check()
