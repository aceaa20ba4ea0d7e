"""Whatever a model replies, a run ends with an outcome, and every request is one that the API reads."""

from pathlib import Path
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import approval
from agent.records import EntryKind, Outcome, OutcomeKind, Reply, RunMode
from agent.run import Run
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, ESCALATE, NOTE, REFUND, REPLY, Bench, Replies, bench

TEXT = st.text(st.characters(), max_size=20)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KNOWN = st.sampled_from([CLOSE, ESCALATE, NOTE, REPLY, REFUND, "ticketing__list_tickets", "read_resource"])
ARGUMENTS = ANY_JSON | st.fixed_dictionaries(
    {},
    optional={
        "resolution": TEXT | ANY_JSON,
        "body": TEXT | ANY_JSON,
        "reason": TEXT | ANY_JSON,
        "uri": st.sampled_from(["ticket://1", "ticket://2", "kb://login", "kb://none"]) | ANY_JSON,
        "invoice_id": st.sampled_from(["inv_1001", "inv_2001"]) | ANY_JSON,
        "ticket_id": ANY_JSON,
        "expected_version": ANY_JSON,
    },
)
BLOCK = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
    st.fixed_dictionaries(
        {
            "type": st.just("tool_use"),
            "id": st.sampled_from(["a", "b", "host-1", ""]) | TEXT,
            "name": KNOWN | TEXT,
            "input": ARGUMENTS,
        }
    ),
)
STOPS = st.sampled_from(["tool_use"] * 6 + ["end_turn", "max_tokens", "pause_turn", "stop_sequence", "refusal", "?"])


@st.composite
def any_reply(draw: st.DrawFn) -> Reply:
    content: list[Any] = draw(st.lists(BLOCK, max_size=4))
    stop = draw(STOPS)
    if stop == "pause_turn":  # a paused reply holds no calls of the client's tools
        content = [block for block in content if block["type"] != "tool_use"]
    return Reply(content=content, stop_reason=stop, model="replies", cost_usd=0.0)


async def work(desk: Bench, model: Replies, mode: RunMode) -> tuple[Run, Outcome]:
    """Work a new ticket of Alice's."""
    [ticket_id] = (await desk.session.helpdesk.import_tickets([NEW]))["ids"]
    run = await desk.prepare(ticket_id, model=model, mode=mode, approver=approval.always())
    with anyio.fail_after(600):
        return run, (await desk.finish(run)).report.outcome


_ENDS = {
    RunMode.LIVE: (["closed"], ["escalated"], ["replied"]),
    RunMode.DRY_RUN: ([],),
    RunMode.DRAFT: (["note_added"],),
}

NEW = {"subject": "Hm", "requester": "alice@example.com", "body": "It does not work."}


def test_any_reply_comes_to_an_outcome_through_requests_that_the_api_reads(home: Path):
    @given(
        replies=st.lists(any_reply(), max_size=6), mode=st.sampled_from([RunMode.LIVE, RunMode.DRY_RUN, RunMode.DRAFT])
    )
    @settings(max_examples=150, deadline=None)
    def check(replies: list[Reply], mode: RunMode):
        model = Replies(replies)
        run, outcome = portal.call(work, desk, model, mode)
        assert model.broken == []
        assert outcome.kind is not OutcomeKind.UNRESOLVED
        changes = desk.changes(run.case.ticket.id)
        assert changes[-1:] in _ENDS[mode]
        assert len(changes) <= 1 or mode is RunMode.LIVE
        kinds = [entry.kind for entry in run.recorder.entries]  # pyright: ignore[reportAttributeAccessIssue]  # a RunRecord
        assert kinds[0] is EntryKind.CASE
        assert kinds.count(EntryKind.OUTCOME) == 1
        assert desk.notes("1") == []

    opened = bench(home, rows=[ticket(1, "bob@example.com")], limits={"turns": 9})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as desk:
        check()
