"""The fuzzer sees what it is to see: its values, its ear, its eye for the inside, its audit."""

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sqlalchemy import text as sql

from tests.fakes.fuzz import HOSTILE, UnknownSchema, admitted, broken, budget
from tests.fakes.fuzz_bench import Bench, Request, customers_bench, keyed, ticketing_bench
from tests.fakes.fuzz_inside import inside

Change = Callable[[dict[str, list[dict[str, Any]]]], object]


Audited = Callable[[Change], list[str]]


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("fuzz")
    with ticketing_bench(place, f"sqlite:///{place / 'fuzz.sqlite'}") as bench:
        yield bench


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("fuzz")
    with customers_bench(place, f"sqlite:///{place / 'fuzz.sqlite'}") as bench:
        yield bench


def call(name: str, **arguments: Any) -> Request:
    return Request(method="tool", name=name, arguments=arguments)


# Values.


def test_admitted_arguments_fit_the_schema_and_broken_ones_mostly_do_not(tickets: Bench, customers: Bench):
    for tool in (*tickets.tools.values(), *customers.tools.values()):
        assert misfits(tool.input_schema) > 3, tool.name


def misfits(schema: dict[str, Any]) -> int:
    validator, found = Draft202012Validator(schema), list[Any]()

    @budget(10)
    @given(right=admitted(schema), wrong=broken(schema))
    def fits(right: Any, wrong: Any) -> None:
        validator.validate(right)
        if not validator.is_valid(wrong):
            found.append(wrong)

    fits()
    return len(found)


@pytest.mark.parametrize("schema", [{"type": "string", "pattern": "a"}, {"type": "tuple"}, {"not": {}}])
def test_a_schema_that_says_something_unknown_is_not_passed_over(schema: dict[str, Any]):
    with pytest.raises(UnknownSchema, match="does not know"):
        admitted({"type": "object", "properties": {"x": schema}})


# The inside.


@pytest.mark.parametrize(
    "error",
    [
        "(sqlite3.OperationalError) no such table: x",
        "[SQL: SELECT tickets.number FROM tickets]",
        "UNIQUE constraint failed: refunds.invoice",
        "column requester_key is ambiguous",
        "relation ticket_messages does not exist",
        "KeyError: 'x'",
        "Refused('There is no ticket 9.')",
        "'NoneType' object has no attribute 'x' (AttributeError)",
        "1 validation error for close_ticketArguments, see https://errors.pydantic.dev/2/v/missing",
        "Resolver ask_priority got an unexpected answer",
        "servers.ticketing.store refused it",
        'Traceback (most recent call last):\n  File "x", line 3, in y',
        "[Errno 2] No such file or directory",
        "cannot read /var/lib/helpdesk/ticketing",
        "'utf-8' codec can't encode character",
        f"it is in {tempfile.gettempdir()}",
        f"it is at {sys.prefix}",
        "deadlock detected by PostgreSQL",
    ],
)
def test_what_no_error_may_show_is_seen(error: str):
    assert inside(f"The call failed. {error}.") != []


@pytest.mark.parametrize(
    "error",
    [
        "There is no ticket '999': search_tickets and list_tickets name the ones that exist.",
        "Invoice inv_1001 is over 8400 USD cents, and 1 were expected. Nothing was paid: read the invoice again.",
        "close_ticket was not carried out. Correct these arguments: tickets.0.subject: Input should be a valid string.",
        "This client has no model to summarize with: read ticket://42/record itself.",
    ],
)
def test_a_sentence_for_the_model_shows_nothing(error: str):
    assert inside(error, public={"search_tickets", "list_tickets", "close_ticket"}) == []


def test_what_the_caller_has_written_may_be_said_again_but_not_what_stands_around_it():
    sent = {"ticket_id": "SELECT x FROM tickets.number; KeyError", "more": ["/etc/passwd"]}
    echoed = f"There is no ticket {sent['ticket_id'][:30]!r}, nor '/etc/passwd'."
    assert inside(echoed) != []
    assert inside(echoed, sent=sent) == []
    assert inside(f"{echoed} TypeError", sent=sent) != []


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ("kb://x%3AKeyError", "There is no article kb://x:KeyError."),
        ('file://x"KeyError', 'Unknown resource: file://x"KeyError {"uri": "file://x\\"KeyError"}'),
    ],
)
def test_what_the_caller_has_written_may_be_said_again_in_another_form(sent: str, error: str):
    assert inside(error, sent=sent) == []


@pytest.mark.parametrize("written", [["KeyError"], [{"subject": "KeyError", "body": "x"}], {"KeyError": 1}])
def test_what_the_caller_has_written_as_json_may_be_said_again(written: Any):
    assert inside("Ticket 'KeyError' was not imported.", sent={"tickets": json.dumps(written)}) == []
    assert inside("Ticket 'TypeError' was not imported.", sent={"tickets": json.dumps(written)}) != []


@given(st.sampled_from(HOSTILE).flatmap(st.sampled_from))
def test_no_hostile_text_would_hide_a_leak(text: str):
    assert inside("no such table: tickets", sent=[text]) != []


# The ear.


def test_a_crash_is_heard_although_its_answer_shows_nothing(tmp_path: Path):
    with ticketing_bench(tmp_path, f"sqlite:///{tmp_path / 'fuzz.sqlite'}") as bench:
        with bench.database.writing() as connection:
            connection.execute(sql("ALTER TABLE ticket_messages RENAME TO gone"))
        for request in (
            call("reply_to_customer", ticket_id="42", body="x"),
            Request(method="resource", name="ticket://42"),
        ):
            bench.ear.crashes.clear()
            with pytest.raises(AssertionError, match="no such table"):
                bench.ask(request)


# The audit.


def first(table: str, **changes: Any) -> Change:
    """Change the first row of a table."""
    return lambda rows: rows[table][0].update(changes)


def last(table: str, **changes: Any) -> Change:
    """Change the last row of a table."""
    return lambda rows: rows[table][-1].update(changes)


def twice(table: str) -> Change:
    return lambda rows: rows[table].append(rows[table][-1])


def gone(table: str) -> Change:
    return lambda rows: rows[table].pop()


TICKET_DAMAGE: dict[str, Change] = {
    "a version without an event": first("tickets", version=9),
    "an event twice": twice("ticket_events"),
    "an event gone": gone("ticket_events"),
    "a ticket gone": lambda rows: rows["tickets"].pop(0),
    "a status that no event set": first("tickets", status="hold"),
    "a field that no event set": first("tickets", subject="other"),
    "closed without a resolution": first("tickets", resolution=" "),
    "another time": first("tickets", updated_at="2020-01-01T00:00:00.000Z"),
    "a requester that is not found": first("tickets", requester_key="Alice"),
    "a note gone": lambda rows: rows["ticket_messages"].remove(
        next(row for row in rows["ticket_messages"] if row["kind"] == "internal_note")
    ),
    "a reply twice": twice("ticket_messages"),
    "a key gone": gone("ticket_keys"),
    "a key that acted and does not say so": first("ticket_keys", result=None),
    "a key with another result": first("ticket_keys", result={"version": 7}),
    "a change after the closing": lambda rows: (
        rows["ticket_events"].append({**rows["ticket_events"][-1], "kind": "escalated", "before": {}, "after": {}}),
        rows["tickets"][0].update(version=5),
    ),
}


@pytest.fixture(scope="module")
def audited_tickets(tickets: Bench) -> Audited:
    tickets.reset()
    tickets.ask(keyed(call("add_internal_note", ticket_id="42", body="x", marker="a"), "a"))
    tickets.ask(call("reply_to_customer", ticket_id="42", body="y"))
    tickets.ask(keyed(call("close_ticket", ticket_id="42", resolution="x"), "b"))
    return audited(tickets)


def audited(bench: Bench) -> Audited:
    """Return what finds the faults of the rows as they are now after one change."""
    sound: Any = bench.check()

    def audit(change: Change) -> list[str]:
        rows = copy.deepcopy(sound)
        change(rows)
        return list(bench.audit(rows, bench.start))

    return audit


@pytest.mark.parametrize("damage", TICKET_DAMAGE)
def test_damage_to_the_tickets_is_found(audited_tickets: Audited, damage: str):
    assert audited_tickets(TICKET_DAMAGE[damage]) != []


CUSTOMER_DAMAGE: dict[str, Change] = {
    "a version without an event": first("customers", version=9),
    "an event twice": twice("customer_events"),
    "an event gone": gone("customer_events"),
    "a plan that no event set": first("customers", plan="other"),
    "a refund gone": gone("refunds"),
    "a refund twice": twice("refunds"),
    "a refund of another amount": first("refunds", amount_cents=1),
    "a refund to another customer": first("refunds", customer="cus_1002"),
    "a refunded invoice that is paid": first("invoices", status="paid"),
    "an invoice that is refunded without a refund": last("invoices", status="refunded"),
    "an invoice of another amount": first("invoices", amount_cents=1),
    "an invoice of another customer": first("invoices", customer="cus_1002"),
    "a session that nobody ended": last("sessions", revoked_at="2026-11-02T09:00:00.000Z"),
    "a session that goes on": first("sessions", revoked_at=None),
    "a mail gone": gone("outbox"),
    "a mail to somebody else": first("outbox", recipient="x@example.com"),
    "a key gone": gone("customer_keys"),
    "a key that acted and does not say so": first("customer_keys", result=None),
}


@pytest.fixture(scope="module")
def audited_customers(customers: Bench) -> Audited:
    customers.reset()
    one = {"customer_id": "cus_1001"}
    customers.ask(call("update_account", **one, plan="new"))
    customers.ask(keyed(call("revoke_sessions", **one, session_ids=["ses_1"]), "a"))
    customers.ask(call("resend_invoice", **one, invoice_id="inv_1001"))
    customers.ask(
        keyed(call("issue_refund", **one, invoice_id="inv_1001", reason="x", expected_amount_cents=8400), "b")
    )
    return audited(customers)


@pytest.mark.parametrize("damage", CUSTOMER_DAMAGE)
def test_damage_to_the_customers_is_found(audited_customers: Audited, damage: str):
    assert audited_customers(CUSTOMER_DAMAGE[damage]) != []
