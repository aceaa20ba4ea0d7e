"""What one turn costs the host itself: loop, gate, host and journal, in CPU of its own process.

A model that answers at once asks for the echo tool of a stdio server, turn after turn, through everything that a real
run passes: built-in helpdesk, catalog, policy, journal. The servers' own CPU is not counted. The runs are dry
ones: a read goes the same way in both modes, and every round finds the ticket as it was.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent import approval
from agent.account import this_process
from agent.assembly import Assembly
from agent.configuration import load
from agent.intake import Intake
from agent.journal import open_journal
from agent.locks import Locks
from agent.records import JsonObject, ModelRequest, OutcomeKind, Reply, RunMode
from agent.render import SilentView
from agent.render.questions import DecliningOperator
from agent.run import Finished
from agent.session import open_session
from benchmarks.figures import Figures, Limit, begin, conclude
from benchmarks.places import ROOT, Place, temporary_place

ROUNDS = 7
TURNS = 400
MOST_MS = 5.0

CONFIGURATION = f"""
[limits]
turns = {TURNS}

[tools."echo.echo"]
effect = "read"
public = true
"""


class Echoing:
    """A model that always asks for the same call, without any cost of its own."""

    name = "echoing"

    def __init__(self) -> None:
        self.replies = 0

    async def reply(
        self,
        request: ModelRequest,  # noqa: ARG002 - every request gets the same call
        on_text: Callable[[str], None],
    ) -> Reply:
        """Return a reply with one call."""
        self.replies += 1
        on_text("Once more.")
        call: JsonObject = {
            "type": "tool_use",
            "id": f"toolu_{self.replies}",
            "name": "echo__echo",
            "input": {"text": f"turn {self.replies}"},
        }
        text: JsonObject = {"type": "text", "text": "Once more."}
        return Reply(content=[text, call], stop_reason="tool_use", model=self.name, cost_usd=0.0)

    async def aclose(self) -> None:
        """Hold nothing."""


def main() -> None:
    """Measure, print, and end with 1 if the limit does not hold."""
    begin(f"Host overhead per turn: a model that answers at once, an echo tool over stdio, {TURNS} turns a round")
    with temporary_place() as place:
        values = asyncio.run(_measured(place))
    cpu_ms = Figures(name="host, CPU per turn", unit="ms", values=[cpu_s * 1000 / TURNS for cpu_s, _ in values])
    wall_ms = Figures(name="turn, wall", unit="ms", values=[wall_s * 1000 / TURNS for _, wall_s in values])
    conclude([cpu_ms, wall_ms], [Limit(figures=cpu_ms, most=MOST_MS)])


async def _measured(place: Place) -> list[tuple[float, float]]:
    _write_configuration(place.work)
    settings = load(folder=place.work, environ=place.environment())
    journal, locks = open_journal(settings), Locks(settings.home / "locks")
    try:
        async with open_session(settings, SilentView(), is_strict=True) as session:
            assembly = Assembly(
                session=session,
                model=Echoing(),
                approver=approval.never(),
                operator=DecliningOperator(),
                owner=this_process(locks.place_id),
            )
            intake = Intake(assembly=assembly, journal=journal, locks=locks, mode=RunMode.DRY_RUN)
            gc.collect()
            gc.freeze()  # as the command does before its first turn
            return [await _round(intake) for _ in range(ROUNDS + 1)][1:]
    finally:
        await journal.aclose()


def _write_configuration(folder: Path) -> None:
    echo = {"command": sys.executable, "args": ["-P", str(ROOT / "tests" / "fakes" / "echo_server.py")]}
    (folder / ".mcp.json").write_text(json.dumps({"mcpServers": {"echo": echo}}), encoding="utf-8")
    (folder / "support-agent.toml").write_text(CONFIGURATION, encoding="utf-8")


async def _round(intake: Intake) -> tuple[float, float]:
    """Return the CPU and wall seconds of one run."""
    run = await intake.prepare("42")
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    finished = await intake.work(run)
    used = time.process_time() - cpu_s, time.perf_counter() - wall_s
    intake.release(run)
    _check(finished)
    return used


def _check(finished: Finished) -> None:
    # The hand-over at the end is planned, and the only effect: all other calls were the echo's.
    report = finished.report
    if (report.outcome.kind, report.turns, len(report.effects)) != (OutcomeKind.PLANNED, TURNS, 1):
        sys.exit(f"This is not the run that was to be measured: {report}")


if __name__ == "__main__":
    main()
