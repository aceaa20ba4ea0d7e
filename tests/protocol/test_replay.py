"""A recorded run comes out the same again, and what has changed since is found where it first shows."""

import copy
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.commands.frame import Frame
from agent.commands.replaying import replay_run
from agent.errors import JournalError, RunNotFound, UsageError
from agent.models.offline import OfflineModel
from agent.models.scripted import Call, Conversation, ScriptedModel, Turn
from agent.records import CallStatus, Effect, Entry, EntryKind, FormAnswer, OutcomeKind, RunMode
from agent.replay import Cause, Difference, Replayed, replay
from agent.settings import Settings
from tests.fakes.runs import CLOSE, NOTE, REFUND, Bench, Person, Worked, bench, closes, does, says, summarizing

ASKED_BACK = {EntryKind.SAMPLING, EntryKind.ELICITATION, EntryKind.ROOTS}
SEARCH = ("ticketing__search_knowledge_base", {"query": "log in"})
REFUNDING = (REFUND, {"invoice_id": "inv_1001", "reason": "Charged twice"})
ASKED = ("customers__update_account", {"marketing_opt_in": False})
UPDATE = "customers.update_account"


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def person(*, grants: bool = True) -> Person:
    return Person(grants=grants, form=FormAnswer(action="accept", content={"priority": "high"}))


def everything() -> ScriptedModel:
    """All that a run can do: reads together, questions of servers, money, what cannot be, a nudge, an end."""
    together = does(Call(name=SEARCH[0], arguments=SEARCH[1]), Call(name="ticketing__summarize_ticket"))
    turns = [
        together,
        does((NOTE, {"body": "Looked at it.", "ticket_id": "43"}), ("ticketing__set_priority", {})),
        does(("read_resource", {"uri": "ticket://42"}), ("read_resource", {"uri": "ticket://43"})),
        does(REFUNDING, ASKED),
        does((CLOSE, {"no": "such argument"}), ("no_such_tool", {})),
        says("I am thinking about it."),
        closes(),
        says(),
    ]
    return ScriptedModel(
        conversations=[Conversation(match="<untrusted", turns=turns), summarizing("42", "Alice cannot log in.")]
    )


async def recorded(desk: Bench, worked: Worked) -> list[Entry]:
    """The run as the journal gives it back."""
    return list(await desk.journal.entries(worked.run.recorder.run_id))


async def again(desk: Bench, worked: Worked) -> Replayed:
    return await replay(await recorded(desk, worked), desk.session.settings)


async def is_same(desk: Bench, worked: Worked) -> bool:
    """Whether it replays, with every entry compared that a replay can make."""
    entries = await recorded(desk, worked)
    replayed = await replay(entries, desk.session.settings)
    left_out = {*ASKED_BACK, EntryKind.STOPPED, EntryKind.CLAIM}
    assert replayed.compared == sum(entry.kind not in left_out for entry in entries), replayed
    assert replayed.changed == ()
    return replayed.is_same


def difference(replayed: Replayed) -> Difference:
    assert replayed.difference is not None
    assert not replayed.is_same
    return replayed.difference


# The same.


async def test_a_run_with_everything_in_it_replays_and_so_does_every_beginning_of_it(home: Path):
    async with bench(home) as desk:
        worked = await desk.work(model=everything(), approver=person(), operator=person())
        entries = await recorded(desk, worked)
        settings = desk.session.settings
    assert {entry.kind for entry in entries} >= {*ASKED_BACK, EntryKind.APPROVAL, EntryKind.NUDGE}
    assert {"done", "failed", "denied"} <= set(worked.statuses)
    for end in range(1, len(entries) + 1):
        beginning = entries[:end]
        replayed = await replay(beginning, settings)
        assert replayed.difference is None, end
        assert replayed.compared == sum(entry.kind not in ASKED_BACK for entry in beginning), end
        assert replayed.entries == end


WAYS: dict[str, tuple[Sequence[Turn], dict[str, Any], dict[str, Any]]] = {
    "a person said no": ([does(ASKED), closes(), says()], {"approver": person(grants=False)}, {}),
    "nobody was there": ([does(ASKED), closes(), says()], {}, {}),
    "dry run": ([does(REFUNDING, ASKED), does(SEARCH), closes(), says()], {"mode": RunMode.DRY_RUN}, {}),
    "handed over": ([says(), says()], {}, {}),
    "handed over in a dry run": ([says(), says()], {"mode": RunMode.DRY_RUN}, {}),
    "out of turns": ([does((NOTE, {"body": "one"}))], {}, {"turns": 1}),
    "out of writes": ([does((NOTE, {"body": "one"}), SEARCH, (NOTE, {"body": "two"})), closes()], {}, {"writes": 1}),
    "the same again": ([does(SEARCH), does(SEARCH), does(SEARCH), closes(), says()], {}, {"same_calls": 2}),
    "cut off and paused": (
        [says("half", stop_reason="max_tokens"), says("more", stop_reason="pause_turn"), closes(), says()],
        {},
        {},
    ),
    "refused": ([does((NOTE, {"body": "one"}), stop_reason="refusal")], {}, {}),
    "stopped after its end": ([closes(), Turn(unavailable="down")], {}, {}),
    "stopped before anything": ([Turn(unavailable="down")], {}, {}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_however_a_run_went_it_replays(home: Path, way: str):
    turns, options, limits = WAYS[way]
    async with bench(home, limits=limits) as desk:
        assert await is_same(desk, await desk.play(*turns, **options))


@pytest.mark.parametrize("is_cut_off", [False, True])
async def test_a_run_that_was_out_of_time_is_out_of_time_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, is_cut_off: bool
):
    now = [1_000.0]

    async def an_hour() -> None:
        now[0] += 3_600

    monkeypatch.setattr("agent.ledger.time", SimpleNamespace(monotonic=lambda: now[0]))
    async with bench(home) as desk:
        note = does((NOTE, {"body": "x"}), gate=an_hour)
        worked = await desk.play(Turn(unavailable="cut off", gate=an_hour) if is_cut_off else note)
        assert "seconds" in worked.report.outcome.reason
        assert await is_same(desk, worked)


async def test_runs_of_the_offline_model_over_demo_tickets_replay(home: Path):
    tickets = json.loads(files("servers.demo").joinpath("tickets.json").read_text(encoding="utf-8"))
    outcomes: set[OutcomeKind] = set()
    async with bench(home, rows=tickets) as desk:
        for ticket in [ticket for ticket in tickets if ticket["status"] in {"new", "open"}][:6]:
            worked = await desk.work(ticket["id"], model=OfflineModel())
            assert await is_same(desk, worked), ticket["id"]
            outcomes.add(worked.report.outcome.kind)
    assert len(outcomes) > 1


# Interrupted.


async def cut_off(desk: Bench, kind: EntryKind, tool: str | None = None, number: int = 1) -> None:
    """Let a run of everything die right after its n-th entry of this kind, about this tool."""
    seen: list[Entry] = []

    def kill(_ticket_id: str, entry: Entry) -> None:
        if entry.kind is kind and tool in {None, entry.body.get("tool")}:
            seen.append(entry)
            if len(seen) == number:
                raise Killed

    desk.observer.on_entry = kill
    with pytest.raises((Killed, BaseExceptionGroup)):
        await desk.work(model=everything(), approver=person(), operator=person())
    desk.observer.on_entry = lambda _ticket_id, _entry: None


@pytest.mark.parametrize(
    ("kind", "tool", "number", "superseded"),
    [
        (EntryKind.CASE, None, 1, 0),
        (EntryKind.ATTEMPT, "ticketing.summarize_ticket", 1, 0),
        (EntryKind.ATTEMPT, "ticketing.add_internal_note", 1, 0),
        (EntryKind.DECISION, "customers.issue_refund", 1, 1),
        (EntryKind.ATTEMPT, "customers.issue_refund", 1, 0),
        (EntryKind.DECISION, UPDATE, 1, 1),
        (EntryKind.APPROVAL, UPDATE, 1, 2),
        (EntryKind.DECISION, UPDATE, 2, 3),
        (EntryKind.ATTEMPT, UPDATE, 1, 0),
        (EntryKind.NUDGE, None, 1, 0),
        (EntryKind.RESULT, "ticketing.close_ticket", 1, 0),
    ],
)
async def test_a_run_that_was_resumed_replays(
    home: Path, kind: EntryKind, tool: str | None, number: int, superseded: int
):
    async with bench(home) as desk:
        await cut_off(desk, kind, tool, number)
        worked = await desk.work(model=everything(), approver=person(), operator=person())
        entries = await recorded(desk, worked)
        replayed = await replay(entries, desk.session.settings)
    assert EntryKind.CLAIM in [entry.kind for entry in entries]
    assert worked.report.outcome.kind is OutcomeKind.CLOSED
    assert replayed.difference is None
    outside = sum(entry.kind in {*ASKED_BACK, EntryKind.CLAIM} for entry in entries)
    assert replayed.entries - replayed.compared - outside == superseded


async def test_a_run_that_stopped_and_went_on_replays(home: Path):
    async with bench(home) as desk:
        await desk.play(does(SEARCH), Turn(unavailable="down"))
        worked = await desk.play(does(SEARCH), closes(), says())
        assert worked.kinds.count(EntryKind.STOPPED) == 1
        assert await is_same(desk, worked)


async def test_a_cancelled_run_replays_up_to_its_end(home: Path):
    async with bench(home) as desk:
        await cut_off(desk, EntryKind.ATTEMPT, "ticketing.add_internal_note")
        [run] = await desk.journal.runs()
        await desk.intake(model=everything()).cancel(run.run_id, because="it is late")
        entries = await desk.journal.entries(run.run_id)
        replayed = await replay(entries, desk.session.settings)
    assert [entry.kind for entry in entries[-3:]] == [EntryKind.RESULT, EntryKind.CANCEL, EntryKind.OUTCOME]
    assert replayed.difference is None
    outside = {*ASKED_BACK, EntryKind.CLAIM, EntryKind.CANCEL, EntryKind.OUTCOME}
    assert replayed.compared == sum(entry.kind not in outside for entry in entries)


async def test_a_run_whose_ticket_somebody_else_has_closed_meanwhile_replays_up_to_that(home: Path):
    async with bench(home) as desk:
        await cut_off(desk, EntryKind.DECISION, UPDATE)
        [run] = await desk.journal.runs()
        desk.closed_by_colleague()
        worked = await desk.work(model=everything(), approver=person(grants=False), operator=person())
        assert worked.run.recorder.run_id == run.run_id
        assert worked.report.outcome.kind is OutcomeKind.UNRESOLVED
        assert (await again(desk, worked)).difference is None


async def test_a_payment_that_was_judged_anew_because_another_run_had_paid_replays(home: Path):
    async with bench(home, limits={"turns": 1}) as desk:
        entries = await recorded(desk, await desk.play(does(REFUNDING)))
        attempt = seq_of(entries, EntryKind.ATTEMPT)
        judged = entries[attempt - 2]
        assert (judged.kind, judged.body["verdict"]) == (EntryKind.DECISION, "allow")
        later = [replace(entry, seq=entry.seq + 1) for entry in [judged, *entries[attempt - 1 :]]]
        replayed = await replay([*entries[: attempt - 1], *later], desk.session.settings)
    assert replayed.difference is None
    assert replayed.compared == len(entries) + 1


# What has changed.


def with_limits(settings: Settings, **limits: Any) -> Settings:
    return settings.model_copy(update={"limits": settings.limits.model_copy(update=limits)})


def with_tool(settings: Settings, tool: str, **changes: Any) -> Settings:
    tools = {**settings.tools, tool: settings.tools[tool].model_copy(update=changes)}
    return settings.model_copy(update={"tools": tools})


async def noted_and_closed(desk: Bench) -> list[Entry]:
    return await recorded(desk, await desk.play(does((NOTE, {"body": "Looked at it."})), closes(), says()))


async def test_a_changed_limit_is_named_at_the_decision_that_it_changes(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        replayed = await replay(entries, with_limits(desk.session.settings, writes=0, turns=23, usd=0.25))
    found = difference(replayed).found
    assert (found.kind, found.path, found.recorded, found.replayed) == (EntryKind.DECISION, "/verdict", "allow", "deny")
    assert entries[found.seq - 1].body["tool"] == "ticketing.add_internal_note"
    assert difference(replayed).cause is Cause.CONFIGURATION
    assert difference(replayed).because == "limits.writes was 10, and is 0 now."
    assert set(replayed.changed) == {"limits.turns", "limits.usd", "limits.writes"}
    assert replayed.compared == found.seq - 1


async def test_a_changed_limit_that_ends_the_run_sooner_differs_where_it_would_end(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        replayed = await replay(entries, with_limits(desk.session.settings, turns=1))
    found = difference(replayed).found
    assert (found.kind, found.path) == (EntryKind.REPLY, "")
    assert found.replayed == 'handover {"because":"the run has used its 1 turns"}'
    assert difference(replayed).because == "limits.turns was 24, and is 1 now."


async def test_a_changed_effect_is_named_by_its_key(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        changed = with_tool(desk.session.settings, "ticketing.add_internal_note", effect=Effect.ACCOUNT)
        replayed = await replay(entries, with_limits(changed, turns=23))
    assert (difference(replayed).found.kind, difference(replayed).found.path) == (EntryKind.DECISION, "/effect")
    assert difference(replayed).cause is Cause.CONFIGURATION
    expected = 'tools."ticketing.add_internal_note".effect was write, and is account now.'
    assert difference(replayed).because == expected


async def test_of_two_changes_the_one_that_shows_first_is_named(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        changed = with_tool(desk.session.settings, "ticketing.close_ticket", offer=False)
        replayed = await replay(entries, with_tool(changed, "ticketing.add_internal_note", offer=False))
    assert difference(replayed).because == 'tools."ticketing.add_internal_note".offer was true, and is false now.'
    assert len(replayed.changed) == 2


async def test_settings_of_another_shape_cannot_be_tried_and_are_all_named(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        then = copy.deepcopy(entries[0].body["settings"])
        then["limits"] |= {"breaths": 7, "writes": 10}
        replayed = await replay(edited(entries, 1, settings=then), with_limits(desk.session.settings, writes=0))
    assert difference(replayed).cause is Cause.CONFIGURATION
    assert difference(replayed).because == "These settings have changed: limits.writes, limits.breaths."


async def test_a_changed_policy_is_named(home: Path):
    async with bench(home) as desk:
        entries = await recorded(desk, await desk.play(does(REFUNDING), closes(), says()))
        rule = '\n@id("no-money")\n@because("Not now.")\nforbid (principal, action in Action::"money", resource);\n'
        policy = desk.session.settings.policy + rule
        replayed = await replay(entries, desk.session.settings.model_copy(update={"policy": policy}))
    assert difference(replayed).found.kind is EntryKind.DECISION
    assert difference(replayed).cause is Cause.CONFIGURATION
    assert difference(replayed).because.startswith("policy was ")
    assert "no-money" in difference(replayed).because


async def test_a_tool_that_is_not_offered_any_more_changes_what_the_model_is_sent(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        hidden = with_tool(desk.session.settings, "ticketing.search_tickets", offer=False)
        replayed = await replay(entries, hidden)
    assert difference(replayed).found.kind is EntryKind.CASE
    assert difference(replayed).found.path.startswith("/tools/")
    assert difference(replayed).because == 'tools."ticketing.search_tickets".offer was true, and is false now.'


async def test_what_has_changed_and_makes_no_difference_is_told_all_the_same(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        replayed = await replay(entries, with_limits(desk.session.settings, usd=0.25, writes=1))
    assert replayed.difference is None
    assert set(replayed.changed) == {"limits.usd", "limits.writes"}


def edited(entries: Sequence[Entry], seq: int, **body: Any) -> list[Entry]:
    """The record with other values in the body of one entry."""
    changed = replace(entries[seq - 1], body={**copy.deepcopy(entries[seq - 1].body), **body})
    return [changed if entry.seq == seq else entry for entry in entries]


def seq_of(entries: Sequence[Entry], kind: EntryKind, number: int = 0) -> int:
    return [entry.seq for entry in entries if entry.kind is kind][number]


async def test_another_system_prompt_is_a_changed_prompt(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        system = entries[0].body["system"]
        assert "# About the tools of ticketing" in system
        then = system.replace("Never invent policies", "Invent no policies")
        replayed = await replay(edited(entries, 1, system=then), desk.session.settings)
    assert difference(replayed).cause is Cause.PROMPT
    assert difference(replayed).found.path == "/system"
    assert "Invent no policies" in difference(replayed).found.recorded
    assert "Never invent policies" in difference(replayed).found.replayed
    assert len(difference(replayed).found.replayed) < 300


async def test_a_first_message_that_is_put_together_otherwise_is_found(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        messages = copy.deepcopy(entries[0].body["messages"])
        messages[0]["content"][-2]["text"] = messages[0]["content"][-2]["text"].replace("untrusted", "quoted")
        replayed = await replay(edited(entries, 1, messages=messages), desk.session.settings)
    assert difference(replayed).found.path == f"/messages/0/content/{len(messages[0]['content']) - 2}/text"
    assert difference(replayed).cause is Cause.CODE


async def test_a_configuration_that_speaks_of_what_a_tool_did_not_have_then_is_a_changed_catalog(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        bind = {"ticket_id": "ticket.id", "language": "ticket.language"}
        settings = with_tool(desk.session.settings, "ticketing.add_internal_note", bind=bind)
        replayed = await replay(entries, settings)
    assert difference(replayed).cause is Cause.CATALOG
    assert "binds language" in difference(replayed).because
    assert replayed.compared == 0


async def test_what_nothing_else_explains_is_the_code(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        decision = seq_of(entries, EntryKind.DECISION)
        reasons = [{**entries[decision - 1].body["reasons"][0], "because": "It was a Sunday."}]
        record = edited(edited(entries, decision, reasons=reasons), 1, version="0.0.1")
        replayed = await replay(record, with_limits(desk.session.settings, turns=23))
    assert difference(replayed).cause is Cause.CODE
    assert difference(replayed).found.path == "/reasons/0/because"
    assert difference(replayed).found.recorded == "It was a Sunday."
    assert "it was version 0.0.1, and is " in difference(replayed).because
    assert "resumed" not in difference(replayed).because


async def test_after_a_resumption_the_code_may_not_be_what_has_changed(home: Path):
    async with bench(home) as desk:
        await desk.play(does(SEARCH), Turn(unavailable="down"))
        entries = await recorded(desk, await desk.play(does(SEARCH), closes(), says()))
        last = seq_of(entries, EntryKind.DECISION, -1)
        replayed = await replay(edited(entries, last, verdict="ask"), desk.session.settings)
    assert "was resumed before this" in difference(replayed).because


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (EntryKind.RESULT, {"status": CallStatus.UNCERTAIN.value}, "/effect/status"),
        (EntryKind.RESULT, {"versions": {"ticket": 99}}, "/arguments/expected_version"),
        (EntryKind.ATTEMPT, {"key": "another/1/key"}, "/key"),
        (EntryKind.ATTEMPT, {"arguments": {"body": "Something else."}}, "/arguments"),
        (EntryKind.OUTCOME, {"outcome": "unresolved"}, None),
    ],
)
async def test_a_record_that_does_not_fit_itself_does_not_replay(
    home: Path, kind: EntryKind, body: dict[str, Any], path: str | None
):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        replayed = await replay(edited(entries, seq_of(entries, kind), **body), desk.session.settings)
    if path is None:
        assert replayed.is_same  # nobody can say what the helpdesk was seen to be
    else:
        assert difference(replayed).found.path.startswith(path)


async def test_an_entry_that_is_missing_differs_at_the_one_that_stands_in_its_place(home: Path):
    async with bench(home) as desk:
        worked = await desk.play(does(ASKED), says(), closes(), says(), approver=person())
        entries = await recorded(desk, worked)
        settings = desk.session.settings
    for kind, then in [
        (EntryKind.APPROVAL, "a person would be asked"),
        (EntryKind.NUDGE, "nudge"),
        (EntryKind.ATTEMPT, "attempt"),
    ]:
        missing = seq_of(entries, kind)
        replayed = await replay([entry for entry in entries if entry.seq != missing], settings)
        assert difference(replayed).found.seq == missing + 1
        assert difference(replayed).found.replayed.startswith(then)


async def test_a_run_of_a_newer_version_is_not_replayed(home: Path):
    async with bench(home) as desk:
        entries = await noted_and_closed(desk)
        with pytest.raises(JournalError, match=r"begun by a newer version of support-agent \(9\.0\)"):
            await replay(edited(entries, 1, format=2, version="9.0"), desk.session.settings)


# The command.


async def test_the_command_replays_the_newest_run(home: Path, capsys: pytest.CaptureFixture[str]):
    async with bench(home) as desk:
        worked = await desk.play(does(SEARCH), closes(), says())
    assert await replay_run(Frame(), "last") == 0
    assert f"Run {worked.run.recorder.run_id} replays to the byte: " in capsys.readouterr().out
    assert await replay_run(Frame(is_json=True), worked.run.recorder.run_id) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "run_id": worked.run.recorder.run_id,
        "is_same": True,
        "entries": len(worked.entries),
        "compared": len(worked.entries) - 1,  # the roots that the search asked for
        "turns": 3,
        "changed": [],
        "difference": None,
    }


async def test_a_difference_is_exit_code_1_and_told_in_json(home: Path, capsys: pytest.CaptureFixture[str]):
    async with bench(home, limits={"writes": 1}) as desk:
        await desk.play(does((NOTE, {"body": "one"}), (NOTE, {"body": "two"})), closes(), says())
    assert await replay_run(Frame(is_json=True), "last") == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["is_same"]
    assert document["difference"]["cause"] == "configuration"
    assert document["difference"]["because"] == "limits.writes was 1, and is 10 now."
    assert (document["difference"]["kind"], document["difference"]["path"]) == ("decision", "/verdict")


async def test_a_forgotten_run_cannot_be_replayed(home: Path):
    async with bench(home) as desk:
        await desk.play(closes(), says())
        await desk.journal.forget(customer="alice@example.com", before=None, by="dana")
    with pytest.raises(UsageError, match="without them it cannot be replayed"):
        await replay_run(Frame(), "last")


async def test_a_record_that_was_tampered_with_proves_nothing(home: Path):
    async with bench(home) as desk:
        await desk.play(does(SEARCH), closes(), says())
    with sqlite3.connect(home / "journal.sqlite") as database:
        database.execute("UPDATE entries SET body = replace(body, 'saved login', 'saved token') WHERE kind = 'result'")
    database.close()
    with pytest.raises(JournalError, match="is not as it was written"):
        await replay_run(Frame(), "last")


async def test_without_any_run_there_is_nothing_to_replay(home: Path):
    with pytest.raises(RunNotFound):
        await replay_run(Frame(), "last")


async def test_a_run_whose_ticket_changed_under_it_replays(home: Path):
    async with bench(home) as desk:

        async def meanwhile() -> None:
            desk.by_colleague()

        noted = (NOTE, {"body": "Looked at it."})
        worked = await desk.play(does(noted, gate=meanwhile), does(noted), closes(), says())
        assert await is_same(desk, worked)
