"""A process that has loaded everything and forks: for each case a host, and servers for it, until the case has ended.

    python -m tests.kill.nursery        reads one request a line from standard input, and answers each with a line

It has no threads and no event loop, and opens no database: what it forks begins with nothing but loaded modules.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import anyio

from tests.kill.checking import judged, strays
from tests.kill.history import read
from tests.kill.lives import Life, Servers, live_as_host, live_as_server, plan_ahead
from tests.kill.places import Case, Place
from tests.kill.points import Fault, Passed
from tests.kill.stories import STORIES
from tests.kill.warming import warm_up

ROOT = Path(__file__).parents[2]

MOST_LIVES = 20
"""A case that has not ended by then never will."""

MOST_SECONDS = 600
"""What one life may take; a tenth of a second is usual."""


@dataclass(frozen=True, kw_only=True)
class Lived:
    """How a case went: how each of its hosts ended, by the status of its process."""

    number: int
    endings: list[int] = field(default_factory=list[int])
    is_hung: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is to be said of one case."""

    case: Case
    endings: Sequence[int]
    struck: Sequence[Fault]
    violations: Sequence[str]

    @property
    def missed(self) -> list[Fault]:
        """The faults whose boundary nobody has passed."""
        return [fault for fault in self.case.faults if fault not in self.struck]

    def __str__(self) -> str:
        struck = [f"{fault.victims} at {fault.process}: {fault.at}" for fault in self.struck]
        said = [f"  {violation[:1000]}" for violation in self.violations]
        return "\n".join([f"case {self.case.number} ({self.case.story}), killed {struck}, {self.endings}:", *said])

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        struck = [Fault.of(fault) for fault in document["struck"]]
        return cls(**document | {"case": Case.of(document["case"]), "struck": struck})


class Nursery:
    """The preloaded process, as those who use it know it."""

    def __init__(self) -> None:
        self.trails: dict[tuple[str, tuple[Fault, ...]], list[Passed]] = {}  # what runs are known to pass
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, places: Sequence[Place], cases: Sequence[Case]) -> list[Found]:
        """Live through the cases, shared out over the places, which work at once; return what was found of each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        shares = [
            {
                "folder": str(place.folder),
                "url": place.url,
                "cases": [case.as_json() for case in cases[n :: len(places)]],
            }
            for n, place in enumerate(places)
        ]
        self._process.stdin.write(json.dumps(shares) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "done\n", "the nursery has died"
        return [Found.of(found) for place in places for found in json.loads((place.folder / "found.json").read_text())]

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def main() -> None:
    """Answer requests until there are no more."""
    warm_up()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        shares = json.loads(line)
        workers = [_forked(lambda share=share: _work(share)) for share in shares]
        for pid in workers:
            os.waitpid(pid, 0)
        sys.stdout.write("done\n")
        sys.stdout.flush()


def _work(share: dict[str, Any]) -> None:
    place = Place(folder=Path(share["folder"]), url=share["url"])
    cases = [Case.of(document) for document in share["cases"]]
    os.waitpid(_forked(lambda: place.make(cases)), 0)
    servers = Servers.of(place)
    if any(STORIES[case.story].is_applied for case in cases):
        os.waitpid(_forked(lambda: plan_ahead(servers, cases)), 0)
    gc.freeze()
    lived = [_live_through(servers, case) for case in cases]
    os.waitpid(_forked(lambda: _judge(place, cases, lived)), 0)


def _judge(place: Place, cases: Sequence[Case], lived: Sequence[Lived]) -> None:
    left = anyio.run(read, place)
    histories = [left.of(place, case, how.endings) for case, how in zip(cases, lived, strict=True)]
    found = [
        {
            "case": history.case.as_json(),
            "endings": how.endings,
            "violations": [*violations, *(["a life hung"] if how.is_hung else [])],
            "struck": [asdict(passed.fault) for passed in history.trail if passed.fault is not None],
        }
        for history, how, violations in zip(histories, lived, judged(histories), strict=True)
    ]
    found[0]["violations"] += strays(left, histories)
    (place.folder / "found.json").write_text(json.dumps(found))


def _live_through(made: Servers, case: Case) -> Lived:
    """Start the host again and again until it has come to an outcome."""
    endings: list[int] = []
    servers: list[int] = []
    is_hung = has_ended = False
    while len(endings) < MOST_LIVES and not is_hung and not has_ended:
        life = Life(made=made, case=case, number=len(endings) + 1, faults=case.faults).since()
        household = _Household(life)
        endings.append(household.run())
        servers += household.servers
        if STORIES[case.story].waits:
            is_hung |= _is_stuck(servers)
        is_hung |= household.is_hung
        has_ended = endings[-1] == 0 and _has_ended(life)
    is_hung |= _is_stuck(servers)
    return Lived(number=case.number, endings=endings, is_hung=is_hung)


def _has_ended(life: Life) -> bool:
    report = life.file("report.json")
    return not report.exists() or json.loads(report.read_text())["outcome"] != "unresolved"


class _Household:
    """One host process, and the servers that it asks for. Nobody is waited for before the host has ended."""

    def __init__(self, life: Life) -> None:
        self.servers: list[int] = []
        self.is_hung = False
        self._life = life
        self._starts: Counter[str] = Counter()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def be_host() -> None:
            self._ours.close()
            live_as_host(life, theirs)

        self._host = _forked(be_host)
        theirs.close()

    def run(self) -> int:
        """Start servers as the host asks for them until it ends, and return how it did."""
        host_fd = os.pidfd_open(self._host)
        while request := self._request():
            self._start(*request, host_fd)
        self._ours.close()
        os.close(host_fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._host, 0)[1])

    def _request(self) -> tuple[str, socket.socket] | None:
        if not select.select([self._ours], [], [], MOST_SECONDS)[0]:
            self.is_hung = True
            os.kill(self._host, signal.SIGKILL)
        try:
            message, fds, _, _ = socket.recv_fds(self._ours, 100, 1)
        except ConnectionResetError:  # it died over an answer that it had not read
            return None
        return (message.decode(), socket.socket(fileno=fds[0])) if message else None

    def _start(self, name: str, end: socket.socket, host_fd: int) -> None:
        self._starts[name] += 1
        start = self._starts[name]

        def be_server() -> None:
            self._ours.close()
            # What has struck one start of a server is not to strike the next.
            life = self._life if start == 1 else self._life.since()
            live_as_server(life, name, start, end, host_fd)

        self.servers.append(_forked(be_server))
        end.close()
        with suppress(BrokenPipeError):  # the host has died since
            self._ours.send(f"{start} {self.servers[-1]}".encode())


def _is_stuck(servers: list[int]) -> bool:
    """Wait until these have ended; return whether one did not, and was killed."""
    is_stuck = False
    while servers:
        pid = servers.pop()
        pidfd = os.pidfd_open(pid)
        if not select.select([pidfd], [], [], MOST_SECONDS)[0]:
            is_stuck = True
            os.kill(pid, signal.SIGKILL)
        os.close(pidfd)
        os.waitpid(pid, 0)
    return is_stuck


def _forked(act: Callable[[], object]) -> int:
    """Return a process that does this and ends."""
    pid = os.fork()
    if pid:
        return pid
    try:
        act()
    except BaseException:  # noqa: BLE001 - nothing of the child may go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
