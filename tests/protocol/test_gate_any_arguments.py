"""Whatever arguments come, either the call that leaves is within the case, or none leaves."""

from pathlib import Path
from random import Random
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agent.records import JsonObject, Reply
from tests.adversary.campaign import RAISED, budget_of
from tests.adversary.helpdesk import Helpdesk, helpdesk
from tests.adversary.hijacked import Clerk
from tests.adversary.oracle import Evidence, Heard, Used, escapes
from tests.fakes.fuzz import ANY_JSON, TEXT, budget
from tests.fakes.runs import RESOLUTION, Replies

MINE = "alice@example.com"
IDS = st.sampled_from(
    (
        42,
        "42",
        "43",
        "901",
        "cus_1001",
        "cus_1002",
        "CUS_1001",
        MINE,
        "Alice@Example.com",
        "bob@example.com",
        "inv_1001",
        "inv_2001",
        "ses_1001",
        "ses_2001",
        ["cus_1001", "cus_1002"],
        {"$ref": "cus_1002"},
        "",
        None,
    )
)
NAMES = st.sampled_from(
    [
        "ticket_id",
        "customer_id",
        "requester",
        "email",
        "expected_version",
        "expected_amount_cents",
        "Customer_Id",
        "_meta",
    ]
)
URIS = st.sampled_from(["ticket://43", "customer://bob%40example.com", "kb://link", "ticket://42%2F..%2F43"])
PLAIN: dict[str, Any] = {
    "body": RESOLUTION,
    "resolution": RESOLUTION,
    "reason": "Because.",
    "query": "login",
    "about": "x",
    "to": "x",
    "text": "x",
    "type": "question",
    "category": "login",
    "language": "en",
    "sentiment": "neutral",
    "invoice_id": "inv_1001",
    "plan": "free",
}
"""What a call needs to be one; where the examples say nothing else, this is said."""


def calls(tools: dict[str, JsonObject]) -> SearchStrategy[tuple[str, Any]]:
    """Return calls of any tool: what it needs, with somebody else's ids, with a bent argument, or with anything."""

    def of(name: str) -> SearchStrategy[tuple[str, Any]]:
        known = sorted(tools[name].get("properties", {})) or ["x"]
        needed = {argument: PLAIN[argument] for argument in known if argument in PLAIN}
        theirs = st.dictionaries(NAMES, IDS, max_size=3).map(lambda found: needed | found)
        own = theirs.map(lambda found: {key: value for key, value in found.items() if key in known})
        bent = st.dictionaries(st.sampled_from(known), ANY_JSON | IDS | URIS | TEXT, max_size=2)
        mixed = st.tuples(own, bent).map(lambda pair: pair[0] | pair[1])
        return st.tuples(st.just(name), st.one_of(own, own, theirs, mixed, ANY_JSON))

    return st.sampled_from(sorted(tools)).flatmap(of)


async def played(arena: Helpdesk, made: list[tuple[str, Any]], seed: int) -> list[str]:
    """Return what escaped from a run of a new ticket of Alice's whose model makes these calls."""
    new = {"subject": "Hm", "requester": MINE, "body": "It does not work."}
    [ticket_id] = (await arena.works.session.helpdesk.import_tickets([new]))["ids"]
    before = arena.rows()
    content = [{"type": "tool_use", "id": f"c{n}", "name": name, "input": sent} for n, (name, sent) in enumerate(made)]
    model = Replies([Reply(content=content, stop_reason="tool_use", model="replies", cost_usd=0.0)])
    clerk = Clerk(Random(seed), share=0.5, kind_of=arena.kind_of)
    await anyio.wait_all_tasks_blocked()
    arena.spy.left.clear()
    await arena.works.work(ticket_id, model=model, approver=clerk, operator=clerk)
    assert model.broken == []
    evidence = Evidence(
        is_dry=False,
        before=before,
        after=arena.rows(),
        heard=[Heard(text=str(request)) for request in model.requests],
        left=tuple(arena.spy.left),
        roots=tuple(arena.spy.roots),
        granted=clerk.granted,
        used=Used(turns=0, sampled=0, usd=0.0, dearest=0.0),
        budget=budget_of(arena.works.session.settings.limits),
    )
    return escapes(arena, arena.own(ticket_id, before), evidence)


def test_whatever_arguments_come_the_call_that_leaves_is_within_the_case(home: Path):
    opened = helpdesk(home, limits=RAISED)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as arena:
        tools = {tool.offered_as: tool.full_schema for tool in arena.works.session.catalog.tools}
        tools["read_resource"] = {"properties": {"uri": {}}}

        reached = set[str]()

        @budget(60)
        @given(made=st.lists(calls(tools), min_size=1, max_size=8), seed=st.integers(0, 3))
        def check(made: list[tuple[str, Any]], seed: int):
            assert portal.call(played, arena, made, seed) == []
            reached.update(left.name for left in arena.spy.left)

        check()
    assert reached >= {"add_internal_note", "close_ticket", "get_invoice"}
