"""A file replaced as a whole: who reads it meanwhile finds the old one or the new one."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int) -> None:
    """Write the file anew with these permissions, less those that the user's mask takes away.

    A link in its place is replaced, never followed: in a folder of somebody else it could lead anywhere.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
