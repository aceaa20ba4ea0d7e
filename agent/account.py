"""Who sits at the terminal, and which process this is."""

import getpass
import os
import platform

from agent.records import Owner


def operator_account() -> str:
    """Return the account that approvals and cancellations are signed with."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return "operator"  # an account without a name, as containers have it


def this_process(place: str) -> Owner:
    """Return this process as the owner of runs; `place` is the id of its folder of locks."""
    return Owner(pid=os.getpid(), machine=platform.node(), place=place, user=operator_account())
