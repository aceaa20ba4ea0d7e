"""The host in front of outside servers, with a scripted model and a person at the terminal, as one run has them."""

import io
import os
import socket
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_types import CallToolResult
from rich.console import Console

from agent.callbacks import Answers
from agent.catalog import Catalog, build_catalog
from agent.content import result_content
from agent.host import ConnectedServer, Host
from agent.journal import MemoryJournal, new_run_id
from agent.models.scripted import Conversation, ScriptedModel, Turn
from agent.protocols import Model, Operator
from agent.records import Entry, EntryKind, JsonObject
from agent.render import SilentView
from agent.render.desk import Desk
from agent.render.questions import TerminalOperator
from agent.settings import HttpTransport, Limits, Roots, StdioTransport
from tests.fakes.hosting import Notes, settings_for

NAME = "outside"
MOST_CHARACTERS = 40_000


class Typist:
    """A person who types these lines, and then only Enter."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    async def line(self) -> str:
        return self._lines.pop(0) if self._lines else ""

    def forget(self) -> None:
        pass


def at_the_terminal(*lines: str) -> Operator:
    """Return the operator of `support-agent run`, with a person who types these lines."""
    return TerminalOperator(Desk(Console(file=io.StringIO()), SilentView(), Typist(*lines)))


def saying(*texts: str) -> ScriptedModel:
    """Return a model that answers each of so many requests of servers with a text."""
    return ScriptedModel(conversations=[Conversation(turns=[Turn(text=text)]) for text in texts])


def answers_of(model: Model, operator: Operator, roots: Sequence[Path], entries: list[Entry]) -> Answers:
    """Return what answers servers during a run; everything recorded is added to `entries`."""
    return Answers(
        model=model,
        operator=operator,
        recorder=MemoryJournal(new_run_id(), entries.append),
        limits=Limits(),
        roots=roots,
        on_spend=lambda _usage, _cost: None,
    )


@dataclass(kw_only=True)
class Use:
    """One outside server in use."""

    host: Host
    catalog: Catalog
    notes: Notes
    answers: Answers
    entries: list[Entry]
    progress: list[tuple[float, float | None]] = field(default_factory=list[tuple[float, float | None]])

    @property
    def server(self) -> ConnectedServer:
        return self.host.servers[NAME]

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool as a run does."""
        return await self.host.call_tool(
            NAME,
            tool,
            arguments,
            key="run/1/toolu",
            is_repeatable=False,
            answers=self.answers.for_call(NAME, "toolu"),
            on_progress=lambda done, total, _message: self.progress.append((done, total)),
        )

    async def told(self, tool: str, **arguments: Any) -> list[JsonObject]:
        """Call a tool that must not fail, and return the blocks that the model is given."""
        result = await self.call(tool, **arguments)
        blocks = result_content(result, MOST_CHARACTERS)
        assert not result.is_error, blocks
        return blocks

    async def text(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must not fail, and return the text that the model is given."""
        return "\n".join(block["text"] for block in await self.told(tool, **arguments) if block["type"] == "text")

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must fail, and return what the model is told."""
        result = await self.call(tool, **arguments)
        (block,) = result_content(result, MOST_CHARACTERS)
        assert result.is_error, block
        return block["text"]

    def recorded(self, kind: EntryKind) -> list[JsonObject]:
        """Return the bodies of what was recorded of this kind."""
        return [entry.body for entry in self.entries if entry.kind is kind]


@asynccontextmanager
async def using(
    home: Path,
    transport: StdioTransport | HttpTransport,
    *,
    roots: Sequence[Path] = (),
    model: ScriptedModel | None = None,
    operator: Operator | None = None,
) -> AsyncGenerator[Use]:
    """Yield an outside server in use; every reply of the model must have been asked for when it is over."""
    settings = settings_for(home, {NAME: transport}).model_copy(update={"roots": Roots(folders=tuple(roots))})
    notes, entries, model = Notes(), list[Entry](), model or saying()
    async with Host(settings, notes) as host:
        server = host.servers[NAME]
        yield Use(
            host=host,
            catalog=build_catalog({NAME: server.tools}, {NAME: server.templates}, settings),
            notes=notes,
            answers=answers_of(model, operator or at_the_terminal(), roots, entries),
            entries=entries,
        )
    await model.aclose()


@contextmanager
def listening(command: Sequence[str], environment: Mapping[str, str], ready: str) -> Generator[int]:
    """Run a server that takes its port from PORT and says on stderr when it is ready; yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], **environment, "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr is not None
        try:
            said = next((line for line in process.stderr if ready in line), None)
            assert said is not None, "the server ended before it was ready"
            yield port
        finally:
            process.kill()
