"""The record of runs: numbered entries in a database, written before the act, so that a run survives anything.

SQLite in a file of the data folder is the default and PostgreSQL the alternative. SQLAlchemy is loaded by whoever opens
a journal, not by whoever names one.
"""

from agent.journal.journal import Journal
from agent.journal.memory import MemoryJournal, new_run_id
from agent.journal.record import RunRecord
from agent.journal.values import Forgotten, Pause, Ruling, RunSummary, Soundness, Upgraded, Verified
from agent.settings import Settings

BUSY_TIMEOUT_S = 30.0
"""How long a SQLite transaction waits for another process before it fails."""

__all__ = [
    "BUSY_TIMEOUT_S",
    "Forgotten",
    "Journal",
    "MemoryJournal",
    "Pause",
    "Ruling",
    "RunRecord",
    "RunSummary",
    "Soundness",
    "Upgraded",
    "Verified",
    "new_run_id",
    "open_journal",
    "upgrade_journal",
]


def open_journal(settings: Settings, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Journal:
    """Return the journal that the settings name; a SQLite file that is not there yet is made.

    Reads and writes the disk: call it in a thread.

    Raises:
        JournalError: it cannot be used as it is; one sentence says why, and what to do.
    """
    from agent.journal.opening import opened  # noqa: PLC0415 - see above

    return opened(settings, busy_timeout_s=busy_timeout_s)


def upgrade_journal(settings: Settings) -> Upgraded:
    """Create the journal's tables, or migrate them to this version; any number of processes may do it at once.

    Raises:
        JournalError: as `open_journal`, or a step failed and left the version before it.
    """
    from agent.journal.opening import upgraded  # noqa: PLC0415 - see above

    return upgraded(settings)
