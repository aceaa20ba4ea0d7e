"""`apply`: what dry runs have planned is shown, asked about, and done exactly so."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agent.applying import Applied
from agent.commands.frame import Frame
from agent.commands.plans import NO_PLAN_YET, named_plan, standing_of, standings_of
from agent.commands.runs import recorded
from agent.commands.staging import Staging, Waiting, many_runs, one_run
from agent.errors import JournalError, PlanRefused, RunNotFound, UsageError
from agent.intake import Intake
from agent.journal import Journal
from agent.models import NOBODY
from agent.planning import Plan, PlanState, Standing, plan_of
from agent.records import Entry, RunMode, Verdict
from agent.render import show_plan
from agent.render.confirm import is_confirmed
from agent.render.figures import count
from agent.run import Run
from agent.tickets import QueueItem

_APPLICABLE = frozenset({PlanState.OPEN, PlanState.APPLYING})

_AT_ONCE = 8
"""Plans that are applied at the same time; those of one customer follow each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyOptions:
    """Which plans are applied, and how, as the command line says it."""

    run_ids: Sequence[str]
    is_all: bool
    left_out: Sequence[str]  # server.tool
    is_sure: bool
    approve: str | None  # ask, never, always; None: ask where a person is


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """A plan, what has to be done to carry it out, and the run that has begun to, if one has."""

    case: Entry
    plan: Plan
    applied: Applied
    begun: str | None

    async def run(self, intake: Intake) -> Run:
        """Return the run that carries it out.

        Raises:
            PlanRefused: it has been rejected or superseded since a person has agreed to it, or does not hold any more.
        """
        await _applicable(intake.journal, self.plan.run_id)
        return await intake.apply(self.case, self.applied)


async def apply(frame: Frame, options: ApplyOptions) -> int:
    """Show each plan, ask, and make exactly its calls; return the exit code."""
    if bool(options.run_ids) == options.is_all:
        raise UsageError("Say which plans: the ids of their runs, or --all.")
    async with recorded(frame) as journal:
        if journal is None and not options.is_all:
            raise RunNotFound(NO_PLAN_YET)
        wanted = [] if journal is None else await _wanted(journal, options)
    _check_left_out(wanted, options.left_out)
    if wanted and not options.is_sure and not frame.has_person:
        raise UsageError("A plan is applied once a person has agreed to it, and nobody is here to ask: say --yes.")
    agreed = [one for one in wanted if await _is_agreed(frame, one, options)]
    if not agreed and not frame.is_json:
        frame.say("Nothing was done." if wanted else "No plan is open.")
        return 0
    staging = Staging(settings=await frame.settings(), model=NOBODY, mode=RunMode.APPLY, approve=options.approve)
    if len(agreed) == 1 and not options.is_all:
        return await one_run(frame, staging, agreed[0].run)

    async def waiting(intake: Intake) -> list[Waiting]:
        return [
            Waiting(
                item=QueueItem(ticket_id=one.plan.ticket_id, requester=one.plan.requester, summary={}),
                prepare=partial(one.run, intake),
            )
            for one in agreed
        ]

    return await many_runs(frame, staging, waiting, concurrency=_AT_ONCE)


async def _wanted(journal: Journal, options: ApplyOptions) -> list[_Wanted]:
    if options.is_all:
        found = [standing for standing in await standings_of(journal) if standing.state in _APPLICABLE]
        found.reverse()  # the oldest first, as the tickets came
    else:
        plans = {run.run_id: run for run in [await named_plan(journal, named) for named in options.run_ids]}
        found = [await _applicable(journal, run_id) for run_id in plans]
    tickets = Counter(standing.run.ticket_id for standing in found)
    if doubled := sorted(ticket for ticket, plans in tickets.items() if plans > 1):
        raise UsageError(
            f"Two of these plans are for the same ticket, {', '.join(doubled)}: apply one after the other."
        )
    return [await _read(journal, standing, options.left_out) for standing in found]


async def _applicable(journal: Journal, run_id: str) -> Standing:
    run = await journal.find(run_id)
    standing = await standing_of(journal, run)
    if standing is None:
        why = "it has not finished" if run.outcome is None else f"it is {run.outcome}"
        raise PlanRefused(f"Run {run.run_id} has left no plan that could be applied: {why}.")
    if standing.state not in _APPLICABLE:
        again = "" if standing.ruling is None else " A new dry run makes another plan."
        raise PlanRefused(f"{standing.sentence}{again}")
    return standing


async def _read(journal: Journal, standing: Standing, left_out: Sequence[str]) -> _Wanted:
    run_id = standing.run.run_id
    [verified] = await journal.verify([run_id])
    if not verified.is_sound:
        raise JournalError(
            f"The record of run {run_id} is not as it was written, so nobody can say what it has planned: "
            f"`support-agent runs verify {run_id}` says where."
        )
    entries = await journal.entries(run_id)
    return _Wanted(
        case=entries[0],
        plan=plan_of(entries),
        applied=Applied.of(entries, left_out=left_out),
        begun=None if standing.applied is None else standing.applied.run_id,
    )


def _check_left_out(wanted: Sequence[_Wanted], left_out: Sequence[str]) -> None:
    planned = sorted({call.tool for one in wanted for call in one.plan.calls})
    unknown = [name for name in left_out if name not in planned]
    if unknown and wanted:
        raise UsageError(
            f"--except {unknown[0]}: no call of that tool is planned. Planned are: {', '.join(planned) or 'none'}."
        )
    for plan in (one.plan for one in wanted):
        if plan.calls and all(call.tool in left_out for call in plan.calls):
            raise UsageError(f"Nothing would be left of the plan of run {plan.run_id}: `plans reject` closes it.")


async def _is_agreed(frame: Frame, one: _Wanted, options: ApplyOptions) -> bool:
    """Show what would be done and ask for it, once for each plan."""
    if not frame.is_json:
        show_plan(frame.out, one.plan, is_advised=False)
    frame.say("")
    if options.is_sure:
        return True
    is_agreed = await is_confirmed(frame.out, _announced(one), "Apply this plan?")
    frame.say("")
    return is_agreed


def _announced(one: _Wanted) -> str:
    """Return what a yes sets off."""
    calls, left_out = one.plan.calls, one.applied.left_out
    made = [call for call in calls if call.tool not in left_out]
    told = f"Exactly {count(len(made), 'call')} will be made for ticket {one.plan.ticket_id}"
    if left := dict.fromkeys(call.tool for call in calls if call.tool in left_out):
        told += f", without {', '.join(left)}"
    told += ", and no model is asked again."
    if asks := sum(call.verdict is Verdict.ASK for call in made):
        told += f" Before {asks} of them, a person is asked."
    if one.begun:
        told += f" Run {one.begun} has begun with it, and goes on where it was left."
    return told
