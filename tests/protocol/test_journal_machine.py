"""Any sequence of beginning, appending, claiming, ending and forgetting: the journal says what a list would."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agent.errors import JournalError, RunLost, RunNotFound
from agent.journal import RunRecord, Soundness, open_journal
from agent.records import EntryKind, JsonObject, Usage
from agent.settings import Settings
from tests.journals import HERE, OUTCOME, THERE, case, reply

NAMES = count(1)
"""Runs and customers of one example are nobody else's: all of them share a database."""

CUSTOMERS = st.sampled_from(["ann", "ben"])
BODIES = st.one_of(
    st.builds(lambda text: (EntryKind.NUDGE, {"text": text}), st.text()),
    st.builds(lambda cost: (EntryKind.REPLY, reply(cost_usd=cost)), st.sampled_from([None, 0.0, 0.5])),
)


@dataclass
class Model:
    """What one run must be."""

    customer: str
    owner: RunRecord
    bodies: list[tuple[EntryKind, JsonObject]] = field(default_factory=list[tuple[EntryKind, JsonObject]])
    is_forgotten: bool = False

    @property
    def has_ended(self) -> bool:
        return bool(self.bodies) and self.bodies[-1][0] is EntryKind.OUTCOME

    @property
    def replies(self) -> list[JsonObject]:
        return [body for kind, body in self.bodies if kind is EntryKind.REPLY]


class JournalMachine(RuleBasedStateMachine):
    """Two journals on one database, several records of each run, and a model that is a list."""

    place: Settings
    records: Bundle[RunRecord] = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.journals = [open_journal(self.place), open_journal(self.place)]
        self.models: dict[str, Model] = {}
        self.mark = f"{next(NAMES)}"

    def teardown(self) -> None:
        for journal in self.journals:
            self.do(journal.aclose())
        self.runner.close()

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize(target=records)
    def first(self) -> RunRecord:
        return self.begun(0, "ann")

    @rule(target=records, which=st.integers(0, 1), customer=CUSTOMERS)
    def begin(self, which: int, customer: str) -> RunRecord:
        return self.begun(which, customer)

    def begun(self, which: int, customer: str) -> RunRecord:
        journal = self.journals[which]
        run_id = f"run-{next(NAMES)}"
        record = journal.record(
            run_id=run_id, customer=journal.customer_hash(f"{customer}-{self.mark}"), on_entry=lambda _: None
        )
        self.do(record.append(EntryKind.CASE, case(self.mark)))
        self.models[run_id] = Model(customer=customer, owner=record, bodies=[(EntryKind.CASE, case(self.mark))])
        return record

    def append(self, record: RunRecord, kind: EntryKind, body: JsonObject) -> None:
        model = self.models[record.run_id]
        if record is model.owner and not model.has_ended:
            entry = self.do(record.append(kind, body))
            model.bodies.append((kind, body))
            assert (entry.seq, entry.body) == (len(model.bodies), body)
        else:
            with pytest.raises(JournalError if record is model.owner else RunLost):
                self.do(record.append(kind, body))

    @rule(record=records, body=BODIES)
    def append_something(self, record: RunRecord, body: tuple[EntryKind, JsonObject]) -> None:
        self.append(record, *body)

    @rule(record=records)
    def end(self, record: RunRecord) -> None:
        self.append(record, EntryKind.OUTCOME, OUTCOME)

    @rule(target=records, record=records, which=st.integers(0, 1), is_taken_over=st.booleans())
    def claim(self, record: RunRecord, which: int, is_taken_over: bool) -> RunRecord:
        model = self.models[record.run_id]
        claiming = self.journals[which].claim(
            record.run_id, owner=THERE, is_taken_over=is_taken_over, on_entry=lambda _: None
        )
        if model.has_ended:
            with pytest.raises(RunNotFound):
                self.do(claiming)
            return record
        model.owner = self.do(claiming)
        model.bodies.append((EntryKind.CLAIM, {"owner": THERE.as_json(), "is_taken_over": is_taken_over}))
        return model.owner

    @rule(which=st.integers(0, 1), customer=CUSTOMERS)
    def forget(self, which: int, customer: str) -> None:
        done = self.do(self.journals[which].forget(customer=f"{customer}-{self.mark}", by="ann"))
        mine = [model for model in self.models.values() if model.customer == customer]
        concerned = [model for model in mine if model.has_ended and not model.is_forgotten]
        assert done.runs == len(concerned)
        assert done.entries == sum(len(model.bodies) for model in concerned)
        assert done.left_out == sum(not model.has_ended for model in mine)
        for model in concerned:
            model.is_forgotten = True

    @rule(record=records, which=st.integers(0, 1))
    def look(self, record: RunRecord, which: int) -> None:
        journal, model = self.journals[which], self.models[record.run_id]
        self.assert_entries(self.do(journal.entries(record.run_id)), model)
        (verified,) = self.do(journal.verify([record.run_id]))
        assert verified.soundness is (Soundness.REDACTED if model.is_forgotten else Soundness.OK)
        assert (verified.entries, verified.is_finished) == (len(model.bodies), model.has_ended)

    def assert_entries(self, entries: Any, model: Model) -> None:
        assert [entry.seq for entry in entries] == list(range(1, len(model.bodies) + 1))
        assert [entry.kind for entry in entries] == [kind for kind, _ in model.bodies]
        if not model.is_forgotten:
            assert [entry.body for entry in entries] == [body for _, body in model.bodies]

    @invariant()
    def the_list_of_runs_follows_from_the_entries(self) -> None:
        summaries = self.do(self.journals[0].runs(ticket_id=self.mark))
        assert {summary.run_id for summary in summaries} == set(self.models)
        for summary in summaries:
            model = self.models[summary.run_id]
            costs = [body["cost_usd"] for body in model.replies]
            assert summary.turns == len(model.replies)
            assert summary.usage == sum((Usage(**body["usage"]) for body in model.replies), Usage())
            assert summary.cost_usd == (None if None in costs else sum(costs))
            assert summary.owner == (THERE if any(kind is EntryKind.CLAIM for kind, _ in model.bodies) else HERE)
            assert (summary.outcome is not None) == (summary.finished_at is not None) == model.has_ended
            assert summary.is_forgotten == model.is_forgotten
            assert (summary.reason is not None) == (model.has_ended and not model.is_forgotten)


def test_the_journal_is_a_list_whatever_is_done_to_it(journal_settings: Settings):
    class Here(JournalMachine):
        place = journal_settings

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
