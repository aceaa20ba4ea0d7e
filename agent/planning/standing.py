"""How the plans of many runs stand: open, applied, rejected, superseded by newer ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.journal import Ruling, RunSummary
from agent.records import OutcomeKind, RunMode


class PlanState(StrEnum):
    """What has become of a plan."""

    OPEN = "open"  # it can be applied, or rejected
    APPLYING = "applying"  # its calls are being made, or were left in the middle
    APPLIED = "applied"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"  # a newer dry run has planned for the same ticket
    FORGOTTEN = "forgotten"  # its texts were deleted before any of that


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One plan among the others, and what a person or another run has made of it."""

    run: RunSummary
    state: PlanState
    ruling: Ruling | None = None  # a person's no
    applied: RunSummary | None = None  # the run that makes, or has made, its calls
    newer: str | None = None  # the run whose plan is the newest of the ticket, if that is another one

    @property
    def sentence(self) -> str:
        """How it stands, in one sentence: why it can be neither applied nor rejected any more, unless it is open."""
        plan = f"The plan of run {self.run.run_id}"
        match self.state:
            case PlanState.APPLYING if self.applied is not None:
                return f"{plan} is being applied, by run {self.applied.run_id}."
            case PlanState.APPLIED if self.applied is not None:
                return f"{plan} has been applied, by run {self.applied.run_id}: {self.applied.outcome}."
            case PlanState.REJECTED if self.ruling is not None:
                return f"{plan} is {self.ruling.told}."
            case PlanState.SUPERSEDED:
                return f"{plan} is superseded: run {self.newer} has planned for ticket {self.run.ticket_id} since."
            case PlanState.FORGOTTEN:
                return f"{plan} cannot be had any more: its texts were deleted."
            case _:
                return f"{plan} is open."


def applied_as(run_id: str) -> str:
    """Return the id of the run that applies this run's plan: there is one, however often it is applied."""
    return f"{run_id}-apply"


def standings(runs: Iterable[RunSummary], rulings: Mapping[str, Ruling]) -> list[Standing]:
    """Return how every plan among these runs stands, the newest first.

    `runs` are dry runs and those that apply plans, in any order; `rulings` are by run id. A plan is what a dry run
    leaves that has finished as planned.
    """
    found = {run.run_id: run for run in runs}
    plans = [run for run in found.values() if run.mode is RunMode.DRY_RUN and run.outcome is OutcomeKind.PLANNED]
    plans.sort(key=lambda run: (run.started_at, run.run_id))
    newest = {run.ticket_id: run.run_id for run in plans}
    return [
        _standing(run, found.get(applied_as(run.run_id)), rulings.get(run.run_id), newest[run.ticket_id])
        for run in reversed(plans)
    ]


def open_plans(runs: Iterable[RunSummary], rulings: Mapping[str, Ruling]) -> list[RunSummary]:
    """Return the runs whose plans can be applied, the newest first; the arguments are those of `standings`."""
    return [one.run for one in standings(runs, rulings) if one.state is PlanState.OPEN]


def _standing(run: RunSummary, applied: RunSummary | None, ruling: Ruling | None, newest: str) -> Standing:
    newer = None if newest == run.run_id else newest
    if applied is not None:
        state = PlanState.APPLYING if applied.outcome is None else PlanState.APPLIED
    elif ruling is not None:
        state = PlanState.REJECTED
    elif run.is_forgotten:
        state = PlanState.FORGOTTEN
    else:
        state = PlanState.OPEN if newer is None else PlanState.SUPERSEDED
    return Standing(run=run, state=state, ruling=ruling, applied=applied, newer=newer)
