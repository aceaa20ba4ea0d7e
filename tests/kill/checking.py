"""What must be true of every history, whoever was killed when: each rule yields a sentence for what breaks it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.documents import digest
from agent.planning import applied_as, plan_of
from agent.records import EntryKind, JsonObject, RunMode
from tests.kill.history import EVENTS, KEYS, History, Left, Run, state
from tests.kill.people import TOKEN
from tests.kill.stories import COURIER, STORIES

Rule = Callable[[History, Run], Iterator[str]]

_TOOL_OF_EVENT = {
    "note_added": "add_internal_note",
    "priority_set": "set_priority",
    "replied": "reply_to_customer",
    "closed": "close_ticket",
    "escalated": "escalate_ticket",
    "refunded": "issue_refund",
    "password_reset_sent": "send_password_reset",
    "invoice_resent": "resend_invoice",
    "sessions_revoked": "revoke_sessions",
}
_STATUS_OF_OUTCOME = {"closed": {"closed"}, "pending": {"pending"}, "escalated": {"open"}}


def violations(history: History) -> list[str]:
    """Return everything about one case that must not be."""
    made = [run for run in history.runs if run.summary.mode is RunMode.DRY_RUN]
    if len(made) != STORIES[history.case.story].is_applied or len(history.runs) != 1 + len(made):
        return [f"the ticket has {len(history.runs)} runs, {len(made)} of them dry ones"]
    (run,) = (run for run in history.runs if run not in made)
    return [sentence for rule in RULES for sentence in rule(history, run)]


def differences(history: History, undisturbed: History) -> Iterator[str]:
    """Yield what both stores hold otherwise than after a run that nobody disturbed."""
    found, wanted = Counter(state(history)), Counter(state(undisturbed))
    yield from (f"only here: {line}" for line in (found - wanted).elements())
    yield from (f"missing: {line}" for line in (wanted - found).elements())


def judged(histories: Sequence[History]) -> Iterator[list[str]]:
    """Yield the violations of each case; the first of a story is the one that nobody disturbed."""
    undisturbed: dict[str, History] = {}
    for history in histories:
        found = violations(history)
        if STORIES[history.case.story].is_scripted:
            first = undisturbed.setdefault(history.case.story, history)
            found += differences(history, first)
        yield found


def strays(left: Left, histories: Sequence[History]) -> Iterator[str]:
    """Yield what a place holds that belongs to none of its cases."""
    for name, rows in left.tables.items():
        mine = sum(len(history.rows[name]) for history in histories)
        if name not in {"invoices", "sessions"} and mine != len(rows):
            yield f"{name} has {len(rows)} rows, and the cases account for {mine}"
    if len(left.runs) != sum(len(history.runs) for history in histories):
        yield "there are runs of no case"


def _came_to_an_outcome(history: History, run: Run) -> Iterator[str]:
    story, outcome = STORIES[history.case.story], run.summary.outcome
    if outcome is None or outcome.value not in story.endings:
        yield f"the run's outcome is {outcome}"
        return
    # 3: a server was killed before it was ready, and nothing could begin.
    if any(status not in {0, 3, -9} for status in history.endings):
        yield f"a host ended with a status of its own: {history.endings}"
    (ticket,) = history.rows["tickets"]
    if ticket["status"] not in _STATUS_OF_OUTCOME[outcome.value]:
        yield f"the run is {outcome.value}, and the ticket {ticket['status']}"
    if (ticket["group"] == "people") != (outcome.value == "escalated"):
        yield f"the run is {outcome.value}, and the ticket's group {ticket['group']}"


def _is_sound(history: History, run: Run) -> Iterator[str]:
    if not run.verified.is_sound or not run.verified.is_finished:
        yield f"the record is not sound: {run.verified}"
    kinds = [entry.kind for entry in run.entries]
    if [entry.seq for entry in run.entries] != list(range(1, len(kinds) + 1)):
        yield "the entries are not numbered without gaps"
    if kinds[:1] != [EntryKind.CASE] or kinds.count(EntryKind.CASE) != 1:
        yield "the record does not begin with its one case"
    if kinds[-1:] != [EntryKind.OUTCOME] or kinds.count(EntryKind.OUTCOME) != 1:
        yield "the record does not end with its one outcome"
    if kinds.count(EntryKind.CLAIM) >= len(history.endings):
        yield f"{kinds.count(EntryKind.CLAIM)} claims by {len(history.endings)} hosts"


def _every_call_has_one_result(history: History, run: Run) -> Iterator[str]:
    asked = {call["id"] for _, reply in run.bodies(EntryKind.REPLY) for call in _calls(reply)} | _planned(run).keys()
    results = Counter(body["tool_use_id"] for _, body in run.bodies(EntryKind.RESULT))
    attempts = Counter(body["tool_use_id"] for _, body in run.bodies(EntryKind.ATTEMPT))
    by_host = {id_ for id_ in results if id_.startswith("host-")}
    yield from (f"call {id_} has {results[id_]} results" for id_ in asked | set(attempts) if results[id_] != 1)
    yield from (f"call {id_} was asked for by nobody" for id_ in set(results) - asked - by_host)
    yield from (f"call {id_} was attempted {count} times" for id_, count in attempts.items() if count > 1)
    if by_host and not run.bodies(EntryKind.HANDOVER):
        yield "the host made a call of its own without a reason"


def _nothing_left_undecided(history: History, run: Run) -> Iterator[str]:
    verdicts: dict[str, list[str]] = {}
    granted: set[tuple[str, str]] = set()
    replied: dict[str, int] = _planned(run)
    for entry in run.entries:
        body = entry.body
        match entry.kind:
            case EntryKind.REPLY:
                replied |= {call["id"]: entry.seq for call in _calls(body)} | {"host-1": entry.seq}
            case EntryKind.DECISION:
                verdicts.setdefault(body["tool_use_id"], []).append(body["verdict"])
            case EntryKind.APPROVAL if body["is_granted"]:
                granted.add((body["tool_use_id"], body["digest"]))
            case EntryKind.ATTEMPT:
                id_ = body["tool_use_id"]
                said = verdicts.get(id_, ["nothing"])
                is_granted = (id_, digest(body["arguments"])) in granted
                # A person's yes stands above what was asked before it, and below a no that came after.
                if said[-1] not in {"allow", "ask"} or ("ask" in said and not is_granted):
                    yield f"call {id_} left, and the policy had said {', '.join(said)}"
                if body["key"] != f"{run.summary.run_id}/{replied.get(id_)}/{id_}":
                    yield f"call {id_} of reply {replied.get(id_)} has the key {body['key']}"
            case _:
                pass


def _exactly_the_plan_is_carried_out(history: History, run: Run) -> Iterator[str]:
    plan = run.entries[0].body["plan"]
    if plan is None:
        return
    if run.bodies(EntryKind.REPLY) or any(asked.kind in {"reply", "sampling"} for asked in history.asks):
        yield "a model was asked while a plan was applied"
    [made] = [dry for dry in history.runs if dry.summary.mode is RunMode.DRY_RUN]
    wanted = [(call.tool, call.arguments) for call in plan_of(made.entries).calls]
    attempts = [(body["tool"], body["arguments"]) for _, body in run.bodies(EntryKind.ATTEMPT)]
    if _without_versions(attempts) != _without_versions(wanted):
        yield f"{attempts} were attempted, and {wanted} were planned"
    if run.summary.run_id != applied_as(made.summary.run_id):
        yield f"run {run.summary.run_id} applies the plan of {made.summary.run_id}"


def _without_versions(calls: Sequence[tuple[str, JsonObject]]) -> list[tuple[str, JsonObject]]:
    # They move with the calls before.
    return [
        (tool, {name: value for name, value in arguments.items() if name != "expected_version"})
        for tool, arguments in calls
    ]


def _every_effect_once(history: History, run: Run) -> Iterator[str]:
    results = {body["effect"]["key"]: body for _, body in run.bodies(EntryKind.RESULT) if _has_left(body)}
    arguments = {body["key"]: body["arguments"] for _, body in run.bodies(EntryKind.ATTEMPT)}
    for server in KEYS:
        events: dict[str, list[JsonObject]] = {}
        for event in history.rows[EVENTS[server]]:
            if event["kind"] != "created":
                events.setdefault(event["key"], []).append(event)
        keys = {row["key"]: row for row in history.rows[KEYS[server]]}
        if keys.keys() != events.keys():
            yield f"{server}: keys {sorted(keys)} are used, and events have {sorted(map(str, events))}"
        mine = {key: body for key, body in results.items() if body["effect"]["server"] == server}
        done = {key for key, body in mine.items() if body["status"] == "done"}
        unknown = {key for key, body in mine.items() if body["status"] == "uncertain"}
        if not done <= keys.keys() <= done | unknown:
            yield f"{server}: keys {sorted(keys)} are used, and {sorted(done)} are recorded as done"
        for key, happened in events.items():
            if key in results and key in keys and key in arguments:
                yield from _is_that_call(key, happened, keys[key], results[key], arguments[key])


def _is_that_call(
    key: str, happened: Sequence[JsonObject], kept: JsonObject, result: JsonObject, arguments: JsonObject
) -> Iterator[str]:
    if len(happened) != 1:
        yield f"{key} has happened {len(happened)} times"
    (event, *_) = happened
    if not (_TOOL_OF_EVENT[event["kind"]] == kept["tool"] == result["effect"]["tool"]):
        yield f"{key} is {result['effect']['tool']} here, {kept['tool']} and {event['kind']} there"
    if set(re.findall(TOKEN, json.dumps(arguments))) - set(re.findall(TOKEN, json.dumps(event["after"]))):
        yield f"{key} has happened with other words than were recorded"
    if result["status"] == "done" and json.loads(result["content"][0]["text"]) != kept["result"]:
        yield f"{key} has another result in the record than at its server"


def _records_fit_their_events(history: History, run: Run) -> Iterator[str]:
    (ticket,), (customer,) = history.rows["tickets"], history.rows["customers"]
    happened = Counter(event["kind"] for event in history.rows["ticket_events"])
    theirs = Counter(event["kind"] for event in history.rows["customer_events"])
    counts = [
        ("the ticket's version", ticket["version"], happened.total()),
        ("messages", len(history.rows["ticket_messages"]), 1 + sum(happened[kind] for kind in _SPEAKS)),
        ("the customer's version", customer["version"], 1 + theirs.total()),
        ("refunds", len(history.rows["refunds"]), theirs["refunded"]),
        ("mails", len(history.rows["outbox"]), theirs["password_reset_sent"] + theirs["invoice_resent"]),
    ]
    yield from (
        f"{what}: {found}, and its events make it {wanted}" for what, found, wanted in counts if found != wanted
    )
    paid = Counter(refund["invoice"] for refund in history.rows["refunds"])
    yield from (f"invoice {invoice} was paid back {count} times" for invoice, count in paid.items() if count > 1)
    attempts = {body["tool_use_id"]: body for _, body in run.bodies(EntryKind.ATTEMPT)}
    done = [body for _, body in run.bodies(EntryKind.RESULT) if body["tool"] == "customers.issue_refund"]
    judged = sum(attempts[body["tool_use_id"]]["facts"]["amount_cents"] for body in done if body["status"] == "done")
    moved = sum(refund["amount_cents"] for refund in history.rows["refunds"])
    if judged != moved and not any(body["status"] == "uncertain" for body in done):
        yield f"{moved} cents were paid back, and {judged} were judged"


_SPEAKS = ("note_added", "replied", "escalated")


def _nobody_is_asked_twice(history: History, run: Run) -> Iterator[str]:
    for kind, answers in _answers(run).items():
        asks = [asked for asked in history.asks if asked.kind == kind]
        for token in answers:
            first = next((place for place, asked in enumerate(asks) if asked.answer == token), None)
            if first is None:
                yield f"a {kind} is recorded that nobody gave: {token}"
            elif any(later.question == asks[first].question for later in asks[first + 1 :]):
                yield f"the {kind} to a question was recorded, and it was asked again"
        # A host that is killed loses at most what it had just asked.
        lost = len(asks) - len(answers)
        if lost > len(history.endings) - 1:
            yield f"{lost} answers of the kind {kind} are in no record, and only {len(history.endings) - 1} hosts ended"


def _answers(run: Run) -> dict[str, list[str]]:
    return {
        "reply": [_token(body["content"]) for _, body in run.bodies(EntryKind.REPLY)],
        "sampling": [_token(body["reply"]["content"]) for _, body in run.bodies(EntryKind.SAMPLING)],
        "approval": [body["because"][-20:] for _, body in run.bodies(EntryKind.APPROVAL)],
    }


def _token(content: Sequence[JsonObject]) -> str:
    return content[0]["text"][-20:]


def _a_persons_choice_stands(history: History, run: Run) -> Iterator[str]:
    chosen = Counter(body["tool_use_id"] for _, body in run.bodies(EntryKind.ELICITATION))
    yield from (f"{count} choices are recorded for call {id_}" for id_, count in chosen.items() if count > 1)
    events = {event["key"]: event for event in history.rows["ticket_events"]}
    attempts = {body["tool_use_id"]: body for _, body in run.bodies(EntryKind.ATTEMPT)}
    for _, body in run.bodies(EntryKind.ELICITATION):
        event = events.get(attempts[body["tool_use_id"]]["key"])
        wanted = body["content"]["priority"] if body["action"] == "accept" else None
        if event is not None and event["after"]["priority"] != wanted:
            yield f"{wanted} was chosen, and {event['after']['priority']} was set"
    ends = {entry.body["message"]: entry.at.isoformat() for entry in run.entries if entry.kind is EntryKind.ELICITATION}
    forms = [asked for asked in history.asks if asked.kind == "form"]
    if len(chosen) == 1 and any(asked.at > ends.get(asked.question, asked.at) for asked in forms):
        yield "a choice was recorded, and the person was asked again"


def _servers_are_given_what_was_recorded(history: History, run: Run) -> Iterator[str]:
    given = Counter(body["tool_use_id"] for _, body in run.bodies(EntryKind.SAMPLING))
    yield from (f"{count} replies are recorded for call {id_}" for id_, count in given.items() if count > 1)
    results = {body["tool_use_id"]: body for _, body in run.bodies(EntryKind.RESULT)}
    for _, body in run.bodies(EntryKind.SAMPLING):
        result = results[body["tool_use_id"]]
        if result["status"] == "done" and _token(body["reply"]["content"]) not in json.dumps(result["content"]):
            yield f"call {body['tool_use_id']} was given another reply than the recorded one"


def _the_report_says_so(history: History, run: Run) -> Iterator[str]:
    report = history.report
    if report is None:
        # Killed after its last entry: whoever asks then is told that the run has ended.
        return
    effects = [
        {name: value for name, value in body["effect"].items() if name != "kind"}
        for _, body in run.bodies(EntryKind.RESULT)
        if body["effect"] is not None
    ]
    if report["effects"] != effects:
        yield f"the report shows {report['effects']}, and the record {effects}"
    summary = run.summary
    said = [report["run_id"], report["outcome"], report["turns"], report["usage"]]
    if said != [summary.run_id, summary.outcome, summary.turns, summary.usage.as_json()]:
        yield f"the report says {said}, and the record {summary}"
    spent = sum(body["cost_usd"] for kind in _COSTS for _, body in run.bodies(kind))
    if abs(report["cost_usd"] - spent) > 1e-9 or abs((summary.cost_usd or 0) - spent) > 1e-9:
        yield f"{spent} dollars were spent, {report['cost_usd']} reported, {summary.cost_usd} summed up"


_COSTS = (EntryKind.REPLY, EntryKind.SAMPLING)


def _what_knows_no_keys_is_not_repeated(history: History, run: Run) -> Iterator[str]:
    results = [body for _, body in run.bodies(EntryKind.RESULT) if body["tool"].startswith(f"{COURIER}.")]
    lines = Counter(line["text"] for line in history.courier)
    for body in results:
        if body["effect"] is None:
            continue
        arguments = body["effect"]["arguments"]
        text = arguments.get("label") or arguments.get("reason")
        count, status = lines.pop(text, 0), body["status"]
        if count not in {"done": {1}, "uncertain": {0, 1}}.get(status, {0}):
            yield f"a call that is {status} has happened {count} times"
        if status == "uncertain" and "Look before you repeat." not in json.dumps(body["content"]):
            yield "the model was not told to look before it repeats"
        if status == "uncertain" and body["effect"]["key"] is None:
            yield "an uncertain call is shown as one that never left"
    yield from (f"{text!r} has happened, and no record says so" for text in lines)
    if history.case.story == "without-keys" and [line["tool"] for line in history.courier].count("send_parcel") != 1:
        yield "not one parcel was sent, although the model looks before it repeats"


def _money_of_unknown_fate_is_for_people(history: History, run: Run) -> Iterator[str]:
    unknown = [
        body["tool"]
        for _, body in run.bodies(EntryKind.RESULT)
        if body["status"] == "uncertain" and body["effect"]["kind"] == "money"
    ]
    told = [body["because"] for _, body in run.bodies(EntryKind.HANDOVER) if "money may have moved" in body["because"]]
    if bool(unknown) != bool(told) or len(unknown) > 1:
        yield f"money of unknown fate ({unknown}) and a hand-over for it ({told}) do not go together"


RULES: tuple[Rule, ...] = (
    _came_to_an_outcome,
    _is_sound,
    _every_call_has_one_result,
    _nothing_left_undecided,
    _exactly_the_plan_is_carried_out,
    _every_effect_once,
    _records_fit_their_events,
    _nobody_is_asked_twice,
    _a_persons_choice_stands,
    _servers_are_given_what_was_recorded,
    _the_report_says_so,
    _what_knows_no_keys_is_not_repeated,
    _money_of_unknown_fate_is_for_people,
)


def _planned(run: Run) -> dict[str, int]:
    """Return the calls of the plan that a run applies, with the numbers of the replies that had asked for them."""
    plan = run.entries[0].body["plan"]
    return {} if plan is None else {call["tool_use_id"]: call["seq"] for call in plan["calls"]}


def _calls(reply: JsonObject) -> list[JsonObject]:
    if reply["stop_reason"] != "tool_use":
        return []
    return [block for block in reply["content"] if block["type"] == "tool_use"]


def _has_left(body: JsonObject) -> bool:
    effect: Any = body["effect"]
    return effect is not None and effect["key"] is not None
