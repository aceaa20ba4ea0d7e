"""The folders that servers are told they may use."""

from collections.abc import Iterable
from pathlib import Path

import mcp_types
from pydantic import FileUrl


def listed(folders: Iterable[Path]) -> mcp_types.ListRootsResult:
    """Return those of the folders that exist, as a server is told them."""
    present = [folder.resolve() for folder in folders if folder.is_dir()]
    return mcp_types.ListRootsResult(
        roots=[mcp_types.Root(uri=FileUrl(folder.as_uri()), name=folder.name) for folder in present]
    )
