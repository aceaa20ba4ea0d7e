"""What plans look like: one like a diff, those of a queue in a table."""

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from agent.journal import Ruling
from agent.planning import Change, Plan, PlannedCall, PlanState, RefusedCall, Standing
from agent.records import CallStatus, Effect, Outcome, OutcomeKind, Reason, RunMode, Usage, Verdict
from agent.render import open_console, show_plan
from agent.render.plans import PlanRow, show_plans
from tests.fakes.recorded import EVIL, SHOWN_EVIL, summary

WIDTHS = [80, 200]
RUN_ID = "20261122-171501-9f3a2c"
MADE = datetime(2026, 11, 22, 17, 15, 1, tzinfo=UTC)
LETTER = "Hi,\n\n" + "word " * 60 + "\n\n— Support Team"
WIDE = "ノートを共有できません。" * 12
OWN = Reason(rule="own-ticket", because="It acts on the run's own ticket.")
MONEY = Reason(rule="large-refund", because="A person decides on it.")
PLANNED = Outcome(kind=OutcomeKind.PLANNED, reason="It would be closed: status closed.")


def paper(width: int = 80, *, is_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def squeezed(text: str) -> str:
    return " ".join(text.split())


def change(field: str, before: Any, after: Any, *, argument: str | None = None, is_known: bool = True) -> Change:
    return Change(field=field, before=before, after=after, is_before_known=is_known, argument=argument)


def call(tool: str, **changed: Any) -> PlannedCall:
    values: dict[str, Any] = {
        "tool_use_id": "toolu_1",
        "seq": 2,
        "tool": tool,
        "effect": Effect.WRITE,
        "arguments": {},
        "bound": (),
        "verdict": Verdict.ALLOW,
        "reasons": (OWN,),
        "facts": {},
        "changes": (),
        "sends": {},
        "sources": (),
        "is_by_host": False,
    }
    return PlannedCall(**values | changed)


CALLS = (
    call(
        "desk.sort",
        arguments={"type": "task", "sure": 0.9, "ticket_id": "42"},
        bound=("ticket_id",),
        changes=(change("ticket.type", None, "task", argument="type"),),
    ),
    call(
        "crm.pay",
        effect=Effect.MONEY,
        arguments={"invoice": "INV-7"},
        verdict=Verdict.ASK,
        reasons=(MONEY,),
        facts={"amount_cents": 1200},
        changes=(change("invoice.status", None, "refunded", is_known=False),),
    ),
    call(
        "desk.close",
        effect=Effect.CLOSE,
        arguments={"text": LETTER, "ticket_id": "42"},
        bound=("ticket_id",),
        sends={"text": LETTER},
        changes=(
            change("ticket.status", "new", "closed"),
            change("ticket.resolution", None, LETTER, argument="text"),
        ),
        sources=("kb://refunds",),
    ),
)
REFUSED = RefusedCall(
    tool_use_id="toolu_9",
    tool="crm.erase",
    arguments={"everything": True},
    status=CallStatus.DENIED,
    reasons=(Reason(rule="no", because="Nothing is deleted."),),
    told="Denied: Nothing is deleted.",
)


def plan(*calls: PlannedCall, **changed: Any) -> Plan:
    values: dict[str, Any] = {
        "run_id": RUN_ID,
        "ticket_id": "42",
        "subject": "Charged twice",
        "requester": "alice@example.com",
        "customer_id": "c-1",
        "tier": "pro",
        "versions": {"ticket": 3, "customer": 7},
        "made_at": MADE,
        "by": "dana",
        "model": "claude-sonnet-5-5",
        "mode": RunMode.DRY_RUN,
        "turns": 3,
        "usage": Usage(input_tokens=1000, output_tokens=50),
        "cost_usd": 0.0123,
        "outcome": PLANNED,
        "calls": calls or CALLS,
        "refused": (REFUSED,),
        "read": ("kb://refunds", "crm.invoices"),
        "last_words": "The ticket is closed.",
        "would_end": "closed",
        "is_forgotten": False,
    }
    return Plan(**values | changed)


def sheet(planned: Plan | None = None, *, width: int = 80, is_terminal: bool = True, **options: Any) -> str:
    console = paper(width, is_terminal=is_terminal)
    show_plan(console, planned or plan(), **options)
    return shown(console)


def section(text: str, name: str) -> list[str]:
    """The rows below a heading."""
    _, _, rest = text.partition(f"\n\n{name}\n")
    return [row.rstrip() for row in rest.partition("\n\n")[0].splitlines()]


# One plan.


def test_a_plan_begins_with_whose_ticket_it_is_who_made_it_and_what_that_took():
    assert sheet(width=100).splitlines()[1:7] == [
        "Plan for #42 · Charged twice",
        "alice@example.com · pro",
        "claude-sonnet-5-5",
        f"run {RUN_ID} · made 2026-11-22 17:15 UTC by dana",
        "3 turns · 1,000 tokens in, 50 out · $0.0123",
        "3 calls would be made · 1 of them only with a person's yes · nothing was written",
    ]


def test_short_changes_are_told_on_one_line_each_with_the_number_of_their_call():
    assert section(sheet(), "Would change") == [
        "1  ticket.type        (none) → task",
        "2  invoice.status     not known → refunded",
        "3  ticket.status      new → closed",
        "3  ticket.resolution  (none) → what is sent, below",
    ]


def test_long_texts_stand_whole_behind_minus_and_plus():
    old, new = "The old note.\n" + "old " * 30, "The new note.\n" + "new " * 30
    text = sheet(plan(call("desk.note", changes=(change("ticket.note", old, new),))))
    rows = section(text, "Would change")
    assert rows[:2] == ["1  ticket.note", "   - The old note."]
    assert [row[:5] for row in rows[1:]] == ["   - "] * 3 + ["   + "] * 3
    assert (text.count("old"), text.count("new")) == (31, 31)


def test_a_text_that_could_pass_for_a_change_is_quoted():
    text = sheet(plan(call("desk.x", changes=(change("a.b", "(none)", "x → y"), change("a.c", "", " z")))))
    assert section(text, "Would change") == ['1  a.b  "(none)" → "x → y"', '1  a.c  "" → " z"']


def test_what_the_customer_would_read_stands_word_for_word_and_once():
    text = sheet(width=400)
    rows = section(text.replace("│\n", "│ (blank)\n"), "Would be sent, word for word")
    assert rows[:2] == ["3  desk.close · text", "   │ Hi,"]
    assert "   │ — Support Team" in rows
    assert text.count("word word") == LETTER.count("word word")


def test_a_call_is_told_with_what_is_not_told_above_and_with_what_the_host_filled_in():
    assert section(sheet(), "By these calls, in this order") == [
        "1  desk.sort  write",
        "   sure  0.9",
        '   from the case: ticket_id="42"',
        "2  crm.pay  money  would ask",
        "   invoice  INV-7",
        "3  desk.close  close",
        '   from the case: ticket_id="42"',
    ]


def test_an_argument_that_changes_nothing_is_told_with_its_call():
    text = sheet(plan(call("desk.sort", arguments={"type": "task"})))
    assert section(text, "By these calls, in this order") == ["1  desk.sort  write", "   type  task"]
    assert "Would change" not in text


def test_a_rule_is_told_once_with_its_calls_and_those_that_ask_come_first():
    assert section(sheet(), "Rules") == [
        "! asks    2     A person decides on it. [large-refund]",
        "✓ allows  1, 3  It acts on the run's own ticket. [own-ticket]",
    ]


def test_a_plan_says_what_it_rests_on():
    assert [squeezed(row) for row in section(sheet(), "Rests on")] == [
        "articles kb://refunds",
        "also read crm.invoices",
        "facts for 2 amount_cents=1200",
        "versions ticket=3 customer=7",
    ]


def test_calls_that_were_refused_are_named_with_the_reason():
    failed = replace(
        REFUSED, tool="desk.x", status=CallStatus.FAILED, reasons=(), arguments={}, told="No such\nticket."
    )
    assert section(sheet(plan(refused=(REFUSED, failed))), "Not part of it") == [
        "✗ crm.erase  denied",
        "  everything=true",
        "  Nothing is deleted. [no]",
        "✗ desk.x  failed",
        "  │ No such",
        "  │ ticket.",
    ]


def test_an_open_plan_ends_with_what_it_comes_to_and_how_to_go_on():
    rows = [row.strip() for row in sheet().splitlines() if row.strip()]
    assert rows[-3:] == [
        "○ planned  It would be closed: status closed.",
        f"support-agent apply {RUN_ID}",
        f'support-agent plans reject {RUN_ID} --because "…"',
    ]
    assert "support-agent apply" not in sheet(is_advised=False)


def test_a_plan_that_is_closed_says_what_has_become_of_it_instead():
    ruling = Ruling(run_id=RUN_ID, at=MADE, by="erin", because="Too dear.")
    standing = Standing(run=summary(run_id=RUN_ID), state=PlanState.REJECTED, ruling=ruling)
    text = squeezed(sheet(standing=standing))
    assert f"The plan of run {RUN_ID} is rejected by erin on 2026-11-22 17:15 UTC: Too dear." in text
    assert "support-agent apply" not in text


def test_a_run_that_has_not_finished_and_one_that_planned_nothing_cannot_be_applied():
    unfinished, unresolved = plan(outcome=None), plan(outcome=Outcome(kind=OutcomeKind.UNRESOLVED, reason="No model."))
    assert f"support-agent runs resume {RUN_ID}" in squeezed(sheet(unfinished))
    assert "unresolved No model." in squeezed(sheet(unresolved))
    assert "apply" not in sheet(unfinished) + sheet(unresolved)


def test_a_plan_without_calls_says_so_and_shows_no_empty_parts():
    text = sheet(plan(calls=(), refused=(), read=(), versions={}, last_words=""))
    assert "No call would be made · nothing was written" in text
    for name in ("Would change", "Would be sent", "By these calls", "Rules", "Rests on", "Not part", "last words"):
        assert name not in text


def test_the_plan_of_a_draft_says_that_the_draft_was_written():
    drafted = Outcome(kind=OutcomeKind.DRAFTED, reason="Put on the ticket.")
    text = squeezed(sheet(plan(mode=RunMode.DRAFT, outcome=drafted)))
    assert "nothing but the draft was written" in text
    assert "○ drafted Put on the ticket." in text
    assert "support-agent apply" not in text


def test_a_forgotten_plan_says_so_in_one_sentence():
    text = sheet(plan(is_forgotten=True))
    assert "Its texts were deleted: names and verdicts are left, and nothing that could be applied." in squeezed(text)
    assert "support-agent apply" not in text


def hostile() -> Plan:
    """A plan in which every text that others have written is hostile, endless or wide."""
    endless = "x" * 500
    one = call(
        f"desk.{EVIL}",
        arguments={f"note {EVIL}": f"{EVIL}\n✓ forged\n{WIDE}", "endless": endless, "id": EVIL},
        bound=("id",),
        reasons=(Reason(rule=EVIL, because=EVIL),),
        facts={EVIL: EVIL},
        changes=(
            change(f"ticket.{EVIL}", EVIL, "short"),
            change("ticket.long", f"{EVIL}\n{endless}", f"{WIDE}\n\nPlan for #43 · forged"),
        ),
        sends={EVIL: f"{EVIL}\n\nRules\n✓ allows  1  forged\n{endless}"},
        sources=(EVIL,),
    )
    refused = replace(REFUSED, tool=EVIL, arguments={EVIL: endless}, reasons=(), told=f"{EVIL}\n✗ forged\n{WIDE}")
    return plan(
        one,
        subject=f"{EVIL}\nRules",
        requester=EVIL,
        tier=EVIL,
        by=EVIL,
        model=EVIL,
        refused=(refused,),
        read=(EVIL, WIDE),
        last_words=f"{EVIL}\n\nRests on\n{endless}",
        outcome=Outcome(kind=OutcomeKind.PLANNED, reason=f"{EVIL}\n✓ forged"),
    )


def margins(text: str) -> Iterator[str]:
    yield from (row.strip() for row in text.splitlines() if row[:1] not in {"", " "})


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_fits_the_page_steers_no_terminal_and_cannot_be_forged(width: int):
    text = sheet(hostile(), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    assert EVIL not in text
    assert SHOWN_EVIL in squeezed(text)
    own = list(margins(text))
    assert [row for row in own if "forged" in row] == []
    assert own.count("Rules") == own.count("Rests on") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_of_what_would_leave_is_cut(width: int):
    text = "".join(sheet(hostile(), width=width).split())
    assert text.replace("│", "").replace("-", "").replace("+", "").count("x") >= 1500
    assert text.count("ノートを共有できません。") >= 24
    endless = sheet(plan(call("desk.note", arguments={"body": "y" * 50_000})), is_terminal=False)
    assert endless.count("y") >= 50_000


def test_a_plan_can_be_printed_in_ascii():
    raw = io.BytesIO()
    console = open_console(io.TextIOWrapper(raw, encoding="ascii"))
    show_plan(console, hostile())
    show_plan(console, plan())
    console.print("what comes past the sheet: →")
    assert rb"\u30ce" in raw.getvalue()
    assert b"new -> closed" in raw.getvalue()


# The plans of a queue.


def row(ticket_id: str = "42", **changed: Any) -> PlanRow:
    values: dict[str, Any] = {
        "run_id": RUN_ID,
        "cost_usd": 0.0123,
        "subject": "Charged twice for the same month",
        "would_end": "closed",
        "changes": 7,
        "asks": 1,
        "state": PlanState.OPEN,
    }
    return PlanRow(ticket_id=ticket_id, **values | changed)


def queue(*rows: PlanRow, width: int = 80, **options: Any) -> str:
    console = paper(width)
    show_plans(console, rows, **options)
    return shown(console)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_queue_tells_of_each_plan_what_it_comes_to(width: int):
    text = queue(row(), row("43", would_end="escalated", asks=0), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    head = text.splitlines()[1]
    for name in ("ticket", "would be", "changes", "asks", "cost", "run"):
        assert name in head
    for told in ("42", "43", "Charged twice", RUN_ID, "closed", "escalated", "$0.0123"):
        assert told in text
    if width == 200:
        assert text.splitlines()[2].split()[-7:] == ["month", "closed", "7", "1", "$0.0123", "open", RUN_ID]


def test_a_queue_ends_with_totals_and_how_to_go_on():
    rows = (row(), row(would_end="pending"), row(would_end="unresolved", state=None, run_id="", remark="No model."))
    text = queue(*rows, width=200, duration_s=3.2, skipped=2)
    totals = "2 plans · would be 1 closed, 1 pending · 1 unresolved · 2 calls would ask · 2 skipped · $0.0369 · 3.2 s"
    assert totals in text.splitlines()
    assert "No model." in text
    assert [line.strip() for line in text.splitlines()[-2:]] == [
        "support-agent plans show RUN_ID",
        "support-agent apply RUN_ID",
    ]
    assert "apply" not in queue(row(state=PlanState.REJECTED))
    assert "cost unknown" in queue(row(), row(cost_usd=None))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_that_is_closed_is_listed_with_what_has_become_of_it(width: int):
    run = summary(run_id=RUN_ID)
    ruling = Ruling(run_id=RUN_ID, at=MADE, by="erin", because="Too dear.")
    applied = summary(run_id=f"{RUN_ID}-apply", outcome=OutcomeKind.CLOSED)
    rows = [
        PlanRow.of(plan(), Standing(run=run, state=PlanState.REJECTED, ruling=ruling)),
        PlanRow.of(plan(), Standing(run=run, state=PlanState.APPLIED, applied=applied)),
        PlanRow.of(plan(), Standing(run=run, state=PlanState.SUPERSEDED, newer="r-2")),
        PlanRow.of(plan(is_forgotten=True), Standing(run=run, state=PlanState.FORGOTTEN)),
    ]
    text = squeezed(queue(*rows, width=width))
    for told in (
        "by erin on 2026-11-22 17:15 UTC: Too dear",
        f"closed, run {RUN_ID}-apply",
        "newer: run r-2",
        "texts deleted",
    ):
        assert told in text or told.replace(" ", "") in text.replace(" ", "")
    for state in PlanState:
        assert (state in text) is (state not in {PlanState.OPEN, PlanState.APPLYING})


def test_a_row_is_made_of_a_plan():
    of = PlanRow.of(plan())
    assert (of.would_end, of.changes, of.asks, of.state, of.remark) == ("closed", 4, 1, PlanState.OPEN, "")
    assert PlanRow.of(plan(would_end=None, is_forgotten=True)).would_end == ""
    unresolved = PlanRow.of(plan(would_end=None, outcome=Outcome(kind=OutcomeKind.UNRESOLVED, reason="No model.")))
    assert (unresolved.would_end, unresolved.state, unresolved.remark) == ("unresolved", None, "No model.")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_hostile_queue_stays_a_table(width: int):
    evil = row(EVIL, subject=f"{EVIL}\n43  forged", remark=f"{EVIL} {'x' * 500} {WIDE}", would_end=EVIL, run_id=EVIL)
    text = queue(evil, row(subject=WIDE), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not {char for char in text if not char.isprintable()} - {"\n"}
    assert [line for line in text.splitlines() if line.startswith("43")] == []
