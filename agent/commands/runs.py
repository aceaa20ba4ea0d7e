"""`runs`: what the journal has recorded. Nothing here starts a server or loads a model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.account import operator_account
from agent.commands.frame import Frame
from agent.commands.moments import moment
from agent.errors import RunNotFound, UsageError
from agent.journal import Journal, Pause, RunSummary, Verified, open_journal
from agent.records import Entry, JsonObject, OutcomeKind
from agent.render import show_notice
from agent.render.confirm import is_confirmed
from agent.render.figures import count
from agent.render.record import show_run
from agent.render.runs import UNFINISHED, forgotten_sentence, show_runs, show_verified
from agent.settings import Settings

LAST = "last"
"""The name of the newest run, whatever its id."""

NOTHING_YET = "No run is recorded yet: `support-agent run --ticket ID` makes the first."


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """Which runs a list shows, as the command line says it."""

    ticket_id: str | None
    outcome: str | None  # an OutcomeKind, or UNFINISHED
    since: str | None
    limit: int


async def list_runs(frame: Frame, filters: Filters) -> int:
    """Show the newest runs, newest first."""
    now = datetime.now(UTC)
    outcome, is_finished = _outcome(filters.outcome)
    since = None if filters.since is None else moment(filters.since, now=now)
    is_filtered = (filters.ticket_id, filters.outcome, filters.since) != (None, None, None)
    async with recorded(frame) as journal:
        if journal is None:
            return _say_nothing_yet(frame, {"runs": [], "has_more": False, "paused": None})
        pause = await journal.paused()
        # One more than is shown tells whether there are more.
        found = await journal.runs(
            ticket_id=filters.ticket_id,
            outcome=outcome,
            since=since,
            is_finished=is_finished,
            limit=filters.limit + 1,
        )
    runs, has_more = found[: filters.limit], len(found) > filters.limit
    if frame.is_json:
        shown = [_summary_json(run) for run in runs]
        frame.print_json({"runs": shown, "has_more": has_more, "paused": pause_json(pause)})
        return 0
    if pause is not None:
        show_notice(frame.out, pause.sentence)
    if not runs:
        frame.say("No recorded run is like this." if is_filtered else NOTHING_YET)
        return 0
    show_runs(frame.out, runs, now=now)
    if has_more:
        frame.say(f"There are older ones: --limit shows more than {filters.limit}.")
    return 0


async def show(frame: Frame, run_id: str, *, is_full: bool) -> int:
    """Show one run, turn by turn."""
    async with recorded(frame) as journal:
        if journal is None:
            raise RunNotFound(NOTHING_YET)
        run = await _found(journal, run_id)
        entries = await journal.entries(run.run_id)
    if frame.is_json:
        frame.print_json({"run": _summary_json(run), "entries": [_entry_json(entry) for entry in entries]})
    else:
        show_run(frame.out, run, entries, is_full=is_full)
    return 0


async def named_run(frame: Frame, run_id: str) -> RunSummary:
    """Return the run of this id, of this beginning of one, or the newest one, by the journal of this folder.

    Raises:
        RunNotFound: there is none, or more than one.
    """
    async with recorded(frame) as journal:
        if journal is None:
            raise RunNotFound(NOTHING_YET)
        return await _found(journal, run_id)


async def pause_here(frame: Frame) -> Pause | None:
    """Return the pause of all runs that holds, by the journal of this folder."""
    async with recorded(frame) as journal:
        return None if journal is None else await journal.paused()


async def unfinished_runs(frame: Frame) -> list[RunSummary]:
    """Return the runs that have not ended, by the journal of this folder."""
    async with recorded(frame) as journal:
        return [] if journal is None else await journal.runs(is_finished=False)


async def export(frame: Frame, run_ids: Sequence[str], *, is_all: bool, since: str | None) -> int:
    """Print every entry of some runs as one line of JSON, the oldest run first."""
    if bool(run_ids) == (is_all or since is not None):
        raise UsageError("Say which runs: their ids, or --all, or --since.")
    earliest = None if since is None else moment(since, now=datetime.now(UTC))
    async with recorded(frame) as journal:
        if journal is None:
            show_notice(frame.err, NOTHING_YET)
            return 0
        if run_ids:
            runs = [await _found(journal, run_id) for run_id in run_ids]
        else:
            runs = list(reversed(await journal.runs(since=earliest)))
        for run in runs:
            for entry in await journal.entries(run.run_id):
                frame.print_json_line(_entry_json(entry))
    return 0


async def verify(frame: Frame, run_ids: Sequence[str]) -> int:
    """Check that what is recorded of some runs, or of all, is as it was written; exit code 1 if any is not."""
    async with recorded(frame) as journal:
        if journal is None:
            return _say_nothing_yet(frame, {"runs": []})
        if run_ids:
            verified = [await _verified(journal, run_id) for run_id in run_ids]
        else:
            verified = await journal.verify()
    if frame.is_json:
        frame.print_json({"runs": [_verified_json(one) for one in verified]})
    else:
        show_verified(frame.out, verified)
    return 0 if all(one.is_sound for one in verified) else 1


async def forget(frame: Frame, *, customer: str | None, before: str | None, is_sure: bool) -> int:
    """Delete the texts of a customer's runs, or of old ones, once a person has said so."""
    if customer is None and before is None:
        raise UsageError("Say whose runs with --customer EMAIL, or how old ones with --before DATE.")
    latest = None if before is None else moment(before, now=datetime.now(UTC))
    async with recorded(frame) as journal:
        if journal is None:
            return _say_nothing_yet(frame, {"runs": 0, "entries": 0, "left_out": 0})
        # Counted before anyone is asked: the question says how much it is about.
        affected = _with_texts(await journal.runs(is_finished=True), journal, customer, latest)
        if affected and not is_sure and not await _is_agreed(frame, affected, journal.place):
            frame.say("Nothing was deleted.")
            return 1
        forgotten = await journal.forget(customer=customer, before=latest, by=operator_account())
    if frame.is_json:
        frame.print_json({"runs": forgotten.runs, "entries": forgotten.entries, "left_out": forgotten.left_out})
    else:
        frame.say(forgotten_sentence(forgotten))
    return 0


@asynccontextmanager
async def recorded(frame: Frame) -> AsyncGenerator[Journal | None]:
    """Yield the journal; None where no run was ever recorded: who only reads makes no file."""
    settings = await frame.settings()
    if await asyncio.to_thread(_is_absent, settings):
        yield None
        return
    journal = await asyncio.to_thread(open_journal, settings)
    try:
        yield journal
    finally:
        await journal.aclose()


def _is_absent(settings: Settings) -> bool:
    from agent.journal.places import is_sqlite, place_of  # noqa: PLC0415 - it loads SQLAlchemy

    place = place_of(settings)
    return is_sqlite(place) and not Path(place.database or "").exists()


async def _found(journal: Journal, run_id: str) -> RunSummary:
    if run_id != LAST:
        return await journal.find(run_id)
    newest = await journal.runs(limit=1)
    if not newest:
        raise RunNotFound(NOTHING_YET)
    return newest[0]


async def _verified(journal: Journal, run_id: str) -> Verified:
    # As it is named first: of a run that is damaged, the entries may be all there is.
    with suppress(RunNotFound):
        return (await journal.verify([run_id]))[0]
    return (await journal.verify([(await _found(journal, run_id)).run_id]))[0]


def _with_texts(
    runs: Sequence[RunSummary], journal: Journal, customer: str | None, before: datetime | None
) -> list[RunSummary]:
    """Return those of the finished runs that `forget` would take texts from."""
    hashed = None if customer is None else journal.customer_hash(customer)
    return [
        run
        for run in runs
        if not run.is_forgotten
        and hashed in {None, run.customer}
        and (before is None or (run.finished_at is not None and run.finished_at < before))
    ]


async def _is_agreed(frame: Frame, runs: Sequence[RunSummary], place: str) -> bool:
    if not frame.has_person:
        raise UsageError("Deleted texts cannot be had back, and nobody is here to confirm it: say --yes.")
    oldest, newest = runs[-1].started_at, runs[0].started_at
    when = f"{oldest:%Y-%m-%d}" + (f" to {newest:%Y-%m-%d}" if newest.date() > oldest.date() else "")
    warning = (
        f"The texts of {count(len(runs), 'run')} (begun {when}) will be deleted from {place}: what customers, models "
        "and servers said, and the arguments of calls. Totals, verdicts and amounts stay. It cannot be undone."
    )
    return await is_confirmed(frame.out, warning, "Delete them?")


def _outcome(named: str | None) -> tuple[OutcomeKind | None, bool | None]:
    """Return the outcome that runs must have, and whether they must have one."""
    if named is None:
        return None, None
    if named == UNFINISHED:
        return None, False
    if named not in set(OutcomeKind):
        raise UsageError(f"{named!r} is no outcome: choose one of {', '.join(OutcomeKind)}, {UNFINISHED}.")
    return OutcomeKind(named), None


def _say_nothing_yet(frame: Frame, document: JsonObject) -> int:
    if frame.is_json:
        frame.print_json(document)
    frame.say(NOTHING_YET)
    return 0


def pause_json(pause: Pause | None) -> JsonObject | None:
    """Return the documented JSON shape of a pause; None is none."""
    if pause is None:
        return None
    return {
        "since": pause.since.isoformat(),
        "by": pause.by,
        "reason": pause.reason,
        "is_by_breaker": pause.is_by_breaker,
    }


def _summary_json(run: RunSummary) -> JsonObject:
    return {
        "run_id": run.run_id,
        "ticket_id": run.ticket_id,
        "customer": run.customer,
        "mode": run.mode.value,
        "model": run.model,
        "outcome": None if run.outcome is None else run.outcome.value,
        "reason": run.reason,
        "started_at": run.started_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "turns": run.turns,
        "usage": run.usage.as_json(),
        "cost_usd": run.cost_usd,
        "owner": run.owner.as_json(),
        "is_forgotten": run.is_forgotten,
    }


def _entry_json(entry: Entry) -> JsonObject:
    return {
        "run_id": entry.run_id,
        "seq": entry.seq,
        "kind": entry.kind.value,
        "at": entry.at.isoformat(),
        "body": entry.body,
    }


def _verified_json(one: Verified) -> JsonObject:
    return {
        "run_id": one.run_id,
        "is_sound": one.is_sound,
        "soundness": one.soundness.value,
        "entries": one.entries,
        "is_finished": one.is_finished,
        "seq": one.seq,
        "problem": one.problem,
    }
