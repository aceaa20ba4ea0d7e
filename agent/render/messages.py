"""What is said outside any run: an error, the result of a check, a frame on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.text import Text

from agent.render.figures import count
from agent.render.page import Line, Page, Tone


class CheckState(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"  # it works, less well than it could
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at: what is so, and how to mend it."""

    state: CheckState
    sentence: str
    fix: str = ""


def show_error(console: Console, error: BaseException | str) -> None:
    """Show the first line of an error as its sentence; further lines, such as the way to mend it, are quiet."""
    page = Page(console)
    sentence, _, more = (str(error) or type(error).__name__).strip().partition("\n")
    page.print(Line(body=Text.assemble(("error: ", f"bold {Tone.BAD}"), page.text(sentence))))
    if more.strip():
        page.print(Line(indent=2, body=page.block(more, style=Tone.QUIET)))


def show_notice(console: Console, message: str) -> None:
    """Show a remark of the host outside any run; further lines stand behind a bar, as a server's last words do."""
    page = Page(console)
    page.print(*page.message(message, lead=Text(page.symbols.care, style=Tone.CARE), indent=2))


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Show what was checked, how to mend what is wrong, and one line that says whether all is well."""
    page = Page(console)
    signs = {
        CheckState.OK: Text(page.symbols.done, style=Tone.GOOD),
        CheckState.WARN: Text(page.symbols.care, style=Tone.CARE),
        CheckState.FAIL: Text(page.symbols.failed, style=Tone.BAD),
    }
    for check in checks:
        page.print(*page.message(check.sentence, lead=signs[check.state], indent=2))
        if check.fix:
            lead = Text(f"  {page.symbols.arrow}", style=Tone.QUIET)
            page.print(*page.message(check.fix, lead=lead, indent=5, style=Tone.QUIET))
    page.print(Text(), _summary(checks))


def show_frame(console: Console, *, server: str, is_sent: bool, frame: str) -> None:
    """Show one JSON-RPC message on one line, as `--trace` does: `→` to the server, `←` from it."""
    page = Page(console)
    sign = page.symbols.arrow if is_sent else page.symbols.back
    page.print(Text.assemble(page.text(server), f" {sign} ", page.text(frame), style=Tone.QUIET))


def _summary(checks: Sequence[Check]) -> Text:
    failed = sum(check.state is CheckState.FAIL for check in checks)
    warned = sum(check.state is CheckState.WARN for check in checks)
    if failed:
        return Text(f"{count(failed, 'check')} failed", style=f"bold {Tone.BAD}")
    if warned:
        return Text(f"It works, with {count(warned, 'warning')}", style=Tone.STRONG)
    return Text("All is well", style=f"bold {Tone.GOOD}")
