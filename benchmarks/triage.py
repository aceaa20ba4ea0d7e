"""What the queue adds to the model's time: 320 tickets of 320 customers, three replies each, one second a reply.

The command is `support-agent triage-all --concurrency 32`, both servers real, against a Messages API in this process
that takes a second for each reply. The clock runs from the first request that it receives to the line that reports the
last outcome. Ideal are 320 tickets x 3 s / 32 = 30 s: nothing but the model's time.
"""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from benchmarks.figures import Figures, Limit, begin, conclude
from benchmarks.places import SUPPORT_AGENT, Place, temporary_place
from servers.customers.store import insert_demo
from servers.customers.tables import SCHEMA as CUSTOMERS
from servers.database import open_database
from servers.ticketing.tables import SCHEMA as TICKETING
from tests.fakes.answers import by_turn, load
from tests.fakes.messages_api import MessagesApi

ROUNDS = 3
TICKETS = 320
CONCURRENCY = 32
REPLIES = load(Path(__file__).with_name("replies.json"))
REPLY_S = 1.0
IDEAL_S = TICKETS * len(REPLIES) * REPLY_S / CONCURRENCY
MOST_TIMES_IDEAL = 1.10

_FINISHED = re.compile(r"#\d+\s+(\w+)\s")


def main() -> None:
    """Measure, print, and end with 1 if the limit does not hold."""
    begin(f"triage-all: {TICKETS} tickets, {len(REPLIES)} replies of {REPLY_S:g} s each, concurrency {CONCURRENCY}")
    with temporary_place() as place:
        helpdesk = place.folder / "helpdesk"
        _make_helpdesk(place)
        place.home.rename(helpdesk)
        rounds: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            place.restore(helpdesk)
            rounds.append(_round(place))
    took = Figures(name="first request to last outcome", unit="s", values=[took_s for took_s, _ in rounds])
    ratios = Figures(name="… / ideal", unit="x", values=[took_s / IDEAL_S for took_s, _ in rounds], digits=3)
    cpu = Figures(name="host and servers, CPU", unit="s", values=[cpu_s for _, cpu_s in rounds])
    conclude([took, ratios, cpu], [Limit(figures=ratios, most=MOST_TIMES_IDEAL)])


def _make_helpdesk(place: Place) -> None:
    """Fill the built-in helpdesk with one ticket for each of as many customers, and nothing else."""

    def insert_customers(connection: Connection) -> None:
        insert_demo(connection, map(_customer, range(TICKETS)))

    place.home.mkdir()
    open_database(f"sqlite:///{place.home / 'customers.sqlite'}", CUSTOMERS, insert_customers).close()
    open_database(f"sqlite:///{place.home / 'ticketing.sqlite'}", TICKETING).close()
    tickets = place.work / "tickets.json"
    tickets.write_text(json.dumps([_ticket(number) for number in range(TICKETS)]), encoding="utf-8")
    place.run([SUPPORT_AGENT, "tickets", "import", str(tickets)])


def _customer(number: int) -> dict[str, Any]:
    email = f"customer{number:03}@example.com"
    return {
        "id": f"cus_{number:03}",
        "email": email,
        "name": f"Customer {number}",
        "account_tier": "pro" if number % 2 else "free",
        "verified": True,
        "plan": "Team",
        "contact_email": email,
        "marketing_opt_in": False,
        "invoices": [],
        "sessions": [],
    }


def _ticket(number: int) -> dict[str, Any]:
    return {
        "subject": f"Cannot log in ({number})",
        "body": "I changed my password this morning, and since then I cannot log in on my phone.",
        "requester": f"customer{number:03}@example.com",
    }


def _round(place: Place) -> tuple[float, float]:
    """Return the seconds from the first request to the last outcome of one pass, and the CPU seconds of all of it."""
    used_before_s = _cpu_of_children_s()
    with MessagesApi(by_turn(REPLIES), reply_after_s=REPLY_S) as api:
        outcomes = list(_outcomes(place, api.url))
        began = api.requests[0].at
    if len(outcomes) != TICKETS or {outcome for outcome, _ in outcomes} != {"closed"}:
        sys.exit(f"Not all of the {TICKETS} tickets were closed: {outcomes}")
    return outcomes[-1][1] - began, _cpu_of_children_s() - used_before_s


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of processes that have ended, their own children included
    return used.ru_utime + used.ru_stime


def _outcomes(place: Place, url: str) -> Iterator[tuple[str, float]]:
    """Run the command and yield each outcome, with the `time.monotonic()` at which it was reported."""
    argv = [SUPPORT_AGENT, "triage-all", "--concurrency", str(CONCURRENCY)]
    environment = place.environment(base_url=url)
    with subprocess.Popen(argv, cwd=place.work, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _FINISHED.search(line):
                yield found[1], time.monotonic()
    if process.returncode != 0:
        sys.exit(f"triage-all ended with {process.returncode}")


if __name__ == "__main__":
    main()
