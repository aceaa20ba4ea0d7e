"""Calls in any order, from any client: what each one does is foretold, and no key ever acts twice."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import DataObject, SearchStrategy

from servers.calls import KEY
from servers.ticketing.words import PRIORITIES
from tests.compatibility import Record
from tests.fakes.fuzz import KNOWN, admitted, broken
from tests.fakes.fuzz_audit import Row, Rows
from tests.fakes.fuzz_bench import BENCHES, VIAS, Answer, Bench, Request, Via, keyed, serving

VIA = st.sampled_from(VIAS)
NEW_KEYS = st.integers(0, 10**9).map(lambda number: f"key-{number}")
TEXTS = st.sampled_from(["Hi, done. — Support Team", "こんにちは", "x" * 5_000])


def arguments(needed: dict[str, Any], **optional: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    given = {name: value if isinstance(value, SearchStrategy) else st.just(value) for name, value in needed.items()}
    return st.fixed_dictionaries(given, optional=optional)


TICKET: Mapping[str, Any] = {"ticket_id": st.sampled_from(["42", "42", "42", "43", "44", "45", "46", "48", "999"])}
CUSTOMER: Mapping[str, Any] = {
    "customer_id": st.sampled_from(["cus_1001", "cus_1001", "cus_1001", "cus_1002", "cus_9"])
}
INVOICE: Mapping[str, Any] = {**CUSTOMER, "invoice_id": KNOWN["invoice_id"]}
VERSION = st.sampled_from([0, 0, 0, 1, -1])  # counted from the one that the subject has by then
PRIORITY = st.sampled_from(PRIORITIES)
ARRIVAL = arguments({"subject": "s", "body": TEXTS, "requester": KNOWN["requester"]})

SENSIBLE: Mapping[str, Mapping[str, SearchStrategy[dict[str, Any]]]] = {
    "ticketing": {
        "close_ticket": arguments({**TICKET, "resolution": TEXTS}, expected_version=VERSION),
        "reply_to_customer": arguments({**TICKET, "body": TEXTS}, expected_version=VERSION),
        "escalate_ticket": arguments({**TICKET, "reason": TEXTS}, expected_version=VERSION, priority=PRIORITY),
        "set_priority": arguments(TICKET, expected_version=VERSION, priority=PRIORITY),
        "add_internal_note": arguments({**TICKET, "body": TEXTS}, marker=KNOWN["marker"], expected_version=VERSION),
        "classify_ticket": arguments(
            {**TICKET, "type": "task", "category": "x", "language": "en", "sentiment": "angry"},
            confidence=st.floats(0, 1),
            expected_version=VERSION,
        ),
        "receive_customer_reply": arguments({**TICKET, "body": TEXTS}),
        "import_tickets": arguments({"tickets": st.lists(ARRIVAL, min_size=1, max_size=2)}),
    },
    "customers": {
        "send_password_reset": arguments(CUSTOMER),
        "revoke_sessions": arguments(CUSTOMER, session_ids=KNOWN["session_ids"]),
        "resend_invoice": arguments(INVOICE),
        "issue_refund": st.one_of(
            arguments(
                {"customer_id": "cus_1001", "invoice_id": "inv_1001", "reason": "x", "expected_amount_cents": 8400}
            ),
            arguments({**INVOICE, "reason": "x" * 1_000, "expected_amount_cents": KNOWN["expected_amount_cents"]}),
        ),
        "update_account": arguments(
            CUSTOMER,
            plan=st.sampled_from(["pro-yearly", "free"]),
            contact_email=KNOWN["contact_email"],
            marketing_opt_in=st.booleans(),
            expected_version=VERSION,
        ),
    },
}
"""Tools that change something, with arguments of which only the rows can say whether they must be refused."""


def sensible_calls(component: str, rows: Rows) -> SearchStrategy[Request]:
    calls = SENSIBLE[component]
    versions = {str(row["number"]): row["version"] for row in rows.get("tickets", ())}
    versions |= {row["id"]: row["version"] for row in rows.get("customers", ())}

    def dated(name: str, given: dict[str, Any]) -> Request:
        if "expected_version" in given:
            subject = given["ticket_id" if "ticket_id" in given else "customer_id"]
            given = given | {"expected_version": given["expected_version"] + versions.get(subject, 1)}
        return Request(method="tool", name=name, arguments=given)

    return st.sampled_from(sorted(calls)).flatmap(lambda name: st.builds(dated, st.just(name), calls[name]))


class Sequence(RuleBasedStateMachine):
    """What holds for every server: errors and reads change nothing, and a key has one result for ever."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        bench.reset()
        self.bench = bench
        self.rows = bench.start
        self.used: dict[str, tuple[Request, Answer]] = {}
        self.voided: dict[str, Request] = {}

    def foretold(self, request: Request, via: Via) -> Any:
        """Return what the rows will say of the call's subject; None if the call must be refused."""
        raise NotImplementedError

    def found(self, request: Request, answer: Answer) -> Any:
        """Return what the rows say of the call's subject, in the form of `foretold`."""
        raise NotImplementedError

    def step(self, request: Request, via: Via) -> Answer:
        """Make any call; an error and a read leave the rows as they are, except that a key may be kept."""
        before, answer = self.rows, self.bench.ask(request, via)
        self.rows = self.bench.check()
        hints = self.bench.tools[request.name].annotations
        is_read = hints is not None and hints.read_only_hint
        if answer.is_error or is_read:
            changed = {name for name in before if self.rows[name] != before[name]}
            assert {name for name in changed if not (name.endswith("_keys") and (is_read or answer.is_voided))} == set()
        return answer

    def unchanged(self, request: Request, via: Via) -> Answer:
        """Make a call after which every row is as it was."""
        before, answer = self.rows, self.step(request, via)
        assert self.rows == before
        return answer

    def act(self, request: Request, via: Via) -> Answer:
        """Make a call after which exactly what was foretold has happened."""
        expected = self.foretold(request, via)
        answer = self.step(request, via)
        assert answer.is_error == (expected is None), (request, answer)
        if expected is not None:
            assert self.found(request, answer) == expected, (request, answer)
        return answer

    def sensible_call(self, data: DataObject) -> Request:
        return data.draw(sensible_calls(self.bench.schema.component, self.rows))

    @rule(data=st.data(), via=VIA)
    def anything(self, data: DataObject, via: Via) -> None:
        name = data.draw(st.sampled_from(sorted(self.bench.tools)))
        schema = self.bench.tools[name].input_schema
        any_arguments = data.draw(admitted(schema) | broken(schema))
        self.step(Request(method="tool", name=name, arguments=any_arguments), via)

    @rule(data=st.data(), via=VIA)
    def something_sensible(self, data: DataObject, via: Via) -> None:
        self.act(self.sensible_call(data), via)

    @rule(data=st.data(), key=NEW_KEYS, via=VIA)
    def something_sensible_under_a_key(self, data: DataObject, key: str, via: Via) -> None:
        request = self.sensible_call(data)
        if key not in self.used and key not in self.voided:
            answer = self.act(keyed(request, key), via)
            if not answer.is_error:
                self.used[key] = request, answer

    @rule(data=st.data(), key=NEW_KEYS, via=VIA)
    def a_key_is_cancelled(self, data: DataObject, key: str, via: Via) -> None:
        request = self.sensible_call(data)
        if key not in self.used and key not in self.voided:
            assert self.step(keyed(request, key, is_void=True), via).is_voided
            self.voided[key] = request

    @precondition(lambda self: self.used)
    @rule(data=st.data(), is_void=st.booleans(), via=VIA)
    def the_same_again(self, data: DataObject, is_void: bool, via: Via) -> None:
        request, first = self.used[key := data.draw(st.sampled_from(sorted(self.used)))]
        assert self.unchanged(keyed(request, key, is_void=is_void), via) == first

    @precondition(lambda self: self.voided)
    @rule(data=st.data(), is_void=st.booleans(), via=VIA)
    def a_cancelled_call(self, data: DataObject, is_void: bool, via: Via) -> None:
        key = data.draw(st.sampled_from(sorted(self.voided)))
        answer = self.unchanged(keyed(self.voided[key], key, is_void=is_void), via)
        assert (answer.is_error, answer.is_voided) == (True, is_void)

    @precondition(lambda self: self.used or self.voided)
    @rule(data=st.data(), is_void=st.booleans(), via=VIA)
    def a_key_of_another_call(self, data: DataObject, is_void: bool, via: Via) -> None:
        calls = {**self.voided, **{key: request for key, (request, _) in self.used.items()}}
        key, request = data.draw(st.sampled_from(sorted(calls))), self.sensible_call(data)
        if (request.name, request.arguments) != (calls[key].name, calls[key].arguments):
            answer = self.unchanged(keyed(request, key, is_void=is_void), via)
            assert "used for another call" in answer.text
            assert not answer.is_voided

    def teardown(self) -> None:
        for place, (key, (request, first)) in enumerate(self.used.items()):
            assert self.unchanged(keyed(request, key), VIAS[place % len(VIAS)]) == first


class TicketSequence(Sequence):
    """Tickets: their status, priority, group and version."""

    def row(self, ticket_id: Any) -> Row | None:
        return next((row for row in self.rows["tickets"] if str(row["number"]) == ticket_id), None)

    def foretold(self, request: Request, via: Via) -> Any:
        given = request.arguments
        if request.name == "import_tickets":
            last = max(row["number"] for row in self.rows["tickets"])
            return [str(last + place) for place, _ in enumerate(given["tickets"], 1)]
        row = self.row(given["ticket_id"])
        if row is None or row["status"] == "closed" or given.get("expected_version", row["version"]) != row["version"]:
            return None
        priority = given.get("priority", row["priority"])
        if request.name == "set_priority" and "priority" not in given:
            if via[1] == "bare":
                return None
            priority = "urgent"  # what the person answers
        heard = row["status"] if row["status"] == "new" else "open"
        statuses = {"close_ticket": "closed", "reply_to_customer": "pending", "escalate_ticket": "open"}
        status = (statuses | {"receive_customer_reply": heard}).get(request.name, row["status"])
        group = "people" if request.name == "escalate_ticket" else row["group"]
        return status, priority, group, row["version"] + 1

    def found(self, request: Request, answer: Answer) -> Any:
        assert answer.structured is not None
        if request.name == "import_tickets":
            return [ticket_id for ticket_id in answer.structured["ids"] if self.row(ticket_id) is not None]
        row = self.row(request.arguments["ticket_id"])
        assert row is not None
        assert answer.structured["version"] == row["version"]
        return row["status"], row["priority"], row["group"], row["version"]

    @rule(ticket_id=KNOWN["ticket_id"], via=VIA)
    def a_record_is_read(self, ticket_id: str, via: Via) -> None:
        answer = self.bench.ask(Request(method="resource", name=f"ticket://{ticket_id}/record"), via)
        row = self.row(ticket_id)
        assert answer.is_error == (row is None)
        if row is not None:
            record = json.loads(answer.text)
            assert {name: record[name] for name in record.keys() & row.keys()} == {
                name: row[name] for name in record.keys() & row.keys()
            }
            assert len(record["events"]) == row["version"]


class CustomerSequence(Sequence):
    """Customers: their version, what an invoice's status is, and who is signed in."""

    def foretold(self, request: Request, via: Via) -> Any:
        given = request.arguments
        row = next((row for row in self.rows["customers"] if row["id"] == given["customer_id"]), None)
        if row is None or not self.is_allowed(request.name, given, row):
            return None
        invoices, sessions = self.belongings(row)
        if request.name == "issue_refund":
            invoices[given["invoice_id"]] = "refunded"
        if request.name == "revoke_sessions":
            sessions -= set(given.get("session_ids", sessions))
        return row["version"] + 1, invoices, sessions

    def is_allowed(self, name: str, given: Mapping[str, Any], row: Row) -> bool:
        invoices, sessions = self.belongings(row)
        amounts = {invoice["id"]: invoice["amount_cents"] for invoice in self.rows["invoices"]}
        invoice = given.get("invoice_id")
        match name:
            case "send_password_reset":
                return row["verified"]
            case "revoke_sessions":
                return set(given.get("session_ids", ())) <= sessions
            case "resend_invoice":
                return invoice in invoices
            case "issue_refund":
                return invoices.get(invoice) == "paid" and amounts[invoice] == given["expected_amount_cents"]
            case _:
                is_current = given.get("expected_version", row["version"]) == row["version"]
                return is_current and bool(given.keys() - {"customer_id", "expected_version"})

    def belongings(self, row: Row) -> tuple[dict[Any, str], set[str]]:
        invoices = {one["id"]: one["status"] for one in self.rows["invoices"] if one["customer"] == row["id"]}
        mine = [one for one in self.rows["sessions"] if one["customer"] == row["id"]]
        return invoices, {one["id"] for one in mine if one["revoked_at"] is None}

    def found(self, request: Request, answer: Answer) -> Any:
        assert answer.structured is not None
        (row,) = (row for row in self.rows["customers"] if row["id"] == request.arguments["customer_id"])
        assert answer.structured["version"] == row["version"]
        return row["version"], *self.belongings(row)


SEQUENCES: Mapping[str, Callable[[Bench], Sequence]] = {"ticketing": TicketSequence, "customers": CustomerSequence}


@pytest.fixture(scope="module", params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from serving(request, tmp_path_factory.mktemp("fuzz"))


def test_whatever_comes_before_a_call_does_what_was_foretold_and_a_key_acts_once(bench: Bench, compatibility: Record):
    sequence: Any = SEQUENCES[bench.schema.component]
    run_state_machine_as_test(lambda: sequence(bench), settings=bench.budget(24, steps=30))  # pyright: ignore[reportArgumentType]  # any maker of machines will do
    compatibility("Fuzzing", bench.place, {"sequences": "hold"})


@st.composite
def bursts(draw: st.DrawFn, bench: Bench) -> list[tuple[Request, Via]]:
    """Return calls, of few different ones, many under the same few keys."""
    different = draw(st.lists(sensible_calls(bench.schema.component, bench.start), min_size=1, max_size=3))
    keys = st.sampled_from([None, "a", "a", "b"])
    burst: list[tuple[Request, Via]] = []
    for _ in range(draw(st.integers(2, 10))):
        request, key = draw(st.sampled_from(different)), draw(keys)
        is_void = draw(st.sampled_from([False, False, False, True]))
        burst.append((request if key is None else keyed(request, key, is_void=is_void), draw(VIA)))
    return burst


def test_calls_at_once_act_as_if_one_came_after_the_other(bench: Bench, compatibility: Record):
    @bench.budget(40)
    @given(burst=bursts(bench))
    def act(burst: list[tuple[Request, Via]]) -> None:
        bench.reset()
        answers = bench.ask_at_once(burst)
        rows = bench.check()
        done: dict[Any, Answer] = {}
        for place, ((request, _), answer) in enumerate(zip(burst, answers, strict=True)):
            if not answer.is_error:
                assert done.setdefault(request.meta.get(KEY, place), answer) == answer
        (log,) = (name for name in rows if name.endswith("_events"))
        effects = sum(len((answer.structured or {}).get("ids", "x")) for answer in done.values())
        assert len(rows[log]) - len(bench.start[log]) == effects
        for (request, via), answer in zip(burst, answers, strict=True):
            if KEY in request.meta and not answer.is_error:
                assert bench.ask(request, via) == answer
        assert bench.check() == rows

    act()
    compatibility("Fuzzing", bench.place, {"calls at once": "hold"})
