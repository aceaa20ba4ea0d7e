"""The checker sees what must not be: each history here is a sound one in which one thing was broken."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.records import Entry, EntryKind, RunMode
from tests.kill import walks
from tests.kill.checking import differences, strays, violations
from tests.kill.history import History, Left, read
from tests.kill.nursery import Nursery
from tests.kill.places import Place
from tests.kill.points import HOST, Fault


@pytest.fixture(scope="module")
def place(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with an undisturbed run, and one whose host was killed over a refund that was made and not recorded."""
    place = Place(folder=tmp_path_factory.mktemp("place"))
    over_a_refund = Fault(process="customers", at="effect issue_refund after", victims=HOST)
    undisturbed = walks.undisturbed("everything", 1)
    nursery.run([place], [*undisturbed, *walks.at_once("everything", [[over_a_refund]], first=1)])
    return place


@pytest.fixture(scope="module")
def left(place: Place) -> Left:
    return anyio.run(read, place)


@pytest.fixture
def undisturbed(place: Place, left: Left) -> History:
    return left.of(place, walks.undisturbed("everything", 1)[0], [0])


@pytest.fixture
def history(place: Place, left: Left) -> History:
    """The killed run's; the test may break it."""
    [case] = walks.at_once("everything", [[]], first=1)
    return copy.deepcopy(left.of(place, case, [-9, 0]))


def of_kind(history: History, kind: EntryKind, tool: str | None = None) -> list[Entry]:
    entries = history.runs[0].entries
    return [entry for entry in entries if entry.kind is kind and tool in {None, entry.body.get("tool")}]


def recorded(history: History, *entries: Entry) -> History:
    return replace(history, runs=[replace(history.runs[0], entries=entries)])


def paid_twice(history: History) -> History:
    history.rows["refunds"].append(history.rows["refunds"][0] | {"id": "ref_2"})  # pyright: ignore[reportAttributeAccessIssue]  # a list
    return history


def happened_twice(history: History) -> History:
    [refunded] = [event for event in history.rows["customer_events"] if event["kind"] == "refunded"]
    history.rows["customer_events"].append(refunded)  # pyright: ignore[reportAttributeAccessIssue]  # a list
    return history


def without_its_key(history: History) -> History:
    history.rows["customer_keys"].pop()  # pyright: ignore[reportAttributeAccessIssue]  # a list
    return history


def with_other_words(history: History) -> History:
    of_kind(history, EntryKind.ATTEMPT, "customers.issue_refund")[0].body["arguments"]["reason"] = f"[[{'0' * 16}]]"
    return history


def with_another_result(history: History) -> History:
    [result] = of_kind(history, EntryKind.RESULT, "customers.issue_refund")
    result.body["content"] = [{"type": "text", "text": '{"refund_id": "ref_9"}'}]
    return history


def answered_twice(history: History) -> History:
    [result] = of_kind(history, EntryKind.RESULT, "customers.issue_refund")
    return recorded(history, *history.runs[0].entries, result)


def never_answered(history: History) -> History:
    [result] = of_kind(history, EntryKind.RESULT, "customers.issue_refund")
    return recorded(history, *(entry for entry in history.runs[0].entries if entry is not result))


def never_approved(history: History) -> History:
    kept = (entry for entry in history.runs[0].entries if entry.kind is not EntryKind.APPROVAL)
    return recorded(history, *kept)


def under_another_key(history: History) -> History:
    of_kind(history, EntryKind.ATTEMPT, "customers.issue_refund")[0].body["key"] += "x"
    return history


def asked_twice(history: History) -> History:
    [first] = [asked for asked in history.asks if asked.kind == "sampling"]
    return replace(history, asks=[*history.asks, replace(first, answer="another")])


def asked_too_often(history: History) -> History:
    lost = [replace(history.asks[0], question=f"q{number}", answer="another") for number in range(3)]
    return replace(history, asks=[*history.asks, *lost])


def told_something_else(history: History) -> History:
    of_kind(history, EntryKind.RESULT, "ticketing.summarize_ticket")[0].body["content"] = []
    return history


def chosen_otherwise(history: History) -> History:
    of_kind(history, EntryKind.ELICITATION)[0].body["content"] = {"priority": "low"}
    return history


def without_an_end(history: History) -> History:
    return recorded(history, *history.runs[0].entries[:-1])


def with_a_gap(history: History) -> History:
    return recorded(history, *history.runs[0].entries[:5], *history.runs[0].entries[6:])


def left_open(history: History) -> History:
    history.rows["tickets"][0]["status"] = "open"
    return history


def run_twice(history: History) -> History:
    return replace(history, runs=[*history.runs, *history.runs])


def reported_otherwise(history: History) -> History:
    assert history.report is not None
    return replace(history, report=history.report | {"effects": []})


def moved_unseen(history: History) -> History:
    history.rows["tickets"][0]["version"] += 1
    return history


def ended_by_itself(history: History) -> History:
    return replace(history, endings=[1, 0])


BROKEN: dict[Callable[[History], History], str] = {
    paid_twice: "was paid back 2 times",
    happened_twice: "has happened 2 times",
    without_its_key: "are used, and events have",
    with_other_words: "with other words than were recorded",
    with_another_result: "another result in the record than at its server",
    answered_twice: "has 2 results",
    never_answered: "has 0 results",
    never_approved: "left, and the policy had said ask",
    under_another_key: "has the key",
    asked_twice: "and it was asked again",
    asked_too_often: "are in no record",
    told_something_else: "was given another reply",
    chosen_otherwise: "low was chosen",
    without_an_end: "does not end with its one outcome",
    with_a_gap: "not numbered without gaps",
    left_open: "the run is closed, and the ticket open",
    run_twice: "has 2 runs",
    reported_otherwise: "the report shows",
    moved_unseen: "the ticket's version",
    ended_by_itself: "a status of its own",
}


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda breaks: breaks.__name__)
def test_a_history_that_was_broken_is_seen(history: History, breaks: Callable[[History], History]):
    found = violations(breaks(history))
    assert any(BROKEN[breaks] in sentence for sentence in found), found


@pytest.fixture
def applied(nursery: Nursery, tmp_path: Path) -> History:
    """A plan that was carried out; the test may break it."""
    place, [case] = Place(folder=tmp_path), walks.undisturbed("applied", 1)
    nursery.run([place], [case])
    history = anyio.run(read, place).of(place, case, [0])
    assert violations(history) == []
    return history


def test_a_model_that_was_asked_and_calls_that_were_not_planned_are_seen(applied: History):
    [approval] = applied.asks
    asked = replace(applied, asks=[approval, replace(approval, kind="reply")])
    assert "a model was asked while a plan was applied" in violations(asked)
    [run] = [run for run in applied.runs if run.summary.mode is RunMode.APPLY]
    [first, *_] = [entry for entry in run.entries if entry.kind is EntryKind.ATTEMPT]
    first.body["arguments"]["body"] = "Something else."
    assert [sentence for sentence in violations(applied) if "were attempted, and" in sentence]


def test_a_plan_that_nobody_has_made_is_seen(applied: History):
    without = replace(applied, runs=[run for run in applied.runs if run.summary.mode is RunMode.APPLY])
    assert violations(without) == ["the ticket has 1 runs, 0 of them dry ones"]


def test_a_run_that_was_killed_and_went_on_is_sound_and_like_one_that_was_not(history: History, undisturbed: History):
    assert violations(history) == []
    assert list(differences(history, undisturbed)) == []
    assert len(history.runs[0].bodies(EntryKind.CLAIM)) == 1


def test_what_an_undisturbed_run_does_not_leave_is_a_difference(history: History, undisturbed: History):
    history.rows["tickets"][0]["priority"] = "low"
    assert [line.partition(":")[0] for line in differences(history, undisturbed)] == ["only here", "missing"]


def test_what_belongs_to_no_case_is_a_stray(history: History, undisturbed: History, left: Left):
    assert list(strays(left, [history, undisturbed])) == []
    more: dict[str, Any] = {**left.tables, "refunds": [*left.tables["refunds"], {"id": "ref_9"}]}
    assert list(strays(replace(left, tables=more), [history, undisturbed])) == [
        "refunds has 3 rows, and the cases account for 2"
    ]
