"""The command line: options parsed, commands called, errors turned into one sentence and an exit code.

Exit codes: 0 every ticket reached an outcome; 1 some did not, and are named; 2 wrong usage; 3 configuration or
infrastructure; 130 interrupted.
"""

import gc
import sys
import traceback
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agent import commands
from agent.errors import SupportAgentError

if TYPE_CHECKING:
    from agent.commands.frame import Frame

app = typer.Typer(
    name="support-agent",
    help="An autonomous customer-support agent: it works your helpdesk through MCP servers, inside limits you set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
tickets_app = typer.Typer(help="The queue, and single tickets.", no_args_is_help=True)
servers_app = typer.Typer(help="The MCP servers that are connected.", no_args_is_help=True)
db_app = typer.Typer(help="The databases of the built-in servers.", no_args_is_help=True)
app.add_typer(tickets_app, name="tickets")
app.add_typer(servers_app, name="servers")
app.add_typer(db_app, name="db")


class Approve(StrEnum):
    """Who answers for calls that need a person's approval."""

    ASK = "ask"
    NEVER = "never"
    ALWAYS = "always"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Trace = Annotated[bool, typer.Option("--trace", help="Show every JSON-RPC frame on stderr.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read for real, but only show what would be written.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A Claude model, `offline` (no key needed) or `scripted:FILE`."),
]
ApproveOption = Annotated[
    Approve | None,
    typer.Option("--approve", help="Calls that need a person: ask here, never, or always. Without a terminal: never."),
]
TicketArgument = Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's id.")]


@app.command()
def run(
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="The ticket to work.")],
    dry_run: DryRun = False,
    model: ModelOption = None,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
) -> None:
    """Work one ticket: read it, look things up, act, and close it, ask back or escalate."""
    _execute(
        lambda frame: commands.working.run_ticket(
            frame,
            ticket,
            commands.working.WorkOptions(is_dry_run=dry_run, model=model, approve=approve),
        ),
        json=json,
        trace=trace,
    )


@app.command("triage-all")
def triage_all(
    dry_run: DryRun = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Tickets worked at the same time.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tickets.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0.01, help="Start no ticket beyond so many dollars.")] = None,
    model: ModelOption = None,
    approve: ApproveOption = None,
    json: Json = False,
    trace: Trace = False,
) -> None:
    """Work every waiting ticket, several at a time, one run per customer."""
    _execute(
        lambda frame: commands.working.run_queue(
            frame,
            commands.working.WorkOptions(is_dry_run=dry_run, model=model, approve=approve),
            concurrency=concurrency,
            limit=limit,
            budget_usd=budget_usd,
        ),
        json=json,
        trace=trace,
    )


@tickets_app.command("list")
def tickets_list(
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: Json = False,
    trace: Trace = False,
) -> None:
    """Show the tickets that wait for the agent."""
    _execute(lambda frame: commands.tickets.list_tickets(frame, limit=limit), json=json, trace=trace)


@tickets_app.command("show")
def tickets_show(ticket: TicketArgument, json: Json = False, trace: Trace = False) -> None:
    """Show one ticket: its fields, its conversation, its events."""
    _execute(lambda frame: commands.tickets.show(frame, ticket), json=json, trace=trace)


@tickets_app.command("import")
def tickets_import(
    file: Annotated[Path, typer.Argument(help="A JSON array of tickets, or one ticket a line.")],
    json: Json = False,
    trace: Trace = False,
) -> None:
    """Import tickets into the built-in helpdesk: each has at least subject, body and requester."""
    _execute(lambda frame: commands.tickets.import_file(frame, file), json=json, trace=trace)


@tickets_app.command("reply")
def tickets_reply(
    ticket: TicketArgument,
    body: Annotated[str, typer.Argument(help="What the customer writes.")],
    as_customer: Annotated[bool, typer.Option("--as-customer", help="Write it in the customer's name.")] = False,
    json: Json = False,
    trace: Trace = False,
) -> None:
    """Record a customer's reply in the built-in helpdesk; a pending ticket is open again then."""
    if not as_customer:
        raise typer.BadParameter("Only a customer's reply is recorded here: add --as-customer.")
    _execute(lambda frame: commands.tickets.reply_as_customer(frame, ticket, body), json=json, trace=trace)


@servers_app.command("list")
def servers_list(json: Json = False, trace: Trace = False) -> None:
    """Start every configured server and show what it offers, or why it does not start."""
    _execute(lambda frame: commands.servers.list_servers(frame), json=json, trace=trace)


@servers_app.command("show")
def servers_show(
    name: Annotated[str, typer.Argument(help="The server's name.")], json: Json = False, trace: Trace = False
) -> None:
    """Show one server: protocol version, tools with their effects, resources, prompts."""
    _execute(lambda frame: commands.servers.show(frame, name), json=json, trace=trace)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="The server's name.")],
    http: Annotated[
        int | None,
        typer.Option(
            "--http", metavar="PORT", min=0, max=65_535, help="Over HTTP, on this port of 127.0.0.1; 0 is a free one."
        ),
    ] = None,
) -> None:
    """Run one server alone over stdio or HTTP, for another MCP host or the MCP Inspector."""
    _execute(lambda _: commands.servers.serve(name, http=http))


@db_app.command("upgrade")
def db_upgrade(json: Json = False) -> None:
    """Create or migrate the tables of the built-in servers; safe to run twice, and by two at once."""
    _execute(lambda frame: commands.database.upgrade(frame), json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Check what is configured, what is missing, and how to mend it."""
    _execute(lambda frame: commands.setup.doctor(frame), json=json)


@app.command()
def init(
    demo: Annotated[bool, typer.Option("--demo", help="Create the demo helpdesk instead of starter files.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="With --demo: drop what is there and create it anew.")] = False,
    json: Json = False,
) -> None:
    """Write starter files into this folder, or create the demo helpdesk."""
    if reset and not demo:
        raise typer.BadParameter("--reset goes with --demo: starter files are never overwritten.")
    if demo:
        _execute(lambda frame: commands.setup.init_demo(frame, is_reset=reset), json=json)
    _execute(lambda frame: commands.setup.init_folder(frame), json=json)


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


def _execute(command: "Callable[[Frame], Awaitable[int]]", *, json: bool = False, trace: bool = False) -> NoReturn:
    """Run one command to its exit code; what it raises becomes one sentence."""
    import asyncio  # noqa: PLC0415 - what --help does not need is imported here

    from agent.commands.frame import Frame  # noqa: PLC0415

    frame = Frame(is_json=json, is_traced=trace)
    try:
        code = asyncio.run(_awaited(command, frame))
    except SupportAgentError as error:
        frame.fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        frame.say_interrupted()
        code = 130
    except Exception as defect:  # noqa: BLE001 - the boundary: nobody at a terminal is helped by a traceback
        if trace:
            traceback.print_exc(file=sys.stderr)
        frame.fail(f"An internal error: {type(defect).__name__}: {defect}\nPlease report it; --trace shows where.")
        code = 3
    raise typer.Exit(code)


async def _awaited(command: "Callable[[Frame], Awaitable[int]]", frame: "Frame") -> int:
    return await command(frame)
