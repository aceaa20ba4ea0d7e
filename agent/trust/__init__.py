"""What the operator has agreed to: the files of a folder, and the commands and tools of servers.

Nothing here asks anybody or reads configuration: it remembers, and tells what is not as it was.
"""

from agent.trust.differences import Difference
from agent.trust.folders import Standing, TrustedFolders
from agent.trust.lock import Lock, shipped
from agent.trust.pins import Pinned, pinned, pinned_tool

__all__ = ["Difference", "Lock", "Pinned", "Standing", "TrustedFolders", "pinned", "pinned_tool", "shipped"]
