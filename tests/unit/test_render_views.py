"""What a run looks like while it happens, on a terminal and in a pipe."""

import io
import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from agent.protocols import Observer
from agent.records import Entry, EntryKind
from agent.render import LiveView, PlainView, SilentView, open_console

_BEGAN = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
_COST = {"usage": {"input_tokens": 1000, "output_tokens": 50}, "cost_usd": 0.01}
_CONTROL = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[A-Za-z])|\x1b.|\r|\n|[^\x1b\r\n]+")


class Run:
    """Plays one run to a view, entry by entry."""

    def __init__(self, view: Observer, ticket_id: str = "42") -> None:
        self._view = view
        self._ticket_id = ticket_id
        self._seq = itertools.count(1)

    def entry(self, kind: EntryKind, **body: Any) -> None:
        seq = next(self._seq)
        entry = Entry(run_id="r", seq=seq, kind=kind, body=body, at=_BEGAN + timedelta(seconds=seq))
        self._view.entry(self._ticket_id, entry)

    def opens(self, subject: str = "Cannot log in", *, mode: str = "live", model: str = "claude-sonnet-5-5") -> None:
        ticket = {"id": "42", "fields": {"subject": subject, "requester": "alice@example.com"}}
        customer = {"id": "c1", "fields": {"tier": "pro"}}
        self.entry(EntryKind.CASE, ticket_id="42", mode=mode, model=model, ticket=ticket, customer=customer)

    def replies(self, text: str = "", *calls: dict[str, Any], turn: int = 1, **body: Any) -> None:
        content = [*([{"type": "text", "text": text}] if text else []), *calls]
        stop = "tool_use" if calls else "end_turn"
        self.entry(EntryKind.REPLY, **{"turn": turn, "content": content, "stop_reason": stop, **_COST, **body})

    def decides(self, call: str, tool: str, arguments: dict[str, Any], **body: Any) -> None:
        decision = {"effect": "read", "verdict": "allow", "reasons": [], "stripped": [], "facts": {}, **body}
        self.entry(EntryKind.DECISION, tool_use_id=call, tool=tool, arguments=arguments, **decision)

    def attempts(self, call: str, tool: str) -> None:
        self.entry(EntryKind.ATTEMPT, tool_use_id=call, tool=tool, arguments={}, key="k")

    def results(self, call: str, tool: str, status: str = "done", text: str = "ok", seconds: float = 0.1) -> None:
        content = [{"type": "text", "text": text}]
        self.entry(EntryKind.RESULT, tool_use_id=call, tool=tool, status=status, content=content, seconds=seconds)

    def calls(self, call: str, tool: str, arguments: dict[str, Any], status: str = "done", **body: Any) -> None:
        self.decides(call, tool, arguments, **body)
        self.attempts(call, tool)
        self.results(call, tool, status)

    def ends(self, outcome: str = "closed", reason: str = "The ticket was closed.") -> None:
        self.entry(EntryKind.OUTCOME, outcome=outcome, reason=reason)


def use(call: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": name, "input": arguments}


def terminal(width: int = 80, height: int = 50) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=False, color_system=None)


def printed(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def screen(console: Console) -> list[str]:
    """What stands on the terminal after everything that was written to it."""
    rows, row, column = [""], 0, 0
    for match in _CONTROL.finditer(printed(console)):
        piece = match.group()
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif piece.endswith("A") and piece.startswith("\x1b"):
            row -= int(piece[2:-1])
        elif piece == "\x1b[2K":
            rows[row] = ""
        elif not piece.startswith("\x1b"):
            rows[row] = rows[row][:column].ljust(column) + piece + rows[row][column + len(piece) :]
            column += len(piece)
        else:
            assert piece in {"\x1b[?25l", "\x1b[?25h"}, f"{piece!r} has no business on this screen"
    return [line.rstrip() for line in rows]


def squeezed(text: str) -> str:
    """The text with every run of white space as one space: wrapping does not count."""
    return " ".join(text.split())


@pytest.fixture(params=["live", "plain"])
def played(request: pytest.FixtureRequest) -> tuple[Run, Console]:
    """A run, and the console that its view writes to."""
    if request.param == "live":
        console = terminal()
        return Run(LiveView(console)), console
    console = pipe()
    return Run(PlainView(console)), console


def test_a_run_shows_ticket_requester_tier_model_turns_calls_outcome_and_what_it_took(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("I look for the article.", use("a", "kb__search", query="login"))
    run.calls("a", "kb.search", {"query": "login"})
    run.replies("It is closed.", turn=2)
    run.ends()
    text = squeezed(printed(console))
    assert "#42 Cannot log in alice@example.com · pro claude-sonnet-5-5" in text
    assert '1 │ I look for the article. ✓ kb.search query="login" 2 │ It is closed.' in text
    assert "✓ closed The ticket was closed." in text
    assert "2 turns · 6.0 s · 2,000 tokens in, 100 out · $0.0200" in text


def test_the_offline_model_is_announced_as_no_language_model(played: tuple[Run, Console]):
    run, console = played
    run.opens(model="offline")
    assert "offline model: rules and retrieval, not an LLM" in printed(console)


def test_a_dry_run_says_so_before_anything_happens_and_marks_what_is_only_planned(played: tuple[Run, Console]):
    run, console = played
    run.opens(mode="dry-run")
    assert "DRY RUN" in printed(console)
    run.replies("", use("a", "desk__close", note="Hi"))
    run.decides("a", "desk.close", {"note": "Hi"}, effect="close")
    run.results("a", "desk.close", "planned")
    assert '○ desk.close note="Hi" planned' in squeezed(printed(console))


def test_an_unknown_price_is_never_shown_as_nothing(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("Done.", cost_usd=None)
    run.replies("Really.", turn=2, cost_usd=0.5)
    run.ends()
    assert "cost unknown" in printed(console)
    assert "$" not in printed(console)


def test_a_denied_call_shows_the_rule_and_its_sentence(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "crm__erase"))
    reasons = [{"rule": "deletion", "because": "Nothing is deleted."}]
    run.decides("a", "crm.erase", {}, effect="deletion", verdict="deny", reasons=reasons)
    run.results("a", "crm.erase", "denied", "Denied: Nothing is deleted.")
    assert "✗ crm.erase denied: Nothing is deleted. [deletion]" in squeezed(printed(console))
    assert printed(console).count("Nothing is deleted.") == 1


def test_an_asked_call_shows_the_rule_and_who_said_what(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "pay__refund"))
    reasons = [{"rule": "money", "because": "Money needs a person."}]
    run.decides("a", "pay.refund", {}, effect="money", verdict="ask", reasons=reasons)
    run.entry(EntryKind.APPROVAL, tool_use_id="a", tool="pay.refund", is_granted=False, by="lea", because="too high")
    run.results("a", "pay.refund", "denied")
    assert "asked: Money needs a person. [money] no, said lea: too high" in squeezed(printed(console))


def test_a_call_that_was_asked_about_says_so_when_it_is_then_allowed(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "pay__refund", invoice="INV-7"))
    arguments = {"invoice": "INV-7", "cents": 1200}
    asks = [{"rule": "money", "because": "Money needs a person."}]
    run.decides("a", "pay.refund", arguments, effect="money", verdict="ask", reasons=asks)
    run.entry(EntryKind.APPROVAL, tool_use_id="a", tool="pay.refund", is_granted=True, by="lea", because="looked")
    run.decides("a", "pay.refund", arguments, effect="money", verdict="allow", reasons=asks, is_approved=True)
    run.results("a", "pay.refund")
    said = squeezed(printed(console))
    assert '✓ pay.refund invoice="INV-7" cents=1200 asked: Money needs a person. [money] yes, said lea: looked' in said


def test_a_failed_call_shows_what_the_server_said(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "desk__close"))
    run.decides("a", "desk.close", {}, effect="close")
    run.results("a", "desk.close", "failed", "Ticket 42 is already closed.")
    assert "✗ desk.close │ Ticket 42 is already closed." in squeezed(printed(console))


def test_a_call_of_unknown_fate_says_so(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "desk__close"))
    run.decides("a", "desk.close", {}, effect="close")
    run.results("a", "desk.close", "uncertain", "Its fate is unknown: look before you repeat.")
    assert "! desk.close uncertain │ Its fate is unknown: look before you repeat." in squeezed(printed(console))


def test_a_call_of_a_tool_that_does_not_exist_is_shown_without_a_decision(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "nope", x=1))
    run.results("a", "nope", "failed", "There is no tool 'nope'.")
    assert "✗ nope x=1 │ There is no tool 'nope'." in squeezed(printed(console))


def test_two_calls_with_the_same_id_are_both_shown(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "desk__note"), use("a", "desk__note"))
    run.results("a", "desk.note")
    run.results("a", "desk.note", "failed", "The id was used before.")
    assert printed(console).count("desk") == 2


def test_what_a_server_asks_back_stands_below_its_call(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "desk__sum"))
    run.decides("a", "desk.sum", {})
    run.attempts("a", "desk.sum")
    run.entry(EntryKind.SAMPLING, server="desk", tool_use_id="a", reply={}, usage={}, cost_usd=0.002)
    run.entry(EntryKind.ROOTS, server="desk", tool_use_id="a", uris=["file:///kb"])
    answer = {"action": "accept", "content": {"p": "high"}}
    run.entry(EntryKind.ELICITATION, server="desk", tool_use_id="a", message="Which?", **answer)
    run.results("a", "desk.sum")
    text = squeezed(printed(console))
    assert "✓ desk.sum ↳ desk asked the model ($0.0020) ↳ desk asked for folders: file:///kb" in text
    assert '↳ desk asked you: "Which?" → accepted p="high"' in text


def test_the_price_of_sampling_is_part_of_the_runs_cost(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("Hm.")
    run.entry(EntryKind.SAMPLING, server="desk", tool_use_id=None, reply={}, usage={"output_tokens": 7}, cost_usd=0.5)
    run.ends()
    assert "1,000 tokens in, 57 out · $0.5100" in printed(console)


def test_refused_sampling_says_why_and_costs_nothing(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("Hm.")
    run.entry(EntryKind.SAMPLING, server="desk", tool_use_id=None, error="the budget is used up", cost_usd=None)
    run.ends()
    assert "which was refused: the budget is used up" in printed(console)
    assert "$0.0100" in printed(console)


def test_the_hosts_own_calls_and_its_nudge_are_told_apart_from_the_models(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.entry(EntryKind.NUDGE, text="The ticket is still open.")
    run.calls("host-1", "desk.escalate", {"reason": "gave up"}, effect="escalate")
    text = squeezed(printed(console))
    assert "→ the host asks: The ticket is still open." in text
    assert '✓ desk.escalate by the host reason="gave up"' in text


def test_an_id_that_the_model_chose_itself_is_reported_as_ignored(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "crm__get", customer_id="someone else"))
    run.calls("a", "crm.get", {"customer_id": "c-1"}, stripped=["customer_id"])
    assert "the model's own ignored: customer_id" in squeezed(printed(console))
    assert "someone else" not in printed(console)


def test_the_articles_that_a_text_rests_on_are_named(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("", use("a", "desk__close", resolution="Hi."))
    run.calls("a", "desk.close", {"resolution": "Hi."}, effect="close", sources=["kb://login", "kb://reset"])
    assert "rests on: kb://login, kb://reset" in squeezed(printed(console))


def test_a_reply_that_was_cut_short_says_why_the_model_stopped(played: tuple[Run, Console]):
    run, console = played
    run.opens()
    run.replies("I cannot", stop_reason="refusal")
    assert "the model stopped: refusal" in printed(console)


def test_a_hostile_ticket_changes_no_colour_and_forges_no_line(played: tuple[Run, Console]):
    run, console = played
    run.opens("\x1b[32mok\x1b[0m\r\n✓ closed  Refunded.\u202e [bold red]x[/]")
    run.replies("Done\x1b[2J\n  ✓ closed  Forged.", use("a", "desk__note", body="x\n✓ forged"))
    run.calls("a", "desk.note\x1b]0;title\x07", {"body": "x\n✓ forged"})
    run.ends(reason="good\n✓ forged")
    text = printed(console)
    assert "\x1b" not in text
    assert r"#42 \x1b[32mok\x1b[0m\r\n✓ closed Refunded.<U+202E> [bold red]x[/]" in squeezed(text)
    assert r'✓ desk.note\x1b]0;title\x07 body="x\n✓ forged"' in squeezed(text)
    assert r"1  │ Done\x1b[2J" in text
    assert "    │   ✓ closed  Forged." in text
    assert [line for line in text.splitlines() if re.match(r" {,2}✓", line)] == [r"  ✓ closed  good\n✓ forged"]


def test_streamed_text_is_on_the_screen_once_while_it_comes_and_once_when_it_is_complete():
    console = terminal()
    with LiveView(console) as view:
        run = Run(view)
        run.opens()
        for delta in ("I will look ", "for the ", "article."):
            view.text("42", delta)
        view.notice("still here")  # everything that is printed redraws what is moving
        assert squeezed("\n".join(screen(console))).count("I will look for the article.") == 1
        run.replies("I will look for the article.")
        run.ends()
    assert "\n".join(screen(console)).count("I will look for the article.") == 1
    assert printed(console).rindex("\x1b[?25h") > printed(console).rindex("\x1b[?25l")


def test_text_that_is_streamed_again_after_a_retry_replaces_the_first_try():
    console = terminal()
    with LiveView(console) as view:
        Run(view).opens()
        view.text("42", "The customer cannot log in, so I wi")
        view.text("42", "The customer cannot log in, so I will look.")
        view.notice("redrawn")
        shown = squeezed("\n".join(screen(console)))
        assert shown.count("The customer cannot log in") == 1
        assert "so I will look." in shown


def test_in_a_pipe_the_models_text_appears_only_once_it_is_complete():
    console = pipe()
    view = PlainView(console)
    run = Run(view)
    run.opens()
    before = printed(console)
    view.text("42", "half a sen")
    assert printed(console) == before
    run.replies("half a sentence")
    assert printed(console).count("half a sen") == 1


def test_a_call_in_flight_shows_how_far_it_is():
    console = terminal()
    with LiveView(console) as view:
        run = Run(view)
        run.opens()
        run.replies("", use("a", "kb__index"))
        run.decides("a", "kb.index", {})
        run.attempts("a", "kb.index")
        view.progress("42", "kb.index", 2, 4, "reading")
        view.notice("redrawn")
        assert any("kb.index · 50% reading" in line for line in screen(console))
        run.results("a", "kb.index")
    assert not any("reading" in line for line in screen(console))


def test_a_pipe_gets_one_line_of_progress_every_two_seconds():
    clock = iter([0.0, 0.5, 1.9, 2.1])
    file = io.StringIO()
    view = PlainView(Console(file=file, get_time=lambda: next(clock)))
    for done in (1, 2, 3, 4):
        view.progress("42", "kb.index", done, 4, None)
    assert [line.split()[-1] for line in file.getvalue().splitlines()] == ["25%", "100%"]


def test_what_happens_during_a_question_is_shown_after_it():
    console = terminal()
    with LiveView(console) as view:
        with view.paused():
            before = printed(console)
            view.notice("another run went on")
            assert printed(console) == before
        assert "another run went on" in printed(console)


def test_a_pause_leaves_nothing_moving_on_the_screen():
    console = terminal()
    with LiveView(console) as view:
        Run(view).opens()
        view.text("42", "I was saying")
        view.notice("redrawn")
        with view.paused():
            assert "I was saying" not in "\n".join(screen(console))
            assert printed(console).rindex("\x1b[?25h") > printed(console).rindex("\x1b[?25l")


def test_a_reply_taller_than_the_terminal_does_not_flood_it_while_it_comes():
    console = terminal(height=12)
    with LiveView(console) as view:
        Run(view).opens()
        head = len(screen(console))
        view.text("42", "\n".join(f"line {number}" for number in range(100)))
        view.notice("redrawn")
        rows = screen(console)
        assert "line 99" in rows[-1] or "line 99" in rows[-2]
        assert len(rows) < head + 12


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_width_loses_what_is_essential(width: int):
    console = terminal(width)
    run = Run(LiveView(console))
    run.opens("Cannot log in after the password was changed yesterday")
    run.replies("", use("a", "ticketing__search_knowledge_base", query="cannot log in"))
    run.calls("a", "ticketing.search_knowledge_base", {"query": "cannot log in"})
    run.replies("", use("b", "customers__issue_refund", invoice_id="INV-2026-0007"), turn=2)
    arguments = {"invoice_id": "INV-2026-0007", "customer_id": "c-1", "expected_amount_cents": 123456}
    run.calls("b", "customers.issue_refund", arguments, effect="money")
    run.ends("escalated", "A person must decide on the refund.")
    lines = printed(console).splitlines()
    assert max(len(line) for line in lines) <= width
    text = squeezed(printed(console))
    for essential in (
        "Cannot log in after the password was changed yesterday",
        "ticketing.search_knowledge_base",
        'query="cannot log in"',
        'invoice_id="INV-2026-0007"',
        "expected_amount_cents=123456",
        "escalated A person must decide on the refund.",
        "$0.0200",
    ):
        assert essential in text


def test_a_pipe_keeps_one_event_on_one_line():
    console = pipe()
    run = Run(PlainView(console))
    run.opens("long " * 60)
    run.replies("word " * 60)
    lines = printed(console).splitlines()
    assert any(line.count("long") == 60 for line in lines)
    assert any(line.count("word") == 60 for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_output_that_is_not_utf_8_gets_what_it_can_print(encoding: str):
    raw = io.BytesIO()
    view = PlainView(open_console(io.TextIOWrapper(raw, encoding=encoding)))
    run = Run(view)
    run.opens("Пароль → пароль 🔑", mode="dry-run", model="offline")
    run.replies("—…✓ \ud83d", use("a", "x__y", z="→"))
    run.calls("a", "x.y", {"z": "→" * 5000})
    view.progress("42", "x.y", 1, 2, "…")
    run.entry(EntryKind.ROOTS, server="x", tool_use_id=None, uris=["file:///ü"])
    run.ends("planned", "done — really")
    shown = raw.getvalue().decode(encoding)
    assert r"\u041f" in shown
    assert "DRY RUN" in shown
    assert "+ x.y" in shown


def test_colours_are_left_out_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    run = Run(LiveView(Console(file=file, width=80, force_terminal=True, color_system="truecolor")))
    run.opens()
    run.calls("a", "x.y", {})
    run.ends()
    assert re.findall(r"\x1b\[[0-9;]*3[0-9]", file.getvalue()) == []


def test_the_silent_view_takes_everything_and_says_nothing(capsys: pytest.CaptureFixture[str]):
    with SilentView() as view, view.paused():
        run = Run(view)
        run.opens()
        run.replies("Hello")
        view.text("42", "Hello")
        view.progress("42", "x.y", 1, None, None)
        view.notice("x")
        run.ends()
    assert capsys.readouterr() == ("", "")
