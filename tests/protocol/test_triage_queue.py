"""Many tickets over one set of servers: how many at once, whose, in which order, and what stops the rest."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent.errors import InfrastructureError, ModelRejected, ModelUnavailable, Paused, ServerLost
from agent.protocols import Approver
from agent.records import CallStatus, EntryKind, JsonObject, ModelRequest, OutcomeKind, Reply, RunMode, RunReport
from agent.run import Finished, Run
from agent.tickets import QueueItem
from agent.triage import PREPARED_AHEAD, Triage, triage
from tests.fakes.helpdesk import ticket
from tests.fakes.runs import CLOSE, NOTE, REFUND, RESOLUTION, Bench, Person, bench


class Closing:
    """A model that writes a note, closes the ticket and stops; `meanwhile` is awaited before it closes."""

    def __init__(
        self, *, cost_usd: float | None = 0.0, meanwhile: Callable[[str], Awaitable[object]] | None = None
    ) -> None:
        self._cost_usd = cost_usd
        self._meanwhile = meanwhile

    @property
    def name(self) -> str:
        return "closing"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        turn = sum(message["role"] == "assistant" for message in request.messages)
        calls: list[JsonObject] = [
            {"type": "tool_use", "id": "note", "name": NOTE, "input": {"body": "I close it."}},
            {"type": "tool_use", "id": "close", "name": CLOSE, "input": {"resolution": RESOLUTION}},
        ]
        if turn == 1 and self._meanwhile is not None:
            first = request.messages[0]["content"][0]["text"]
            await self._meanwhile(first.split("ticket ")[1].split(".")[0])
        content = [calls[turn]] if turn < 2 else [{"type": "text", "text": "Closed."}]
        stop = "tool_use" if turn < 2 else "end_turn"
        return Reply(content=content, stop_reason=stop, model="closing", cost_usd=self._cost_usd)

    async def aclose(self) -> None:
        pass


class Shift:
    """A pass over a queue, and what it did when."""

    def __init__(
        self,
        desk: Bench,
        model: Closing,
        *,
        concurrency: int = 1,
        budget_usd: float | None = None,
        approver: Approver | None = None,
    ) -> None:
        self.prepared: list[str] = []
        self.started: list[str] = []
        self.inside: set[str] = set()
        self.crowd: list[set[str]] = []
        self.told: list[tuple[str, OutcomeKind]] = []
        self.changed = anyio.Event()
        self.released: list[str] = []
        self.skipped: list[str] = []
        self._intake = desk.intake(model=model, approver=approver)
        self.state = Triage(
            prepare=self.prepare,
            work=self.work,
            release=self.release,
            mode=RunMode.LIVE,
            model_name="closing",
            concurrency=concurrency,
            budget_usd=budget_usd,
            on_report=self.report,
            on_skip=self.skip,
        )

    async def prepare(self, item: QueueItem) -> Run:
        self.prepared.append(item.ticket_id)
        return await self._intake.prepare(item.ticket_id, requester=item.requester or None)

    async def work(self, run: Run) -> Finished:
        self.started.append(run.case.ticket.id)
        self.inside.add(run.case.ticket.id)
        self.crowd.append(set(self.inside))
        self.tell()
        try:
            return await self._intake.work(run)
        finally:
            self.inside.remove(run.case.ticket.id)

    def release(self, run: Run) -> None:
        self.released.append(run.case.ticket.id)
        self._intake.release(run)

    def skip(self, item: QueueItem, because: str) -> None:
        self.skipped.append(item.ticket_id)

    def report(self, item: QueueItem, report: RunReport) -> None:
        self.told.append((item.ticket_id, report.outcome.kind))

    def tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self.changed.wait()

    async def run(self) -> list[RunReport]:
        with anyio.fail_after(600):
            return await triage(await self._intake.assembly.session.helpdesk.queue(), self.state)


class Doors:
    """Lets a test keep every conversation waiting, and let each one go on."""

    def __init__(self) -> None:
        self.open: dict[str, anyio.Event] = {}

    def of(self, ticket_id: str) -> anyio.Event:
        return self.open.setdefault(ticket_id, anyio.Event())

    async def wait(self, ticket_id: str) -> None:
        await self.of(ticket_id).wait()


async def settle() -> None:
    """Let every task that can go on do so, as often as any of them needs on its way to where it must wait."""
    for _ in range(500):
        await anyio.lowlevel.checkpoint()


def rows(*requesters: str) -> list[dict[str, Any]]:
    return [ticket(number, requester) for number, requester in enumerate(requesters, start=1)]


def strangers(count: int) -> list[dict[str, Any]]:
    return rows(*[f"c{number}@example.com" for number in range(1, count + 1)])


async def test_every_ticket_is_worked_and_reported_in_the_queues_order(home: Path):
    async with bench(home, rows=strangers(6)) as desk:
        shift = Shift(desk, Closing(), concurrency=3)
        reports = await shift.run()
        assert [desk.ticket(str(number)).status for number in range(1, 7)] == ["closed"] * 6
    assert [report.ticket_id for report in reports] == ["1", "2", "3", "4", "5", "6"]
    assert {report.outcome.kind for report in reports} == {OutcomeKind.CLOSED}
    assert sorted(shift.told) == [(str(number), OutcomeKind.CLOSED) for number in range(1, 7)]
    assert shift.state.stopped is None


async def test_with_one_at_a_time_tickets_are_started_in_the_queues_order(home: Path):
    async with bench(home, rows=strangers(6)) as desk:
        shift = Shift(desk, Closing())
        await shift.run()
    assert shift.started == ["1", "2", "3", "4", "5", "6"]
    assert all(len(crowd) == 1 for crowd in shift.crowd)


async def test_no_more_conversations_than_allowed_and_a_few_cases_read_ahead(home: Path):
    doors = Doors()
    async with bench(home, rows=strangers(12)) as desk:
        shift = Shift(desk, Closing(meanwhile=doors.wait), concurrency=3)
        async with anyio.create_task_group() as working:
            working.start_soon(shift.run)
            with anyio.fail_after(600):
                await shift.until(lambda: len(shift.inside) == 3)
                await settle()
                assert shift.inside == {"1", "2", "3"}
                assert len(shift.prepared) <= 3 + PREPARED_AHEAD
                doors.of("2").set()
                await shift.until(lambda: "4" in shift.inside)
                assert shift.inside == {"1", "3", "4"}
                for number in range(1, 13):
                    doors.of(str(number)).set()
    assert max(len(crowd) for crowd in shift.crowd) == 3
    assert len(shift.started) == 12


async def test_a_customer_has_one_run_at_a_time_however_the_address_is_written(home: Path):
    doors = Doors()
    mixed = rows("alice@example.com", "Alice@Example.com", "bob@example.com", "ALICE@EXAMPLE.COM")
    async with bench(home, rows=mixed) as desk:
        shift = Shift(desk, Closing(meanwhile=doors.wait), concurrency=4)
        async with anyio.create_task_group() as working:
            working.start_soon(shift.run)
            with anyio.fail_after(600):
                await shift.until(lambda: len(shift.inside) == 2)
                await settle()
                assert shift.inside == {"1", "3"}
                for number in range(1, 5):
                    doors.of(str(number)).set()
    assert all(len(crowd & {"1", "2", "4"}) <= 1 for crowd in shift.crowd)
    assert [id_ for id_ in shift.started if id_ != "3"] == ["1", "2", "4"]


async def test_a_second_ticket_of_a_customer_holds_no_place_while_it_waits(home: Path):
    doors = Doors()
    busy = rows(*["alice@example.com"] * (2 + PREPARED_AHEAD + 1), "bob@example.com")
    last = str(len(busy))
    async with bench(home, rows=busy) as desk:
        shift = Shift(desk, Closing(meanwhile=doors.wait), concurrency=2)
        async with anyio.create_task_group() as working:
            working.start_soon(shift.run)
            with anyio.fail_after(600):
                await shift.until(lambda: shift.inside == {"1", last})
                for row in busy:
                    doors.of(row["id"]).set()
    assert len(shift.started) == len(busy)


# What stops the rest.


class Refunding(Closing):
    """A model that refunds an invoice of Alice's, which takes a person's approval, and closes every ticket."""

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        reply = await super().reply(request, on_text)
        call = reply.content[0]
        if "alice@example.com" in str(request.messages[0]) and call.get("id") == "note":
            asked = {"invoice_id": "inv_1003", "reason": "Charged twice."}
            return replace(reply, content=[{**call, "name": REFUND, "input": asked}])
        return reply


@pytest.mark.parametrize("grants", [True, False])
async def test_a_question_that_nobody_answers_holds_no_other_ticket_up(home: Path, grants: bool):
    others = [f"user{number}@example.com" for number in range(PREPARED_AHEAD + 3)]
    async with bench(home, rows=rows("alice@example.com", *others)) as desk:

        async def until_all_others_are_done() -> None:
            while len(shift.told) < len(others):
                await anyio.lowlevel.checkpoint()
            during.append(set(shift.inside))

        during: list[set[str]] = []
        person = Person(grants=grants, meanwhile=until_all_others_are_done)
        shift = Shift(desk, Refunding(), approver=person)
        reports = await shift.run()
    assert [report.outcome.kind for report in reports] == [OutcomeKind.CLOSED] * len(reports)
    assert [proposal.tool for proposal in person.proposals] == ["customers.issue_refund"]
    assert during == [{shift.started[0]}]
    assert reports[0].effects[0].status is (CallStatus.DONE if grants else CallStatus.DENIED)


async def test_who_has_had_an_answer_waits_for_a_slot_like_everyone(home: Path):
    async with bench(home, rows=rows("alice@example.com", "user1@example.com")) as desk:
        seen = desk.observer.entries
        doors = Doors()
        person = Person(meanwhile=lambda: shift.until(lambda: len(shift.inside) == 2))
        shift = Shift(desk, Refunding(meanwhile=doors.wait), approver=person)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shift.run)
            await desk.observer.until(lambda: any(entry.kind is EntryKind.APPROVAL for _, entry in seen))
            await settle()
            assert shift.started[0] not in {id_ for id_, entry in seen if entry.kind is EntryKind.ATTEMPT}
            for ticket_id in reversed(shift.started):
                doors.of(ticket_id).set()
    assert [told for told, _ in shift.told] == [*reversed(shift.started)]


def not_started(reports: Sequence[RunReport]) -> list[str]:
    return [report.ticket_id for report in reports if report.run_id == ""]


async def test_a_used_budget_stops_further_starts(home: Path):
    async with bench(home, rows=strangers(5)) as desk:
        shift = Shift(desk, Closing(cost_usd=0.1), budget_usd=0.5)
        reports = await shift.run()
        assert [desk.changes(str(number)) for number in (3, 4, 5)] == [[], [], []]
    assert not_started(reports) == ["3", "4", "5"]
    assert reports[2].outcome.kind is OutcomeKind.UNRESOLVED
    assert reports[2].outcome.reason == "not started: the budget of $0.50 is used"
    assert shift.state.failure is None
    assert shift.state.cost_usd == pytest.approx(0.6)


async def test_a_budget_that_cannot_be_kept_because_no_price_is_known_stops_them_too(home: Path):
    async with bench(home, rows=strangers(3)) as desk:
        reports = await Shift(desk, Closing(cost_usd=None), budget_usd=5).run()
    assert not_started(reports) == ["2", "3"]
    assert reports[1].outcome.reason == (
        "not started: the budget of $5.00 cannot be kept: what this model costs is not known"
    )


async def test_without_a_budget_an_unknown_price_stops_nothing(home: Path):
    async with bench(home, rows=strangers(3)) as desk:
        shift = Shift(desk, Closing(cost_usd=None))
        assert not_started(await shift.run()) == []
    assert shift.state.cost_usd is None


async def failing(ticket_id: str, errors: dict[str, Exception]) -> None:
    if ticket_id in errors:
        raise errors[ticket_id]


async def shift_with(
    home: Path, errors: dict[str, Exception], *, count: int = 6, concurrency: int = 1
) -> tuple[Shift, list[RunReport], list[list[str]]]:
    """Work a queue in which these tickets fail in mid-conversation; also return what happened to each ticket."""
    async with bench(home, rows=strangers(count)) as desk:
        model = Closing(meanwhile=lambda ticket_id: failing(ticket_id, errors))
        shift = Shift(desk, model, concurrency=concurrency)
        reports = await shift.run()
        return shift, reports, [desk.changes(str(number)) for number in range(1, count + 1)]


async def test_a_defect_in_one_ticket_is_reported_and_ends_no_other(home: Path):
    shift, reports, changes = await shift_with(home, {"2": ZeroDivisionError("oh")}, count=4, concurrency=2)
    assert [report.outcome.kind.value for report in reports] == ["closed", "unresolved", "closed", "closed"]
    assert reports[1].outcome.reason == "an internal error (ZeroDivisionError: oh)"
    assert changes[1] == ["note_added"]
    assert shift.state.failure is None


async def test_a_run_that_a_defect_ended_still_says_what_it_did(home: Path):
    _, reports, _ = await shift_with(home, {"1": ZeroDivisionError("oh")}, count=1)
    assert reports[0].run_id != ""
    assert reports[0].turns == 1
    assert [effect.tool for effect in reports[0].effects] == ["add_internal_note"]


@pytest.mark.parametrize("error", [ModelRejected("The key is wrong."), ModelUnavailable("It is down.")])
async def test_a_model_that_cannot_be_asked_stops_the_queue_and_the_rest_stays_untouched(home: Path, error: Exception):
    shift, reports, changes = await shift_with(home, {"2": error})
    assert changes == [["note_added", "closed"], ["note_added"], [], [], [], []]
    assert not_started(reports) == ["3", "4", "5", "6"]
    assert reports[2].outcome.reason == f"not started, because of an earlier failure: {error}"
    assert shift.state.failure is error
    assert [ticket_id for ticket_id, _ in shift.told] == ["1", "2", "3", "4", "5", "6"]


async def test_runs_that_are_under_way_when_the_queue_stops_are_finished(home: Path):
    doors = Doors()

    async def meanwhile(ticket_id: str) -> None:
        if ticket_id == "1":
            raise ModelRejected("The key is wrong.")
        await doors.wait(ticket_id)

    async with bench(home, rows=strangers(4)) as desk:
        shift = Shift(desk, Closing(meanwhile=meanwhile), concurrency=2)
        reports: list[RunReport] = []

        async def work() -> None:
            reports.extend(await shift.run())

        async with anyio.create_task_group() as working:
            working.start_soon(work)
            with anyio.fail_after(600):
                while shift.state.stopped is None:
                    await anyio.lowlevel.checkpoint()
                doors.of("2").set()
    assert [report.outcome.kind.value for report in reports] == ["unresolved", "closed", "unresolved", "unresolved"]
    assert not_started(reports) == ["3", "4"]


def lost(number: int) -> ServerLost:
    return ServerLost("customers", f"customers is gone ({number}).")


async def test_a_pause_stops_the_queue_at_once_and_the_next_pass_goes_on_with_it(home: Path):
    async with bench(home, rows=strangers(6)) as desk:
        third, over = anyio.Event(), anyio.Event()

        async def pause(ticket_id: str) -> None:
            if ticket_id == "2":
                await third.wait()
                await desk.journal.pause(by="dana", reason="maintenance")
                over.set()
            if ticket_id == "3":
                third.set()
                await over.wait()

        shift = Shift(desk, Closing(meanwhile=pause), concurrency=2)
        reports = await shift.run()
        paused = await desk.journal.paused()
        assert paused is not None
        assert [report.outcome.kind.value for report in reports] == ["closed", *["unresolved"] * 5]
        reasons = {report.outcome.reason.removeprefix("not started: ") for report in reports[1:]}
        assert reasons == {paused.sentence}
        done = [desk.changes(str(number)) for number in range(1, 7)]
        assert done == [["note_added", "closed"], ["note_added"], ["note_added"], [], [], []]
        assert sorted(shift.started) == ["1", "2", "3"]
        assert isinstance(shift.state.failure, Paused)

        refused = Shift(desk, Closing())
        assert not_started(await refused.run()) == ["2", "3", "4", "5", "6"]
        assert isinstance(refused.state.failure, Paused)
        assert refused.started == []

        await desk.journal.unpause()
        again = Shift(desk, Closing())
        assert {report.outcome.kind for report in await again.run()} == {OutcomeKind.CLOSED}
        assert again.started == ["2", "3", "4", "5", "6"]
        assert [desk.changes(str(number)) for number in range(1, 7)] == [["note_added", "closed"]] * 6


async def test_three_failures_in_a_row_stop_the_queue(home: Path):
    errors: dict[str, Exception] = {str(number): lost(number) for number in range(2, 7)}
    shift, reports, _ = await shift_with(home, errors)
    assert not_started(reports) == ["5", "6"]
    assert isinstance(shift.state.failure, InfrastructureError)
    assert str(shift.state.failure) == "customers is gone (4)."


async def test_failures_that_are_not_in_a_row_stop_nothing(home: Path):
    shift, reports, _ = await shift_with(home, {str(number): lost(number) for number in (1, 2, 4, 5)})
    assert not_started(reports) == []
    assert shift.state.failure is None


async def test_a_ticket_that_was_closed_meanwhile_is_skipped_and_the_next_is_worked(home: Path):
    async with bench(home, rows=strangers(3)) as desk:
        shift = Shift(desk, Closing())
        queue = await desk.session.helpdesk.queue()
        desk.closed_by_colleague("2")
        with anyio.fail_after(600):
            reports = await triage(queue, shift.state)
    assert [(report.ticket_id, report.outcome.kind.value) for report in reports] == [("1", "closed"), ("3", "closed")]
    assert shift.state.skipped == {"2": "Ticket 2 is closed: there is nothing to work."}
    assert shift.skipped == ["2"]
    assert shift.state.failure is None


async def test_an_empty_queue_has_no_reports(home: Path):
    async with bench(home, rows=[]) as desk:
        assert await Shift(desk, Closing()).run() == []
