"""Where a command speaks: people read stdout or a JSON document there, and errors on stderr."""

import json
import sys
from collections.abc import Callable, Iterable

from agent.errors import SupportAgentError
from agent.records import JsonObject
from agent.render import open_console, show_error, show_frame, show_notice


class Frame:
    """The streams of one command, and the options that every command shares."""

    def __init__(self, *, is_json: bool = False, is_traced: bool = False) -> None:
        self.is_json = is_json
        self.out = open_console(sys.stdout)
        self.err = open_console(sys.stderr)
        self._is_traced = is_traced
        self._has_printed = False
        self._left_behind: tuple[str, ...] = ()

    @property
    def has_person(self) -> bool:
        """Whether someone sits there who can be asked."""
        return not self.is_json and sys.stdin.isatty() and self.out.is_terminal

    @property
    def trace(self) -> Callable[[str, str, str], None] | None:
        """What is told every JSON-RPC frame, when the command is traced."""
        return self._frame if self._is_traced else None

    def print_json(self, document: JsonObject) -> None:
        """Print the one document of a `--json` command."""
        # ASCII escapes: the document is the same whatever encoding the other end of the pipe has.
        self._has_printed = True
        try:
            print(json.dumps(document, indent=2), flush=True)  # noqa: T201 - stdout is this command's result
        except BrokenPipeError:
            self.out.on_broken_pipe()  # nobody reads on: the end that every other output comes to then

    def fail(self, error: SupportAgentError | str) -> None:
        """Say on stderr what went wrong, and in the document of a `--json` command."""
        show_error(self.err, error)
        if self.is_json and not self._has_printed:
            self.print_json({"error": str(error)})

    def interrupted(self, left_behind: Iterable[str]) -> None:
        """Take what an interruption leaves behind; it is told when the view has closed."""
        self._left_behind = tuple(left_behind)

    def say_interrupted(self) -> None:
        """Say that the command was interrupted, and what it left behind."""
        for sentence in self._left_behind:
            show_notice(self.err, sentence)
        self.fail("Interrupted. The same command begins anew.")

    def say(self, sentence: str) -> None:
        """Print a sentence for the person, unless the command speaks JSON."""
        if not self.is_json:
            self.out.print(sentence, soft_wrap=True)

    def _frame(self, server: str, direction: str, message: str) -> None:
        show_frame(self.err, server=server, is_sent=direction == "→", frame=message)
