"""One command run to its exit code: whatever it raises becomes one sentence.

Exit codes: 0 every ticket reached an outcome; 1 some did not, and are named; 2 wrong usage; 3 configuration or
infrastructure; 130 interrupted.
"""

import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

import typer

from agent.errors import SupportAgentError

if TYPE_CHECKING:
    from agent.commands.frame import Frame


def execute(
    command: "Callable[[Frame], Awaitable[int]]", *, json: bool = False, trace: bool = False, trust: bool = False
) -> NoReturn:
    """Run one command to its exit code; what it raises becomes one sentence."""
    import asyncio  # noqa: PLC0415 - what --help does not need is imported here

    from agent.commands.frame import Frame  # noqa: PLC0415

    frame = Frame(is_json=json, is_traced=trace, is_trusting=trust)
    try:
        code = asyncio.run(_awaited(command, frame))
    except SupportAgentError as error:
        frame.fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        frame.say_interrupted()
        code = 130
    except Exception as defect:  # noqa: BLE001 - the boundary: nobody at a terminal is helped by a traceback
        if trace:
            traceback.print_exc(file=sys.stderr)
        frame.fail(f"An internal error: {type(defect).__name__}: {defect}\nPlease report it; --trace shows where.")
        code = 3
    raise typer.Exit(code)


async def _awaited(command: "Callable[[Frame], Awaitable[int]]", frame: "Frame") -> int:
    return await command(frame)
