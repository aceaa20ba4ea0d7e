"""Which files of which folders the operator has trusted, by the digests of their bytes.

One small file per folder, in the user's data folder: two commands that remember at once never undo each other.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent.errors import ConfigurationError
from agent.trust.writing import write_whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the files of a folder compare with what was trusted there, by name."""

    is_known: bool  # something of this folder was trusted once
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Whether every file is the one that was trusted, and none of those is missing."""
        return not (self.new or self.changed or self.gone)


class TrustedFolders:
    """What was trusted, kept in one place for all folders of a user."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def standing(self, folder: Path, digests: Mapping[str, str]) -> Standing:
        """Return how these files compare with what was trusted; what cannot be read was never trusted.

        A missing file counts: without its policy, a folder would be judged by another one.
        """
        known = self._remembered(folder)
        both = digests.keys() & known.keys()
        return Standing(
            is_known=bool(known),
            new=tuple(name for name in digests if name not in known),
            changed=tuple(name for name in digests if name in both and digests[name] != known[name]),
            gone=tuple(sorted(known.keys() - digests.keys())),
        )

    def remember(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Take these files, and no others of the folder, for trusted from now on.

        Raises:
            ConfigurationError: it cannot be written down.
        """
        document = {"folder": str(_real(folder)), "files": dict(sorted(digests.items()))}
        try:
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._file(folder), json.dumps(document, indent=2), mode=0o600)
        except OSError as refused:
            reason = (refused.strerror or "unknown error").lower()
            raise ConfigurationError(f"{self.place} cannot be written: {reason}.") from refused

    def add(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Take these files for trusted besides what is.

        Raises:
            ConfigurationError: it cannot be written down.
        """
        self.remember(folder, {**self._remembered(folder), **digests})

    def _remembered(self, folder: Path) -> Mapping[str, str]:
        try:
            document: Any = json.loads(self._file(folder).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(document, dict) or document.get("folder") != str(_real(folder)):  # pyright: ignore[reportUnknownMemberType]  # JSON
            return {}
        files = cast("dict[str, Any]", document).get("files")
        return cast("dict[str, str]", files) if isinstance(files, dict) else {}

    def _file(self, folder: Path) -> Path:
        name = os.fsencode(_real(folder))
        return self.place / f"{hashlib.sha256(name).hexdigest()[:32]}.json"


def _real(folder: Path) -> Path:
    # Whatever links led to it: the files of a folder may start programs by paths that begin there.
    return folder.resolve()
