"""What recording costs: the journal's CPU in a turn, and how many entries a second each database takes.

A turn is what one with a single write records: a reply, its decision, the attempt and the result, 5 KB in all. Every
entry is one durable transaction: SQLite with `synchronous=FULL`, PostgreSQL with `fsync` on, started for this alone.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from agent.journal import Journal, RunRecord, new_run_id, open_journal, upgrade_journal
from agent.records import EntryKind, JsonObject, Owner, Usage
from agent.settings import Settings, TicketSettings
from benchmarks.figures import Figures, Limit, begin, conclude
from benchmarks.places import temporary_place
from tests.postgres import Postgres, running_postgres

ROUNDS = 7
TURNS = 250
TOGETHER = 8
MOST_MS = 3.0

_CALL = {"tool_use_id": "toolu_01", "tool": "desk.add_note"}
_ARGUMENTS = {"body": "The saved login was forgotten and a new password typed; the customer can log in. " * 6}
CASE: JsonObject = {
    "format": 1,
    "ticket_id": "42",
    "mode": "live",
    "model": "scripted",
    "owner": Owner(pid=1, machine="benchmark", place="benchmark", user="benchmark").as_json(),
    "system": "You resolve tickets. " * 200,
    "tools": [{"name": f"desk__tool_{number}", "description": "Does something. " * 20} for number in range(20)],
}
TURN: tuple[tuple[EntryKind, JsonObject], ...] = (
    (
        EntryKind.REPLY,
        {
            "turn": 1,
            "content": [
                {"type": "thinking", "thinking": "The customer cannot log in since the password changed. " * 16},
                {"type": "text", "text": "I add a note with what was found."},
                {"type": "tool_use", "id": "toolu_01", "name": "desk__add_note", "input": _ARGUMENTS},
            ],
            "stop_reason": "tool_use",
            "model": "scripted",
            "usage": Usage(input_tokens=900, output_tokens=250, cache_read_tokens=9_000).as_json(),
            "cost_usd": 0.0061,
            "seconds": 3.2,
        },
    ),
    (
        EntryKind.DECISION,
        {
            **_CALL,
            "effect": "write",
            "arguments": {**_ARGUMENTS, "ticket_id": "42", "expected_version": 3},
            "verdict": "allow",
            "reasons": [{"rule": "own-ticket", "because": "Notes on the run's own ticket are allowed."}],
            "stripped": [],
            "facts": {},
        },
    ),
    (
        EntryKind.ATTEMPT,
        {
            **_CALL,
            "effect": "write",
            "arguments": {**_ARGUMENTS, "ticket_id": "42", "expected_version": 3},
            "key": "20261122-171501-9f3a2c/5/toolu_01",
            "facts": {},
        },
    ),
    (
        EntryKind.RESULT,
        {
            **_CALL,
            "status": "done",
            "content": [{"type": "text", "text": "The note was added; the ticket is at version 4. " * 30}],
            "versions": {"ticket": 4},
            "effect": {"server": "desk", "tool": "add_note", "status": "done", "key": None},
            "seconds": 0.012,
        },
    ),
)


def main() -> None:
    """Measure, print, and end with 1 if the limit does not hold."""
    begin(f"Journal: turns of {len(TURN)} entries, {TURNS} a round; then {TOGETHER} runs at once")
    with temporary_place() as place:
        values = asyncio.run(_measured(_settings(place.home)))
    cpu_ms = Figures(name="SQLite: CPU per turn", unit="ms", values=[cpu_ms for cpu_ms, _, _ in values])
    figures = [cpu_ms, *_rates("SQLite", values)]
    if postgresql_is_installed():
        with _postgresql() as settings:
            figures += _rates("PostgreSQL", asyncio.run(_measured(settings)))
    else:
        print("PostgreSQL is not installed and was not measured.")
    conclude(figures, [Limit(figures=cpu_ms, most=MOST_MS)])


def postgresql_is_installed() -> bool:
    """Whether there is a PostgreSQL to start."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def _rates(database: str, values: list[tuple[float, float, float]]) -> list[Figures]:
    return [
        Figures(name=f"{database}: one run", unit="entries/s", values=[alone for _, alone, _ in values], digits=0),
        Figures(
            name=f"{database}: {TOGETHER} runs",
            unit="entries/s",
            values=[together for _, _, together in values],
            digits=0,
        ),
    ]


def _settings(home: Path, **more: str) -> Settings:
    desk = TicketSettings(server="desk", record="desk://", context="desk://", fields={}, outcome={})
    return Settings.model_validate({"home": home, "transports": {}, "tickets": desk, **more})


@contextmanager
def _postgresql() -> Generator[Settings]:
    with running_postgres() as server, temporary_place() as place:
        _make_durable(server)
        settings = _settings(place.home, journal=server.url(server.create()))
        upgrade_journal(settings)
        yield settings


def _make_durable(server: Postgres) -> None:
    # The tests' server forgets what it has committed when the power fails, which is faster.
    with server.connected("postgres") as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = on")
        connection.exec_driver_sql("ALTER SYSTEM SET full_page_writes = on")
    server.control("restart")
    with server.connected("postgres") as connection:
        if connection.exec_driver_sql("SHOW fsync").scalar_one() != "on":
            sys.exit("PostgreSQL did not switch fsync on.")


async def _measured(settings: Settings) -> list[tuple[float, float, float]]:
    """Return, for each round, CPU milliseconds a turn, and entries a second of one run and of several."""
    async with _opened(settings) as journal:
        gc.collect()
        gc.freeze()  # as the command does before its first turn
        return [await _round(journal) for _ in range(ROUNDS + 1)][1:]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Journal]:
    journal = await asyncio.to_thread(open_journal, settings)
    yield journal
    await journal.aclose()


async def _round(journal: Journal) -> tuple[float, float, float]:
    alone = await _begun(journal)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await _work(alone, TURNS)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    several = [await _begun(journal) for _ in range(TOGETHER)]
    began = time.perf_counter()
    await asyncio.gather(*(_work(record, TURNS // TOGETHER) for record in several))
    together_s = time.perf_counter() - began
    entries = len(TURN) * (TURNS // TOGETHER) * TOGETHER
    return cpu_s * 1000 / TURNS, len(TURN) * TURNS / wall_s, entries / together_s


async def _begun(journal: Journal) -> RunRecord:
    record = journal.record(run_id=new_run_id(), customer=journal.customer_hash("a@b.c"), on_entry=lambda _: None)
    await record.append(EntryKind.CASE, CASE)
    return record


async def _work(record: RunRecord, turns: int) -> None:
    for _ in range(turns):
        for kind, body in TURN:
            await record.append(kind, body)


if __name__ == "__main__":
    main()
