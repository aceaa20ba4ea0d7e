"""`run` and `triage-all`."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import ApproveOption, Draft, DryRun, Json, ModelOption, Trace, Trust


def run(
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="The ticket to work.")],
    dry_run: DryRun = False,
    draft: Draft = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: an unfinished run of the ticket is ended first.")
    ] = False,
    model: ModelOption = None,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Work one ticket: read it, look things up, act, and close it, ask back or escalate.

    A run that was interrupted goes on from where it stopped.
    """
    execute(
        lambda frame: commands.working.run_ticket(
            frame,
            ticket,
            commands.working.WorkOptions(
                is_dry_run=dry_run, is_draft=draft, model=model, approve=approve, is_fresh=fresh
            ),
        ),
        json=json,
        trace=trace,
        trust=trust,
    )


def triage_all(
    dry_run: DryRun = False,
    draft: Draft = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Tickets worked at the same time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tickets.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0.01, help="Start no ticket beyond so many dollars.")] = None,
    model: ModelOption = None,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Work every waiting ticket, several at a time, one run per customer."""
    execute(
        lambda frame: commands.working.run_queue(
            frame,
            commands.working.WorkOptions(is_dry_run=dry_run, is_draft=draft, model=model, approve=approve),
            concurrency=concurrency,
            limit=limit,
            budget_usd=budget_usd,
        ),
        json=json,
        trace=trace,
        trust=trust,
    )
