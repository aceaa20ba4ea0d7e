"""The customers MCP server: records to read, and the few things that support may do to an account."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from inspect import getdoc
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias
from urllib.parse import quote

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from servers.calls import HelpdeskServer, announce, answer, call_of, package_version, structured
from servers.customers.render import customer_markdown, record_json
from servers.customers.results import (
    Account,
    AccountUpdated,
    InvoiceList,
    InvoiceOut,
    InvoiceSent,
    Refunded,
    ResetSent,
    SessionList,
    SessionsRevoked,
)
from servers.customers.store import CustomerStore
from servers.effects import Call, Done

INSTRUCTIONS = """\
These are the customer records: accounts, invoices and sessions.
Every tool acts on the one customer that it is given, and refuses what belongs to another.\
"""

P = ParamSpec("P")
Ctx: TypeAlias = Context[CustomerStore, Any]
CustomerId: TypeAlias = Annotated[str, Field(description="The customer's id, such as cus_1001.")]
InvoiceId: TypeAlias = Annotated[str, Field(description="The invoice's id, such as inv_1001.")]


def _store(ctx: Ctx) -> CustomerStore:
    return ctx.request_context.lifespan_context


async def _change(
    ctx: Ctx, effect: Callable[Concatenate[Call, str, P], Done], customer_id: str, *args: P.args, **kwargs: P.kwargs
) -> CallToolResult:
    store = _store(ctx)
    done = await store.database.write(effect, call_of(ctx), customer_id, *args, **kwargs)
    if done.is_new and done.result is not None:
        customer = await store.database.read(store.customer, customer_id)
        uri = f"customer://{quote(customer.email, safe='')}"
        await announce(ctx, (uri, f"{uri}/record"))
    return answer(done)


async def get_customer(ctx: Ctx, customer_id: CustomerId) -> Annotated[CallToolResult, Account]:
    """Look up a customer's account: name, addresses, tier, plan, and whether the address was verified.

    Use it before you decide what this customer may have. Returns the account's fields.
    """
    store = _store(ctx)
    return structured(asdict(await store.database.read(store.customer, customer_id)))


async def list_invoices(ctx: Ctx, customer_id: CustomerId) -> Annotated[CallToolResult, InvoiceList]:
    """List a customer's invoices, oldest first.

    Use it to find the invoice that the customer means. Returns each with its id, amount, currency, status and date.
    """
    store = _store(ctx)
    found = await store.database.read(store.invoices, customer_id)
    return structured({"invoices": [asdict(invoice) for invoice in found]})


async def get_invoice(
    ctx: Ctx, customer_id: CustomerId, invoice_id: InvoiceId
) -> Annotated[CallToolResult, InvoiceOut]:
    """Look up one of a customer's invoices.

    Use it to check an amount or a status before you speak about it. Returns the invoice's fields; the amount is in
    the currency's smallest unit.
    """
    store = _store(ctx)
    return structured(asdict(await store.database.read(store.invoice, customer_id, invoice_id)))


async def list_sessions(ctx: Ctx, customer_id: CustomerId) -> Annotated[CallToolResult, SessionList]:
    """List the devices on which a customer is signed in, the one seen last first.

    Use it when an account may be in wrong hands, or when a device has trouble signing in.
    Returns each session with its id, device, place and the time when it was last seen.
    """
    store = _store(ctx)
    found = await store.database.read(store.sessions, customer_id)
    return structured({"sessions": [asdict(session) for session in found]})


async def send_password_reset(ctx: Ctx, customer_id: CustomerId) -> Annotated[CallToolResult, ResetSent]:
    """Send a password reset link to the address of a customer's account.

    Use it when the customer asks for one or cannot sign in. It is refused for an address that was never verified.
    Returns the address it went to.
    """
    return await _change(ctx, _store(ctx).send_password_reset, customer_id)


async def revoke_sessions(
    ctx: Ctx,
    customer_id: CustomerId,
    session_ids: Annotated[
        list[str] | None, Field(description="The sessions to end; all of the customer's when left out.")
    ] = None,
) -> Annotated[CallToolResult, SessionsRevoked]:
    """Sign a customer out of devices; whoever uses them must sign in again.

    Use it for a lost device or a stolen password. Returns the ids of the sessions that were ended.
    """
    return await _change(ctx, _store(ctx).revoke_sessions, customer_id, session_ids)


async def resend_invoice(
    ctx: Ctx, customer_id: CustomerId, invoice_id: InvoiceId
) -> Annotated[CallToolResult, InvoiceSent]:
    """Send one of a customer's invoices to the customer's contact address once more.

    Use it when the customer misses an invoice or cannot open it. Returns the address it went to.
    """
    return await _change(ctx, _store(ctx).resend_invoice, customer_id, invoice_id)


async def issue_refund(
    ctx: Ctx,
    customer_id: CustomerId,
    invoice_id: InvoiceId,
    reason: Annotated[str, Field(description="Why the money goes back, 1 to 1,000 characters.")],
    expected_amount_cents: Annotated[
        int, Field(description="The invoice's amount as you have read it; if it differs, nothing is paid.")
    ],
) -> Annotated[CallToolResult, Refunded]:
    """Pay one of a customer's invoices back in full. This cannot be undone.

    Use it when the refund rules allow it. Partial refunds are not possible, and an invoice is paid back only once.
    Returns the refund's id and amount.
    """
    return await _change(ctx, _store(ctx).issue_refund, customer_id, invoice_id, reason, expected_amount_cents)


async def update_account(
    ctx: Ctx,
    customer_id: CustomerId,
    *,
    plan: Annotated[str | None, Field(description="The plan's name, such as pro-yearly.")] = None,
    contact_email: Annotated[str | None, Field(description="Where invoices and notices go.")] = None,
    marketing_opt_in: Annotated[bool | None, Field(description="Whether marketing mail may be sent.")] = None,
    expected_version: Annotated[
        int | None,
        Field(description="The version that you have read; if the record has changed since, nothing is done."),
    ] = None,
) -> Annotated[CallToolResult, AccountUpdated]:
    """Change a customer's plan, contact address or marketing preference; what is left out stays as it is.

    Use it when the customer has asked for exactly this. Returns what was changed.
    """
    return await _change(
        ctx,
        _store(ctx).update_account,
        customer_id,
        plan=plan,
        contact_email=contact_email,
        marketing_opt_in=marketing_opt_in,
        expected_version=expected_version,
    )


async def read_customer(ctx: Ctx, email: str) -> str:
    """A customer in Markdown: account, invoices and what happened last. The address may be in any case."""
    store = _store(ctx)
    return customer_markdown(await store.database.read(store.record, email))


async def read_record(ctx: Ctx, email: str) -> str:
    """A customer as JSON: every field, the version, invoices, active sessions, refunds and events."""
    store = _store(ctx)
    return json.dumps(record_json(await store.database.read(store.record, email)), ensure_ascii=False)


def _hints(*, reads: bool = False, destroys: bool = False, repeats: bool = False) -> ToolAnnotations:
    if reads:
        return ToolAnnotations(read_only_hint=True, open_world_hint=False)
    return ToolAnnotations(
        read_only_hint=False, destructive_hint=destroys, idempotent_hint=repeats, open_world_hint=False
    )


TOOLS: tuple[tuple[Callable[..., Any], str, ToolAnnotations], ...] = (
    (get_customer, "Look up a customer", _hints(reads=True)),
    (list_invoices, "List invoices", _hints(reads=True)),
    (get_invoice, "Look up an invoice", _hints(reads=True)),
    (list_sessions, "List sessions", _hints(reads=True)),
    (send_password_reset, "Send a password reset", _hints()),
    (revoke_sessions, "End sessions", _hints(destroys=True, repeats=True)),
    (resend_invoice, "Send an invoice again", _hints()),
    (issue_refund, "Refund an invoice", _hints(destroys=True, repeats=True)),
    (update_account, "Update an account", _hints(destroys=True, repeats=True)),
)


def create_server(store: CustomerStore) -> MCPServer[CustomerStore]:
    """Return the server for these records; closing the store stays with the caller."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[CustomerStore]) -> AsyncGenerator[CustomerStore]:
        yield store

    server = HelpdeskServer(
        "customers",
        title="Customer records",
        instructions=INSTRUCTIONS,
        version=package_version(),
        lifespan=lifespan,
    )
    for tool, title, hints in TOOLS:
        server.add_tool(tool, title=title, description=getdoc(tool), annotations=hints)
    server.resource("customer://{email}", name="customer", title="Customer", mime_type="text/markdown")(read_customer)
    server.resource(
        "customer://{email}/record", name="customer_record", title="Customer record", mime_type="application/json"
    )(read_record)
    return server
