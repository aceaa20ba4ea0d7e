"""Files and environment → `agent.settings.Settings`; the only part of the host that reads either."""

from agent.configuration.folder import Folder, FolderFile, read_folder, read_here
from agent.configuration.loading import load, settings_of
from agent.configuration.places import TRUST, is_trusted_by_environment, trust_folder
from agent.configuration.preview import Claim, claims, way_told

__all__ = [
    "TRUST",
    "Claim",
    "Folder",
    "FolderFile",
    "claims",
    "is_trusted_by_environment",
    "load",
    "read_folder",
    "read_here",
    "settings_of",
    "trust_folder",
    "way_told",
]
