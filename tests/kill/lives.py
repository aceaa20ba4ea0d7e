"""What the forked processes do: a host that works its ticket by the same command each time, and servers."""

import gc
import json
import os
import random
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import anyio

from agent.applying import Applied
from agent.errors import ServerStartFailed
from agent.records import RunMode
from agent.settings import Settings
from agent.wire.transports import OwnWay
from servers.customers.server import create_server as create_customers
from servers.customers.store import CustomerStore
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import Database, open_database
from servers.ticketing.server import create_server as create_ticketing
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.fakes.runs import Watching, Worked, Works, works_over
from tests.kill import courier
from tests.kill.people import Asks, Clerk, Improviser, Words
from tests.kill.places import Case, Place
from tests.kill.placing import place_in_host, place_in_server
from tests.kill.points import HOST, Fault, Points, open_for_appending, read_trail, remaining
from tests.kill.stories import STORIES
from tests.kill.wire import Forker


@dataclass(frozen=True, kw_only=True)
class Life:
    """One start of the host for a case, with the servers that it starts."""

    made: "Servers"
    case: Case
    number: int
    faults: Sequence[Fault]  # that have not struck in an earlier one

    def since(self) -> "Life":
        """Return this life as it goes on, without the faults that have struck by now."""
        return replace(self, faults=remaining(self.faults, read_trail(self.file("trail"))))

    def file(self, name: str) -> Path:
        return self.made.place.of(self.case) / name

    def points(self, process: str) -> Points:
        trail = open_for_appending(self.file("trail"))
        return Points(process=process, life=self.number, faults=list(self.faults), trail=trail)


def live_as_host(life: Life, control: socket.socket) -> NoReturn:
    """Work the case's ticket, leave the report in a file, and end."""
    _begin(life)
    points = life.points(HOST)
    place_in_host(points)
    try:
        anyio.run(partial(_work, life, points, control))
    except ServerStartFailed:
        os._exit(ServerStartFailed.exit_code)  # as the command ends
    os._exit(0)


def live_as_server(life: Life, name: str, start: int, end: socket.socket, host: int) -> NoReturn:
    """Serve one client over this socket, and end with it; `host` is the client's pidfd."""
    _begin(life)
    points = life.points(name)
    points.others[HOST] = host
    place_in_server(points)
    for number in (0, 1):
        os.dup2(end.fileno(), number)
    end.close()
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    server = life.made.opened(name, points)
    points.passes("ready" if start == 1 else "ready again")
    server.run()
    os._exit(0)


def _begin(life: Life) -> None:
    gc.disable()  # it lives for a moment, and shares its memory with the process it was forked from
    os.dup2(open_for_appending(life.file("stderr")), 2)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The servers of one place, made before there are processes for them: only their databases are opened there."""

    place: Place
    tickets: TicketStore
    customers: CustomerStore
    made: Mapping[str, Any]
    settings: Mapping[str, Settings]  # by story

    @classmethod
    def of(cls, place: Place) -> "Servers":
        # They have no database yet: a connection must not be shared with the processes that are forked.
        tickets, customers = TicketStore(cast("Database", None)), CustomerStore(cast("Database", None))
        made = {
            "ticketing": create_ticketing(tickets, place.home / "knowledge"),
            "customers": create_customers(customers),
        }
        base = place.settings()
        settings = {name: story.settings(base) for name, story in STORIES.items()}
        return cls(place=place, tickets=tickets, customers=customers, made=made, settings=settings)

    def close(self) -> None:
        """Close the databases of the servers that were opened in this process."""
        self.tickets.database.close()
        self.customers.database.close()

    def opened(self, name: str, points: Points) -> Any:
        """Return the server of this name, with its data."""
        match name:
            case "ticketing":
                self.tickets.database = open_database(self.place.database(name), TICKETING)
            case "customers":
                self.customers.database = open_database(self.place.database(name), CUSTOMERS)
            case _:
                return courier.create_server(self.place.courier_log, points)
        return self.made[name]


async def _work(life: Life, points: Points, control: socket.socket) -> None:
    case, story = life.case, STORIES[life.case.story]
    words = Words(random.Random(f"{case.seed}/{case.number}/{life.number}"))
    asks = Asks(life=life.number, file=open_for_appending(life.file("asks")))
    forker = Forker(control=control, points=points)
    clerk = Clerk(words, asks, points, grants=lambda: story.grants(words), form=lambda: story.form(words))
    model = Improviser(case.number, story.says, words, asks, points)
    ways = {name: OwnWay(open=partial(forker.link, name)) for name in story.servers}
    life.file("report.json").unlink(missing_ok=True)
    async with works_over(life.made.settings[case.story], Watching(), ways) as works:
        ended = await works.journal.runs(ticket_id=case.ticket_id, is_finished=True)
        if any(run.mode is not RunMode.DRY_RUN for run in ended):
            return  # the host before was killed after its last entry
        people: dict[str, Any] = {"model": model, "approver": clerk, "operator": clerk}
        worked = await (apply(works, case, **people) if story.is_applied else works.work(case.ticket_id, **people))
    life.file("report.json").write_text(json.dumps(worked.report.as_json()))


async def apply(works: Works, case: Case, **people: Any) -> Worked:
    """Carry out what is planned for the case's ticket, or go on with that."""
    [plan] = await works.journal.runs(ticket_id=case.ticket_id, mode=RunMode.DRY_RUN)
    entries = await works.journal.entries(plan.run_id)
    intake = works.intake(mode=RunMode.APPLY, **people)
    run = await intake.apply(entries[0], Applied.of(entries))
    try:
        return Worked(run=run, finished=await intake.work(run))
    finally:
        intake.release(run)


def plan_ahead(servers: "Servers", cases: Sequence[Case]) -> None:
    """Make the plans that these cases carry out, in a process that ends then: nobody is killed over them."""
    anyio.run(_plan, servers, [case for case in cases if STORIES[case.story].is_applied])


async def _plan(servers: "Servers", cases: Sequence[Case]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    points = Points(process="", life=0, faults=[], trail=nowhere)
    for case in cases:
        story = STORIES[case.story]
        words = Words(random.Random(f"{case.seed}/{case.number}/planned"))
        model = Improviser(case.number, story.says, words, Asks(life=0, file=nowhere), points)
        opened = {name: servers.opened(name, points) for name in story.servers}
        async with works_over(servers.settings[case.story], Watching(), opened) as works:
            await works.work(case.ticket_id, model=model, mode=RunMode.DRY_RUN)
        servers.close()
