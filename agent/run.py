"""One run as its parts know it: what it works with, how far it is, and how it can end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.applying import Applied
from agent.catalog import Catalog
from agent.errors import InfrastructureError
from agent.gate import Gate
from agent.ledger import Ledger
from agent.outgoing import Outgoing
from agent.protocols import Model, Observer, Recorder
from agent.records import ENTRY_FORMAT, Case, JsonObject, Outcome, Owner, Reply, RunMode, RunReport, ToolResult
from agent.settings import Limits, Settings
from agent.tickets import Helpdesk


@dataclass(frozen=True, kw_only=True, slots=True)
class GaveUp:
    """The run cannot end the ticket by itself; `because` completes "…, so people take over"."""

    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Foundation:
    """What a run rests on and keeps to its end, whatever changes around it."""

    system: str
    tools: Sequence[JsonObject]  # as the model is offered them
    owner: Owner
    version: str  # of this program
    catalog: JsonObject  # tools and templates as the servers described them
    settings: JsonObject  # the configuration that decides what a call may do


@dataclass(kw_only=True)
class Run:
    """Everything that one run works with, and what it has used so far."""

    case: Case
    model: Model
    gate: Gate
    helpdesk: Helpdesk
    catalog: Catalog
    recorder: Recorder
    observer: Observer
    settings: Settings
    mode: RunMode
    foundation: Foundation
    ledger: Ledger
    outgoing: Outgoing
    messages: list[JsonObject] = field(default_factory=list[JsonObject])
    called: set[str] = field(default_factory=set[str])  # the ids of all calls that the model has made
    turn_seq: int = 0  # the number of the reply whose calls are being made
    pauses: int = 0  # paused replies in a row
    was_nudged: bool = False
    pending: Reply | None = None  # of a run that goes on: its last reply, of which something may have to be done yet
    results: dict[str, ToolResult] = field(default_factory=dict[str, ToolResult])  # known already, by call
    gave_up: str | None = None  # why people take over; recorded
    plan: Applied | None = None  # what a run that applies a plan has to do

    @property
    def limits(self) -> Limits:
        """What this run may use."""
        return self.settings.limits

    @property
    def seconds_left(self) -> float:
        """What remains of the run's time; waiting for a person does not count."""
        return self.limits.seconds - (self.ledger.seconds - self.ledger.waited_s)

    def case_body(self, messages: Sequence[JsonObject]) -> JsonObject:
        """Return the body of the run's first entry, if these are the messages that it begins with."""
        ticket, customer, rests_on = self.case.ticket, self.case.customer, self.foundation
        return {
            "format": ENTRY_FORMAT,
            "ticket_id": ticket.id,
            "mode": self.mode.value,
            "model": self.model.name,
            "owner": rests_on.owner.as_json(),
            "ticket": {
                "id": ticket.id,
                "fields": dict(ticket.fields),
                "context": ticket.context,
                "said": ticket.said,
            },
            "customer": None
            if customer is None
            else {"id": customer.id, "fields": dict(customer.fields), "context": customer.context},
            "messages": list(messages),
            "version": rests_on.version,
            "system": rests_on.system,
            "tools": list(rests_on.tools),
            "catalog": rests_on.catalog,
            "settings": rests_on.settings,
            "plan": None if self.plan is None else self.plan.as_json(),
        }

    def report(self, outcome: Outcome) -> RunReport:
        """Return what is to be said about this run."""
        return RunReport(
            run_id=self.recorder.run_id,
            ticket_id=self.case.ticket.id,
            mode=self.mode,
            model=self.model.name,
            outcome=outcome,
            turns=self.ledger.turns,
            effects=tuple(self.ledger.effects),
            usage=self.ledger.usage,
            cost_usd=self.ledger.cost_usd,
            duration_s=self.ledger.seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A run's report, and the failure that kept it from an outcome, if there was one."""

    report: RunReport
    failure: InfrastructureError | None = None
