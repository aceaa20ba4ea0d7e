"""Who works which ticket on this machine: locks that the kernel drops with the process that holds them.

No lease, no heartbeat, no clock: a process that dies has no locks any more, a stopped one keeps its own.
"""

import hashlib
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from agent.errors import ConfigurationError, TicketTaken
from agent.records import Owner

_PLACE_ID = re.compile(r"[0-9a-f]{32}")
_WRITTEN_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

PLACE_TIMEOUT_S = 10.0
"""Reading or making the folder's id takes a moment; who waits longer waits for a process that is stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """Who holds a ticket and its customer, and since when."""

    ticket_id: str
    owner: Owner
    since: datetime


class Occupied(TicketTaken):
    """The ticket or its customer is held; `holding` is None where the holder has not said who it is."""

    def __init__(self, message: str, holding: Holding | None) -> None:
        super().__init__(message)
        self.holding = holding


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A ticket and its customer, for this process alone until they are released, or it ends."""

    _customer: FileLock = field(repr=False)
    _ticket: FileLock = field(repr=False)

    def release(self) -> None:
        """Let others have both; a second time does nothing."""
        try:
            self._ticket.release()
        finally:
            self._customer.release()


class Locks:
    """The locks of one folder; every process that uses the folder sees those of the others."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or make it.

        Raises:
            ConfigurationError: it cannot be made, written or locked in.
        """
        self._folder = folder
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # `parents` have no `mode` of their own
            folder.mkdir(mode=0o700, exist_ok=True)
            self._place_id = self._read_place_id()
        except OSError as error:
            raise self._unusable(error) from error

    @property
    def place_id(self) -> str:
        """The folder's own random id: processes that name the same one see each other's locks."""
        return self._place_id

    def hold(self, *, customer: str, ticket_id: str, owner: Owner | None = None) -> Held:
        """Take a customer and one of their tickets, or neither; never waits. Others are told who the `owner` is.

        Whoever takes one that this process holds already is refused like any other.

        Raises:
            Occupied: the ticket is taken, or another one of the same customer.
            ConfigurationError: the folder cannot be written or locked in.
        """
        customer_lock, ticket_lock = self._lock("customer", customer), self._lock("ticket", ticket_id)
        ticket = f"Ticket {ticket_id}"
        held = Held(_customer=customer_lock, _ticket=ticket_lock)
        try:
            # Who does not get the customer leaves the ticket alone: else two that race could each refuse the other.
            for lock, what in ((customer_lock, f"{ticket}, or another one of its customer,"), (ticket_lock, ticket)):
                self._take(lock, what)
                if owner is not None:
                    _sign(lock, ticket_id, owner)
        except (TicketTaken, ConfigurationError):
            held.release()
            raise
        return held

    def _take(self, lock: FileLock, what: str) -> None:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise Occupied(f"{what} is being worked by another process.", _signed(lock)) from None
        except OSError as error:
            raise self._unusable(error) from error

    def _lock(self, kind: str, name: str) -> FileLock:
        # Ticket ids may hold what no file name can, and customers are nobody's business who lists a folder.
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        return _file_lock(self._folder / f"{kind}-{digest[:32]}.lock")

    def _read_place_id(self) -> str:
        file = self._folder / "place"
        with _file_lock(self._folder / "place.lock").acquire(timeout=PLACE_TIMEOUT_S):
            known = file.read_text(encoding="ascii", errors="replace") if file.exists() else ""
            if not _PLACE_ID.fullmatch(known):
                known = secrets.token_hex(16)
                with os.fdopen(os.open(file, _WRITTEN_ANEW, 0o600), "w") as opened:
                    opened.write(known)
        return known

    def _unusable(self, error: OSError) -> ConfigurationError:
        reason = "a stopped process holds it" if isinstance(error, Timeout) else (error.strerror or str(error)).lower()
        return ConfigurationError(
            f"The folder {self._folder}, where locks say who works which ticket, cannot be used: {reason}.\n"
            "Give it to this user, or let SUPPORT_AGENT_HOME name a folder on a file system that has locks."
        )


def _sign(lock: FileLock, ticket_id: str, owner: Owner) -> None:
    """Write beside the lock whose it is: for the others' sentences, and for nothing that is decided."""
    signature = {"ticket_id": ticket_id, "owner": owner.as_json(), "since": datetime.now(UTC).isoformat()}
    with suppress(OSError), os.fdopen(os.open(_signature(lock), _WRITTEN_ANEW, 0o600), "w") as opened:
        json.dump(signature, opened)


def _signed(lock: FileLock) -> Holding | None:
    try:
        found = json.loads(_signature(lock).read_bytes())
        owner, since = Owner(**found["owner"]), datetime.fromisoformat(found["since"])
        return Holding(ticket_id=found["ticket_id"], owner=owner, since=since)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is just being written


def _signature(lock: FileLock) -> Path:
    return Path(lock.lock_file).with_suffix(".holder")


def _file_lock(path: Path) -> FileLock:
    return FileLock(
        path,
        mode=0o600,
        thread_local=False,  # taken in one thread, released in another
        # A marker file in place of a lock would outlive a killed process.
        fallback_to_soft=False,
        # Who unlinks a lock's file lets two processes hold "it": one the old file, one the new.
        preserve_lock_file=True,
    )
