"""Where things are: paths as files and variables say them, the data folder, and what the operator alone decides."""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from agent.configuration.variables import Variables, read_variables
from agent.errors import ConfigurationError

HOME = "SUPPORT_AGENT_HOME"

TRUST = "SUPPORT_AGENT_TRUST"
"""Folders whose files are trusted by whoever starts the process, as PATH lists folders; only from its environment."""


def absolute(path: str, folder: Path, variables: Variables) -> Path:
    """Return the path from this folder on, `~` for the user's home; no link is followed.

    Raises:
        ConfigurationError: this user has no home that `~` could stand for.
    """
    if path == "~" or path.startswith("~/"):
        path = (variables.get("HOME") or _users_home()) + path[1:]
    return Path(os.path.normpath(folder / path))


def data_folder(folder: Path, variables: Variables) -> Path:
    """Return where data and logs are kept: where SUPPORT_AGENT_HOME says, or with the user's other data.

    Raises:
        ConfigurationError: this user has no data folder.
    """
    chosen = variables.get(HOME)
    return absolute(chosen, folder, variables) if chosen else _users_data()


def trust_folder(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return where it is kept what the operator has trusted, by the process's own environment alone.

    What a folder brings along must not decide whether it is trusted: its `.env` says nothing here, and a data folder
    inside it, or relative to it, is passed over for the user's own.

    Raises:
        ConfigurationError: this user has no data folder.
    """
    variables = read_variables(environ, None)
    chosen = variables.get(HOME)
    if chosen.startswith("~") or Path(chosen).is_absolute():
        home = absolute(chosen, folder, variables)
        if not home.resolve().is_relative_to(folder.resolve()):
            return home / "trust"
    return _users_data() / "trust"


def is_trusted_by_environment(folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether SUPPORT_AGENT_TRUST of the process's own environment names this folder.

    Raises:
        ConfigurationError: it holds something else than absolute paths.
    """
    named = [Path(part) for part in environ.get(TRUST, "").split(os.pathsep) if part.strip()]
    for path in named:
        if not path.is_absolute():
            raise ConfigurationError(
                f"The environment: {TRUST} lists folders by their absolute paths, and {str(path)!r} is none."
            )
    return folder.resolve() in {path.resolve() for path in named}


def _users_data() -> Path:
    home = platformdirs.user_data_path("support-agent", appauthor=False)
    if not home.is_absolute():
        raise ConfigurationError("This user has no data folder: set SUPPORT_AGENT_HOME to one.")
    return home


def _users_home() -> str:
    try:
        return str(Path.home())
    except RuntimeError as unknown:
        raise ConfigurationError("This user has no home folder that ~ could stand for: set HOME.") from unknown
