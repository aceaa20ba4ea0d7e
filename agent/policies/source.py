"""A policy file as text: its statements with their lines, and the rules that Cedar's own parser finds in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cedarpy import policies_to_pst, pst

from agent.policies.findings import Finding, Severity

_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;|\S', re.DOTALL)
_NUMBERED = re.compile(r"policy(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One rule as it stands in the file, from its first annotation to its semicolon."""

    text: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule as Cedar understood it. Results of Cedar name it by its position, people by its `@id`."""

    position: str  # Cedar's name for it: policy7
    id: str
    because: str
    line: int
    statement: str
    parsed: pst.Template

    @property
    def is_forbid(self) -> bool:
        """Whether it says never."""
        return self.parsed.effect == "forbid"


class UnreadablePolicy(ValueError):  # noqa: N818 - reads as the sentence it is
    """The file is no policy; `findings` say where."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


def statements(source: str) -> tuple[Statement, ...]:
    """Split a file at the semicolons that end its rules; those in comments and strings end nothing."""
    return tuple(_statements(source))


def _statements(source: str) -> Iterator[Statement]:
    start: int | None = None
    end = 0
    for token in _TOKEN.finditer(source):
        if token[0].startswith("//"):
            continue
        start = token.start() if start is None else start
        end = token.end()
        if token[0] == ";":
            yield Statement(text=source[start:end], line=source.count("\n", 0, start) + 1)
            start = None
    if start is not None:
        yield Statement(text=source[start:end], line=source.count("\n", 0, start) + 1)


def read_rules(source: str, *, file: str) -> tuple[Rule, ...]:
    """Return the rules of a policy file, in order.

    Raises:
        UnreadablePolicy: Cedar's parser refuses the file, or finds other rules in it than stand there.
    """
    found = statements(source)
    alone = [_parse_alone(statement, file) for statement in found]
    refused = tuple(problem for problem in alone if isinstance(problem, Finding))
    if refused:
        raise UnreadablePolicy(refused)
    try:
        whole = policies_to_pst(source)
    except ValueError as error:
        raise UnreadablePolicy((_error(file, 1, f"This is no Cedar policy: {error}."),)) from error
    numbered = sorted(whole.static_policies.values(), key=_position)
    # Cedar counts, and names no lines: a wrong count here would blame, or report, the wrong rule.
    counted = [replace(parsed, id="") for parsed in numbered]
    if counted != alone or [_position(parsed) for parsed in numbered] != list(range(len(found))):
        raise UnreadablePolicy((_error(file, 1, "Cedar finds other rules in this file than its semicolons end."),))
    return tuple(_rule(parsed, statement) for parsed, statement in zip(numbered, found, strict=True))


def _parse_alone(statement: Statement, file: str) -> pst.Template | Finding:
    try:
        parsed = policies_to_pst(statement.text)
    except ValueError as error:
        return _error(file, statement.line, f"This rule cannot be read: {error}.")
    if parsed.templates:
        return _error(file, statement.line, "Templates (?principal, ?resource) are not used here: write the rule out.")
    [template] = parsed.static_policies.values()
    return replace(template, id="")


def _position(parsed: pst.Template) -> int:
    numbered = _NUMBERED.fullmatch(parsed.id)
    return int(numbered[1]) if numbered else -1


def _rule(parsed: pst.Template, statement: Statement) -> Rule:
    return Rule(
        position=parsed.id,
        id=parsed.annotations.get("id") or f"line-{statement.line}",
        because=parsed.annotations.get("because") or f"The rule of line {statement.line} says so.",
        line=statement.line,
        statement=statement.text,
        parsed=parsed,
    )


def _error(file: str, line: int, message: str) -> Finding:
    return Finding(file=file, line=line, severity=Severity.ERROR, message=message)
