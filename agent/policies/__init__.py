"""What a call may do: a policy in Cedar over what is known about the call, decided in the one way that fails closed.

Cedar's engine is loaded by whoever reads a policy, not by whoever names what is judged.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent.policies.findings import Finding, Severity
from agent.policies.request import Request, Standing
from agent.policies.shapes import unjudgeable

if TYPE_CHECKING:
    from agent.policies.checking import check
    from agent.policies.engine import Policies, load_policies
    from agent.policies.explaining import Considered, Explanation, Fate, Unmet, explain

__all__ = [
    "Considered",
    "Explanation",
    "Fate",
    "Finding",
    "Policies",
    "Request",
    "Severity",
    "Standing",
    "Unmet",
    "check",
    "explain",
    "load_policies",
    "unjudgeable",
]

_WITH_CEDAR = {
    "checking": ("check",),
    "engine": ("Policies", "load_policies"),
    "explaining": ("Considered", "Explanation", "Fate", "Unmet", "explain"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WITH_CEDAR.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
