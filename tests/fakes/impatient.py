"""`support-agent`, for which an hour passes as soon as a server has written what is not JSON-RPC.

python impatient.py ARGUMENT …
"""

import asyncio
import sys

from agent import cli
from agent.wire.notices import Notices

_note = Notices.unreadable


def _note_and_wait(self: Notices, what: Exception) -> None:
    _note(self, what)
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + 3600


Notices.unreadable = _note_and_wait
sys.argv[0] = "support-agent"
cli.main()
