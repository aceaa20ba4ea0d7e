"""Customer records: what can be read, by whom, and what never shows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS
from sqlalchemy import text as sql

from servers.customers.render import money
from servers.customers.tables import SCHEMA
from tests.databases import NewDatabase
from tests.fakes.helpdesk import ERAS, CustomerDesk, call, customer_desk, read, refusal_of

RECORD_FIELDS = {
    "id", "email", "name", "account_tier", "verified", "plan", "contact_email", "marketing_opt_in", "version",
    "invoices", "sessions", "refunds", "events",
}  # fmt: skip
ARGUMENTS = {
    "get_customer": ["customer_id"],
    "list_invoices": ["customer_id"],
    "get_invoice": ["customer_id", "invoice_id"],
    "list_sessions": ["customer_id"],
    "send_password_reset": ["customer_id"],
    "revoke_sessions": ["customer_id", "session_ids"],
    "resend_invoice": ["customer_id", "invoice_id"],
    "issue_refund": ["customer_id", "invoice_id", "reason", "expected_amount_cents"],
    "update_account": ["customer_id", "plan", "contact_email", "marketing_opt_in", "expected_version"],
}


@pytest.fixture
def desk(tmp_path: Path, new_database: NewDatabase) -> Iterator[CustomerDesk]:
    with customer_desk(tmp_path, url=new_database(SCHEMA)) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("address", ["alice%40example.com", "alice@example.com", "ALICE%40Example.COM"])
async def test_a_customer_is_found_by_address_whatever_its_case(desk: CustomerDesk, era: str, address: str):
    async with Client(desk.server, mode=era) as client:
        record = json.loads(await read(client, f"customer://{address}/record"))
        text = await read(client, f"customer://{address}")
    assert record.keys() == RECORD_FIELDS
    assert (record["id"], record["account_tier"], record["verified"], record["version"]) == ("cus_1001", "pro", True, 1)
    assert [session["id"] for session in record["sessions"]] == ["ses_1", "ses_2"]
    assert text.startswith("# Customer Alice Hartwell\n")


async def test_a_customer_reads_as_account_invoices_and_events_without_session_ids(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        await call(client, "resend_invoice", customer_id="cus_1001", invoice_id="inv_1001")
        lines = (await read(client, "customer://alice%40example.com")).splitlines()
    for line in (
        "- E-mail: Alice@example.com (verified)",
        "- Account tier: pro",
        "- Plan: pro-yearly",
        "- Signed in on: 2 devices",
        "- inv_1001: USD 84.00, paid, 2026-01-02, Pro",
        "- inv_1003: JPY 1,200, paid, 2026-03-02, Pro",
    ):
        assert line in lines
    assert lines[-1].endswith("invoice resent")
    assert "ses_" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(8400, "USD", "USD 84.00"), (5, "EUR", "EUR 0.05"), (123456789, "USD", "USD 1,234,567.89"), (7, "JPY", "JPY 7")],
)
def test_money_is_written_with_the_decimals_of_its_currency(amount: int, currency: str, shown: str):
    assert money(amount, currency) == shown


@pytest.mark.parametrize("uri", ["customer://nobody%40example.com", "customer://x/record"])
async def test_an_unknown_address_is_not_found_in_a_sentence(desk: CustomerDesk, era: str, uri: str):
    async with Client(desk.server, mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await read(client, uri)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.message.startswith("There is no customer")


async def test_tools_read_the_account_its_invoices_and_its_sessions(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        account = await call(client, "get_customer", customer_id="cus_1001")
        invoices = await call(client, "list_invoices", customer_id="cus_1001")
        invoice = await call(client, "get_invoice", customer_id="cus_1001", invoice_id="inv_1003")
        sessions = await call(client, "list_sessions", customer_id="cus_1001")
    assert account.structured_content["email"] == "Alice@example.com"
    assert account.structured_content.keys() == RECORD_FIELDS - {"invoices", "sessions", "refunds", "events"}
    assert [item["id"] for item in invoices.structured_content["invoices"]] == ["inv_1001", "inv_1002", "inv_1003"]
    fields = invoice.structured_content
    assert (fields["amount_cents"], fields["currency"], fields["status"]) == (1200, "JPY", "paid")
    assert {item["id"] for item in sessions.structured_content["sessions"]} == {"ses_1", "ses_2"}


async def test_anothers_invoice_is_refused_in_the_words_for_one_that_does_not_exist(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        for tool, more in (
            ("get_invoice", {}),
            ("resend_invoice", {}),
            ("issue_refund", {"reason": "x", "expected_amount_cents": 500}),
        ):
            said = [
                refusal_of(await call(client, tool, customer_id="cus_1001", invoice_id=invoice_id, **more))
                for invoice_id in ("inv_2001", "inv_0000")
            ]
            assert said[0].replace("inv_2001", "inv_0000") == said[1]


async def test_anothers_session_is_refused_in_the_words_for_one_that_does_not_exist(desk: CustomerDesk):
    async with Client(desk.server) as client:
        said = [
            refusal_of(await call(client, "revoke_sessions", customer_id="cus_1001", session_ids=["ses_1", session_id]))
            for session_id in ("ses_9", "ses_0")
        ]
        sessions = await call(client, "list_sessions", customer_id="cus_1001")
    assert said[0].replace("ses_9", "ses_0") == said[1]
    assert len(sessions.structured_content["sessions"]) == 2


@pytest.mark.parametrize("customer_id", ["cus_x", "", "cus_1001\0", "x" * 100_000])
@pytest.mark.parametrize("tool", sorted(ARGUMENTS))
async def test_an_unknown_customer_is_refused(desk: CustomerDesk, tool: str, customer_id: str):
    more = {"invoice_id": "inv_1001", "reason": "x", "expected_amount_cents": 8400, "plan": "x"}
    given = {name: value for name, value in more.items() if name in ARGUMENTS[tool]}
    async with Client(desk.server) as client:
        assert refusal_of(await call(client, tool, customer_id=customer_id, **given)).startswith("There is no customer")


async def test_every_tool_describes_itself_its_arguments_and_its_result(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert client.server_info is not None
        assert client.server_info.name == "customers"
    assert {name: list(tool.input_schema["properties"]) for name, tool in tools.items()} == ARGUMENTS
    for tool in tools.values():
        assert "Use it" in (tool.description or "")
        assert "Returns" in (tool.description or "")
        assert tool.input_schema["additionalProperties"] is False
        assert all(schema.get("description") for schema in tool.input_schema["properties"].values())
        assert "idempot" not in json.dumps([tool.description, tool.input_schema, tool.output_schema]).lower()
    reads = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert reads == {"get_customer", "list_invoices", "get_invoice", "list_sessions"}
    destroying = {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint}
    assert destroying == {"revoke_sessions", "issue_refund", "update_account"}


async def test_a_broken_database_shows_nothing_of_its_inside(desk: CustomerDesk, era: str):
    with desk.store.database.writing() as connection:
        connection.execute(sql("ALTER TABLE customers RENAME TO gone"))
    async with Client(desk.server, mode=era) as client:
        said = [refusal_of(await call(client, "send_password_reset", customer_id="cus_1001"))]
        with pytest.raises(MCPError) as caught:
            await read(client, "customer://alice%40example.com")
        said.append(caught.value.message)
    assert said[0] == "Error executing tool send_password_reset"
    assert "sql" not in said[1].lower()
    assert "table" not in said[1].lower()
