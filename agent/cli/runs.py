"""`runs`: what runs have done, and what becomes of those that were left."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import ApproveOption, Json, ModelOption, RunArgument, RunArguments, Since, Trace, Trust

app = typer.Typer(help="What runs have done, as the journal has it.", no_args_is_help=True)


@app.command("list")
def list_runs(
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="NAME", help="Only closed, escalated, … or unfinished ones.")
    ] = None,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Only runs of this ticket.")] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show recorded runs, the newest first."""
    execute(
        lambda frame: commands.runs.list_runs(
            frame, commands.runs.Filters(ticket_id=ticket, outcome=outcome, since=since, limit=limit)
        ),
        json=json,
        trust=trust,
    )


@app.command("show")
def show(
    run: RunArgument,
    full: Annotated[bool, typer.Option("--full", help="Every text whole, the system prompt too.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show one run turn by turn: what the model saw and said, each call, decision and result, what it cost."""
    execute(lambda frame: commands.runs.show(frame, run, is_full=full), json=json, trust=trust)


@app.command("resume")
def resume(
    run: Annotated[str | None, typer.Argument(metavar="RUN_ID", help="The run's id, how it begins, or `last`.")] = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Every unfinished run of this machine.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Even if another process works it: that one loses it.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="With --all, runs at the same time.")] = 8,
    model: ModelOption = None,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Go on with a run that was interrupted, from where it stopped."""
    if (run is None) != all_runs:
        raise typer.BadParameter("Name one run, or say --all.")
    if run is None and take_over:
        raise typer.BadParameter("--take-over is for one run, by name.")
    execute(
        lambda frame: (
            commands.resuming.resume_all(frame, model=model, approve=approve, concurrency=concurrency)
            if run is None
            else commands.resuming.resume_run(frame, run, model=model, approve=approve, is_taken_over=take_over)
        ),
        json=json,
        trace=trace,
        trust=trust,
    )


@app.command("cancel")
def cancel(
    run: RunArgument,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Kept in the run's record.")] = "no reason",
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """End a run that was interrupted, or that another process works: nothing of it acts any more."""
    execute(
        lambda frame: commands.resuming.cancel_run(frame, run, because=because), json=json, trace=trace, trust=trust
    )


@app.command("replay")
def replay(run: RunArgument, json: Json = False, trust: Trust = False) -> None:
    """Run a recorded conversation again, without model and servers; exit code 1 where it comes out otherwise now."""
    execute(lambda frame: commands.replaying.replay_run(frame, run), json=json, trust=trust)


@app.command("export")
def export(
    runs: RunArguments = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run.")] = False,
    since: Since = None,
    trust: Trust = False,
) -> None:
    """Print the entries of runs as JSON Lines, one entry a line."""
    execute(lambda frame: commands.runs.export(frame, runs or (), is_all=all_runs, since=since), trust=trust)


@app.command("verify")
def verify(
    runs: RunArguments = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run; so it is when none is named.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Check that the record of runs is as it was written; exit code 1 if it is not."""
    if runs and all_runs:
        raise typer.BadParameter("Name runs, or say --all.")
    execute(lambda frame: commands.runs.verify(frame, runs or ()), json=json, trust=trust)


@app.command("forget")
def forget(
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="EMAIL", help="Runs of this customer's tickets.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="TIME", help="Runs that ended before a date (UTC), or so long ago: 90d."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Delete the texts of finished runs; totals, verdicts and amounts stay."""
    execute(
        lambda frame: commands.runs.forget(frame, customer=customer, before=before, is_sure=yes), json=json, trust=trust
    )
