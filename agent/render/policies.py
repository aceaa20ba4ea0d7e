"""`policy`: what is wrong with a policy, and which of its rules decided about a call."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from agent.policies import Considered, Explanation, Fate, Finding, Request, Severity
from agent.records import Decision, Verdict
from agent.render.figures import count
from agent.render.layout import heading, pairs
from agent.render.page import Line, Page, Tone
from agent.render.text import as_json

_VERDICTS = {
    Verdict.ALLOW: ("allowed", Tone.GOOD),
    Verdict.ASK: ("a person is asked", Tone.CARE),
    Verdict.DENY: ("denied", Tone.BAD),
}
_INDENT = 2


def show_findings(console: Console, file: str, findings: Sequence[Finding], *, tools: int) -> None:
    """Show what is wrong with a policy, each with its file and line as compilers say it; or that nothing is."""
    page = Page(console)
    for finding in findings:
        tone = Tone.BAD if finding.severity is Severity.ERROR else Tone.CARE
        place = page.text(f"{finding.file}:{finding.line}: ")
        page.print(Text.assemble(place, (f"{finding.severity.value}: ", tone), page.text(finding.message)))
    if not findings:
        sign = Text(page.symbols.done, style=Tone.GOOD)
        said = page.text(f"{file} has no mistakes, for {count(tools, 'tool')}.")
        page.print(Line(lead=sign, indent=_INDENT, body=said))


def show_explanation(
    console: Console, request: Request, explanation: Explanation, decision: Decision, *, file: str
) -> None:
    """Show the call as it would leave, the verdict on it, and of each rule about such calls what became of it.

    `decision` is the verdict that counts: a limit may deny what the policy allows.
    """
    page = Page(console)
    page.print(*heading(page, request.tool))
    known = request.arguments | {f"facts.{name}": value for name, value in request.facts.items()}
    page.print(*pairs(page, [(name, page.text(as_json(value))) for name, value in known.items()], indent=_INDENT))
    word, tone = _VERDICTS[decision.verdict]
    page.print(Text(), Text(word, style=f"bold {tone}"))
    for reason in decision.reasons:
        body = Text.assemble(page.text(reason.because), " ", page.text(f"[{reason.rule}]", style=Tone.QUIET))
        page.print(Line(indent=_INDENT, body=body))
    about = [rule for rule in explanation.rules if rule.fate is not Fate.ELSEWHERE]
    if about:
        as_approved = ", as they stand after a person's yes" if explanation.is_as_approved else ""
        page.print(*heading(page, f"Rules of {file} about such calls{as_approved}"))
        page.print(*(line for rule in about for line in _rule(page, rule)))


def _rule(page: Page, rule: Considered) -> Iterator[Line]:
    effect = "forbid" if rule.is_forbid else "permit"
    has_applied = rule.fate is Fate.APPLIED
    sign = (
        page.symbols.done if has_applied else page.symbols.failed if rule.fate is Fate.FAILED else page.symbols.planned
    )
    lead = Text(sign, style=(Tone.BAD if rule.is_forbid else Tone.GOOD) if has_applied else Tone.QUIET)
    name = page.text(rule.rule, style=Tone.STRONG if has_applied else Tone.PLAIN)
    place = Text(f"  {effect}, line {rule.line}: {'applies' if has_applied else 'does not apply'}", style=Tone.QUIET)
    yield Line(lead=lead, indent=_INDENT, body=Text.assemble(name, place))
    for unmet in rule.unmet:
        yield Line(indent=_INDENT * 2, body=page.text(str(unmet)))
