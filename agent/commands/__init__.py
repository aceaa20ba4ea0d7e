"""What each command does once its options are parsed; a module of this package is imported when it is first used.

`--help` parses every command and uses none, so it pays for none of their imports.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.commands import (
        applying,
        approving,
        database,
        pausing,
        plans,
        policies,
        replaying,
        resuming,
        runs,
        servers,
        setup,
        tickets,
        working,
    )

__all__ = [
    "applying",
    "approving",
    "database",
    "pausing",
    "plans",
    "policies",
    "replaying",
    "resuming",
    "runs",
    "servers",
    "setup",
    "tickets",
    "working",
]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(name)
    return import_module(f"{__name__}.{name}")
