"""What has changed since a plan was made, by the first entries of its run and of one that begins now."""

import copy
from typing import Any

import pytest

from agent.records import JsonObject
from agent.staleness import changed_since

THEN: JsonObject = {
    "ticket_id": "42",
    "ticket": {"id": "42", "fields": {"requester": "a@x.com", "version": 3}, "context": "", "said": ""},
    "customer": {"id": "c-1", "fields": {"tier": "pro", "version": 7}, "context": ""},
    "system": "Be brief.",
    "messages": [{"content": ["The prompt.", "The ticket.", "The customer."]}],
    "settings": {"policy": "permit;", "limits": {"writes": 10, "turns": 24}, "tools": {"a.b": {"effect": "read"}}},
    "catalog": {"a": {"tools": [{"name": "b", "inputSchema": {}}], "templates": [{"uriTemplate": "t://{id}"}]}},
}
SEEN = {"ticket": 3, "customer": 7}


def now(change: Any) -> JsonObject:
    body = copy.deepcopy(THEN)
    change(body)
    return body


def added(body: JsonObject) -> None:
    body["catalog"]["a"]["tools"].append({"name": "c"})
    body["catalog"]["d"] = {"tools": [], "templates": [{"uriTemplate": "u://{id}"}]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda body: None, []),
        (lambda body: body.update(owner="another", version="0.2.0", model="none"), []),
        (lambda body: body["ticket"].update(context="Other words."), []),  # its version says that it is the same
        (
            lambda body: body["ticket"]["fields"].update(version=4),
            ["Ticket 42 has changed: it was at version 3, and is at 4."],
        ),
        (
            lambda body: body["ticket"]["fields"].update(requester="b@x.com", version=4),
            ["Ticket 42 is another customer's."],
        ),
        (lambda body: body.update(customer=None), ["The customer record is not there any more."]),
        (lambda body: body["customer"].update(id="c-2"), ["The customer record is another one."]),
        (lambda body: body["settings"].update(policy="forbid;"), ["The policy has changed."]),
        (
            lambda body: body["settings"].update(limits={}, company={"domains": []}),
            ["The configuration has changed: company, limits.turns, limits.writes."],
        ),
        (lambda body: body.update(system="Be kind."), ["The system prompt has changed."]),
        (
            lambda body: body["messages"][0]["content"].__setitem__(0, "Another prompt."),
            ["The helpdesk's own prompt has changed."],
        ),
        (lambda body: body["messages"][0]["content"].__setitem__(1, "The ticket, otherwise."), []),
        (added, ["The tools have changed: a.c, d.u://{id}."]),
    ],
)
def test_what_has_changed_is_said_and_nothing_else(change: Any, told: list[str]):
    assert list(changed_since(THEN, now(change), seen=SEEN)) == told


def test_a_customer_that_was_not_there_yet_is_a_change():
    then = now(lambda body: body.update(customer=None))
    assert changed_since(then, THEN, seen={"ticket": 3}) == ("The customer record was not there yet.",)
    assert changed_since(then, then, seen={"ticket": 3}) == ()


def test_a_record_is_compared_with_the_version_that_the_plan_saw_last():
    moved = now(lambda body: body["ticket"]["fields"].update(version=5))
    assert changed_since(THEN, moved, seen={"ticket": "5", "customer": 7}) == ()
    assert changed_since(THEN, THEN, seen={"ticket": "5", "customer": 7}) != ()


def test_of_many_changes_the_first_are_named():
    many = now(lambda body: body["settings"].update(tools={f"a.{name}": {} for name in "cdefgh"}))
    assert changed_since(THEN, many, seen=SEEN) == (
        "The configuration has changed: tools.a.b, tools.a.c, tools.a.d, tools.a.e, tools.a.f and 2 more.",
    )
