"""Several processes over one helpdesk, one journal and the same locks, played by tasks of one process."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import anyio

from agent.intake import Intake
from agent.locks import Locks
from agent.models.scripted import ScriptedModel, Turn
from agent.protocols import Model
from agent.records import Owner, RunMode
from agent.run import Finished, Run
from tests.fakes.runs import Bench


def process(
    desk: Bench,
    pid: int,
    *turns: Turn,
    model: Model | None = None,
    mode: RunMode = RunMode.LIVE,
    locks: Locks | None = None,
    machine: str = "desk-1",
) -> Intake:
    """Return what the process of this id works tickets with; the model of one that goes on plays from where it is."""
    intake = desk.intake(model=model or ScriptedModel(turns), mode=mode)
    locks = locks or desk.locks
    owner = Owner(pid=pid, machine=machine, place=locks.place_id, user="ann")
    return replace(intake, assembly=replace(intake.assembly, owner=owner), locks=locks)


class Halt:
    """A place in the middle of something, such as a turn's gate: it is reached, and left when the test says so."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.go_on = anyio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go_on.wait()


class AtWork:
    """A process in the middle of a run."""

    def __init__(self, intake: Intake, run: Run) -> None:
        self.run = run
        self.run_id = run.recorder.run_id
        self._intake = intake
        self._task = asyncio.create_task(self._work())

    async def end(self) -> Finished:
        """Wait until it has ended by itself, as a process that then lets go of its ticket; what it raises is raised."""
        with anyio.fail_after(600):
            return await self._task

    async def kill(self) -> None:
        """End it where it is: nothing more is recorded, and the kernel drops its locks."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _work(self) -> Finished:
        try:
            return await self._intake.work(self.run)
        finally:
            self._intake.release(self.run)


async def at_work(intake: Intake, halt: Halt, ticket_id: str = "42") -> AtWork:
    """Let a process begin to work a ticket, and return when it has reached the halt."""
    working = AtWork(intake, await intake.prepare(ticket_id))
    with anyio.fail_after(600):
        await halt.reached.wait()
    return working


async def killed_at(intake: Intake, halt: Halt, ticket_id: str = "42") -> str:
    """Let a process begin to work a ticket, kill it at the halt, and return its run's id."""
    working = await at_work(intake, halt, ticket_id)
    await working.kill()
    return working.run_id
