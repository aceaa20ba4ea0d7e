"""Options and arguments that several commands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Approve(StrEnum):
    """Who answers for calls that need a person's approval."""

    ASK = "ask"
    NEVER = "never"
    ALWAYS = "always"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Trace = Annotated[bool, typer.Option("--trace", help="Show every JSON-RPC frame on stderr.")]
Trust = Annotated[bool, typer.Option("--trust", help="Use this folder's files, from now on until one changes.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read for real, and only plan what would be written.")]
Draft = Annotated[
    bool, typer.Option("--draft", help="Send and change nothing: put what would be done on the ticket, as a note.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A Claude model, `offline` (no key needed) or `scripted:FILE`."),
]
ApproveOption = Annotated[
    Approve | None,
    typer.Option("--approve", help="Calls that need a person: ask here, never, or always. Without a terminal: never."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id, how it begins, or `last`.")]
RunArguments = Annotated[
    list[str] | None, typer.Argument(metavar="RUN_ID", help="Ids, how they begin, or `last`.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Runs that began since a date (UTC), or so long ago: 6h, 2d."),
]
TicketArgument = Annotated[str, typer.Argument(metavar="TICKET", help="The ticket's id.")]
