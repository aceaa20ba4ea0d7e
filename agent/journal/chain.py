"""One entry as it is stored, and the digests that chain each to the one before."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.journal.bodies import Written, dumps, references
from agent.records import EntryKind

START = ""
"""What the first entry of a run follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of `entries`. Its digest covers all of it, and through the one before all that came before."""

    run_id: str
    seq: int
    kind: str
    at: str  # UTC, as `moment` writes it
    writer: str  # a nonce of the record or claim that appended it
    kept: str  # JSON: what says nothing about a person
    body_digest: str
    digest: str
    salt: str | None  # None, with the body: forgotten
    body: str | None  # JSON in ASCII, shared documents by their digests

    def is_own(self, other: "Line") -> bool:
        """Whether the other line is this one: the same content by the same writer."""
        return (self.writer, self.digest) == (other.writer, other.digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong with a run's record, and with which entry first; None: with no entry, but beside them."""

    seq: int | None
    problem: str


def follow(previous: Line | None, *, run_id: str, kind: EntryKind, written: Written, writer: str, at: datetime) -> Line:
    """Return the line that comes after this one, or a run's first."""
    seq, before = (previous.seq + 1, previous.digest) if previous else (1, START)
    salt = secrets.token_hex(16)
    when, of_body = moment(at), body_digest(salt, written.text)
    return Line(
        run_id=run_id,
        seq=seq,
        kind=kind.value,
        at=when,
        writer=writer,
        kept=written.kept,
        body_digest=of_body,
        digest=chained(before, run_id, seq, kind.value, when, writer, written.kept, of_body),
        salt=salt,
        body=written.text,
    )


def moment(at: datetime) -> str:
    """Return a time as it is stored: UTC, in texts of one length that sort by it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def body_digest(salt: str, body: str) -> str:
    """Return what stands for a body: without its salt, nobody can tell whether a guessed text is it."""
    return hashlib.sha256(f"{salt}{body}".encode()).hexdigest()


def chained(previous: str, *columns: str | int) -> str:
    """Return the digest of a line with these columns, after the one with this digest."""
    return hashlib.sha256(dumps([previous, *columns]).encode()).hexdigest()


def first_fault(lines: Sequence[Line], documents: Mapping[str, str], *, is_forgotten: bool) -> Fault | None:
    """Return the first entry that is not as it was written and where it was written, if there is one."""
    before = START
    for seq, line in enumerate(lines, 1):
        problem = _place_fault(lines, seq) or _digest_fault(line, before)
        problem = problem or _body_fault(line, documents, is_forgotten=is_forgotten)
        if problem is not None:
            return Fault(seq=seq, problem=problem)
        before = line.digest
    return None


def _place_fault(lines: Sequence[Line], seq: int) -> str | None:
    line = lines[seq - 1]
    if line.seq != seq:
        return "it is missing"
    if (line.kind == EntryKind.CASE) != (seq == 1):
        return "it stands in the wrong place"
    if seq > 1 and lines[seq - 2].kind == EntryKind.OUTCOME:
        return "it comes after the end of the run"
    return None


def _digest_fault(line: Line, before: str) -> str | None:
    found = chained(before, line.run_id, line.seq, line.kind, line.at, line.writer, line.kept, line.body_digest)
    return None if line.digest == found else "it was changed, or follows another entry than it did"


def _body_fault(line: Line, documents: Mapping[str, str], *, is_forgotten: bool) -> str | None:
    if line.body is None or line.salt is None:
        return None if is_forgotten and line.body == line.salt else "its text was taken out"
    if is_forgotten:
        return "it has a text, and the run was forgotten"
    if body_digest(line.salt, line.body) != line.body_digest:
        return "its text was changed"
    for digest in references(line.kind, line.body):
        if digest not in documents:
            return "a document that it refers to is missing"
        if hashlib.sha256(documents[digest].encode()).hexdigest() != digest:
            return "a document that it refers to was changed"
    return None
