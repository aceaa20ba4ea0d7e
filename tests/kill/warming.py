"""What the preloaded process does once, so that none of those it forks has to: everything that a run needs is made.

Half of what a short run costs is in what it does first: schemas that are checked, validators that are built. All of
it depends on nothing but the code, and is kept.
"""

import json
import logging
import os
import random
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio
from jsonschema import Draft202012Validator
from sqlalchemy import create_engine

from agent.records import RunMode
from tests.fakes.runs import Watching, works_over
from tests.kill.lives import Servers, apply
from tests.kill.people import Asks, Clerk, Improviser, Words
from tests.kill.places import FIRST, Case, Place
from tests.kill.points import Points
from tests.kill.stories import STORIES


def warm_up() -> None:
    """Live through one run of every kind in this process, and leave no thread, loop or connection behind."""
    # As the servers do it; the SDK would install a handler of its own.
    logging.basicConfig(level=logging.WARNING)
    create_engine("postgresql+psycopg://")  # loads the driver, and connects to nothing
    _check_once()
    cases = [Case(number=FIRST + n, story=name, seed="warm") for n, name in enumerate(STORIES)]
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder=Path(folder))
        place.make(cases)
        servers = Servers.of(place)
        for case in cases:
            anyio.run(_work, servers, case)
    assert threading.active_count() == 1


async def _work(servers: Servers, case: Case) -> None:
    story, nowhere = STORIES[case.story], os.open(os.devnull, os.O_WRONLY)
    points = Points(process="", life=0, faults=[], trail=nowhere)
    words, asks = Words(random.Random(case.seed)), Asks(life=0, file=nowhere)
    clerk = Clerk(words, asks, points, grants=lambda: story.grants(words), form=lambda: story.form(words))
    model = Improviser(case.number, story.says, words, asks, points)
    opened = {name: servers.opened(name, points) for name in story.servers}
    async with works_over(story.settings(servers.place.settings()), Watching(), opened) as works:
        people: dict[str, Any] = {"model": model, "approver": clerk, "operator": clerk}
        if story.is_applied:
            await works.work(case.ticket_id, model=model, mode=RunMode.DRY_RUN)
            await apply(works, case, **people)
        else:
            await works.work(case.ticket_id, **people)
    servers.close()
    os.close(nowhere)


def _check_once() -> None:
    """Check each schema once: hosts do so with every schema of every server that they start."""
    check, sound = Draft202012Validator.check_schema, set[str]()

    def checked(schema: Any, *args: Any, **kwargs: Any) -> None:
        text = json.dumps(schema)
        if text not in sound:
            check(schema, *args, **kwargs)
            sound.add(text)

    Draft202012Validator.check_schema = checked
