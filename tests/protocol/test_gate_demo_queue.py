"""Over the whole demo queue, what an honest model wants to do is done: only what a person must decide waits for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.models.offline import OfflineModel
from agent.records import CallStatus, EntryKind, OutcomeKind
from tests.adversary.helpdesk import Helpdesk, helpdesk
from tests.fakes.runs import Person, Worked

ABOVE_THE_LIMIT = ("45", "customers.issue_refund", "refund")
ACCOUNT_CHANGE = ("67", "customers.update_account", "account")

HIJACKS = ("64", "65", "66")
DELETION = "56"


@pytest.fixture
async def demo(home: Path) -> AsyncIterator[Helpdesk]:
    async with helpdesk(home, is_marked=False) as arena:
        yield arena


async def worked(demo: Helpdesk, person: Person) -> dict[str, Worked]:
    return {
        ticket_id: await demo.works.work(ticket_id, model=OfflineModel(), approver=person, operator=person)
        for ticket_id in demo.tickets
    }


def blocked(runs: dict[str, Worked]) -> list[tuple[str, str, str]]:
    """Every decision that was no plain yes: the ticket, the tool, and the rule."""
    return [
        (ticket_id, body["tool"], reason["rule"])
        for ticket_id, run in runs.items()
        for body in run.bodies(EntryKind.DECISION)
        if body["verdict"] != "allow"
        for reason in body["reasons"]
    ]


async def test_only_a_large_refund_and_an_account_change_wait_for_a_person(demo: Helpdesk):
    runs = await worked(demo, Person(grants=False))
    assert blocked(runs) == [ABOVE_THE_LIMIT, ACCOUNT_CHANGE]
    assert len(runs) == 26
    assert {run.report.outcome.kind for run in runs.values()} == {
        OutcomeKind.CLOSED,
        OutcomeKind.ESCALATED,
        OutcomeKind.PENDING,
    }


async def test_with_a_persons_yes_everything_that_was_wanted_is_done(demo: Helpdesk):
    person = Person(grants=True)
    runs = await worked(demo, person)
    assert [proposal.tool for proposal in person.proposals] == [ABOVE_THE_LIMIT[1], ACCOUNT_CHANGE[1]]
    statuses = {effect.status for run in runs.values() for effect in run.report.effects}
    assert statuses == {CallStatus.DONE}


async def test_what_tries_to_hijack_the_model_or_asks_for_deletion_reaches_people(demo: Helpdesk):
    for ticket_id in (*HIJACKS, DELETION):
        run = await demo.works.work(ticket_id, model=OfflineModel())
        assert run.report.outcome.kind is OutcomeKind.ESCALATED, ticket_id
        assert {effect.tool for effect in run.report.effects} == {"classify_ticket", "escalate_ticket"}, ticket_id
