"""The frozen shape of the configuration: what `.mcp.json` and `support-agent.toml` may say.

`configuration.py` fills it from files and the environment. The names of keys here are the names in the files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from agent.records import Effect

Pointer: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(/.*)?$")]
"""A JSON Pointer (RFC 6901) into a record or a structured result, such as `/account_tier`."""

QualifiedName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^.\s]+\..+$")]
"""`server.tool`, as configuration, journal and screen name a tool."""

CasePath: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(ticket|customer|facts)\.\w+$")]
"""`ticket.id`, `customer.tier`, `facts.amount_cents`, …: a value that the host supplies."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class StdioTransport(_Frozen):
    """A server that the host starts as a child process."""

    type: Literal["stdio"] = "stdio"
    command: str = Field(min_length=1)
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str | None = None


class HttpTransport(_Frozen):
    """A server that runs elsewhere: streamable HTTP, or the older HTTP with SSE."""

    type: Literal["http", "sse"]
    url: str = Field(pattern=r"^https?://")
    headers: Mapping[str, str] = {}


class ServerSettings(_Frozen):
    """`[servers.NAME]`: what the host must know about a server beyond how to reach it."""

    idempotency: Literal["none", "meta"] = "none"  # meta: it honours our keys in `_meta`
    void: bool = False  # it understands that a key will never be used
    start_timeout_s: float = Field(default=30, gt=0)
    call_timeout_s: float = Field(default=60, gt=0)
    restarts: int = Field(default=2, ge=0)  # how often a server that dies is started again in one command
    trust_instructions: bool = False  # its `instructions` may stand in the system prompt


class Limits(_Frozen):
    """`[limits]`: what one run may use, and what all runs of a day may pay."""

    turns: int = Field(default=24, gt=0)
    seconds: float = Field(default=300, gt=0)
    usd: float = Field(default=0.50, gt=0)
    writes: int = Field(default=10, ge=0)
    replies: int = Field(default=5, ge=0)  # of the writes, those that reach the customer
    same_calls: int = Field(default=3, gt=0)  # with the same arguments
    refunds_per_customer_day_cents: int = Field(default=50_000, ge=0)  # to one customer, since midnight UTC
    refunds_per_day_cents: int = Field(default=200_000, ge=0)  # to all customers
    reply_seconds: float = Field(default=120, gt=0)  # one reply of the model, retries included
    sampling_calls: int = Field(default=8, ge=0)
    sampling_depth: int = Field(default=4, ge=0)  # requests that one tool call may make of the model
    sampling_tokens: int = Field(default=2048, gt=0)
    result_chars: int = Field(default=40_000, gt=0)
    argument_chars: int = Field(default=100_000, gt=0)  # most that the arguments of one call may hold
    failures_in_a_row: int = Field(default=10, gt=0)  # runs that infrastructure has stopped, before all are paused


class Company(_Frozen):
    """`[company]`: what is nobody's secret, and may stand in every text that leaves."""

    domains: tuple[str, ...] = ()  # links may lead there, and to what is below
    addresses: tuple[str, ...] = ()  # e-mail addresses
    phones: tuple[str, ...] = ()
    regions: tuple[str, ...] = ("US",)  # ISO 3166: whose phone numbers are known for such without a +
    article_link: str | None = None  # where the customer finds an article: "https://help.example.com/{slug}"


class Texts(_Frozen):
    """`[tickets] texts`: what every text to a customer must be, as the prompt demands it."""

    starts_with: str = ""
    ends_with: str = ""
    sentences: int | None = Field(default=None, gt=0)  # at most, between the greeting and the sign-off
    characters: int | None = Field(default=None, gt=0)  # at most, all together
    language: bool = False  # the one that the ticket is written in


class Roots(_Frozen):
    """`[roots]`: folders that servers may ask for."""

    knowledge: Path | None = None
    folders: tuple[Path, ...] = ()


class ToolReference(_Frozen):
    """A tool of the helpdesk's own server that the host calls by itself."""

    tool: str
    arguments: Mapping[str, Any] = {}  # "$name" stands for a value that the host supplies


class QueueReference(ToolReference):
    """The tool that lists waiting tickets, and where its structured result keeps them."""

    items: Pointer
    id: Pointer = "/id"
    requester: Pointer = "/requester"
    next_cursor: Pointer | None = None  # absent: one page is all


class PromptReference(_Frozen):
    """The server prompt that opens a run, and what its arguments stand for."""

    name: str
    arguments: Mapping[str, CasePath] = {"ticket_id": "ticket.id", "account_tier": "customer.tier"}


class SaidReference(_Frozen):
    """Where a ticket's record keeps what the requester has written, so that it can be told from what others did."""

    items: Pointer
    text: Pointer
    where: Mapping[str, tuple[Any, ...]] = {}  # field → allowed values; all must match


RecordReference: TypeAlias = str | ToolReference
"""A resource template (`ticket://{ticket_id}/record`) or a tool whose structured result is the record."""

Condition: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Field → allowed values; all fields must match."""


def _prompt_by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class TicketSettings(_Frozen):
    """`[tickets]`: which server is the helpdesk and how the host reads and ends a ticket there."""

    server: str
    record: RecordReference
    context: RecordReference
    queue: QueueReference | None = None
    import_: ToolReference | None = Field(default=None, alias="import")
    customer_reply: ToolReference | None = None
    prompt: Annotated[PromptReference | None, BeforeValidator(_prompt_by_name)] = None
    handoff: ToolReference | None = None
    draft: ToolReference | None = None  # puts "$draft" on the ticket, for a person to use there
    said: SaidReference | None = None
    texts: Texts = Texts()
    fields: Mapping[str, Pointer]  # requester and status are required
    workable: Condition = {}
    outcome: Mapping[Literal["closed", "escalated", "pending"], Condition]


class CustomerSettings(_Frozen):
    """`[customers]`: which server knows the requesters. `{requester}` stands for the ticket's requester."""

    server: str
    record: RecordReference
    context: RecordReference
    fields: Mapping[str, Pointer]  # id is required


class FactSettings(_Frozen):
    """A value that the host reads to judge a call: a read tool, its arguments (`$name` is the call's own), a path."""

    tool: QualifiedName
    arguments: Mapping[str, Any] = {}
    path: Pointer


class ToolSettings(_Frozen):
    """`[tools."server.tool"]`: what a tool does to the world and which arguments the host fills in."""

    effect: Effect
    bind: Mapping[str, CasePath] = {}
    facts: Mapping[str, FactSettings] = {}
    changes: Mapping[str, Any] = {}  # record field → new value; "$name" is the call's argument
    sends: tuple[str, ...] = ()  # arguments that the customer will read
    public: bool = False  # a read whose arguments may be anything: it reaches no customer's data
    offer: bool = True  # False: the host's own tool, never shown to the model
    idempotent: bool = False  # making the call twice is the same as making it once


class ResourceSettings(_Frozen):
    """`[resources."uri template"]`: a template that the model may read, and what confines it."""

    server: str | None = None  # whose template it is; None: any server's that has it
    bind: Mapping[str, CasePath] = {}
    public: bool = False


class Settings(_Frozen):
    """Everything one command needs to know; nothing reads a file or the environment after it is made."""

    home: Path  # data, logs and the demo helpdesk
    transports: Mapping[str, StdioTransport | HttpTransport]  # by server name
    own_ways: Mapping[str, Mapping[str, Any]] = {}  # of the folder's own servers: as its file says it, nothing expanded
    lock: Path = Path("support-agent.lock")  # which servers of the folder were approved, and as what
    servers: Mapping[str, ServerSettings] = {}
    limits: Limits = Limits()
    company: Company = Company()
    roots: Roots = Roots()
    tickets: TicketSettings
    customers: CustomerSettings | None = None
    tools: Mapping[QualifiedName, ToolSettings] = {}
    resources: Mapping[str, ResourceSettings] = {}
    policy: str = ""  # what a call may do, in Cedar
    policy_file: str = "policy.cedar"  # where it stands, for messages
    journal: SecretStr | None = None  # a database URL; None: a SQLite file in `home`. It may hold a password
    journal_key: SecretStr | None = None  # 64 hex digits; None: a file in `home`, made at first use
    model: str | None = None  # SUPPORT_AGENT_MODEL or `model = …` in support-agent.toml
    api_key: SecretStr | None = None
    base_url: str | None = None
    sources: tuple[str, ...] = ()  # the files this was read from, for `doctor`

    def server(self, name: str) -> ServerSettings:
        """Return what is configured for this server, or the defaults for one that no table names."""
        return self.servers.get(name, ServerSettings())
