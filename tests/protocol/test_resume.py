"""A run that is cut off goes on from there, and comes to what an undisturbed one comes to.

This is the short form, in one process and over a single call; `tests/kill` cuts off real processes everywhere.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from agent.journal import RunRecord
from agent.models.scripted import Call, Conversation, ScriptedModel
from agent.records import Entry, EntryKind, FormAnswer, JsonObject, OutcomeKind
from tests.fakes.runs import NOTE, REFUND, Bench, Person, Worked, bench, closes, does, says, summarizing


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Executioner:
    """Kills the process at the n-th append: before it (the act before is done, and unrecorded) or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.is_before, self.seen = 0, False, 0
        self.is_armed = False
        append = RunRecord.append

        async def appended(record: RunRecord, kind: EntryKind, body: JsonObject, **options: Any) -> Entry:
            self.seen += 1
            if self.is_armed and (self.seen > self.at or (self.seen == self.at and self.is_before)):
                raise Killed
            entry = await append(record, kind, body, **options)
            if self.is_armed and self.seen == self.at:
                raise Killed
            return entry

        monkeypatch.setattr(RunRecord, "append", appended)

    def arm(self, at: int, *, is_before: bool) -> None:
        self.at, self.is_before, self.seen, self.is_armed = at, is_before, 0, True

    def disarm(self) -> None:
        self.is_armed = False


def conversation() -> ScriptedModel:
    """Everything that a run can do: reads together, a nested question to the model and to the person, money, an end."""
    return ScriptedModel(
        conversations=[
            Conversation(
                match="<untrusted",
                turns=[
                    does(
                        Call(name="ticketing__search_knowledge_base", arguments={"query": "log in"}),
                        Call(name="customers__list_invoices"),
                        Call(name="ticketing__summarize_ticket"),
                    ),
                    does((NOTE, {"body": "Looked at it."}), ("ticketing__set_priority", {})),
                    does((REFUND, {"invoice_id": "inv_1003", "reason": "Charged twice"})),
                    does(("ticketing__close_ticket", {"no": "such argument"})),
                    says("I am thinking about it."),
                    closes(),
                    says(),
                ],
            ),
            summarizing("42", "Alice cannot log in."),
        ]
    )


async def played(desk: Bench, person: Person, model: ScriptedModel | None = None) -> Worked:
    return await desk.work(model=model or conversation(), approver=person, operator=person)


def state(desk: Bench) -> list[str]:
    """What both databases hold, without what differs between two runs: times and run ids."""
    without_runs = (re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}/\d+", "RUN/N", line) for line in desk.everything())
    return [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line) for line in without_runs]


def person() -> Person:
    return Person(form=FormAnswer(action="accept", content={"priority": "high"}))


async def test_a_run_cut_off_over_a_payment_comes_to_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    executioner = Executioner(monkeypatch)
    async with bench(tmp_path) as desk:
        undisturbed = await played(desk, person())
        wanted = state(desk)
    assert undisturbed.report.outcome.kind is OutcomeKind.CLOSED
    paid = [entry.seq for entry in undisturbed.entries if entry.body.get("tool") == "customers.issue_refund"]
    assert len(paid) > 3
    for at, is_before in [(paid[0], True), (paid[-2], False), (paid[-1], True), (paid[-1], False)]:
        place = home / f"{at}-{is_before}"
        place.mkdir()
        executioner.arm(at, is_before=is_before)
        async with bench(place) as desk:
            with pytest.raises((Killed, BaseExceptionGroup)):
                await played(desk, person())
            executioner.disarm()
            worked = await played(desk, person())
            assert state(desk) == wanted, (at, is_before, worked.report.outcome)
        assert worked.report.outcome == undisturbed.report.outcome, (at, is_before)
        assert effects(worked) == effects(undisturbed), (at, is_before)


def effects(worked: Worked) -> list[JsonObject]:
    return [{**effect.as_json(), "key": None} for effect in worked.report.effects]
