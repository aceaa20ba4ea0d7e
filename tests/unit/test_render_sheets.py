"""What reports, queues, lists and checks look like."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from agent.errors import TicketNotFound
from agent.records import (
    CallStatus,
    Effect,
    EffectReport,
    Entry,
    EntryKind,
    Outcome,
    OutcomeKind,
    RunMode,
    RunReport,
    Usage,
)
from agent.render import (
    Check,
    CheckState,
    NamedLine,
    QueueRow,
    QueueView,
    ServerLine,
    ServerSheet,
    TicketLine,
    ToolLine,
    open_console,
    show_checks,
    show_error,
    show_frame,
    show_notice,
    show_queue,
    show_report,
    show_server,
    show_servers,
    show_ticket,
    show_tickets,
)
from agent.render.figures import age, dollars, seconds, tokens

_NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


def paper(width: int = 80, *, is_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def squeezed(console: Console) -> str:
    return " ".join(shown(console).split())


def effect(tool: str, status: CallStatus, *reasons: str, **arguments: Any) -> EffectReport:
    server, _, name = tool.partition(".")
    return EffectReport(server=server, tool=name, arguments=arguments, status=status, reasons=reasons, key=None)


def report(*effects: EffectReport, **changed: Any) -> RunReport:
    values: dict[str, Any] = {
        "run_id": "20261122-r",
        "ticket_id": "42",
        "mode": RunMode.LIVE,
        "model": "claude-sonnet-5-5",
        "outcome": Outcome(kind=OutcomeKind.CLOSED, reason="It was closed."),
        "turns": 3,
        "effects": effects,
        "usage": Usage(input_tokens=10, output_tokens=5),
        "cost_usd": 0.0123,
        "duration_s": 4.25,
    }
    return RunReport(**(values | changed))


def test_a_report_shows_ticket_effects_outcome_and_what_it_took():
    console = paper()
    show_report(
        console, report(effect("desk.close", CallStatus.DONE, "Own ticket.", note="Hi")), subject="Cannot log in"
    )
    text = squeezed(console)
    assert "#42 Cannot log in claude-sonnet-5-5 · run 20261122-r" in text
    assert "1 desk.close done Own ticket. note Hi" in text
    assert "✓ closed It was closed. 3 turns · 4.2 s · 10 tokens in, 5 out · $0.0123" in text


def test_a_report_shows_every_argument_in_full_and_the_fields_that_changed():
    console = paper()
    body = "Hi,\n\n" + "word " * 100 + "\n— Support Team"
    done = effect("desk.close", CallStatus.DONE, "Own ticket.", resolution=body, version=3)
    changes = {"desk.close": {"ticket.status": "closed", "ticket.note": "$resolution", "ticket.group": "$absent"}}
    show_report(console, report(done), changes=changes)
    text = squeezed(console)
    assert text.count("word") >= 100
    assert "version 3" in text
    assert "ticket.status → closed" in text
    assert r"ticket.note → Hi,\n\nword" in text
    assert "ticket.group" not in text


def test_the_report_of_a_dry_run_says_what_was_planned_and_what_was_denied():
    console = paper()
    denied = effect("crm.erase", CallStatus.DENIED, "Nothing is deleted.")
    show_report(console, report(effect("desk.close", CallStatus.PLANNED), denied, mode=RunMode.DRY_RUN))
    assert "Planned 1 desk.close planned 2 crm.erase denied Nothing is deleted." in squeezed(console)


def rows(count: int = 2) -> list[QueueRow]:
    reason = "The refund is above the limit. " * 20
    return [
        QueueRow(
            report=report(ticket_id=str(42 + n), outcome=Outcome(kind=OutcomeKind.ESCALATED, reason=reason)),
            subject="Charged twice for the same month",
            requester="christiane.lang@example.com",
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_queue_names_each_ticket_with_outcome_cost_and_a_shortened_reason_at_any_width(width: int):
    console = paper(width)
    show_queue(console, rows(), duration_s=61)
    assert max(len(line) for line in shown(console).splitlines()) <= width
    text = squeezed(console)
    for part in ("42", "43", "escalated", "$0.0123", "4.2 s", "…(+", "2 tickets · 2 escalated · 6 turns · $0.0246 ·"):
        assert part in text
    whole = "".join(shown(console).split())
    assert "Chargedtwice" in whole
    assert "christiane.lang@" in whole


def test_the_table_of_a_pipe_keeps_each_ticket_on_one_line():
    console = paper(is_terminal=False)
    show_queue(console, rows(5))
    lines = [line for line in shown(console).splitlines() if "Charged twice" in line]
    assert len(lines) == 5
    assert all("christiane.lang@example.com" in line and "escalated" in line for line in lines)


def test_unknown_costs_are_said_beside_the_known_ones():
    console = paper(200)
    known, unknown = rows(1)[0], QueueRow(report=report(cost_usd=None))
    show_queue(console, [known, unknown])
    assert "$0.0123 and the unknown cost of 1 run" in shown(console)
    console = paper(200)
    show_queue(console, [unknown])
    assert "$" not in shown(console)


def queue_entry(view: QueueView, ticket: str, kind: EntryKind, /, **body: Any) -> None:
    view.entry(ticket, Entry(run_id="r", seq=1, kind=kind, body=body, at=_NOW))


def test_each_finished_ticket_of_a_queue_is_one_line_with_its_outcome():
    console = paper(is_terminal=False)
    with QueueView(console, total=2) as view:
        for ticket_id, subject in (("42", "Cannot log in"), ("43", "Invoice\x1b[31m\nforged")):
            fields = {"subject": subject, "requester": "a@example.com"}
            queue_entry(view, ticket_id, EntryKind.CASE, ticket_id=ticket_id, ticket={"fields": fields}, customer=None)
        view.finished(report())
        failed = Outcome(kind=OutcomeKind.UNRESOLVED, reason="The model is down.\nhttps://status.example")
        view.finished(report(ticket_id="43", outcome=failed))
        assert [(row.subject, row.requester) for row in view.rows] == [
            ("Cannot log in", "a@example.com"),
            ("Invoice\x1b[31m\nforged", "a@example.com"),
        ]
    assert [" ".join(line.split()) for line in shown(console).splitlines()] == [
        "✓ #42 closed Cannot log in 3 turns · $0.0123 · 4.2 s",
        r"✗ #43 unresolved Invoice\x1b[31m\nforged 3 turns · $0.0123 · 4.2 s",
        "The model is down.",
        "│ https://status.example",
    ]


def test_a_queue_on_a_terminal_shows_what_is_at_work_and_how_far_it_is():
    console = paper()
    with QueueView(console) as view:
        view.expect(3)
        queue_entry(view, "42", EntryKind.CASE, ticket_id="42", ticket={"fields": {"subject": "Login"}}, customer=None)
        queue_entry(view, "42", EntryKind.ATTEMPT, tool="desk.close")
        view.notice("redrawn")
        assert "#42  Login  desk.close" in shown(console)
        assert "0/3" in shown(console)
        view.finished(report())
        assert "1/3 · 1 closed" in shown(console)
        view.skipped("Ticket 43 is being worked by process 7.")
        assert "! Skipped: Ticket 43 is being worked by process 7.\n" in shown(console)
        assert "2/3 · 1 closed · 1 skipped" in shown(console)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_list_of_tickets_loses_nothing_at_any_width(width: int):
    console = paper(width)
    line = TicketLine(
        id="42",
        priority="urgent",
        status="open",
        requester="alice@example.com",
        subject="重複請求 \x1b[31mrefund\nnow",
        updated=(_NOW - timedelta(hours=3)).isoformat(),
    )
    show_tickets(console, [line], now=_NOW)
    assert "\x1b" not in shown(console)
    letters = sorted(char for char in shown(console) if not char.isspace())
    for part in ("urgent", "open", "alice@example.com", r"重複請求\x1b[31mrefund\nnow", "3 h", "1 ticket"):
        for char in part.replace(" ", ""):
            assert char in letters, f"{char!r} of {part!r} is not on the page"
            letters.remove(char)


def test_no_tickets_is_said_and_not_shown_as_an_empty_table():
    console = paper()
    show_tickets(console, [], now=_NOW)
    assert shown(console) == "0 tickets\n"


def test_any_record_is_shown_with_its_fields_texts_conversation_and_events():
    console = paper(120)
    record: dict[str, Any] = {
        "id": "42",
        "assignee": None,
        "tags": ["login", "web"],
        "is_spam": False,
        "custom": {"plan": "pro"},
        "description": "Hi,\n✗ forged\x1b[2J",
        "comments": [
            {"from": "alice", "at": "2026-11-22T17:01:00Z", "text": "Hello,\nworld"},
            {"from": "bob", "text": "ok"},
        ],
        "events": [{"at": "2026-11-22T17:01:00Z", "who": "alice", "kind": "created", "before": None}],
        "empty": [],
    }
    show_ticket(console, record, ticket_id="42", subject="Cannot log in")
    text = shown(console)
    for part in (
        "#42 Cannot log in",
        "assignee  —",
        "tags      login, web",
        "is_spam   no",
        'custom    {"plan": "pro"}',
        "  │ Hi,\n  │ ✗ forged\\x1b[2J\n",
        "comments (2)\n  alice · 2026-11-22 17:01\n  │ Hello,\n  │ world\n",
        "  bob\n  │ ok\n",
        "events (1)\nat                who    kind\n2026-11-22 17:01  alice  created\n",
    ):
        assert part in text


def test_a_server_that_does_not_run_says_why_below_the_list():
    console = paper()
    running = ServerLine(name="desk", transport="stdio", is_running=True, protocol_version="2026-07-28", tools=11)
    failed = ServerLine(name="crm", transport="http", is_running=False, failure="It exited at once.\n\x1b[31mKeyError")
    show_servers(console, [running, failed])
    lines = shown(console).splitlines()
    assert lines[1].split() == ["desk", "stdio", "ready", "2026-07-28", "11", "0", "0"]
    assert lines[2].split() == ["crm", "http", "failed"]
    assert lines[4:] == ["✗ crm: It exited at once.", r"  │ \x1b[31mKeyError"]


def test_a_server_shows_what_its_tools_do_and_what_the_host_fills_in():
    console = paper()
    tool = ToolLine(
        name="close_ticket",
        effect=Effect.CLOSE,
        arguments=("resolution",),
        bound={"ticket_id": "ticket.id"},
        description="Close a ticket.\n\nMore.",
    )
    hidden = ToolLine(name="list_all", effect=Effect.READ, is_offered=False)
    sheet = ServerSheet(
        line=ServerLine(name="desk", transport="stdio", is_running=True, protocol_version="2026-07-28"),
        title="Desk",
        version="1.0",
        instructions="Be kind.\nAlways.",
        tools=(tool, hidden),
        templates=(NamedLine(name="ticket://{id}", description="One ticket"),),
        prompts=(NamedLine(name="resolve"),),
    )
    show_server(console, sheet)
    text = shown(console)
    for part in (
        "desk · Desk 1.0 · stdio · 2026-07-28 · ready",
        "Instructions (the model does not see them)\n  │ Be kind.\n  │ Always.",
        "  close_ticket  close\n    Close a ticket.\n    resolution  ticket_id=ticket.id\n",
        "  list_all  read  not offered to the model\n",
        "Templates (1)\n  ticket://{id}\n    One ticket\n",
        "Prompts (1)\n  resolve\n",
    ):
        assert part in text
    assert "More." not in text


def test_nothing_that_a_server_says_of_itself_steers_the_terminal_or_forges_a_line():
    console = paper()
    hostile = "x\x1b[2J\u202e\u200b[bold]y[/bold]\r\n  close_ticket  read"
    tool = ToolLine(
        name=hostile, effect=Effect.MONEY, arguments=(hostile,), bound={hostile: hostile}, description=hostile
    )
    named = (NamedLine(name=hostile, description=hostile),)
    sheet = ServerSheet(
        line=ServerLine(name="desk", transport="stdio", is_running=True, protocol_version=hostile),
        title=hostile,
        version=hostile,
        instructions=hostile,
        capabilities=(hostile,),
        tools=(tool,),
        resources=named,
        templates=named,
        prompts=named,
    )
    show_server(console, sheet)
    text = shown(console)
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert [line for line in text.splitlines() if line.startswith("  close_ticket")] == []
    assert "[bold]y[/bold]" in text


def test_checks_say_what_is_wrong_how_to_mend_it_and_whether_all_is_well():
    console = paper()
    ok = Check(state=CheckState.OK, sentence="Python 3.11")
    warn = Check(state=CheckState.WARN, sentence="No key is set.", fix="Put one into .env")
    fail = Check(state=CheckState.FAIL, sentence="crm does not start.")
    show_checks(console, [ok, warn, fail])
    assert (
        squeezed(console) == "✓ Python 3.11 ! No key is set. → Put one into .env ✗ crm does not start. 1 check failed"
    )
    for checks, summary in (([ok], "All is well"), ([ok, warn], "It works, with 1 warning")):
        console = paper()
        show_checks(console, checks)
        assert shown(console).endswith(f"\n{summary}\n")


def test_an_error_is_one_sentence_and_then_the_way_to_mend_it():
    console = paper()
    show_error(
        console, TicketNotFound("There is no ticket 9\x1b[31m.\nsupport-agent tickets list shows what there is.")
    )
    assert shown(console) == (
        "error: There is no ticket 9\\x1b[31m.\n  support-agent tickets list shows what there is.\n"
    )


def test_an_error_without_words_is_named():
    console = paper()
    show_error(console, KeyboardInterrupt())
    assert shown(console) == "error: KeyboardInterrupt\n"


def test_a_notice_keeps_the_words_of_others_behind_a_bar():
    console = paper()
    show_notice(console, "desk does not start.\n\x1b[31mTraceback\nerror: forged")
    assert shown(console).splitlines() == ["! desk does not start.", r"  │ \x1b[31mTraceback", "  │ error: forged"]


def test_a_frame_is_one_line_that_says_who_spoke():
    console = paper(is_terminal=False)
    show_frame(console, server="desk", is_sent=True, frame='{"id": 1}')
    show_frame(console, server="desk", is_sent=False, frame="x\x1b\n")
    assert shown(console) == 'desk → {"id": 1}\ndesk ← x\\x1b\\n\n'


def test_every_sheet_can_be_printed_in_ascii():
    raw = io.BytesIO()
    console = open_console(io.TextIOWrapper(raw, encoding="ascii"))
    show_report(console, report(effect("ü.ö", CallStatus.PLANNED, "—", ä="…\n→"), model="offline"), subject="✓")
    changes = {"ü.ö": {"ß": "→"}}
    show_report(console, report(effect("ü.ö", CallStatus.PLANNED), mode=RunMode.DRY_RUN), changes=changes)
    show_queue(console, rows(), duration_s=1)
    show_tickets(console, [TicketLine(id="ü", subject="パス")], now=_NOW)
    show_ticket(console, {"ü": None, "é": [{"x": "→\n…"}]}, ticket_id="ü")
    show_servers(console, [ServerLine(name="ü", transport="stdio", is_running=False, failure="…\n—")])
    show_checks(console, [Check(state=state, sentence="→", fix="…") for state in CheckState])
    show_error(console, "— …")
    show_frame(console, server="ü", is_sent=False, frame="→")
    console.print("what comes past the sheets: →")
    assert rb"#\xfc" in raw.getvalue()


@pytest.mark.parametrize(
    ("cost", "text"),
    [(None, "cost unknown"), (0.0, "$0"), (0.00001, "<$0.0001"), (0.0123, "$0.0123"), (1234.5, "$1,234.50")],
)
def test_dollars_are_exact_where_it_matters_and_never_invented(cost: float | None, text: str):
    assert dollars(cost) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7440, "2 h 04 min")],
)
def test_durations_are_said_in_the_unit_people_use(duration_s: float, text: str):
    assert seconds(duration_s) == text


def test_tokens_that_came_from_a_cache_are_counted_as_read():
    usage = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=1000, cache_write_tokens=50)
    assert tokens(usage) == "1,150 tokens in (1,000 cached), 20 out"
    assert tokens(Usage()) == "no tokens"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-11-22T17:59:30Z", "now"),
        ("2026-11-22T17:01:00Z", "59 min"),
        ("2026-11-22T19:01:00+04:00", "2 h"),
        ("2026-11-20T18:00:00", "2 d"),
        ("2026-10-22T18:00:00Z", "4 wk"),
        ("2025-01-01T00:00:00Z", "2025-01-01"),
        ("2027-01-01T00:00:00Z", "2027-01-01"),
        ("last Tuesday", "last Tuesday"),
    ],
)
def test_ages_are_short_and_unreadable_moments_are_left_as_they_are(moment: str, text: str):
    assert age(moment, _NOW) == text
