"""Where a command speaks: people read stdout or a JSON document there, and errors on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial

from agent.commands.trusting import Here, trusted_here
from agent.configuration import settings_of
from agent.errors import SupportAgentError
from agent.records import JsonObject
from agent.render import open_console, show_error, show_frame, show_notice
from agent.render.trust import is_trusted_by_person
from agent.settings import Settings


class Frame:
    """The streams of one command, and the options that every command shares."""

    def __init__(self, *, is_json: bool = False, is_traced: bool = False, is_trusting: bool = False) -> None:
        self.is_json = is_json
        self.out = open_console(sys.stdout)
        self.err = open_console(sys.stderr)
        self._is_traced = is_traced
        self._is_trusting = is_trusting
        self._here: Here | None = None
        self._has_printed = False
        self._left_behind: tuple[str, ...] = ()

    @property
    def has_person(self) -> bool:
        """Whether someone sits there who can be asked."""
        return not self.is_json and sys.stdin.isatty() and self.out.is_terminal

    async def here(self) -> Here:
        """Return the current folder's files, once per command: the operator has trusted what is returned.

        Raises:
            ConfigurationError: nobody has trusted them, or a file cannot be read.
        """
        if self._here is None:
            ask = partial(is_trusted_by_person, self.out) if self.has_person else None
            self._here = await trusted_here(ask, is_said=self._is_trusting)
            if self._here.remark:
                show_notice(self.err, self._here.remark)
        return self._here

    async def settings(self, *, model: str | None = None) -> Settings:
        """Return what the current folder's files say, once the operator has trusted them; `model` is --model.

        Raises:
            ConfigurationError: nobody has trusted them, or they are wrong.
        """
        return settings_of((await self.here()).folder, environ=os.environ, model=model)

    @property
    def trace(self) -> Callable[[str, str, str], None] | None:
        """What is told every JSON-RPC frame, when the command is traced."""
        return self._frame if self._is_traced else None

    def print_json(self, document: JsonObject) -> None:
        """Print the one document of a `--json` command."""
        self._print(json.dumps(document, indent=2))

    def print_json_line(self, document: JsonObject) -> None:
        """Print one of many documents, on a line of its own."""
        self._print(json.dumps(document))

    def _print(self, document: str) -> None:
        # ASCII escapes: the document is the same whatever encoding the other end of the pipe has.
        self._has_printed = True
        try:
            print(document, flush=True)  # noqa: T201 - stdout is this command's result
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
        self.fail(f"Interrupted. The same command {'goes on from there' if self._left_behind else 'begins anew'}.")

    def say(self, sentence: str) -> None:
        """Print a sentence for the person, unless the command speaks JSON."""
        if not self.is_json:
            self.out.print(sentence, soft_wrap=True)

    def _frame(self, server: str, direction: str, message: str) -> None:
        show_frame(self.err, server=server, is_sent=direction == "→", frame=message)
