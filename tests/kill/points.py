"""Fault points: places that a process passes, each with a name, where processes can be killed.

Nothing here is left to time: a fault names the boundary at which it strikes, and whoever strikes waits until its
victims are dead before it goes on.
"""

import json
import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

HOST = "host"
SERVER = "server"  # the one at whose boundary this is; at the host's, every server
BOTH = f"{HOST}+{SERVER}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Who is killed when a process passes a boundary: one that is named, or its n-th. A fault strikes once."""

    process: str  # host, or a server's name
    at: str | int
    victims: str  # HOST, SERVER or BOTH
    life: int | None = None  # strikes in this life of the host only

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """A line of the trail: one boundary that one process has passed, and the fault that struck there, if one did."""

    life: int
    process: str
    boundary: str
    fault: Fault | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        fault = document.pop("fault")
        return cls(**document, fault=fault and Fault.of(fault))


@dataclass(kw_only=True)
class Points:
    """The boundaries of one process: it writes each into the trail, and strikes where a fault says so."""

    process: str
    life: int
    faults: list[Fault]
    trail: int  # a file descriptor, open for appending: what is written survives the writer
    others: dict[str, int] = field(default_factory=dict[str, int])  # pidfds of the processes that can be killed here
    is_again: bool = False  # this process stands in for one that was killed
    _names: Counter[str] = field(default_factory=Counter[str])
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, name: str) -> None:
        """Pass a boundary; the process may not live to return from it."""
        with self._lock:
            self._number += 1
            self._names[name] += 1
            count = self._names[name]
            boundary = name if count == 1 else f"{name} #{count}"
            fault = next((fault for fault in self.faults if self._is_here(fault, boundary)), None)
            if fault is not None:
                self.faults.remove(fault)
        passed = Passed(life=self.life, process=self.process, boundary=boundary, fault=fault)
        os.write(self.trail, json.dumps(asdict(passed)).encode() + b"\n")
        if fault is not None:
            self._strike(fault.victims)

    def _is_here(self, fault: Fault, boundary: str) -> bool:
        is_now = fault.life in {None, self.life} and fault.process == self.process
        return is_now and fault.at in {boundary, self._number}

    def _strike(self, victims: str) -> None:
        me = HOST if self.process == HOST else SERVER
        wanted = set(victims.split("+"))
        for name, pidfd in list(self.others.items()):
            if (HOST if name == HOST else SERVER) in wanted:
                kill(pidfd)
        if me in wanted:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


def kill(pidfd: int) -> None:
    """Kill a process, and wait until it is dead."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    dead = select.poll()
    dead.register(pidfd, select.POLLIN)
    dead.poll()


def read_trail(path: Path) -> list[Passed]:
    """Return every boundary that was passed, in order."""
    return [Passed.of(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def remaining(faults: Iterable[Fault], trail: Iterable[Passed]) -> list[Fault]:
    """Return the faults that have not struck yet."""
    struck = [passed.fault for passed in trail if passed.fault is not None]
    return [fault for fault in faults if fault not in struck]


def open_for_appending(path: Path) -> int:
    """Return a descriptor whose every write is whole, and at the end, whoever else writes."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
