"""`doctor`, `init` and `db`: a place to start from, and what is wrong with it."""

from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, Trust

databases = typer.Typer(help="The databases of the built-in servers.", no_args_is_help=True)


@databases.command("upgrade")
def upgrade(json: Json = False, trust: Trust = False) -> None:
    """Create or migrate the tables of servers and journal; safe to run twice, and by two at once."""
    execute(lambda frame: commands.database.upgrade(frame), json=json, trust=trust)


def doctor(json: Json = False, trust: Trust = False) -> None:
    """Check what is configured, what is missing, and how to mend it."""
    execute(lambda frame: commands.setup.doctor(frame), json=json, trust=trust)


def init(
    demo: Annotated[bool, typer.Option("--demo", help="Create the demo helpdesk instead of starter files.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="With --demo: drop what is there and create it anew.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Write starter files into this folder, or create the demo helpdesk."""
    if reset and not demo:
        raise typer.BadParameter("--reset goes with --demo: starter files are never overwritten.")
    if demo:
        execute(lambda frame: commands.setup.init_demo(frame, is_reset=reset), json=json, trust=trust)
    execute(lambda frame: commands.setup.init_folder(frame), json=json, trust=trust)
