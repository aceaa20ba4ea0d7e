"""Locks between processes: who dies has none any more, who is stopped keeps them, who races wins alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import TicketTaken
from agent.locks import Locks

DEADLINE_S = 300

WORKER = """
import os, subprocess, sys
from pathlib import Path
from agent.errors import TicketTaken
from agent.locks import Locks

def spawned():
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdout=subprocess.DEVNULL).pid

def forked():
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begins, b".")  # it has let go of what it does not keep
        os.close(1)
        os.read(0, 1)
        os._exit(0)
    os.read(begun, 1)
    return child

print("ready", flush=True)
while line := sys.stdin.readline():
    if line.strip() in ("spawn", "fork"):
        print(spawned() if line.strip() == "spawn" else forked(), flush=True)
        continue
    locks = Locks(Path(sys.argv[1]))
    customer, ticket_id = line.split()
    try:
        held = locks.hold(customer=customer, ticket_id=ticket_id)
    except TicketTaken as taken:
        print(taken, flush=True)
    else:
        print("held", locks.place_id, flush=True)
"""

Start = Callable[[], "Worker"]


class Worker:
    """A process that holds what it is told to, until it ends."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert self.answer() == "ready"

    def hold(self, customer: str, ticket_id: str) -> None:
        self.tell(f"{customer} {ticket_id}")

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[Worker] = []

    def make() -> Worker:
        started.append(Worker(folder))
        return started[-1]

    yield make
    for worker in started:
        worker.kill()


def test_a_stopped_process_keeps_its_ticket_and_a_killed_one_loses_it_at_once(start: Start, folder: Path):
    locks, worker = Locks(folder), start()
    worker.hold("a", "42")
    assert worker.answer() == f"held {locks.place_id}"
    worker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TicketTaken, match="Ticket 42"):
        locks.hold(customer="a", ticket_id="42")
    with pytest.raises(TicketTaken, match="another one of its customer"):
        locks.hold(customer="a", ticket_id="43")
    worker.kill()
    locks.hold(customer="a", ticket_id="42").release()


def test_of_processes_that_race_for_a_new_folder_and_a_ticket_exactly_one_wins(start: Start, folder: Path):
    workers = [start(), start(), start()]
    assert not folder.exists()
    for worker in workers:
        worker.hold("a", "42")
    answers = [worker.answer() for worker in workers]
    winners = [answer for answer in answers if answer.startswith("held ")]
    assert winners == [f"held {Locks(folder).place_id}"]
    assert sum("is being worked by another process." in answer for answer in answers) == 2


@pytest.mark.parametrize("how", ["spawn", "fork"])
def test_a_child_process_does_not_keep_what_its_killed_parent_held(start: Start, folder: Path, how: str):
    # The servers of a killed run may live a moment longer than it.
    worker = start()
    worker.hold("a", "42")
    assert worker.answer().startswith("held ")
    worker.tell(how)
    child = int(worker.answer())
    worker.process.kill()
    worker.process.wait(timeout=DEADLINE_S)
    os.kill(child, 0)  # it still runs: its input is open
    Locks(folder).hold(customer="a", ticket_id="42").release()
