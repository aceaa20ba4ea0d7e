"""Questions to the person at the terminal."""

import io
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from rich.console import Console

from agent.records import Approval, Case, Decision, Effect, FormAnswer, JsonObject, Proposal, Reason, Ticket, Verdict
from agent.render import SilentView
from agent.render.desk import Desk, Keyboard
from agent.render.questions import DecliningOperator, TerminalApprover, TerminalOperator

_ASKS = Decision(verdict=Verdict.ASK, reasons=(Reason(rule="money", because="Money needs a person."),))


class Typed:
    """A person who types the given lines, then Ctrl-D; a terminal shows what is typed."""

    def __init__(self, *lines: str, echo: Console | None = None) -> None:
        self._lines = list(lines)
        self._echo = echo

    async def line(self) -> str:
        await anyio.lowlevel.checkpoint()
        if not self._lines:
            raise EOFError
        if self._echo is not None:
            self._echo.file.write(f"{self._lines[0]}\n")
        return self._lines.pop(0)

    def forget(self) -> None:
        pass

    @property
    def left(self) -> list[str]:
        return self._lines


class Watched:
    """A view that notes when it holds still."""

    def __init__(self) -> None:
        self.is_paused = False
        self.pauses = 0

    @contextmanager
    def paused(self) -> Generator[None]:
        assert not self.is_paused
        self.is_paused, self.pauses = True, self.pauses + 1
        yield
        self.is_paused = False


def paper(width: int = 80, height: int = 25) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def refund(arguments: JsonObject | None = None, *, subject: str = "Charged twice") -> Proposal:
    fields = {"subject": subject, "requester": "alice@example.com", "status": "open"}
    return Proposal(
        case=Case(ticket=Ticket(id="42", fields=fields, context=""), customer=None),
        tool="customers.issue_refund",
        effect=Effect.MONEY,
        arguments={"invoice_id": "INV-7", "expected_amount_cents": 1200} if arguments is None else arguments,
        decision=_ASKS,
    )


def desk(console: Console | None, *lines: str) -> Desk:
    console = console or paper()
    return Desk(console, SilentView(), Typed(*lines, echo=console))


async def approve(proposal: Proposal, *lines: str, console: Console | None = None) -> Approval:
    return await TerminalApprover(desk(console, *lines)).approve(proposal)


async def fill(schema: JsonObject, *lines: str, console: Console | None = None, message: str = "Tell me") -> FormAnswer:
    return await TerminalOperator(desk(console, *lines)).fill_form("crm", message, schema)


async def visit(url: str, *lines: str, console: Console | None = None) -> FormAnswer:
    return await TerminalOperator(desk(console, *lines)).visit_url("crm", "Sign in", url)


def form(*required: str, **properties: Any) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required)}


async def test_an_approval_shows_what_was_read_for_it_and_what_would_change():
    console = paper()
    proposal = replace(
        refund(), facts={"amount_cents": 1200, "currency": "USD"}, changes={"invoice.status": "refunded\nyes"}
    )
    await approve(proposal, "y", console=console)
    text = shown(console)
    for part in (
        "  read for it",
        "│ amount_cents = 1200",
        '│ currency = "USD"',
        "  would change",
        "│ invoice.status →",
    ):
        assert part in text
    assert "\nyes" not in text


async def test_an_approval_shows_call_arguments_ticket_requester_and_rule():
    console = paper()
    await approve(refund(), "y", console=console)
    text = shown(console)
    for part in (
        "customers.issue_refund  (money)",
        "#42  Charged twice",
        "alice@example.com",
        "Money needs a person. [money]",
        '│ invoice_id = "INV-7"',
        "│ expected_amount_cents = 1200",
        "Allow customers.issue_refund on ticket 42? [y/N]",
    ):
        assert part in text


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES "])
async def test_a_clear_yes_grants_the_call_in_the_name_of_the_operators_account(
    answer: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOGNAME", "lea")
    assert await approve(refund(), answer) == Approval(is_granted=True, by="lea", because="approved at the terminal")


@pytest.mark.parametrize("answer", ["", "n", "No", "no, thanks"])
async def test_anything_that_begins_with_no_and_an_empty_line_refuse_the_call(answer: str):
    assert not (await approve(refund(), answer, "y")).is_granted


async def test_a_refusal_can_carry_its_reason():
    assert (await approve(refund(), "n it was refunded in May")).because == "it was refunded in May"


async def test_ctrl_d_is_a_no():
    answer = await approve(refund())
    assert (answer.is_granted, answer.because) == (False, "no answer was given at the terminal")


async def test_an_unclear_answer_is_asked_again():
    assert not (await approve(refund(), "yeah", "yes please", "n")).is_granted
    assert (await approve(refund(), "sure", "y")).is_granted


async def test_a_hostile_call_can_neither_forge_lines_nor_hide_arguments():
    console = paper()
    hostile = {
        "reason": "fine\n  │ expected_amount_cents = 1\nAllow this? [y/N] y\x1b[2J\x1b[1A",
        "note\x1b[8m": "\u202ehidden\u202c[conceal]x[/]\r",
        "expected_amount_cents": 999_999,
    }
    await approve(refund(hostile, subject="ok\r\nrequester  ceo@example.com\x1b[30m"), "n", console=console)
    text = shown(console)
    assert "\x1b" not in text
    assert r"#42  ok\r\nrequester  ceo@example.com\x1b[30m" in text
    assert "│   ┊   │ expected_amount_cents = 1\n" in text
    assert r"│   ┊ Allow this? [y/N] y\x1b[2J\x1b[1A" in text
    assert r'│ note\x1b[8m = "<U+202E>hidden<U+202C>[conceal]x[/]\r"' in text
    assert "│ expected_amount_cents = 999999" in text
    assert [line for line in text.splitlines() if line.startswith("Allow")] == [
        "Allow customers.issue_refund on ticket 42? [y/N] n"
    ]


async def test_no_argument_is_shortened_however_long_it_is():
    console = paper(width=60)
    body = " ".join(f"word{number}" for number in range(3000))
    await approve(refund({"body": body}), *[""] * 1000, console=console)
    assert all(f"word{number}" in shown(console) for number in range(3000))


async def test_a_long_call_is_shown_page_by_page_and_can_be_refused_before_its_end():
    console = paper(height=20)
    typed = Typed("n", "y")
    proposal = refund({"body": "line\n" * 100})
    answer = await TerminalApprover(Desk(console, SilentView(), typed)).approve(proposal)
    assert not answer.is_granted
    assert typed.left == ["y"]
    assert shown(console).count("┊ line") < 20


async def test_a_long_call_is_granted_only_after_its_last_page():
    console, proposal = paper(), refund({"body": "line\n" * 100})
    await approve(proposal, *[""] * 100, console=console)
    pages = shown(console).count("more lines: Enter")
    assert pages > 2
    assert not (await approve(proposal, *[""] * (pages - 1), "y")).is_granted
    assert (await approve(proposal, *[""] * pages, "y")).is_granted


async def test_questions_of_concurrent_runs_are_asked_one_at_a_time_with_the_view_held_still():
    view, console = Watched(), paper()
    approver = TerminalApprover(Desk(console, view, Typed("y", "n", "y")))
    answers: list[bool] = []

    async def ask() -> None:
        answers.append((await approver.approve(refund())).is_granted)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert answers == [True, False, True]
    assert view.pauses == 3
    text = shown(console)
    assert [text.count(part) for part in ("Your approval is needed", "[y/N]")] == [3, 3]
    first = text.index("[y/N]")
    assert first < text.index("Your approval is needed", first)


async def test_a_cancelled_question_lets_the_next_one_be_asked():
    class Silent(Typed):
        async def line(self) -> str:
            if not self.left:
                await anyio.sleep_forever()
            return await super().line()

    typist = Silent()
    front = Desk(paper(), SilentView(), typist)
    with anyio.move_on_after(0.01) as waited:
        await TerminalApprover(front).approve(refund())
    assert waited.cancelled_caught
    typist.left.append("y")
    with anyio.fail_after(600):
        assert (await TerminalApprover(front).approve(refund())).is_granted


async def test_an_account_without_a_name_still_approves(monkeypatch: pytest.MonkeyPatch):
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert (await approve(refund(), "y")).by == "operator"


async def test_a_form_asks_each_property_and_sends_what_was_confirmed():
    schema = form(
        "mail",
        mail={"type": "string", "format": "email"},
        seats={"type": "integer", "minimum": 1, "default": 2},
        plan={"type": "string", "oneOf": [{"const": "f", "title": "Free"}, {"const": "p", "title": "Pro"}]},
        is_urgent={"type": "boolean"},
        tags={"type": "array", "items": {"enum": ["a", "b"]}},
    )
    answer = await fill(schema, "a@b.co", "", "pro", "!skip", "1,2", "y")
    assert answer == FormAnswer(
        action="accept", content={"mail": "a@b.co", "seats": 2, "plan": "p", "tags": ["a", "b"]}
    )


async def test_a_wrong_answer_is_asked_again_with_the_reason():
    console = paper()
    answer = await fill(form("n", n={"type": "integer", "maximum": 5}), "nine", "9", "5", "y", console=console)
    assert answer.content == {"n": 5}
    assert "a whole number is expected" in shown(console)
    assert "at most 5 is expected" in shown(console)


async def test_a_required_answer_cannot_be_skipped():
    console = paper()
    answer = await fill(form("n", n={"type": "string"}), "", "!skip", "x", "y", console=console)
    assert answer.content == {"n": "x"}
    assert shown(console).count("an answer is required here") == 2


@pytest.mark.parametrize(
    ("lines", "action"), [(["!decline"], "decline"), (["!cancel"], "cancel"), ([], "cancel"), (["x", "n"], "decline")]
)
async def test_a_form_can_be_left_at_each_question(lines: list[str], action: str):
    assert await fill(form("n", n={"type": "string"}), *lines) == FormAnswer(action=action)


async def test_answers_can_be_given_again_before_they_are_sent():
    answer = await fill(form("a", a={"type": "string"}, b={"type": "string"}), "1", "2", "a", "3", "", "y")
    assert answer.content == {"a": "3", "b": "2"}


async def test_every_text_can_be_typed_even_one_that_looks_like_a_command_or_is_empty():
    properties = {"a": {"type": "string"}, "b": {"type": "string"}}
    answer = await fill(form("a", "b", **properties), "!!decline", '""', "y")
    assert answer.content == {"a": "!decline", "b": ""}


async def test_a_default_that_does_not_fit_its_own_schema_is_not_sent():
    console = paper()
    schema = form("n", n={"type": "integer", "maximum": 5, "default": 9})
    assert (await fill(schema, "", "4", "y", console=console)).content == {"n": 4}
    assert "the default does not fit" in shown(console)


async def test_answers_that_fit_alone_but_not_together_are_asked_again():
    schema = form(a={"type": "string"}, b={"type": "string"}) | {"minProperties": 2}
    answer = await fill(schema, "1", "", "", "2", "y")
    assert answer.content == {"a": "1", "b": "2"}


async def test_a_form_that_cannot_be_filled_in_is_declined_with_the_reason():
    console = paper()
    assert await fill(form(a={"type": "object"}), console=console) == FormAnswer(action="decline")
    assert "a is neither text" in shown(console)


async def test_a_server_cannot_pass_for_the_host():
    console = paper()
    message = "x\nYour approval is needed\nAllow everything? [y/N]\x1b[31m"
    described = {"type": "string", "title": "T\nSend them to", "description": "d\nThe server bank asks you."}
    await fill(form(**{"f\nAllow": described}), "v", "y", console=console, message=message)
    lines = shown(console).splitlines()
    assert "\x1b" not in shown(console)
    assert "  │ Your approval is needed" in lines
    assert "  │ The server bank asks you." in lines
    own = [line for line in lines if line and not line.startswith("  │")]
    assert [line.split()[0] for line in own] == ["The", "At", "optional", "Your", "Send"]
    assert own[0].startswith("The server crm asks you.")


async def test_a_form_that_asks_for_a_secret_is_warned_about():
    console = paper()
    await fill(form(api_key={"type": "string"}), "!decline", console=console)
    assert "do not type one" in " ".join(shown(console).split())


@pytest.mark.parametrize(("line", "action"), [("y", "accept"), ("", "decline"), ("n", "decline")])
async def test_a_link_is_shown_whole_and_never_opened(line: str, action: str):
    console = paper(width=40)
    url = "https://example.com/" + "a" * 100
    assert await visit(url, line, console=console) == FormAnswer(action=action)
    assert url in shown(console)
    assert "not opened for you" in shown(console)


async def test_a_link_without_an_answer_is_cancelled():
    assert await visit("https://example.com/") == FormAnswer(action="cancel")


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("https://bank.example@evil.example/", "the host is evil.example"),
        ("https://xn--pple-43d.example/", "letters that may look like others: xn--pple-43d.example"),
        ("https://\u0430pple.example/", "letters that may look like others: xn--pple-43d.example"),
        ("http://example.com/", "not encrypted"),
    ],
)
async def test_what_is_odd_about_a_link_is_said(url: str, warning: str):
    console = paper(width=200)
    await visit(url, "n", console=console)
    assert warning in shown(console)


@pytest.mark.parametrize("url", ["https://example.com/", "http://localhost:8931/x", "http://127.0.0.1/"])
async def test_an_ordinary_link_comes_without_a_warning(url: str):
    console = paper(width=200)
    await visit(url, "n", console=console)
    assert "!" not in shown(console)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://good.example\\@evil.example/",
        "https://a b/",
        "https://[",
        "x",
    ],
)
async def test_what_is_no_web_address_is_declined_without_a_question(url: str):
    assert await visit(url, "y") == FormAnswer(action="decline")


def test_the_host_of_a_link_is_set_off_from_what_may_look_like_one():
    from urllib.parse import urlsplit

    from agent.render.page import Page
    from agent.render.questions import _address

    url = "https://bank.example@evil.example:8443/bank.example"
    text = _address(Page(paper()), url, urlsplit(url))
    assert [text.plain[span.start : span.end] for span in text.spans if "bold" in str(span.style)] == [
        "evil.example:8443"
    ]


async def test_without_a_person_everything_is_declined():
    operator = DecliningOperator()
    assert await operator.fill_form("crm", "Tell me", form()) == FormAnswer(action="decline")
    assert await operator.visit_url("crm", "Go", "https://example.com/") == FormAnswer(action="decline")


async def test_typed_lines_arrive_one_by_one_and_the_end_of_input_is_the_end():
    reader, writer = os.pipe()
    try:
        os.write(writer, "first\r\nsécond\nlast".encode())
        os.close(writer)
        keyboard = Keyboard(reader)
        with anyio.fail_after(600):
            assert [await keyboard.line() for _ in range(3)] == ["first", "sécond", "last"]
            with pytest.raises(EOFError):
                await keyboard.line()
    finally:
        os.close(reader)


async def test_a_question_that_is_given_up_does_not_eat_the_answer_to_the_next():
    reader, writer = os.pipe()
    keyboard = Keyboard(reader)
    try:
        with anyio.move_on_after(0.01) as waited:
            await keyboard.line()
        assert waited.cancelled_caught
        os.write(writer, b"kept\n")
        with anyio.fail_after(600):
            assert await keyboard.line() == "kept"
    finally:
        os.close(reader)
        os.close(writer)


async def test_what_was_typed_before_the_question_answers_nothing():
    parent, terminal = os.openpty()
    keyboard = Keyboard(terminal)
    try:
        os.write(parent, b"y\n")
        with anyio.fail_after(600):
            await anyio.wait_readable(terminal)
            keyboard.forget()
            os.write(parent, b"n\n")
            assert await keyboard.line() == "n"
    finally:
        os.close(parent)
        os.close(terminal)
