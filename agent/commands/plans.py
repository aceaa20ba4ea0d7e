"""`plans`: what dry runs would do, and a person's no. Nothing here starts a server or loads a model."""

from collections.abc import Sequence

from agent.account import operator_account
from agent.commands.frame import Frame
from agent.commands.runs import LAST, recorded
from agent.errors import RunNotFound, UsageError
from agent.journal import Journal, RunSummary
from agent.planning import Plan, PlanState, Standing, plan_of, standings
from agent.records import JsonObject, OutcomeKind, RunMode
from agent.render import show_plan
from agent.render.plans import PlanRow, show_plans

NO_PLAN_YET = "No plan is recorded yet: `support-agent run --ticket ID --dry-run` makes the first."


async def list_plans(frame: Frame, *, ticket_id: str | None, is_all: bool, limit: int) -> int:
    """Show the open plans, the newest first; `is_all`: every plan, whatever has become of it."""
    async with recorded(frame) as journal:
        found = [] if journal is None else await standings_of(journal, ticket_id=ticket_id)
        wanted = [one for one in found if is_all or one.state is PlanState.OPEN]
        shown = wanted[:limit]
        plans = [] if journal is None else [await _plan(journal, one.run) for one in shown]
    if frame.is_json:
        listed = [_row_json(plan, standing) for plan, standing in zip(plans, shown, strict=True)]
        frame.print_json({"plans": listed, "has_more": len(wanted) > limit})
    elif not wanted:
        frame.say(_nothing(found, is_all=is_all, ticket_id=ticket_id))
    else:
        show_plans(frame.out, [PlanRow.of(plan, standing) for plan, standing in zip(plans, shown, strict=True)])
        if len(wanted) > limit:
            frame.say(f"There are older ones: --limit shows more than {limit}.")
    return 0


async def show(frame: Frame, run_id: str) -> int:
    """Show one plan, and what has become of it."""
    async with recorded(frame) as journal:
        if journal is None:
            raise RunNotFound(NO_PLAN_YET)
        run = await named_plan(journal, run_id)
        standing = await standing_of(journal, run)
        plan = await _plan(journal, run)
    if frame.is_json:
        frame.print_json(plan.as_json() | {"standing": None if standing is None else _standing_json(standing)})
    else:
        show_plan(frame.out, plan, standing=standing)
    return 0


async def reject(frame: Frame, run_id: str, *, because: str) -> int:
    """Close a plan that is not to be applied, and keep why."""
    if not because.strip():
        raise UsageError("Say why: --because is kept with the plan.")
    async with recorded(frame) as journal:
        if journal is None:
            raise RunNotFound(NO_PLAN_YET)
        standing = await rejectable(journal, await named_plan(journal, run_id))
        ruling = await journal.reject(standing.run.run_id, by=operator_account(), because=because.strip())
    rejected = Standing(run=standing.run, state=PlanState.REJECTED, ruling=ruling)
    if frame.is_json:
        frame.print_json(
            {"run_id": ruling.run_id, "ticket_id": standing.run.ticket_id, "standing": _standing_json(rejected)}
        )
    else:
        frame.say(rejected.sentence)
    return 0


async def named_plan(journal: Journal, named: str) -> RunSummary:
    """Return the run that only plans, of this id, of this beginning of one, or the newest one.

    Other runs' ids are no candidates: that of an apply begins like that of its plan.

    Raises:
        RunNotFound: there is none, or more than one, or it is the id of another kind of run.
    """
    if run := await journal.run(named):
        if not run.mode.is_planning:
            raise RunNotFound(f"Run {named} is no dry run: it has no plan.")
        return run
    planning = [run for mode in RunMode if mode.is_planning for run in await journal.runs(mode=mode)]
    planning.sort(key=lambda run: (run.started_at, run.run_id), reverse=True)
    if named == LAST:
        if not planning:
            raise RunNotFound(NO_PLAN_YET)
        return planning[0]
    found = [run for run in planning if run.run_id.startswith(named)]
    if len(found) != 1:
        raise RunNotFound(_not_found(named, found))
    return found[0]


async def standings_of(journal: Journal, *, ticket_id: str | None = None) -> list[Standing]:
    """Return how every recorded plan stands, or every one of a ticket, the newest first."""
    plans = await journal.runs(mode=RunMode.DRY_RUN, outcome=OutcomeKind.PLANNED, ticket_id=ticket_id)
    applied = await journal.runs(mode=RunMode.APPLY, ticket_id=ticket_id)
    return standings([*plans, *applied], await journal.rulings([run.run_id for run in plans]))


async def standing_of(journal: Journal, run: RunSummary) -> Standing | None:
    """Return how the plan of this run stands among those of its ticket; None if the run has left none."""
    found = await standings_of(journal, ticket_id=run.ticket_id)
    return next((standing for standing in found if standing.run.run_id == run.run_id), None)


async def rejectable(journal: Journal, run: RunSummary) -> Standing:
    """Return how the plan of this run stands, if it is open.

    Raises:
        UsageError: it is not, or there is none; the sentence says why.
    """
    standing = await standing_of(journal, run)
    if standing is None and run.outcome is None:
        raise UsageError(f"Run {run.run_id} has not finished, so it has no plan yet.")
    if standing is None:
        raise UsageError(f"Run {run.run_id} has left no plan that could be applied: it is {run.outcome}.")
    if standing.state is not PlanState.OPEN:
        raise UsageError(standing.sentence)
    return standing


async def _plan(journal: Journal, run: RunSummary) -> Plan:
    return plan_of(await journal.entries(run.run_id))


def _not_found(named: str, runs: Sequence[RunSummary]) -> str:
    if not runs:
        return f"There is no plan {named}."
    ids = [run.run_id for run in runs]
    return f"Several plans start with {named}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}."


def _nothing(found: Sequence[Standing], *, is_all: bool, ticket_id: str | None) -> str:
    if not is_all and found:
        return "No plan is open: --all shows those that were applied, rejected or superseded."
    return NO_PLAN_YET if ticket_id is None else f"No plan of ticket {ticket_id} is recorded."


def _row_json(plan: Plan, standing: Standing) -> JsonObject:
    return {
        "run_id": plan.run_id,
        "ticket_id": plan.ticket_id,
        "subject": plan.subject,
        "requester": plan.requester,
        "made_at": plan.made_at.isoformat(),
        "by": plan.by,
        "model": plan.model,
        "would_end": plan.would_end,
        "calls": len(plan.calls),
        "changes": len(plan.changes),
        "asks": plan.asks,
        "cost_usd": plan.cost_usd,
        "standing": _standing_json(standing),
    }


def _standing_json(standing: Standing) -> JsonObject:
    ruling, applied = standing.ruling, standing.applied
    return {
        "state": standing.state.value,
        "rejected": None
        if ruling is None
        else {"by": ruling.by, "because": ruling.because, "at": ruling.at.isoformat()},
        "applied": None
        if applied is None
        else {"run_id": applied.run_id, "outcome": applied.outcome.value if applied.outcome else None},
        "newer": standing.newer,
    }
