"""Questions to the person at the terminal: may this call be made, and what servers want to know.

What servers and models wrote stands behind a bar, so that none of it can pass for the host's own words.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rich.text import Text

from agent.account import operator_account
from agent.records import Approval, FormAnswer, JsonObject, Proposal
from agent.render.desk import Desk
from agent.render.forms import Field, UnusableForm, complaint, expectation, fields_of, read_answer
from agent.render.page import Line, Page, Tone
from agent.render.text import as_json

_SECRET = re.compile(
    r"pass.?(word|phrase|code)|secret|token|api.?key|credential|\bpin\b|card.?number|\bcvv\b|\bssn\b", re.IGNORECASE
)
_YES = frozenset({"y", "yes"})
_NO = frozenset({"n", "no"})
_ROWS_FOR_THE_PROMPT = 3


class TerminalApprover:
    """Asks the person at the terminal; whatever is not a clear yes is a no."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def approve(self, proposal: Proposal) -> Approval:
        """Show the whole call and return the answer in the name of the operator's account."""
        async with self._desk.attention():
            try:
                is_granted, because = await self._answer(proposal)
            except EOFError:
                is_granted, because = False, "no answer was given at the terminal"
        return Approval(is_granted=is_granted, by=operator_account(), because=because)

    async def _answer(self, proposal: Proposal) -> tuple[bool, str]:
        page, ticket = self._desk.page, proposal.case.ticket
        if not await self._is_seen(proposal):
            return False, "refused at the terminal"
        prompt = Text.assemble(
            "Allow ", page.text(proposal.tool, style="bold"), " on ticket ", page.text(ticket.id), "? [y/N]"
        )
        while True:
            answer = await self._desk.ask(prompt)
            word, _, reason = answer.partition(" ")
            if answer.casefold() in _YES:
                return True, "approved at the terminal"
            if not answer or word.casefold().rstrip(",:") in _NO:
                return False, reason.strip() or "refused at the terminal"
            self._desk.show(Text('Type "y" to allow it, or "n" and, if you like, a reason.', style=Tone.QUIET))

    async def _is_seen(self, proposal: Proposal) -> bool:
        """Show every row of the question, page by page; False when the person refuses before the last."""
        desk, console = self._desk, self._desk.page.console
        columns = console.width if console.is_terminal else None
        rows = [row for line in _proposal_lines(desk.page, proposal) for row in line.rows(console, columns)]
        room = max(console.height - _ROWS_FOR_THE_PROMPT, 5)
        while len(rows) > room:
            desk.show(*rows[:room])
            rows = rows[room:]
            more = Text(f"{len(rows)} more lines: Enter shows them, n refuses the call", style=Tone.CARE)
            if await desk.ask(more) not in {"", *_YES}:
                return False
        desk.show(*rows)
        return True


class TerminalOperator:
    """Puts servers' questions to the person at the terminal."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        """Ask for each property, check each answer, and return what may be sent."""
        async with self._desk.attention():
            self._desk.show(*_question_lines(self._desk.page, server, message))
            try:
                fields = fields_of(schema)
            except UnusableForm as broken:
                self._desk.show(_remark(self._desk.page, f"Declined: this form cannot be filled in, {broken}."))
                return FormAnswer(action="decline")
            try:
                return await _Form(self._desk, server, schema, fields).fill()
            except EOFError:
                return FormAnswer(action="cancel")

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        """Show the whole address, and what is odd about it; return whether the person will visit it."""
        page = self._desk.page
        async with self._desk.attention():
            self._desk.show(*_question_lines(page, server, message))
            parts = _split(url)
            if parts is None:
                self._desk.show(_remark(page, f"Declined: {as_json(url)} is no web address."))
                return FormAnswer(action="decline")
            page.print_whole(_address(page, url, parts))
            for warning in _url_warnings(parts):
                self._desk.show(_remark(page, warning))
            try:
                prompt = Text("It is not opened for you. Will you visit it? [y/N]")
                is_accepted = (await self._desk.ask(prompt)).casefold() in _YES
            except EOFError:
                return FormAnswer(action="cancel")
        return FormAnswer(action="accept" if is_accepted else "decline")


class DecliningOperator:
    """Declines whatever servers ask: for runs that have no person in front of them."""

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:  # noqa: ARG002 - it asks nobody
        """Decline."""
        return FormAnswer(action="decline")

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:  # noqa: ARG002 - it asks nobody
        """Decline."""
        return FormAnswer(action="decline")


class _Leave(Exception):  # noqa: N818 - it is no error: the person has finished with the form
    """The person has declined or cancelled."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


class _Form:
    """One form being filled in."""

    def __init__(self, desk: Desk, server: str, schema: JsonObject, fields: tuple[Field, ...]) -> None:
        self._desk = desk
        self._server = server
        self._schema = schema
        self._fields = fields

    async def fill(self) -> FormAnswer:
        """Return the person's answer once it is complete and confirmed.

        Raises:
            EOFError: the person has left.
        """
        self._explain()
        content: JsonObject = {}
        try:
            while True:
                for field in self._fields:
                    await self._fill_in(field, content)
                if await self._is_confirmed(content):
                    return FormAnswer(action="accept", content=content)
        except _Leave as leave:
            return FormAnswer(action=leave.action)

    def _explain(self) -> None:
        if any(_SECRET.search(f"{field.name} {field.title} {field.description}") for field in self._fields):
            warning = "It seems to ask for a secret. Servers must not do that in a form; do not type one."
            self._desk.show(_remark(self._desk.page, warning))
        commands = "At any question: !decline says no, !cancel leaves it open, !skip leaves an optional field out."
        self._desk.show(Text(commands, style=Tone.QUIET))

    async def _fill_in(self, field: Field, content: JsonObject) -> None:
        default = content.get(field.name, field.default)
        self._desk.show(*_field_lines(self._desk.page, field))
        while True:
            typed = await self._desk.ask(_field_prompt(self._desk.page, field, default))
            try:
                self._take(field, typed, default, content)
            except ValueError as reason:
                self._desk.show(_remark(self._desk.page, f"{reason}."))
            else:
                return

    def _take(self, field: Field, typed: str, default: Any, content: JsonObject) -> None:
        """Put one answer into the content, or leave the field out of it.

        Raises:
            ValueError: the answer cannot be taken; the message says what is expected.
            _Leave: the person declines or cancels.
        """
        command = typed.casefold()
        if command in {"!decline", "!cancel"}:
            raise _Leave(command[1:])
        if command == "!skip" or (not typed and default is None):
            if field.is_required:
                raise ValueError("an answer is required here; !decline says no to the whole form")
            content.pop(field.name, None)
        elif not typed:
            objection = complaint(field.schema, default)
            if objection is not None:
                raise ValueError(f"the default does not fit: {objection}")
            content[field.name] = default
        else:
            # Two signs stand for one, so that every text can be typed; a pair of quotes is the empty text.
            plain = typed[1:] if typed.startswith("!!") else typed
            content[field.name] = read_answer(field, "" if plain == '""' else plain)

    async def _is_confirmed(self, content: JsonObject) -> bool:
        """Show what would be sent, and return whether it may be; otherwise the questions are asked again."""
        page = self._desk.page
        objection = complaint(self._schema, content)
        if objection is not None:
            self._desk.show(_remark(page, f"Together these answers do not fit the form: {objection}."))
            return False
        self._desk.show(Text("Your answers:", style=Tone.STRONG), *_argument_lines(page, content))
        prompt = Text.assemble("Send them to ", page.text(self._server, style="bold"), "? [Y/n, or a to answer again]")
        while True:
            answer = (await self._desk.ask(prompt)).casefold()
            if not answer or answer in _YES:
                return True
            if answer in {"!decline", *_NO}:
                raise _Leave("decline")
            if answer == "!cancel":
                raise _Leave("cancel")
            if answer in {"a", "again"}:
                return False


def _remark(page: Page, text: str) -> Line:
    return Line(lead=Text(page.symbols.care, style=Tone.CARE), indent=2, body=page.text(text))


def _margin(page: Page) -> Text:
    return Text(f"  {page.symbols.bar} ", style=Tone.CARE)


def _proposal_lines(page: Page, proposal: Proposal) -> Iterator[Line]:
    ticket = proposal.case.ticket
    yield Line(body=Text())
    yield Line(body=Text("Your approval is needed", style=f"bold {Tone.CARE}"))
    for name, value in (
        ("call", Text.assemble(page.text(proposal.tool, style="bold"), f"  ({proposal.effect.value})")),
        ("ticket", page.text(f"#{ticket.id}  {ticket.fields.get('subject') or ''}")),
        ("requester", page.text(ticket.fields.get("requester") or "unknown")),
        *(("because", page.text(f"{reason.because} [{reason.rule}]")) for reason in proposal.decision.reasons),
    ):
        yield Line(lead=Text(f"  {name}", style=Tone.QUIET), indent=13, body=value)
    yield _part("arguments" if proposal.arguments else "no arguments")
    yield from _argument_lines(page, proposal.arguments)
    if proposal.facts:
        yield _part("read for it")
        yield from _argument_lines(page, proposal.facts)
    if proposal.changes:
        yield _part("would change")
        yield from _argument_lines(page, proposal.changes, sign=f" {page.symbols.arrow} ")


def _part(name: str) -> Line:
    return Line(lead=Text(f"  {name}", style=Tone.QUIET), body=Text())


def _argument_lines(page: Page, arguments: Mapping[str, Any], *, sign: str = " = ") -> Iterator[Line]:
    """Yield every argument in full: text of several lines behind a second bar, all else as JSON."""
    inner = Text.assemble(_margin(page), (f"  {page.symbols.inner_bar} ", Tone.QUIET))
    for name, value in arguments.items():
        lead = page.text(name, style=Tone.STRONG).append(sign, style=Tone.QUIET)
        if isinstance(value, str) and "\n" in value:
            about = Text(f"text of {len(value):,} characters:", style=Tone.QUIET)
            yield Line(margin=_margin(page), body=lead.append_text(about))
            yield Line(margin=inner, body=page.block(value, most_characters=len(value)))
        else:
            yield Line(margin=_margin(page), body=lead.append_text(page.text(as_json(value))))


def _question_lines(page: Page, server: str, message: str) -> Iterator[Line]:
    yield Line(body=Text())
    head = Text.assemble(
        "The server ", page.text(server, style="bold"), " asks you. The words behind the bar are its own:"
    )
    yield Line(body=head)
    yield Line(margin=_margin(page), body=page.block(message, most_characters=len(message)))


def _field_lines(page: Page, field: Field) -> Iterator[Line]:
    margin = _margin(page)
    yield Line(margin=margin, body=Text())
    if field.title != field.name:
        yield Line(margin=margin, body=page.text(field.title, style=Tone.STRONG))
    if field.description:
        yield Line(margin=margin, body=page.block(field.description, style=Tone.QUIET))
    width = len(str(len(field.choices)))
    for number, choice in enumerate(field.choices, start=1):
        yield Line(margin=margin, lead=Text(f"{number:>{width}} ", style=Tone.PLANNED), body=page.text(choice.title))


def _field_prompt(page: Page, field: Field, default: Any) -> Text:
    need = "required" if field.is_required else "optional"
    name = page.excerpt(field.name, 40, style=Tone.STRONG)
    prompt = Text.assemble(_margin(page), name, (f" ({need}: {expectation(field)})", Tone.QUIET))
    if default is not None:
        shown = as_json(default)
        if isinstance(default, bool):
            shown = "yes" if default else "no"
        prompt.append(" [").append_text(page.excerpt(shown, 60)).append("]")
    return prompt.append(":")


def _split(url: str) -> SplitResult | None:
    """Return the parts of a web address; None for whatever else this is."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return None
    # A backslash is a path to browsers and a user's name to others: nobody can say which host that is.
    return parts if is_web and url.isprintable() and not set(" \\") & set(url) else None


def _address(page: Page, url: str, parts: SplitResult) -> Text:
    """Return the whole address with the host set off from what may look like one."""
    shown, authority = page.text(url), page.text(parts.netloc).plain
    end = shown.plain.find(authority) + len(authority)
    shown.stylize(f"bold {Tone.PLANNED}", end - len(authority.rpartition("@")[2]), end)
    return Text.assemble("  ", shown)


def _url_warnings(parts: SplitResult) -> Iterator[str]:
    host = parts.hostname or ""
    if parts.username is not None:
        yield f"What stands before the @ is no host; the host is {host}."
    if not host.isascii() or "xn--" in host:
        yield f"The host has letters that may look like others: {_punycode(host)}."
    if parts.scheme == "http" and not _is_loopback(host):
        yield "The connection is not encrypted: http, not https."


def _punycode(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return as_json(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
