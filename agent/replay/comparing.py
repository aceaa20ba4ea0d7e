"""The Recorder of a replay: every entry that the run would make is held against the recorded one."""

import math
from collections import deque

from agent.errors import InfrastructureError
from agent.loop import out_of_time
from agent.protocols import SpentMeanwhile
from agent.records import Entry, EntryKind, JsonObject, Spent
from agent.replay.differing import as_recorded, brief, difference
from agent.replay.recorded import OF_CALL, OF_CONVERSATION, Recorded
from agent.replay.values import Found


class Differs(Exception):  # noqa: N818 - reads as the sentence it is
    """The replay has left the record; it is over."""

    def __init__(self, found: Found) -> None:
        super().__init__(f"{found.kind} {found.seq}{found.path}")
        self.found = found


class RecordEnds(InfrastructureError):  # noqa: N818 - reads as the sentence it is
    """Nothing more is recorded: the run was interrupted, cancelled or stopped here."""


class Comparing:
    """Takes what the run would record, and knows what the record says next.

    The calls of a reply are compared each for itself: reads run together, and their entries fell as they came.
    """

    def __init__(self, record: Recorded) -> None:
        self._record = record
        self._left = {entry.seq: entry for entry in record.compared}  # not made again yet, in their order
        self._calls = {call: deque(way) for call, way in record.calls.items()}  # the same of each call
        self._call = ""  # the one that the gate is at
        self._last = record.entries[0]  # the latest entry that was made again

    @property
    def run_id(self) -> str:
        """The recorded run's: keys are made of it."""
        return self._record.run_id

    @property
    def compared(self) -> int:
        """How many entries have been made again."""
        return len(self._record.compared) - len(self._left)

    async def append(self, kind: EntryKind, body: JsonObject, *, spent: Spent | None = None) -> Entry:
        """Return the recorded entry that is equal to this one.

        Raises:
            Differs: another one is recorded here.
            RecordEnds: nothing more is.
            SpentMeanwhile: the recorded run has decided anew here.
        """
        if kind in OF_CALL:
            self._call = body["tool_use_id"]
            way = self._calls.get(self._call)
            if spent is not None and way and way[0].kind is not kind:
                raise SpentMeanwhile
            expected = self._of_call(self._call, kind, _would(kind, body))
            self._compare(expected, body)
            self._calls[self._call].popleft()
            return expected
        if kind in OF_CONVERSATION:
            expected = self._next
            if expected is None or expected.kind is not kind:
                raise self.ended(_would(kind, body))
            self._compare(expected, body)
            return expected
        # That the replay came to an end before an outcome says nothing about the recorded run.
        return Entry(run_id=self.run_id, seq=len(self._record.entries) + 1, kind=kind, body=body, at=self._last.at)

    def said(self, kind: EntryKind) -> JsonObject | None:
        """Return the body of the next entry if it is one of this kind."""
        return self._next.body if self._next is not None and self._next.kind is kind else None

    def is_decided(self, tool_use_id: str) -> bool:
        """Whether the next that is recorded of a call is a decision."""
        way = self._calls.get(tool_use_id)
        return bool(way) and way[0].kind is EntryKind.DECISION

    def decision(self, tool_use_id: str) -> Entry:
        """Return the next recorded decision on a call.

        Raises:
            Differs, RecordEnds: none is recorded here.
        """
        return self._of_call(tool_use_id, EntryKind.DECISION, "the rules would be asked")

    def approval(self) -> JsonObject:
        """Return the recorded answer of a person to the call that the gate is at.

        Raises:
            Differs, RecordEnds: none was asked here.
        """
        return self._of_call(self._call, EntryKind.APPROVAL, "a person would be asked").body

    def result(self, tool_use_id: str) -> JsonObject:
        """Return what is recorded of a call's result.

        Raises:
            Differs, RecordEnds: none is recorded here.
        """
        return self._of_call(tool_use_id, EntryKind.RESULT, "the call would be answered").body

    def ended(self, would: str) -> RecordEnds:
        """Return the end of the record, where the replay would do something of which nothing is recorded.

        Raises:
            Differs: the record goes on, with something else.
        """
        if self._next is not None:
            raise _left_at(self._next, would)
        return RecordEnds("Nothing more is recorded.")

    def clock(self) -> float:
        """Return the seconds that the run had used by then; no end of them where it gave up over its time."""
        gave_up = self.said(EntryKind.HANDOVER)
        seconds = self._record.case["settings"]["limits"]["seconds"]
        if gave_up is not None and gave_up["because"] == out_of_time(seconds):
            return math.inf
        return self._record.worked_s[self._last.seq]

    @property
    def _next(self) -> Entry | None:
        return next(iter(self._left.values()), None)

    def _of_call(self, tool_use_id: str, kind: EntryKind, would: str) -> Entry:
        way = self._calls.get(tool_use_id)
        if way and way[0].kind is kind:
            return way[0]
        if way:
            raise _left_at(way[0], would)
        if tool_use_id in self._record.open_calls:
            raise RecordEnds("Nothing more is recorded of this call.")
        raise self.ended(would)

    def _compare(self, expected: Entry, body: JsonObject) -> None:
        apart = difference(_timeless(expected.body), _timeless(as_recorded(body)))
        if apart is not None:
            raise Differs(
                Found(
                    seq=expected.seq,
                    kind=expected.kind,
                    path=apart.path,
                    recorded=apart.recorded,
                    replayed=apart.replayed,
                )
            )
        del self._left[expected.seq]
        self._last = max(self._last, expected, key=lambda entry: entry.seq)


def _would(kind: EntryKind, body: JsonObject) -> str:
    return f"{kind} {brief(_timeless(body))}"


def _left_at(entry: Entry, would: str) -> Differs:
    recorded = _would(entry.kind, entry.body)
    return Differs(Found(seq=entry.seq, kind=entry.kind, path="", recorded=recorded, replayed=would))


def _timeless(body: JsonObject) -> JsonObject:
    return {name: value for name, value in body.items() if name != "seconds"}
