"""The command line: options parsed, commands called, errors turned into one sentence and an exit code."""

import gc
from typing import Annotated

import typer

from agent.cli import applying, pausing, plans, policy, runs, servers, setup, tickets, working

app = typer.Typer(
    name="support-agent",
    help="An autonomous customer-support agent: it works your helpdesk through MCP servers, inside limits you set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(working.run)
app.command("triage-all")(working.triage_all)
app.command("apply")(applying.apply)
app.add_typer(tickets.app, name="tickets")
app.add_typer(plans.app, name="plans")
app.add_typer(runs.app, name="runs")
app.add_typer(servers.app, name="servers")
app.add_typer(policy.app, name="policy")
app.command()(pausing.pause)
app.command()(pausing.unpause)
app.command()(servers.serve)
app.add_typer(setup.databases, name="db")
app.command()(setup.doctor)
app.command()(setup.init)


def _show_version(is_asked: bool) -> None:
    # An eager callback: the command's own body would only be reached with a subcommand.
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415 - nothing else needs it

        print(f"support-agent {version('support-agent')}")  # noqa: T201 - asked for
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """An autonomous customer-support agent: it works your helpdesk through MCP servers, inside limits you set."""


def main() -> None:
    """Run the command line; the entry point of the installed `support-agent`."""
    # Imports make a hundred thousand objects that all stay: looking through them for garbage is a third of the start.
    gc.disable()
    try:
        app()
    finally:
        # Or the interpreter looks through them once more when it ends.
        gc.freeze()
