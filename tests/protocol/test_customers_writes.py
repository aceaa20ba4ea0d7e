"""What each write does to an account, what it refuses, and that it happens once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.subscriptions import ResourceUpdated
from sqlalchemy import select

from servers.customers.tables import SCHEMA, outbox
from tests.databases import NewDatabase
from tests.fakes.helpdesk import ERAS, CustomerDesk, call, customer_desk, read, refusal_of

REFUND: dict[str, Any] = {
    "customer_id": "cus_1001",
    "invoice_id": "inv_1001",
    "reason": "Charged twice.",
    "expected_amount_cents": 8400,
}
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("send_password_reset", {"customer_id": "cus_1001"}),
    ("revoke_sessions", {"customer_id": "cus_1001"}),
    ("resend_invoice", {"customer_id": "cus_1001", "invoice_id": "inv_1001"}),
    ("issue_refund", REFUND),
    ("update_account", {"customer_id": "cus_1001", "plan": "free"}),
]


@pytest.fixture
def desk(tmp_path: Path, new_database: NewDatabase) -> Iterator[CustomerDesk]:
    with customer_desk(tmp_path, url=new_database(SCHEMA)) as desk:
        yield desk


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


async def record(client: Client, address: str = "alice%40example.com") -> dict[str, Any]:
    return json.loads(await read(client, f"customer://{address}/record"))


def mails(desk: CustomerDesk) -> list[tuple[str, str, Any]]:
    with desk.store.database.reading() as connection:
        rows = connection.execute(select(outbox).order_by(outbox.c.id)).mappings()
        return [(row["template"], row["recipient"], row["values"]) for row in rows]


async def test_a_reset_link_goes_to_the_accounts_own_address(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "send_password_reset", customer_id="cus_1001")
        (event,) = (await record(client))["events"]
    assert result.structured_content == {"customer_id": "cus_1001", "sent_to": "Alice@example.com", "version": 2}
    assert mails(desk) == [("password_reset", "Alice@example.com", {})]
    assert (event["kind"], event["after"]) == ("password_reset_sent", {"sent_to": "Alice@example.com"})


async def test_an_address_that_was_never_verified_gets_no_reset_link(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        refusal = refusal_of(await call(client, "send_password_reset", customer_id="cus_1002"))
        after = await record(client, "bob%40example.com")
    assert "never verified" in refusal
    assert mails(desk) == []
    assert (after["events"], after["version"]) == ([], 1)


async def test_sessions_are_ended_one_by_one_or_all_together(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        one = await call(client, "revoke_sessions", customer_id="cus_1001", session_ids=["ses_2"])
        left = [session["id"] for session in (await record(client))["sessions"]]
        rest = await call(client, "revoke_sessions", customer_id="cus_1001")
        none = await call(client, "revoke_sessions", customer_id="cus_1001")
        other = (await record(client, "bob%40example.com"))["sessions"]
    assert one.structured_content == {"customer_id": "cus_1001", "revoked": ["ses_2"], "version": 2}
    assert left == ["ses_1"]
    assert (rest.structured_content["revoked"], none.structured_content["revoked"]) == (["ses_1"], [])
    assert len(other) == 1


async def test_an_invoice_is_sent_again_to_the_contact_address(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "resend_invoice", customer_id="cus_1001", invoice_id="inv_1001")
    assert result.structured_content["sent_to"] == "billing@example.com"
    assert mails(desk) == [("invoice", "billing@example.com", {"invoice_id": "inv_1001"})]


async def test_a_refund_pays_the_invoices_own_amount_back(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(client, "issue_refund", **REFUND)
        after = await record(client)
    assert result.structured_content == {
        "customer_id": "cus_1001",
        "refund_id": "ref_1001",
        "invoice_id": "inv_1001",
        "amount_cents": 8400,
        "currency": "USD",
        "version": 2,
    }
    (refund,) = after["refunds"]
    assert (refund["amount_cents"], refund["currency"], refund["reason"]) == (8400, "USD", "Charged twice.")
    assert after["invoices"][0]["status"] == "refunded"
    assert after["events"][0]["before"] == {"invoice_id": "inv_1001", "status": "paid"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"expected_amount_cents": 8401}, "8400 USD cents"),
        ({"expected_amount_cents": 0}, "Nothing was paid"),
        ({"expected_amount_cents": 10**30}, "Nothing was paid"),
        ({"invoice_id": "inv_1002", "expected_amount_cents": 900}, "not paid"),
        ({"reason": " "}, "reason is empty"),
        ({"reason": "x" * 1_001}, "shorten"),
    ],
)
async def test_a_refund_that_does_not_fit_its_invoice_is_refused(desk: CustomerDesk, change: dict[str, Any], word: str):
    async with Client(desk.server) as client:
        before = await record(client)
        assert word in refusal_of(await call(client, "issue_refund", **{**REFUND, **change}))
        assert await record(client) == before


async def test_an_invoice_is_refunded_only_once(desk: CustomerDesk):
    async with Client(desk.server) as client:
        await call(client, "issue_refund", **REFUND)
        assert "refunded already" in refusal_of(await call(client, "issue_refund", **REFUND))
        assert len((await record(client))["refunds"]) == 1


async def test_of_twenty_concurrent_refunds_one_is_paid(desk: CustomerDesk, era: str):
    paid: list[bool] = []
    async with Client(desk.server, mode=era) as client:

        async def refund(number: int) -> None:
            result = await call(client, "issue_refund", key=f"k{number}", **REFUND)
            paid.append(not result.is_error)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(refund, number)
        assert len((await record(client))["refunds"]) == 1
    assert (len(paid), paid.count(True)) == (20, 1)


async def test_an_update_changes_what_is_given_and_leaves_the_rest(desk: CustomerDesk, era: str):
    async with Client(desk.server, mode=era) as client:
        result = await call(
            client, "update_account", customer_id="cus_1001", contact_email=" new@example.com ", marketing_opt_in=False
        )
        after = await record(client)
    changed = {"contact_email": "new@example.com", "marketing_opt_in": False}
    assert result.structured_content == {"customer_id": "cus_1001", "changed": changed, "version": 2}
    assert (after["contact_email"], after["marketing_opt_in"], after["plan"]) == (
        "new@example.com",
        False,
        "pro-yearly",
    )
    assert after["events"][0]["before"] == {"contact_email": "billing@example.com", "marketing_opt_in": True}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "Nothing was given"),
        ({"contact_email": "nobody"}, "e-mail address"),
        ({"contact_email": "a b@example.com"}, "e-mail address"),
        ({"plan": "  "}, "plan is empty"),
        ({"plan": "x", "expected_version": 4}, "version 1"),
        ({"marketing_opt_in": "perhaps"}, "marketing_opt_in"),
    ],
)
async def test_an_update_that_cannot_be_made_changes_nothing(desk: CustomerDesk, arguments: dict[str, Any], word: str):
    async with Client(desk.server) as client:
        before = await record(client)
        assert word in refusal_of(await call(client, "update_account", customer_id="cus_1001", **arguments))
        assert await record(client) == before


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
async def test_the_same_call_again_returns_the_first_result_and_changes_nothing(
    desk: CustomerDesk, era: str, tool: str, arguments: dict[str, Any]
):
    async with Client(desk.server, mode=era) as client:
        first = await call(client, tool, key="k", **arguments)
        after, sent = await record(client), mails(desk)
        again = await call(client, tool, key="k", **arguments)
        assert (await record(client), mails(desk)) == (after, sent)
        other = await call(client, tool, key="k", **{**arguments, "customer_id": "cus_1002"})
        assert "used for another call" in refusal_of(other)
    assert not first.is_error
    assert again.structured_content == first.structured_content


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
async def test_a_voided_key_never_acts(desk: CustomerDesk, era: str, tool: str, arguments: dict[str, Any]):
    async with Client(desk.server, mode=era) as client:
        before = await record(client)
        assert "is cancelled" in refusal_of(await call(client, tool, key="k", is_void=True, **arguments))
        assert "cancelled before" in refusal_of(await call(client, tool, key="k", **arguments))
        assert (await record(client), mails(desk)) == (before, [])


async def test_whoever_listens_hears_of_a_changed_customer(desk: CustomerDesk):
    uri = "customer://Alice%40example.com"
    async with Client(desk.server) as client:
        with anyio.fail_after(600):
            async with client.listen(resource_subscriptions=[uri, f"{uri}/record"]) as events:
                await call(client, "send_password_reset", customer_id="cus_1001")
                heard = [await anext(aiter(events)), await anext(aiter(events))]
    assert heard == [ResourceUpdated(uri=uri), ResourceUpdated(uri=f"{uri}/record")]


async def test_nothing_that_is_done_for_one_customer_touches_another(desk: CustomerDesk):
    async with Client(desk.server) as client:
        before = await record(client, "bob%40example.com")
        for tool, arguments in WRITES:
            assert not (await call(client, tool, **arguments)).is_error
        assert await record(client, "bob%40example.com") == before


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("resend_invoice", {"invoice_id": "inv_1001"}),
        ("issue_refund", {"invoice_id": "inv_1001", "reason": "x", "expected_amount_cents": 8400}),
        ("revoke_sessions", {"session_ids": ["ses_1"]}),
    ],
)
async def test_what_is_anothers_cannot_be_changed_by_naming_it(
    desk: CustomerDesk, tool: str, arguments: dict[str, Any]
):
    async with Client(desk.server) as client:
        before = [await record(client, address) for address in ("alice%40example.com", "bob%40example.com")]
        refusal_of(await call(client, tool, customer_id="cus_1002", **arguments))
        assert [await record(client, address) for address in ("alice%40example.com", "bob%40example.com")] == before
    assert mails(desk) == []
