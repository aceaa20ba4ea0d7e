"""`python -P -m servers.ticketing`: the helpdesk's tickets and knowledge base on standard input and output."""

import gc

gc.disable()  # a collection during the imports frees nothing and costs a quarter of them

# ruff: noqa: E402 - the imports are what the collector is off for

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from servers import command, demo
from servers.database import Database, Unusable
from servers.ticketing.arrivals import insert_demo
from servers.ticketing.server import create_server
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA


def knowledge_folder() -> Path:
    """Return KNOWLEDGE_FOLDER, else the folder `knowledge` in the data folder; it need not exist.

    Raises:
        Unusable: something that is no folder has this name.
    """
    named = os.environ.get("KNOWLEDGE_FOLDER")
    folder = Path(named).expanduser().absolute() if named else command.home() / "knowledge"
    if folder.exists() and not folder.is_dir():
        raise Unusable(f"{folder} is to be the knowledge folder, and is no folder.")
    return folder


def copy_articles(is_reset: bool) -> None:  # noqa: FBT001 - see command.Service
    """Make the knowledge folder with the demo's articles if it is not there.

    A reset also writes them over changed ones, except in a folder that KNOWLEDGE_FOLDER names: that one is a team's.
    """
    folder = knowledge_folder()
    articles = demo.articles()
    try:
        if not folder.exists():
            _create_whole(folder, articles)
        elif is_reset and not os.environ.get("KNOWLEDGE_FOLDER"):
            for slug, text in articles.items():
                (folder / f"{slug}.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{folder} cannot be given the demo's articles: {error.strerror}.") from error


def _create_whole(folder: Path, articles: Mapping[str, str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".knowledge-", dir=folder.parent))
    for slug, text in articles.items():
        (draft / f"{slug}.md").write_text(text, encoding="utf-8")
    try:
        draft.rename(folder)  # at once, so that no one ever sees half of the articles
    except OSError:
        shutil.rmtree(draft)
        if not folder.is_dir():  # otherwise another process was faster
            raise


def _fill(connection: Connection) -> None:
    insert_demo(connection, demo.tickets())


def _create(database: Database) -> command.Runs:
    return create_server(TicketStore(database), knowledge_folder())


if __name__ == "__main__":
    command.main(command.Service(schema=SCHEMA, fill=_fill, create=_create, copy_files=copy_articles))
