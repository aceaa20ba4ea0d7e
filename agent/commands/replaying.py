"""`runs replay`: a recorded run once more, with the prompts, the configuration and the code of now."""

import asyncio

from agent.commands.frame import Frame
from agent.commands.runs import named_run
from agent.errors import JournalError, UsageError
from agent.journal import open_journal
from agent.records import Entry, JsonObject
from agent.render.replay import show_replayed
from agent.replay import Replayed, replay
from agent.settings import Settings


async def replay_run(frame: Frame, run_id: str) -> int:
    """Replay one run without model and servers, show what came of it, and return 0, or 1 if it differs."""
    run = await named_run(frame, run_id)
    if run.is_forgotten:
        raise UsageError(f"The texts of run {run.run_id} were deleted: without them it cannot be replayed.")
    settings = await frame.settings()
    replayed = await replay(await _sound_entries(settings, run.run_id), settings)
    if frame.is_json:
        frame.print_json(_json(replayed))
    else:
        show_replayed(frame.out, replayed)
    return 0 if replayed.is_same else 1


async def _sound_entries(settings: Settings, run_id: str) -> tuple[Entry, ...]:
    journal = await asyncio.to_thread(open_journal, settings)
    try:
        [verified] = await journal.verify([run_id])
        if not verified.is_sound:
            raise JournalError(
                f"The record of run {run_id} is not as it was written, so a replay would prove nothing: "
                f"`support-agent runs verify {run_id}` says where."
            )
        return await journal.entries(run_id)
    finally:
        await journal.aclose()


def _json(replayed: Replayed) -> JsonObject:
    difference = replayed.difference
    return {
        "run_id": replayed.run_id,
        "is_same": replayed.is_same,
        "entries": replayed.entries,
        "compared": replayed.compared,
        "turns": replayed.turns,
        "changed": list(replayed.changed),
        "difference": None
        if difference is None
        else {
            "seq": difference.found.seq,
            "kind": difference.found.kind.value,
            "path": difference.found.path,
            "recorded": difference.found.recorded,
            "replayed": difference.found.replayed,
            "cause": difference.cause.value,
            "because": difference.because,
        },
    }
