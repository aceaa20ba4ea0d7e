"""The end of a run that a person cancels."""

from agent.records import CallStatus, EntryKind, Outcome, OutcomeKind, RunReport
from agent.run import Run


async def cancel(run: Run, *, by: str, because: str) -> RunReport:
    """End the run: what it had under way can never act any more, or is named as uncertain; then report.

    The run has been put together with `VoidingCalls` and claimed: its owner can record nothing more, and what it
    recorded before is settled here.

    Raises:
        ServerError: a server could not be asked; the run is not ended, and can be cancelled again.
        RunLost: another process has taken the run over.
    """
    settled = await run.gate.settle()
    await run.recorder.append(
        EntryKind.CANCEL,
        {
            "by": by,
            "because": because,
            "voided": [key for key, result in settled.items() if result.status is CallStatus.FAILED],
            "uncertain": [key for key, result in settled.items() if result.status is CallStatus.UNCERTAIN],
        },
    )
    outcome = Outcome(kind=OutcomeKind.UNRESOLVED, reason=f"Cancelled by {by}: {because}.")
    await run.recorder.append(EntryKind.OUTCOME, {"outcome": outcome.kind.value, "reason": outcome.reason})
    return run.report(outcome)
