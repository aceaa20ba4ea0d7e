"""What a place holds when all its runs are over: the journal, both stores, and the logs beside them; nothing else."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Table, create_engine, select

from agent.journal import Journal, RunSummary, Verified, open_journal
from agent.records import Entry, EntryKind, JsonObject
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.kill.courier import read_log
from tests.kill.people import TOKEN, Asked, read_asks
from tests.kill.places import Case, Place
from tests.kill.points import Passed, read_trail

Row = dict[str, Any]

STORES = {"ticketing": TICKETING.metadata, "customers": CUSTOMERS.metadata}

KEYS = {"ticketing": "ticket_keys", "customers": "customer_keys"}

EVENTS = {"ticketing": "ticket_events", "customers": "customer_events"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as its journal has it."""

    summary: RunSummary
    entries: Sequence[Entry]
    verified: Verified

    def bodies(self, kind: EntryKind) -> list[tuple[int, JsonObject]]:
        """The bodies of one kind, with their numbers."""
        return [(entry.seq, entry.body) for entry in self.entries if entry.kind is kind]


@dataclass(frozen=True, kw_only=True)
class History:
    """All that is left of one case."""

    case: Case
    runs: Sequence[Run]
    rows: Mapping[str, Sequence[Row]]  # of both stores, those about its ticket and its customer, by table
    courier: Sequence[Row]
    asks: Sequence[Asked]
    trail: Sequence[Passed]
    report: JsonObject | None
    endings: Sequence[int]  # of its hosts, by exit status


@dataclass(frozen=True, kw_only=True)
class Left:
    """All that a place holds."""

    tables: Mapping[str, Sequence[Row]]
    runs: Sequence[Run]
    courier: Sequence[Row]

    def of(self, place: Place, case: Case, endings: Sequence[int]) -> History:
        """Return what is about one case."""
        runs = [run for run in self.runs if run.summary.ticket_id == case.ticket_id]
        report = place.of(case) / "report.json"
        asks = place.of(case) / "asks"
        return History(
            case=case,
            runs=runs,
            rows={name: [row for row in rows if _is_about(row, case, runs)] for name, rows in self.tables.items()},
            courier=[line for line in self.courier if line["ticket"] == case.ticket_id],
            asks=read_asks(asks) if asks.exists() else [],
            trail=read_trail(place.of(case) / "trail"),
            report=json.loads(report.read_text()) if report.exists() else None,
            endings=endings,
        )


async def read(place: Place) -> Left:
    """Read everything."""
    tables: dict[str, Sequence[Row]] = {}
    for component, metadata in STORES.items():
        tables |= _tables(place.database(component), metadata)
    journal = open_journal(place.settings())
    try:
        return Left(tables=tables, runs=await _runs(journal), courier=read_log(place.courier_log))
    finally:
        await journal.aclose()


def state(history: History) -> list[str]:
    """Return what both stores hold about a case, without what no two runs have in common."""
    texts = [
        json.dumps([name, {column: value for column, value in row.items() if column not in {"id", "digest"}}])
        for name, rows in history.rows.items()
        for row in rows
    ]
    return sorted(_without(_UNIQUE, text.replace(history.case.ticket_id, "N")) for text in texts)


_UNIQUE = {
    r"\d{8}-\d{6}-[0-9a-f]{6}(-apply)?/\d+/": "RUN/",
    r"toolu_[0-9a-f]{12}": "CALL",
    TOKEN: "…",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
}


def _without(patterns: Mapping[str, str], text: str) -> str:
    for pattern, instead in patterns.items():
        text = re.sub(pattern, instead, text)
    return text


def _is_about(row: Row, case: Case, runs: Iterable[Run]) -> bool:
    if "digest" in row:  # of the keys
        return row["key"].partition("/")[0] in {run.summary.run_id for run in runs}
    mine = {case.number, f"cus_{case.number}"}
    return bool(mine & {row.get(name) for name in ("ticket", "number", "customer", "id")})


def _tables(url: str, metadata: MetaData) -> dict[str, Sequence[Row]]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(_in_order(table)).mappings()]
                for table in metadata.sorted_tables
            }
    finally:
        engine.dispose()


def _in_order(table: Table) -> Any:
    return select(table).order_by(*table.primary_key.columns)


async def _runs(journal: Journal) -> list[Run]:
    verified = {found.run_id: found for found in await journal.verify()}
    return [
        Run(summary=summary, entries=await journal.entries(summary.run_id), verified=verified[summary.run_id])
        for summary in await journal.runs()
    ]
