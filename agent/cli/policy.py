"""`policy`: what the agent may do, and why."""

from pathlib import Path
from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, Trace, Trust

app = typer.Typer(help="What the agent may do.", no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A policy in Cedar; without it, the one in use.")
    ] = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Check a policy against the tools that it speaks about; exit code 1 if anything is wrong with it."""
    execute(lambda frame: commands.policies.check_policy(frame, file), json=json, trace=trace, trust=trust)


@app.command("explain")
def explain(
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="The ticket that the call would be for.")],
    tool: Annotated[str, typer.Option("--tool", metavar="SERVER.TOOL", help="The tool that would be called.")],
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="An argument that the model would choose; may be repeated."),
    ] = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Say whether a call would be allowed, asked about or denied: by which rules, and what keeps the others away.

    The facts are read for real. Nothing is called, and nothing is recorded.
    """
    execute(
        lambda frame: commands.policies.explain_call(frame, ticket_id=ticket, tool=tool, arguments=arg or ()),
        json=json,
        trace=trace,
        trust=trust,
    )
