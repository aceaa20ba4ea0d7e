"""What dry runs would do, read from their records alone, and how these plans stand."""

from agent.planning.folding import plan_of
from agent.planning.standing import PlanState, Standing, applied_as, open_plans, standings
from agent.planning.values import Change, Plan, PlannedCall, RefusedCall

__all__ = [
    "Change",
    "Plan",
    "PlanState",
    "PlannedCall",
    "RefusedCall",
    "Standing",
    "applied_as",
    "open_plans",
    "plan_of",
    "standings",
]
