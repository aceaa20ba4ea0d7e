"""`tickets`: the queue, and single tickets."""

from pathlib import Path
from typing import Annotated

import typer

from agent import commands
from agent.cli.executing import execute
from agent.cli.options import Json, TicketArgument, Trace, Trust

app = typer.Typer(help="The queue, and single tickets.", no_args_is_help=True)


@app.command("list")
def list_tickets(
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Show the tickets that wait for the agent."""
    execute(lambda frame: commands.tickets.list_tickets(frame, limit=limit), json=json, trace=trace, trust=trust)


@app.command("show")
def show(ticket: TicketArgument, json: Json = False, trace: Trace = False, trust: Trust = False) -> None:
    """Show one ticket: its fields, its conversation, its events."""
    execute(lambda frame: commands.tickets.show(frame, ticket), json=json, trace=trace, trust=trust)


@app.command("import")
def import_tickets(
    file: Annotated[Path, typer.Argument(help="A JSON array of tickets, or one ticket a line.")],
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Import tickets into the built-in helpdesk: each has at least subject, body and requester."""
    execute(lambda frame: commands.tickets.import_file(frame, file), json=json, trace=trace, trust=trust)


@app.command("reply")
def reply(
    ticket: TicketArgument,
    body: Annotated[str, typer.Argument(help="What the customer writes.")],
    as_customer: Annotated[bool, typer.Option("--as-customer", help="Write it in the customer's name.")] = False,
    json: Json = False,
    trace: Trace = False,
    trust: Trust = False,
) -> None:
    """Record a customer's reply in the built-in helpdesk; a pending ticket is open again then."""
    if not as_customer:
        raise typer.BadParameter("Only a customer's reply is recorded here: add --as-customer.")
    execute(lambda frame: commands.tickets.reply_as_customer(frame, ticket, body), json=json, trace=trace, trust=trust)
