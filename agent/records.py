"""Frozen values that travel between the modules: what was read, asked, decided, done and reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object. Messages, tool definitions and journal bodies stay plain JSON, so that what is sent,
recorded, replayed and shown is one thing."""


class Effect(StrEnum):
    """What a tool does to the world. Policies speak about these, never about tools."""

    READ = "read"  # looks at the own case or at what is declared public
    WRITE = "write"  # notes, classification, priority: inside the ticket, invisible to the customer
    REPLY = "reply"  # a text reaches the customer
    MONEY = "money"  # refunds and credits
    CLOSE = "close"  # ends the ticket
    ESCALATE = "escalate"  # hands the ticket to people
    ACCESS = "access"  # password resets, sessions
    ACCOUNT = "account"  # plan, addresses, preferences
    DELETION = "deletion"  # cannot be undone
    UNNAMED = "unnamed"  # no configuration speaks about this tool


CONFINING = frozenset({"ticket.id", "ticket.requester", "customer.id"})
"""The values of a case that say whose data a call touches; a tool that none of them is bound to is not confined."""


PRICE = ("amount_cents", "currency")
"""The facts that every tool that moves money must have: what is paid, in the currency's smallest unit."""


class Verdict(StrEnum):
    """What the policy says about one call."""

    ALLOW = "allow"
    ASK = "ask"  # only a person may say yes
    DENY = "deny"


class CallStatus(StrEnum):
    """What became of one call."""

    DONE = "done"
    PLANNED = "planned"  # a dry run recorded it instead of making it
    DENIED = "denied"  # the policy or the approver said no; the server never heard of it
    FAILED = "failed"  # the server refused it, or it was never a valid call
    UNCERTAIN = "uncertain"  # it left, and no one can say whether it took effect


class RunMode(StrEnum):
    """Whether writes are made or only recorded."""

    LIVE = "live"
    DRY_RUN = "dry-run"  # writes are planned
    DRAFT = "draft"  # writes are planned, and put on the ticket as one internal note
    APPLY = "apply"  # the writes of a plan, without a model

    @property
    def is_planning(self) -> bool:
        """Whether the model's writes are recorded instead of made."""
        return self in {RunMode.DRY_RUN, RunMode.DRAFT}


class OutcomeKind(StrEnum):
    """How a run ended, as the ticket system has it."""

    CLOSED = "closed"
    ESCALATED = "escalated"
    PENDING = "pending"  # waiting for the customer
    PLANNED = "planned"  # a dry run that knows what it would do
    DRAFTED = "drafted"  # what would be done stands on the ticket, for a person to use
    UNRESOLVED = "unresolved"  # infrastructure failed; the ticket waits for another run


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A ticket as the host read it, before the first turn.

    `fields` holds what the configuration's `fields` point at (`requester`, `status`, `version`, …);
    `context` is the text that the model reads; `said` is what the requester has written of it.
    """

    id: str
    fields: Mapping[str, Any]
    context: str
    said: str = ""

    @property
    def requester(self) -> str:
        """The e-mail address of the person who wrote the ticket."""
        return str(self.fields["requester"])

    @property
    def status(self) -> str:
        """The helpdesk's own word for the ticket's state."""
        return str(self.fields["status"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """The requester's customer record as the host read it."""

    id: str
    fields: Mapping[str, Any]
    context: str

    @property
    def tier(self) -> str | None:
        """The account tier, when the record has one."""
        tier = self.fields.get("tier")
        return None if tier is None else str(tier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What one run is bound to: a ticket and its requester. The model never chooses either."""

    ticket: Ticket
    customer: Customer | None  # None: the requester is in no customer record

    def value(self, path: str) -> Any:
        """Return what `ticket.id`, `ticket.<field>`, `customer.id` or `customer.<field>` stands for; None if unknown.

        The version is not part of a case: the run's own writes move it, so the gate keeps it.
        """
        owner, _, name = path.partition(".")
        record = {"ticket": self.ticket, "customer": self.customer}.get(owner)
        if record is None:
            return None
        return record.id if name == "id" else record.fields.get(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens as Anthropic counts them: `input_tokens` excludes both cache figures."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )

    def as_json(self) -> JsonObject:
        """Return the four counts under their own names."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """One request for a reply, in the Messages API's shapes."""

    system: str
    messages: Sequence[JsonObject]
    tools: Sequence[JsonObject] = ()  # {"name", "description", "input_schema"}, sorted by name
    max_tokens: int = 8192
    tool_choice: JsonObject | None = None
    stop_sequences: Sequence[str] = ()
    timeout_s: float = 120.0  # for the whole reply, retries included


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A `tool_use` block: what the model asks for, in the model's own words."""

    id: str
    name: str  # as the model knows the tool: server__tool
    arguments: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A complete reply of the model. `content` is replayed to it verbatim, thinking blocks included."""

    content: list[JsonObject]
    stop_reason: str  # Anthropic's: end_turn, tool_use, max_tokens, pause_turn, refusal, …
    model: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None  # None: the price of this model is not known; 0.0 for models that cost nothing

    @property
    def text(self) -> str:
        """The reply's visible text, blocks joined by blank lines."""
        return "\n\n".join(block["text"] for block in self.content if block.get("type") == "text" and block["text"])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The reply's `tool_use` blocks, in order."""
        return [
            ToolCall(id=block["id"], name=block["name"], arguments=block["input"])
            for block in self.content
            if block.get("type") == "tool_use"
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResult:
    """What the model is told about one call, and what became of it."""

    content: list[JsonObject]  # tool_result content: text, image and document blocks
    status: CallStatus
    versions: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of `ticket` and `customer`, as it tells them

    @classmethod
    def saying(cls, status: CallStatus, text: str) -> "ToolResult":
        """Return a result of one text."""
        return cls(content=[{"type": "text", "text": text}], status=status)

    @property
    def is_error(self) -> bool:
        """Whether the model should take this as a failure; a planned call is none."""
        return self.status not in {CallStatus.DONE, CallStatus.PLANNED}

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines."""
        return "\n".join(block["text"] for block in self.content if block.get("type") == "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A rule that decided, and its sentence."""

    rule: str
    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The policy's verdict on one call, and every reason for it."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


OBJECTIONS = ("leaves", "text", "sources", "ticket")
"""What the host itself objects to in a call, as its rules begin: `leaves.address`, `text.length`, `ticket.moved`, …

The model may mend such a call, where a call that the policy denies is denied for good.
"""


def objections(decision: Decision) -> frozenset[str]:
    """Return the kinds of what the host objects to by this decision; none where the policy decided."""
    if decision.verdict is not Verdict.DENY:
        return frozenset()
    return frozenset(reason.rule.partition(".")[0] for reason in decision.reasons) & frozenset(OBJECTIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Money that runs have moved since a point in time, or may have, in the currencies' smallest units."""

    since: datetime
    customer_cents: int  # to one customer
    all_cents: int  # to all customers

    def as_json(self) -> JsonObject:
        """Return the two sums under their own names."""
        return {"customer_cents": self.customer_cents, "all_cents": self.all_cents}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A call that only a person may allow: exactly these arguments, on this case."""

    case: Case
    tool: str  # server.tool
    effect: Effect
    arguments: JsonObject  # as they would leave, bound values included
    decision: Decision
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what the host has read to judge it
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])  # record field → new value


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A person's answer to one proposal, or the standing answer of a run without a person."""

    is_granted: bool
    by: str  # the operator's account, or the option that answered
    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FormAnswer:
    """What the operator made of a server's question: `action` is MCP's accept, decline or cancel."""

    action: str
    content: JsonObject | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run ended, and why in one sentence."""

    kind: OutcomeKind
    reason: str


class EntryKind(StrEnum):
    """What a run records, in the order of its acts, with the shape of each body.

    Bodies are JSON. `tool_use_id` names the call that an entry belongs to; calls that the host makes
    by itself have ids `host-1`, `host-2`, … `tool` is always `server.tool`; reasons are `{rule, because}`;
    `ticket` is `{id, fields, context, said}`, `customer` `{id, fields, context}`; an owner is `Owner.as_json()`.
    """

    # {format, ticket_id, mode, model, owner, ticket, customer, messages, version, system, tools, catalog, settings,
    # plan}: the exact first request, and all that the run rests on; plan is null but for a run that applies one
    CASE = "case"
    CLAIM = "claim"  # {owner, is_taken_over}: another process goes on with the run
    REPLY = "reply"  # {turn, content, stop_reason, model, usage, cost_usd, seconds}
    # {tool_use_id, tool, effect, arguments, verdict, reasons, stripped, facts, sources, spent, now, ticket_version,
    # is_approved}: sources are the articles that its text rests on; spent is the day's `Spent.as_json()`;
    # ticket_version is the ticket's just before, null where nobody looked; is_approved: a person has said yes to
    # exactly these arguments. A call may have several
    DECISION = "decision"
    APPROVAL = "approval"  # {tool_use_id, tool, digest, is_granted, by, because, seconds}: digest of the arguments
    ATTEMPT = "attempt"  # {tool_use_id, tool, effect, arguments, key, facts}
    RESULT = (
        "result"  # {tool_use_id, tool, status, content, versions, effect, seconds}: an EffectReport, or null for reads
    )
    SAMPLING = "sampling"  # {server, tool_use_id, digest, request, reply | error, usage, cost_usd}
    ELICITATION = "elicitation"  # {server, tool_use_id, digest, mode, message, action, content, seconds}
    ROOTS = "roots"  # {server, tool_use_id, uris}
    NUDGE = "nudge"  # {text}: the host asks once for an outcome
    HANDOVER = "handover"  # {because}: the run gives up; the host's own call follows
    # {reason, is_failure}: something must be mended first, or the pause taken back; the run can go on from here
    STOPPED = "stopped"
    CANCEL = "cancel"  # {by, because, voided, uncertain}: keys of calls that will never act, and that may have acted
    OUTCOME = "outcome"  # {outcome, reason}


ENTRY_FORMAT = 1
"""The version of these shapes, in every CASE; a run of a newer one is not touched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The process that works a run, as another one can tell of it."""

    pid: int
    machine: str  # its name in the network
    place: str  # the id of the folder of locks that it shares with other processes
    user: str  # the operator's account

    def as_json(self) -> JsonObject:
        """Return the four values under their own names."""
        return {"pid": self.pid, "machine": self.machine, "place": self.place, "user": self.user}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One numbered line of a run's record; `seq` starts at 1 and has no gaps."""

    run_id: str
    seq: int
    kind: EntryKind
    body: JsonObject
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectReport:
    """One call that was not a read, as the run's report shows it."""

    server: str
    tool: str
    arguments: JsonObject
    status: CallStatus
    reasons: tuple[str, ...]
    key: str | None  # None: the call never left

    @property
    def qualified(self) -> str:
        """The tool's name: `server.tool`."""
        return f"{self.server}.{self.tool}"

    @classmethod
    def from_json(cls, item: JsonObject) -> "EffectReport":
        """Return the report that `as_json` has described."""
        return cls(
            server=item["server"],
            tool=item["tool"],
            arguments=item["arguments"],
            status=CallStatus(item["status"]),
            reasons=tuple(item["reasons"]),
            key=item["key"],
        )

    def as_json(self) -> JsonObject:
        """Return the documented shape of one item of `effects`."""
        return {
            "server": self.server,
            "tool": self.tool,
            "arguments": self.arguments,
            "status": self.status.value,
            "reasons": list(self.reasons),
            "key": self.key,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReport:
    """What `run --json` prints and `triage-all` collects."""

    run_id: str
    ticket_id: str
    mode: RunMode
    model: str
    outcome: Outcome
    turns: int
    effects: tuple[EffectReport, ...]
    usage: Usage
    cost_usd: float | None
    duration_s: float

    def as_json(self) -> JsonObject:
        """Return the documented JSON shape of a run."""
        return {
            "run_id": self.run_id,
            "ticket_id": self.ticket_id,
            "mode": self.mode.value,
            "model": self.model,
            "outcome": self.outcome.kind.value,
            "reason": self.outcome.reason,
            "turns": self.turns,
            "effects": [effect.as_json() for effect in self.effects],
            "usage": self.usage.as_json(),
            "cost_usd": self.cost_usd,
            "duration_s": round(self.duration_s, 3),
        }
