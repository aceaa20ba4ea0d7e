"""`pause` and `unpause`."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, Trust


def pause(
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Told to everybody whose run does not start or write."),
    ] = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Let no run start or write, on this machine or on all that share the journal, until `unpause`."""
    execute(lambda frame: commands.pausing.pause(frame, reason=reason), json=json, trust=trust)


def unpause(json: Json = False, trust: Trust = False) -> None:
    """Let runs start and write again, whoever or whatever has paused them."""
    execute(lambda frame: commands.pausing.unpause(frame), json=json, trust=trust)
