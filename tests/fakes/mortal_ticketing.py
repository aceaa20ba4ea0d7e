"""The built-in ticketing server over stdio, which dies once: after a write has happened, before anyone is told.

    python mortal_ticketing.py DATABASE_URL KNOWLEDGE_FOLDER TOOL WITNESS

The first call of TOOL ends the process with its effect committed; the file WITNESS is written then, and the server
that is started again finds it and lives.
"""

import os
import sys
from pathlib import Path
from typing import Any

from servers.database import open_database
from servers.effects import Call, Done
from servers.ticketing.server import create_server
from servers.ticketing.store import TicketStore
from servers.ticketing.tables import SCHEMA


class MortalStore(TicketStore):
    """A store whose process ends with the first effect of one tool."""

    tool = ""
    witness = Path()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name != type(self).tool:
            return found

        def act_and_die(call: Call, *args: Any, **kwargs: Any) -> Done:
            done = found(call, *args, **kwargs)
            if not type(self).witness.exists():
                type(self).witness.write_text(call.key or "no key")
                os._exit(9)
            return done

        return act_and_die


def main() -> None:
    url, folder, MortalStore.tool, witness = sys.argv[1:]
    MortalStore.witness = Path(witness)
    create_server(MortalStore(open_database(url, SCHEMA)), Path(folder)).run()


if __name__ == "__main__":
    main()
