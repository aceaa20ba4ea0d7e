"""A recorded run again, against its recorded replies and results: no model is asked and no server started.

The run goes through the same loop and the same gate, under the configuration, the prompts and the code of now, over
the tools as the servers described them then. Every entry that it would record is compared with the recorded one as
canonical JSON. Either all are equal, or the first that is not is named, with what has changed.

Not compared are times and durations; entries that come from outside the conversation (claims, stops, cancellations, and
what servers asked back while a call was under way, which is a part of its result); decisions that a later process has
taken anew; and an end that was not the conversation's own: a person cancelled it, or somebody else had the ticket.
Taken as recorded are replies, facts and results, the servers' prompt and instructions, and what the helpdesk said about
the ticket's state. What the servers offer now is not looked at.
"""

from collections.abc import Sequence

from agent.errors import JournalError
from agent.records import ENTRY_FORMAT, Entry, EntryKind
from agent.replay.causes import changed_settings, difference_of
from agent.replay.playing import play
from agent.replay.recorded import read
from agent.replay.values import Cause, Difference, Found, Replayed
from agent.settings import Settings

__all__ = ["Cause", "Difference", "Found", "Replayed", "replay"]


async def replay(entries: Sequence[Entry], settings: Settings) -> Replayed:
    """Return whether these settings and this program make the same run of the recorded replies and results.

    `entries` are those of one run whose texts are all there, from its CASE on.

    Raises:
        JournalError: a newer version of this program has begun the run.
    """
    case = entries[0].body
    if case["format"] > ENTRY_FORMAT:
        raise JournalError(
            f"Run {entries[0].run_id} was begun by a newer version of support-agent ({case['version']}): "
            "let that one replay it."
        )
    record = read(entries)
    played = await play(record, settings)
    return Replayed(
        run_id=record.run_id,
        entries=len(entries),
        compared=played.compared,
        turns=sum(entry.kind is EntryKind.REPLY for entry in entries),
        changed=changed_settings(record, settings),
        difference=None if played.found is None else await difference_of(played.found, record, settings),
    )
