"""The journal's key: what it signs, and the file that keeps it."""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from pathlib import Path

from agent.errors import JournalError

_HEX = re.compile("[0-9a-fA-F]{64}")


class Key:
    """Signs what nobody without the key may say. Each use has its own label, so that no signature serves for another.

    `repr` shows nothing of it.
    """

    def __init__(self, digits: str) -> None:
        """Take 64 hexadecimal digits.

        Raises:
            ValueError: it is something else.
        """
        if not _HEX.fullmatch(digits):
            raise ValueError("not 64 hexadecimal digits")
        self._bytes = bytes.fromhex(digits)

    @property
    def check(self) -> str:
        """What the journal stores to tell this key from another; says nothing about it."""
        return self._sign("check")

    def customer(self, address: str) -> str:
        """Return what stands for a customer in the journal: the same for every spelling of the address's case."""
        return self._sign("customer", address.strip().casefold())

    def seal(self, run_id: str, digest: str) -> str:
        """Return the proof that a run ends with the entry of this digest."""
        return self._sign("seal", run_id, digest)

    def redaction(self, run_id: str, at: str, by: str, entries: int) -> str:
        """Return the proof that whoever has the key took the texts out of a run."""
        return self._sign("redaction", run_id, at, by, entries)

    def _sign(self, *words: str | int) -> str:
        return hmac.new(self._bytes, json.dumps(words).encode(), hashlib.sha256).hexdigest()


def read_key(file: Path) -> Key | None:
    """Return the key that the file keeps, or None if there is none.

    Raises:
        JournalError: it cannot be read, or keeps something else.
    """
    try:
        digits = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{file}, the journal's key, cannot be read: {error.strerror}.") from error
    try:
        return Key(digits)
    except ValueError:
        raise JournalError(
            f"{file} does not hold the journal's key, 64 hexadecimal digits: restore it from a backup."
        ) from None


def make_key(file: Path) -> Key:
    """Return the key that the file keeps, a new one if there was none; all who make it at once get the same one.

    Raises:
        JournalError: it cannot be written or read, or keeps something else.
    """
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                os.fchmod(descriptor, 0o600)  # whatever the umask
                opened.write(secrets.token_hex(32) + "\n")
                opened.flush()
                os.fsync(descriptor)
            # A link appears whole, and only where nothing is: the first one's key is everyone's.
            with contextlib.suppress(FileExistsError):
                os.link(draft, file)
        finally:
            draft.unlink()
        _sync_folder(file.parent)
    except OSError as error:
        raise JournalError(f"{file}, the journal's key, cannot be made: {error.strerror}.") from error
    key = read_key(file)
    if key is None:
        raise JournalError(f"{file}, the journal's key, was taken away while it was made.")
    return key


def _sync_folder(folder: Path) -> None:
    # A journal whose key did not survive a power failure could not be opened again.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
