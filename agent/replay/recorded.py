"""A run's record as a replay reads it: what was said in turn, what became of each call, and what is compared."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise, takewhile

from agent.applying import Applied
from agent.ending import HOST_CALL
from agent.records import CallStatus, Entry, EntryKind, JsonObject, OutcomeKind, Reply

OF_CONVERSATION = frozenset({EntryKind.CASE, EntryKind.REPLY, EntryKind.NUDGE, EntryKind.HANDOVER, EntryKind.OUTCOME})
OF_CALL = frozenset({EntryKind.DECISION, EntryKind.APPROVAL, EntryKind.ATTEMPT, EntryKind.RESULT})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One run, from its entries."""

    entries: Sequence[Entry]
    conversation: Sequence[Entry]
    calls: Mapping[str, Sequence[Entry]]  # by call: its last way through the gate
    approvals: Mapping[str, JsonObject]  # by call: what a person had answered before that
    sampled: Mapping[str, Sequence[JsonObject]]  # by call: what its server asked of the model
    declined: Mapping[str, Sequence[Entry]]  # by call: what its server asked of a run that answers nothing

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.entries[0].run_id

    @property
    def case(self) -> JsonObject:
        """What the run rests on."""
        return self.entries[0].body

    @cached_property
    def compared(self) -> Sequence[Entry]:
        """The entries that a replay makes again, in the order in which they were recorded."""
        return sorted([*self.conversation, *chain(*self.calls.values())], key=lambda entry: entry.seq)

    @cached_property
    def open_calls(self) -> frozenset[str]:
        """The calls that the record may end in the middle of: the last reply's, a plan's, and the host's own."""
        said = [entry for entry in self.conversation if entry.kind is not EntryKind.OUTCOME]
        if said[-1].kind is EntryKind.CASE and self.case["plan"] is not None:
            return frozenset(call.id for call in Applied.from_json(self.case["plan"]).calls)
        if said[-1].kind is EntryKind.REPLY:
            reply = Reply(content=said[-1].body["content"], stop_reason="", model="")
            return frozenset(call.id for call in reply.tool_calls)
        return frozenset({HOST_CALL} if said[-1].kind is EntryKind.HANDOVER else ())

    @cached_property
    def worked_s(self) -> Mapping[int, float]:
        """The seconds that the run had used when each entry was recorded, by its number; waiting does not count."""
        worked, total = {self.entries[0].seq: 0.0}, 0.0
        for before, entry in pairwise(self.entries):
            if entry.kind is not EntryKind.CLAIM:  # nobody worked the run until then
                total += (entry.at - before.at).total_seconds()
            if entry.kind in {EntryKind.APPROVAL, EntryKind.ELICITATION}:
                total -= entry.body["seconds"]
            worked[entry.seq] = total
        return worked

    def was_claimed_before(self, seq: int) -> bool:
        """Whether the run was interrupted, and had been resumed when this entry was recorded."""
        return any(entry.kind is EntryKind.CLAIM for entry in self.entries if entry.seq < seq)

    def went_on_after(self, seq: int) -> bool:
        """Whether another process has gone on with the run after this entry."""
        return any(entry.kind is EntryKind.CLAIM for entry in self.entries if entry.seq > seq)


def read(entries: Sequence[Entry]) -> Recorded:
    """Return the run of these entries, the first of which is its case."""
    # What follows a cancellation is no part of the conversation.
    own = list(takewhile(lambda entry: entry.kind is not EntryKind.CANCEL, entries))
    conversation = [entry for entry in own if entry.kind in OF_CONVERSATION]
    calls, approvals = _calls(own)
    if _is_from_outside(conversation, calls):
        del conversation[-1]
    sampled: dict[str, list[JsonObject]] = defaultdict(list)
    declined: dict[str, list[Entry]] = defaultdict(list)
    for entry in own:
        if entry.kind is EntryKind.SAMPLING:
            sampled[entry.body["tool_use_id"]].append(entry.body)
        if entry.kind in {EntryKind.SAMPLING, EntryKind.ELICITATION} and entries[0].body["plan"] is not None:
            declined[entry.body["tool_use_id"]].append(entry)
    return Recorded(
        entries=entries,
        conversation=conversation,
        calls=calls,
        approvals=approvals,
        sampled=sampled,
        declined=declined,
    )


def _is_from_outside(conversation: Sequence[Entry], calls: Mapping[str, Sequence[Entry]]) -> bool:
    """Whether the run ended because somebody else had taken the ticket over: only the helpdesk knew that."""
    last, plan = conversation[-1], conversation[0].body["plan"]
    if last.kind is not EntryKind.OUTCOME or last.body["outcome"] != OutcomeKind.UNRESOLVED:
        return False
    if plan is not None and plan["left_out"] and _is_carried_out(Applied.from_json(plan), calls):
        return False  # what would have ended the ticket was left out
    return not any(entry.kind is EntryKind.HANDOVER for entry in conversation)


def _is_carried_out(plan: Applied, calls: Mapping[str, Sequence[Entry]]) -> bool:
    """Whether each call of the plan was done, but for those that were left out."""
    return all(
        call.id in calls and calls[call.id][-1].body.get("status") == CallStatus.DONE
        for call in plan.calls
        if call.tool not in plan.left_out
    )


def _calls(entries: Sequence[Entry]) -> tuple[dict[str, list[Entry]], dict[str, JsonObject]]:
    calls: dict[str, list[Entry]] = defaultdict(list)
    approvals: dict[str, JsonObject] = {}
    anew: set[str] = set()  # calls that had not left when the run was interrupted: they come to the gate again
    for entry in entries:
        if entry.kind is EntryKind.CLAIM:
            anew = {call for call, way in calls.items() if all(step.kind is not EntryKind.ATTEMPT for step in way)}
        elif entry.kind in OF_CALL:
            call = entry.body["tool_use_id"]
            if call in anew:
                anew.remove(call)
                approvals.update((call, step.body) for step in calls.pop(call) if step.kind is EntryKind.APPROVAL)
            calls[call].append(entry)
    return dict(calls), approvals
