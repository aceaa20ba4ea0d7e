"""`support-agent`, which stops itself when the first call of a tool is about to leave: its attempt is recorded.

    python stopping.py TOOL ARGUMENT …

Continued, it sends the call.
"""

import os
import signal
import sys
from typing import Any

from agent import cli, host

_send = host._call_tool
_, WANTED, *ARGUMENTS = sys.argv
left = {WANTED}


async def _stop_and_send(tool: str, *rest: Any) -> Any:
    if tool in left:
        left.remove(tool)
        os.kill(os.getpid(), signal.SIGSTOP)
    return await _send(tool, *rest)


host._call_tool = _stop_and_send
sys.argv = ["support-agent", *ARGUMENTS]
cli.main()
