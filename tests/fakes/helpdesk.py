"""A small helpdesk of the tests' own: three tickets, three articles, two customers, served in process."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent, TextResourceContents

from servers.calls import KEY, VOID
from servers.customers.server import create_server as create_customers
from servers.customers.store import CustomerStore
from servers.customers.store import insert_demo as insert_customers
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import Database, Fill, Schema, open_database
from servers.ticketing.arrivals import insert_demo as insert_tickets
from servers.ticketing.server import create_server as create_ticketing
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.databases import new_file

ERAS = ("legacy", "auto")
"""The handshake era, and the modern one, which in-process servers speak when they may choose."""

ARTICLES = {
    "login": "# Logging in after a password change\nTags: login, password\n\nAll devices are signed out.\n\n"
    "## What to do\n\nChoose “Forget saved login” and type the new password.\n",
    "invoices": "# Invoices\n\nFind every invoice under Billing.\n\n## PDF stays blank\n\nAllow pop-ups.\n",
    "share": "# ノートの共有\n\n共有リンクは設定で有効にできます。\n",
}


def ticket(number: int, requester: str, **changes: Any) -> dict[str, Any]:
    """Return a ticket in the demo's format."""
    created_at = changes.get("created_at", f"2026-11-02T09:{number % 60:02d}:00Z")
    body = changes.pop("body", f"The text of ticket {number}.")
    return {
        "id": str(number),
        "subject": f"Subject of {number}",
        "requester": requester,
        "channel": "email",
        "status": "new",
        "priority": "normal",
        "type": None,
        "language": "en",
        "assignee": None,
        "tags": [],
        "created_at": created_at,
        "messages": [{"author": requester, "kind": "customer", "body": body, "at": created_at}],
        **changes,
    }


TICKETS = [
    ticket(42, "alice@example.com", subject="Cannot log in", priority="high", tags=["login"]),
    ticket(43, "bob@example.com", subject="Invoice PDF not loading", assignee="Dana"),
    ticket(44, "alice@example.com", subject="Old question", status="closed"),
]

CUSTOMERS_ROWS = [
    {
        "id": "cus_1001",
        "email": "Alice@example.com",
        "name": "Alice Hartwell",
        "account_tier": "pro",
        "verified": True,
        "plan": "pro-yearly",
        "contact_email": "billing@example.com",
        "marketing_opt_in": True,
        "invoices": [
            {
                "id": f"inv_{number}",
                "amount_cents": amount,
                "currency": currency,
                "status": status,
                "issued_at": f"2026-0{number % 10}-02T06:00:00Z",
                "description": "Pro",
            }
            for number, amount, currency, status in (
                (1001, 8400, "USD", "paid"),
                (1002, 900, "EUR", "open"),
                (1003, 1200, "JPY", "paid"),
            )
        ],
        "sessions": [
            {"id": f"ses_{number}", "device": "Firefox", "location": "Leeds", "last_seen_at": "2026-11-16T07:30:41Z"}
            for number in (1, 2)
        ],
    },
    {
        "id": "cus_1002",
        "email": "bob@example.com",
        "name": "Bob",
        "account_tier": "free",
        "verified": False,
        "plan": "free",
        "contact_email": "bob@example.com",
        "marketing_opt_in": False,
        "invoices": [
            {
                "id": "inv_2001",
                "amount_cents": 500,
                "currency": "USD",
                "status": "paid",
                "issued_at": "2026-05-02T06:00:00Z",
                "description": "Add-on",
            }
        ],
        "sessions": [{"id": "ses_9", "device": "Safari", "location": "York", "last_seen_at": "2026-11-01T00:00:00Z"}],
    },
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketDesk:
    server: MCPServer[Any]
    store: TicketStore
    folder: Path
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerDesk:
    server: MCPServer[Any]
    store: CustomerStore
    url: str


def filled(url: str, schema: Schema, fill: Fill) -> Database:
    """Open a database, which has its tables unless it is a new file, and insert rows."""
    database = open_database(url, schema)
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":  # a busy machine may be longer about it than a server allows
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        fill(connection)
    return database


@contextmanager
def ticket_desk(
    place: Path, rows: Sequence[Mapping[str, Any]] = TICKETS, *, url: str | None = None
) -> Generator[TicketDesk]:
    """Serve these tickets from the database at `url`, or from a new file."""
    folder = place / "knowledge"
    folder.mkdir()
    for slug, text in ARTICLES.items():
        (folder / f"{slug}.md").write_text(text, encoding="utf-8")
    url = url or new_file(place / "ticketing.sqlite", TICKETING)
    store = TicketStore(filled(url, TICKETING, lambda connection: insert_tickets(connection, rows)))
    try:
        yield TicketDesk(server=create_ticketing(store, folder), store=store, folder=folder, url=url)
    finally:
        store.database.close()


@contextmanager
def customer_desk(place: Path, *, url: str | None = None) -> Generator[CustomerDesk]:
    """Serve the two customers from the database at `url`, or from a new file."""
    url = url or new_file(place / "customers.sqlite", CUSTOMERS)
    database = filled(url, CUSTOMERS, lambda connection: insert_customers(connection, CUSTOMERS_ROWS))
    store = CustomerStore(database)
    try:
        yield CustomerDesk(server=create_customers(store), store=store, url=url)
    finally:
        database.close()


async def call(
    client: Client, tool: str, *, key: object = None, is_void: bool = False, **arguments: Any
) -> CallToolResult:
    """Call a tool, with an idempotency key if one is given."""
    meta: dict[str, Any] = {}
    if key is not None:
        meta[KEY] = key
    if is_void:
        meta[VOID] = True
    result = await client.call_tool(tool, arguments, meta=meta or None)  # pyright: ignore[reportArgumentType]  # any key may stand in _meta
    assert isinstance(result, CallToolResult)
    return result


def text_of(result: CallToolResult) -> str:
    """Return the text of a result's single block."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def refusal_of(result: CallToolResult) -> str:
    """Return the sentence of a failed call."""
    assert result.is_error
    return text_of(result)


async def read(client: Client, uri: str) -> str:
    """Return a resource's text as it stands now."""
    (content,) = (await client.read_resource(uri, cache_mode="bypass")).contents
    assert isinstance(content, TextResourceContents)
    return content.text
