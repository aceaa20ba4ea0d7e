"""`runs resume` and `runs cancel`: what becomes of runs that were left unfinished."""

from collections.abc import Collection

from agent.commands.frame import Frame
from agent.commands.runs import named_run, unfinished_runs
from agent.commands.staging import Staging, Waiting, many_runs, one_run, opened_intake
from agent.commands.working import unfinished
from agent.errors import UsageError
from agent.intake import Intake
from agent.locks import Locks
from agent.models import NOBODY, OFFLINE, model_name
from agent.records import RunMode
from agent.render import SilentView, show_report
from agent.settings import Settings


async def resume_run(frame: Frame, run_id: str, *, model: str | None, approve: str | None, is_taken_over: bool) -> int:
    """Go on with one unfinished run, with its own model unless another is named, and return the exit code."""
    settings = await frame.settings(model=model)
    run = await named_run(frame, run_id)
    # A run that applies a plan asks no model, whichever is named.
    model = NOBODY if run.mode is RunMode.APPLY else model_to_resume(settings, {run.model})
    staging = Staging(settings=settings, model=model, mode=run.mode, approve=approve)
    return await one_run(frame, staging, lambda intake: intake.resume(run.run_id, is_taken_over=is_taken_over))


async def resume_all(frame: Frame, *, model: str | None, approve: str | None, concurrency: int) -> int:
    """Go on with every unfinished run of this machine, live or dry, show a table, and return the exit code."""

    async def waiting(intake: Intake) -> list[Waiting]:
        begun = await unfinished(intake)
        if not begun:
            frame.say("No run of this machine is unfinished.")
        return begun

    settings = await frame.settings(model=model)
    here = Locks(settings.home / "locks").place_id
    name = model_to_resume(settings, {run.model for run in await unfinished_runs(frame) if run.owner.place == here})
    staging = Staging(settings=settings, model=name, mode=RunMode.LIVE, approve=approve)
    return await many_runs(frame, staging, waiting, concurrency=concurrency)


async def cancel_run(frame: Frame, run_id: str, *, because: str) -> int:
    """End an unfinished run, show what became of the calls that were under way, and return the exit code."""
    settings = await frame.settings()
    run = await named_run(frame, run_id)
    # No model is asked for anything; the offline one needs no key.
    staging = Staging(settings=settings, model=OFFLINE, mode=run.mode, approve="never")
    async with opened_intake(frame, staging, SilentView()) as intake:
        report = await intake.cancel(run.run_id, because=because)
        case = (await intake.journal.entries(run.run_id))[0].body
    if frame.is_json:
        frame.print_json(report.as_json())
    else:
        subject = str(case["ticket"]["fields"].get("subject") or "")
        show_report(
            frame.out, report, subject=subject, changes={name: tool.changes for name, tool in settings.tools.items()}
        )
    return 0


def model_to_resume(settings: Settings, own: Collection[str]) -> str:
    """Return the model that is named or configured, or else the runs' own.

    Raises:
        UsageError: they have more than one.
    """
    if settings.model is not None:
        return model_name(settings, is_dry_run=False)
    own = set(own) - {NOBODY} or own  # runs that apply plans go on with any
    if len(own) > 1:
        raise UsageError(
            f"The unfinished runs were begun with {' and '.join(sorted(own))}: name one with --model for all of them, "
            "or resume them one by one."
        )
    return next(iter(own), OFFLINE)
