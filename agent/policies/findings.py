"""What is wrong with a policy file: where, how bad, and one sentence."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a policy can be used with this in it."""

    ERROR = "error"  # no run starts with it
    WARNING = "warning"  # it works, and probably not as it was meant


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Finding:
    """One thing wrong with a policy, at the line where its rule begins."""

    file: str
    line: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity.value}: {self.message}"
