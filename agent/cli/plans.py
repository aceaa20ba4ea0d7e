"""`plans`: what dry runs would do, and what becomes of it."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, RunArgument, Trust

app = typer.Typer(help="What dry runs would do, read like a diff.", no_args_is_help=True)


@app.command("list")
def list_plans(
    all_plans: Annotated[
        bool, typer.Option("--all", help="Also those that were applied, rejected or superseded.")
    ] = False,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Only plans of this ticket.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show the open plans, the newest first."""
    execute(
        lambda frame: commands.plans.list_plans(frame, ticket_id=ticket, is_all=all_plans, limit=limit),
        json=json,
        trust=trust,
    )


@app.command("show")
def show(run: RunArgument, json: Json = False, trust: Trust = False) -> None:
    """Show one plan: what would change and be sent, by which calls, what it rests on."""
    execute(lambda frame: commands.plans.show(frame, run), json=json, trust=trust)


@app.command("reject")
def reject(
    run: RunArgument,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why; kept with the plan.")],
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Close a plan that is not to be applied."""
    execute(lambda frame: commands.plans.reject(frame, run, because=because), json=json, trust=trust)
