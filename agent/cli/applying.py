"""`apply`."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import ApproveOption, Json, RunArguments, Trace, Trust


def apply(
    runs: RunArguments = None,
    all_plans: Annotated[bool, typer.Option("--all", help="Every open plan.")] = False,
    left_out: Annotated[
        list[str] | None, typer.Option("--except", metavar="TOOL", help="Leave the calls of this server.tool out.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Do exactly what dry runs have planned: the same calls, the same words, and no model is asked again.

    If something has changed since, it says what, and does nothing.
    """
    execute(
        lambda frame: commands.applying.apply(
            frame,
            commands.applying.ApplyOptions(
                run_ids=runs or (), is_all=all_plans, left_out=left_out or (), is_sure=yes, approve=approve
            ),
        ),
        json=json,
        trace=trace,
        trust=trust,
    )
