"""The end of a run: read back from the ticket system, given to people, or left on the ticket as a draft."""

from collections.abc import Mapping, Sequence

from agent.documents import fill
from agent.handover import draft_note, handover_summary
from agent.outgoing import WITHHELD
from agent.records import CallStatus, EntryKind, Outcome, OutcomeKind, ToolCall, ToolResult
from agent.run import GaveUp, Run
from agent.settings import ToolReference

HOST_CALL = "host-1"
"""The one call that a run's host makes by itself: it hands the ticket over, or puts a draft on it."""


async def outcome_of(run: Run) -> Outcome | None:
    """Return how the ticket stands because of this run, or would by what it plans; None if it is not at its end."""
    if run.mode.is_planning:
        return run.helpdesk.planned_outcome(run.case, run.ledger.effects)
    return await run.helpdesk.outcome(run.case, run.ledger.effects)


async def hand_over(run: Run, gave_up: GaveUp) -> Outcome:
    """Give the ticket to people, unless the run has already ended it, and return what the ticket system says then."""
    because = gave_up.because
    if run.gave_up is None:
        await run.recorder.append(EntryKind.HANDOVER, {"because": because})
        run.gave_up = because
    if outcome := await outcome_of(run):
        if run.plan is None:
            return outcome
        # A reply that waits for the customer tells nobody of the calls that were not made.
        if outcome.kind is not OutcomeKind.PENDING:
            return Outcome(kind=outcome.kind, reason=f"{outcome.reason} But {because}.")
    summary = handover_summary(because, run.ledger.effects, run.messages)
    result = await _call_by_host(
        run, run.settings.tickets.handoff, {"summary": run.outgoing.egress.withheld(summary) or WITHHELD}
    )
    if result is None:
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=f"No hand-off is configured, and {because}.")
    outcome = await outcome_of(run)
    if outcome is None:
        failure = f"The hand-off did not succeed ({result.text}), and {because}."
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=failure)
    told = "It would be handed over" if outcome.kind is OutcomeKind.PLANNED else "Handed over"
    return Outcome(kind=outcome.kind, reason=f"{told} to people: {because}.")


async def draft(run: Run, end: Outcome | GaveUp) -> Outcome:
    """Put what the run proposes on the ticket, for people to use there, and return how that went."""
    because = end.because if isinstance(end, GaveUp) else None
    if because is not None and run.gave_up is None:
        await run.recorder.append(EntryKind.HANDOVER, {"because": because})
        run.gave_up = because
    if isinstance(end, Outcome) and end.kind is OutcomeKind.UNRESOLVED:
        return end
    note = draft_note(
        because, run.ledger.effects, run.messages, sends=lambda tool: _sends(run, tool), read=sorted(run.outgoing.read)
    )
    result = await _call_by_host(
        run, run.settings.tickets.draft, {"draft": run.outgoing.egress.withheld(note) or WITHHELD}
    )
    if result is None:
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason="No draft is configured: [tickets] has no `draft`.")
    if result.status is not CallStatus.DONE:
        return Outcome(kind=OutcomeKind.UNRESOLVED, reason=f"The draft could not be put on the ticket ({result.text}).")
    told = end.reason if isinstance(end, Outcome) else f"It is for people to decide: {because}."
    return Outcome(kind=OutcomeKind.DRAFTED, reason=f"Put on the ticket as an internal note. {told}")


def _sends(run: Run, tool: str) -> Sequence[str]:
    configured = run.settings.tools.get(tool)
    return () if configured is None else configured.sends


async def _call_by_host(run: Run, reference: ToolReference | None, values: Mapping[str, str]) -> ToolResult | None:
    """Make the call that the host itself wants, unless it has been made; None where none is configured or offered."""
    tool = run.catalog.qualified(f"{run.settings.tickets.server}.{reference.tool}") if reference else None
    if reference is None or tool is None:
        return None
    if HOST_CALL not in run.results:
        run.ledger.versions["ticket"] = await run.helpdesk.version(run.case.ticket.id)
        call = ToolCall(id=HOST_CALL, name=tool.offered_as, arguments=fill(reference.arguments, values))
        run.results[HOST_CALL] = await run.gate.call_by_host(call, tool, turn_seq=run.turn_seq)
    return run.results[HOST_CALL]


async def taken_by_others(run: Run, when: str) -> Outcome | None:
    """Return that the ticket is nobody's to work any more, if it is not."""
    now = await run.helpdesk.open(run.case.ticket.id)
    if run.helpdesk.is_workable(now.ticket):
        return None
    reason = f"Someone else has taken the ticket over {when}: it is {now.ticket.status}."
    return Outcome(kind=OutcomeKind.UNRESOLVED, reason=reason)
