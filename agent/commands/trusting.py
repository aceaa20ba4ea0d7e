"""Whether the files of the current folder may be used: remembered, said on the command line, or asked."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.configuration import Folder, FolderFile, claims, is_trusted_by_environment, read_here, trust_folder
from agent.errors import ConfigurationError
from agent.render.trust import TrustQuestion
from agent.trust import Standing, TrustedFolders


class Ground(StrEnum):
    """Why the files of a folder are used."""

    NO_FILES = "there are none"
    REMEMBERED = "trusted"
    ENVIRONMENT = "trusted by SUPPORT_AGENT_TRUST"
    OPTION = "trusted from now on, by --trust"
    ASKED = "trusted from now on"


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """The current folder's files as they were read once, and why they may be used."""

    folder: Folder
    ground: Ground
    remark: str = ""  # what the operator should know of it


async def trusted_here(ask: Callable[[TrustQuestion], Awaitable[bool]] | None, *, is_said: bool) -> Here:
    """Return the current folder's files once they are trusted; until then nothing of them is parsed but to be shown.

    `ask` puts the question to a person; None: nobody is there. `is_said` is --trust.

    Raises:
        ConfigurationError: nobody has trusted them, or a file cannot be read.
    """
    folder = read_here()
    if not folder.files:
        return Here(folder=folder, ground=Ground.NO_FILES)
    if is_trusted_by_environment(folder.path, os.environ):
        return Here(folder=folder, ground=Ground.ENVIRONMENT)
    trusted = TrustedFolders(trust_folder(folder.path, os.environ))
    standing = trusted.standing(folder.path, folder.digests)
    if standing.is_trusted:
        return Here(folder=folder, ground=Ground.REMEMBERED)
    if not is_said:
        if ask is None:
            raise ConfigurationError(_untrusted(folder, standing))
        question = TrustQuestion(folder=str(folder.path), standing=standing, claims=tuple(claims(folder)))
        if not await ask(question):
            raise ConfigurationError(f"The files of {folder.path} are not trusted: nothing was started or changed.")
    return _remembered(trusted, folder, Ground.OPTION if is_said else Ground.ASKED)


def trust_written(path: Path, contents: Mapping[str, bytes]) -> str:
    """Trust files that were just written, by their content; return what the operator should know of it."""
    try:
        trusted = TrustedFolders(trust_folder(path, os.environ))
        trusted.add(path, {name: FolderFile(path=path / name, data=data).digest for name, data in contents.items()})
    except ConfigurationError as refused:
        return f"That these files are trusted is not remembered: {refused}"
    return ""


def _remembered(trusted: TrustedFolders, folder: Folder, ground: Ground) -> Here:
    try:
        trusted.remember(folder.path, folder.digests)
    except ConfigurationError as refused:
        return Here(folder=folder, ground=ground, remark=f"That these files are trusted is not remembered: {refused}")
    return Here(folder=folder, ground=ground)


def _untrusted(folder: Folder, standing: Standing) -> str:
    if standing.is_known:
        parts = ((standing.changed, "changed"), (standing.gone, "gone"), (standing.new, "new"))
        what = "; ".join(f"{become}: {', '.join(names)}" for names, become in parts if names)
        said = f"The files of {folder.path} are not the ones that were trusted ({what})."
    else:
        said = f"The files of {folder.path} were never trusted: {', '.join(folder.files)}."
    return (
        f"{said}\nThey can start programs and lead your key elsewhere. Look at them; then run the command in a "
        "terminal, which asks, or say --trust."
    )
