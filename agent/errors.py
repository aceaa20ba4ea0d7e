"""Everything that can end a command, as one tree.

    SupportAgentError
    ├── UsageError                 exit 2: the command asks for something that is not there
    │   ├── TicketNotFound
    │   ├── TicketNotWorkable      closed, or assigned to a person
    │   └── RunNotFound            or one that has ended, where an unfinished one is needed
    ├── TicketTaken                exit 1: another process works it, or its customer's other ticket
    ├── RunLost                    exit 1: another process has taken the run over
    └── InfrastructureError        exit 3: something must be mended first; the ticket is untouched by it
        ├── ConfigurationError     a file, a variable or an option; names file and line
        ├── ServerError            one MCP server, by name
        │   ├── ServerStartFailed
        │   ├── ServerChanged      it is not the one that was approved
        │   ├── ServerLost         it has exited and was not, or could not be, started again
        │   ├── CallUncertain      the call left, and no one can say whether it took effect
        │   └── ServerProtocolError  it answers, but not with what was asked for
        ├── Paused                 a person, or the failure breaker, has stopped all runs
        ├── JournalError           the record of runs cannot be read or written: nothing is done unrecorded
        └── ModelError             no reply can be had
            ├── ModelUnavailable   down, overloaded, unreachable, cut off: another day it works
            └── ModelRejected      a wrong key, an unknown model, a request the model refuses to read

A tool's failure is none of these: it goes back to the model as a result. A run's end is an `Outcome`.
"""


class SupportAgentError(Exception):
    """A sentence for the person at the terminal; `exit_code` says how the process ends."""

    exit_code = 3


class UsageError(SupportAgentError):
    """The command asks for something that is not there."""

    exit_code = 2


class TicketNotFound(UsageError):  # noqa: N818 - reads as the sentence it is
    """The helpdesk knows no ticket of this id."""


class TicketNotWorkable(UsageError):  # noqa: N818 - reads as the sentence it is
    """The ticket exists, and the agent has no business with it."""


class RunNotFound(UsageError):  # noqa: N818 - reads as the sentence it is
    """The journal knows no such run, or it has ended where an unfinished one is needed."""


class PlanRefused(SupportAgentError):  # noqa: N818 - reads as the sentence it is
    """A plan is not applied; the message says what is other than it was."""

    exit_code = 1


class TicketTaken(SupportAgentError):  # noqa: N818 - reads as the sentence it is
    """Another process works this ticket, or another ticket of the same customer; it names who."""

    exit_code = 1


class RunLost(SupportAgentError):  # noqa: N818 - reads as the sentence it is
    """Another process has taken this run over: this one must do nothing more for it."""

    exit_code = 1


class InfrastructureError(SupportAgentError):
    """Something outside the run must be mended first; the ticket is left as it is."""


class ConfigurationError(InfrastructureError):
    """A file, a variable or an option is wrong; the message names the place and what is expected there."""


class ServerError(InfrastructureError):
    """One MCP server, by name, cannot do what the run needs of it."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(message)
        self.server = server


class ServerStartFailed(ServerError):  # noqa: N818 - reads as the sentence it is
    """The server could not be started; the message ends with the last lines of its stderr."""


class ServerChanged(ServerError):  # noqa: N818 - reads as the sentence it is
    """The server is not as it was approved; the message says what is other, and how a person approves it."""


class ServerLost(ServerError):  # noqa: N818 - reads as the sentence it is
    """The server that owns this tool has exited and does not come back; the call was not made."""


class CallUncertain(ServerError):  # noqa: N818 - reads as the sentence it is
    """The call left, and no one can say whether it took effect: look before you repeat."""


class ServerProtocolError(ServerError):
    """The server answers, but not with what the configuration or the protocol promises."""


class Paused(InfrastructureError):  # noqa: N818 - reads as the sentence it is
    """A person, or the failure breaker, has stopped all runs: none begins or writes until that is taken back."""


class JournalError(InfrastructureError):
    """The record of runs cannot be read or written; what was committed is as it was."""


class ModelError(InfrastructureError):
    """The model gives no reply that can be used."""


class ModelUnavailable(ModelError):  # noqa: N818 - reads as the sentence it is
    """The model is down, overloaded, unreachable or was cut off; the same request may work later."""


class ModelRejected(ModelError):  # noqa: N818 - reads as the sentence it is
    """The request will not work as it stands: a wrong key, an unknown model, an invalid request."""
