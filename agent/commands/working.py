"""`run` and `triage-all`: tickets worked, from the start or from where a run was left."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from agent.commands.frame import Frame
from agent.commands.staging import Staging, Waiting, many_runs, one_run
from agent.errors import ConfigurationError, UsageError
from agent.intake import Intake
from agent.models import OFFLINE, model_name
from agent.records import RunMode
from agent.tickets import QueueItem


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkOptions:
    """How tickets are worked, as the command line says it."""

    is_dry_run: bool
    is_draft: bool
    model: str | None
    approve: str | None  # ask, never, always; None: ask where a person is
    is_fresh: bool = False  # an unfinished run is ended, not gone on with


async def run_ticket(frame: Frame, ticket_id: str, options: WorkOptions) -> int:
    """Work one ticket, or go on with its unfinished run; show it as it happens, and return the exit code."""
    staging = await _staging(frame, options)
    return await one_run(frame, staging, lambda intake: intake.prepare(ticket_id, is_fresh=options.is_fresh))


async def run_queue(
    frame: Frame, options: WorkOptions, *, concurrency: int, limit: int | None, budget_usd: float | None
) -> int:
    """Go on with what is unfinished, work the waiting tickets, show a table, and return the exit code.

    `limit` is about the waiting ones.
    """

    async def waiting(intake: Intake) -> list[Waiting]:
        listed_at = datetime.now(UTC)
        queue = {
            item.ticket_id: Waiting(
                item=item,
                prepare=partial(intake.prepare, item.ticket_id, requester=item.requester or None, listed_at=listed_at),
            )
            for item in await intake.assembly.session.helpdesk.queue(limit)
        }
        begun = {one.item.ticket_id: one for one in await unfinished(intake, intake.mode)}
        # In the order of the first, and what is in both as it is listed: when its run ends, the ticket may still wait.
        return list((begun | queue).values())

    staging = await _staging(frame, options)
    return await many_runs(frame, staging, waiting, concurrency=concurrency, budget_usd=budget_usd)


async def unfinished(intake: Intake, mode: RunMode | None = None) -> list[Waiting]:
    """Return the tickets whose runs this machine has left unfinished; of a live run and a dry one, the live one."""
    runs = sorted(await intake.backlog(mode), key=lambda run: not run.mode.is_planning)
    return [
        Waiting(
            item=QueueItem(ticket_id=run.ticket_id, requester="", summary={}),
            prepare=partial(intake.resume, run.run_id),
        )
        for run in {run.ticket_id: run for run in runs}.values()
    ]


async def _staging(frame: Frame, options: WorkOptions) -> Staging:
    if options.is_dry_run and options.is_draft:
        raise UsageError("--dry-run only shows what would be done, and --draft writes it on the ticket: say one.")
    settings = await frame.settings(model=options.model)
    name = model_name(settings, is_dry_run=options.is_dry_run)
    if name == OFFLINE and settings.model is None:
        frame.say("No key and no model are configured: this dry run uses the offline model.")
    mode = RunMode.DRY_RUN if options.is_dry_run else RunMode.DRAFT if options.is_draft else RunMode.LIVE
    if mode is RunMode.DRAFT and settings.tickets.draft is None:
        raise ConfigurationError("--draft needs a tool that puts a note on the ticket: [tickets] has no `draft`.")
    return Staging(settings=settings, model=name, mode=mode, approve=options.approve)
