"""What the gate itself costs a call, in CPU: bind, validate, decide by the policy, keep within the budgets, account.

Calls of the built-in helpdesk's tools pass a gate whose servers answer at once and whose record is in memory: what
servers, facts and the journal take is measured elsewhere. The payments are asked about, so that the policy
decides twice about each.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent import approval
from agent.calling import Circumstances
from agent.catalog import OfferedTool, ReadableTemplate
from agent.gate import Gate
from agent.journal import MemoryJournal
from agent.judging import Judge
from agent.ledger import Ledger
from agent.outgoing import Outgoing
from agent.records import CallStatus, Case, EntryKind, JsonObject, RunMode, Spent, ToolCall, ToolResult
from agent.repeats import Repeats
from agent.session import Session, system_prompt
from benchmarks.figures import Figures, Limit, begin, conclude
from tests.fakes.runs import NOTE, REFUND, bench

ROUNDS = 9
RUNS = 60
CALLS = 5
"""Of one run: as many as real ones make, since what a run has done is looked at for every call."""

MOST_MS = 1.5

KINDS: Mapping[str, tuple[str, JsonObject]] = {
    "read": ("ticketing__search_knowledge_base", {"query": "log in after a password change"}),
    "write": (NOTE, {"body": "The customer had an old password saved. " * 10}),
    "asked payment": (REFUND, {"invoice_id": "inv_1003", "reason": "Charged twice."}),
}


class AtOnce:
    """Servers that answer at once: of invoices in yen, about which the default policy asks."""

    def __init__(self) -> None:
        now = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
        self._circumstances = Circumstances(now=now, spent=Spent(since=now, customer_cents=0, all_cents=0))

    async def facts(
        self,
        tool_use_id: str,  # noqa: ARG002 - the same facts for every call
        tool: OfferedTool,
        arguments: Any,  # noqa: ARG002
        value_of: Callable[[str], Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return what a payment is judged by."""
        return {"amount_cents": 1200, "currency": "JPY"} if tool.settings.facts else {}

    async def ticket_version(self, tool_use_id: str) -> Any:  # noqa: ARG002
        """Return the version that the ticket always has."""
        return None

    async def reread(self, tool_use_id: str) -> ToolResult:  # noqa: ARG002
        """Return nothing: the ticket never moves."""
        return ToolResult.saying(CallStatus.FAILED, "")

    async def circumstances(self, tool_use_id: str, *, is_payment: bool) -> Circumstances:  # noqa: ARG002
        """Return the same time and totals for every call."""
        return self._circumstances

    async def call(
        self,
        tool_use_id: str,  # noqa: ARG002 - every call is done
        tool: OfferedTool,  # noqa: ARG002
        arguments: JsonObject,  # noqa: ARG002
        *,
        key: str,  # noqa: ARG002
        is_again: bool,  # noqa: ARG002
    ) -> ToolResult:
        """Return that it is done."""
        return ToolResult.saying(CallStatus.DONE, "Done.")

    async def read(self, tool_use_id: str, template: ReadableTemplate, uri: str) -> ToolResult:  # noqa: ARG002
        """Return nothing: no resource is read here."""
        return ToolResult.saying(CallStatus.DONE, "")


def main() -> None:
    """Measure, print, and end with 1 if a limit does not hold."""
    begin(f"The gate's own CPU per call: the built-in tools, the default policy, {RUNS} runs of {CALLS} calls a round")
    with TemporaryDirectory(prefix="support-agent-benchmark-") as folder:
        values = asyncio.run(_measured(Path(folder)))
    figures = [Figures(name=f"gate, CPU per {kind}", unit="ms", values=values[kind]) for kind in KINDS]
    conclude(figures, [Limit(figures=figure, most=MOST_MS) for figure in figures])


async def _measured(folder: Path) -> dict[str, list[float]]:
    async with bench(folder) as desk:
        case = await desk.session.helpdesk.open("42")
        desk.session.policies  # noqa: B018 - read before the clock starts, as a command does
        gc.collect()
        gc.freeze()
        # The first round is not counted.
        return {
            kind: [await _round(desk.session, case, *call) for _ in range(ROUNDS + 1)][1:]
            for kind, call in KINDS.items()
        }


async def _round(session: Session, case: Case, name: str, arguments: JsonObject) -> float:
    """Return the milliseconds of CPU that one call takes."""
    used_s = 0.0
    for number in range(RUNS):
        gate, recorder = _gate(session, case, f"r{number}")
        # Other arguments each time: the same ones again and again are stopped.
        text = list(arguments)[-1]
        calls = [
            ToolCall(id=f"toolu_{turn}", name=name, arguments={**arguments, text: f"{arguments[text]} {turn}"})
            for turn in range(CALLS)
        ]
        began_s = time.process_time()
        results = [await gate.pass_through(call, turn_seq=2) for call in calls]
        used_s += time.process_time() - began_s
        if any(result.status is not CallStatus.DONE for result in results):
            sys.exit(f"These are not the calls that were to be measured: {results}")
        asked = sum(entry.kind is EntryKind.APPROVAL for entry in recorder.entries)
        if asked != (CALLS if name == REFUND else 0):
            sys.exit(f"{name} was asked about {asked} times.")
    return used_s * 1000 / (RUNS * CALLS)


def _gate(session: Session, case: Case, run_id: str) -> tuple[Gate, MemoryJournal]:
    recorder = MemoryJournal(run_id, lambda _: None)
    ledger = Ledger(versions={"ticket": case.value("ticket.version"), "customer": case.value("customer.version")})
    calls = AtOnce()
    system = system_prompt(session.host, session.settings)
    outgoing = Outgoing.of(case, session.catalog, session.settings, system=system)
    judge = Judge(
        case=case,
        calls=calls,
        policies=session.policies,
        limits=session.settings.limits,
        mode=RunMode.LIVE,
        recorder=recorder,
        ledger=ledger,
        repeats=Repeats(catalog=session.catalog, most=session.settings.limits.same_calls),
        outgoing=outgoing,
    )
    gate = Gate(
        case=case,
        catalog=session.catalog,
        calls=calls,
        judge=judge,
        mode=RunMode.LIVE,
        approver=approval.always(),
        recorder=recorder,
        ledger=ledger,
        outgoing=outgoing,
    )
    return gate, recorder


if __name__ == "__main__":
    main()
