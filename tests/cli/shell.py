"""A user's shell: a folder to work in, an environment, and the installed program, started as its own process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.hosting import HANGS_AFTER_S, is_running
from tests.fakes.messages_api import KEY, MessagesApi

PROGRAM = Path(sys.executable).with_name("support-agent")
FAKES = Path(__file__).parents[1] / "fakes"

DEADLINE_S = HANGS_AFTER_S
"""After this a test fails instead of hanging; no command comes near it."""

DATABASES = ("ticketing", "customers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A command that has ended: its exit code and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that stdout holds."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs `support-agent` as a user does; every command must end without a traceback and leave no process behind."""

    work: Path
    data: Path
    environment: Mapping[str, str]
    program: Sequence[str | Path] = (PROGRAM,)

    def run(self, *arguments: str, **variables: str) -> Ended:
        """Run one command to its end; the keywords are variables of its environment."""
        with self.start(*arguments, **variables) as process:
            return self.ended(process)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start one command, with nobody at its input."""
        return subprocess.Popen(
            [*self.program, *arguments],
            cwd=self.work,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def ended(self, process: "subprocess.Popen[str]") -> Ended:
        """Wait for the end of a started command."""
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        self.check_traces(out + err)
        return Ended(code=process.returncode, out=out, err=err)

    def check_traces(self, printed: str) -> None:
        """Check what every command must leave: no traceback on the screen or in a log, and no process."""
        logged = "".join(log.read_text(encoding="utf-8", errors="replace") for log in self.data.glob("logs/*.log"))
        assert "Traceback" not in printed
        assert "Traceback" not in logged
        assert self.processes() == []

    def processes(self) -> list[str]:
        """Return the command lines of what still runs with this shell's data folder in its environment."""
        mark = f"SUPPORT_AGENT_HOME={self.data}".encode()
        return [
            _read(process / "cmdline").replace(b"\0", b" ").decode()
            for process in Path("/proc").glob("[0-9]*")
            if mark in _read(process / "environ") and is_running(int(process.name))
        ]

    def write(self, name: str, content: str | bytes | Mapping[str, Any] | Sequence[Any]) -> Path:
        """Write a file into the folder; anything but text becomes JSON."""
        path = self.work / name
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def servers(self, **servers: Mapping[str, Any]) -> None:
        """Write `.mcp.json`."""
        self.write(".mcp.json", {"mcpServers": servers})

    def script(self, *turns: Mapping[str, Any], conversations: Sequence[Mapping[str, Any]] = ()) -> str:
        """Write a script and return the name of the model that plays it."""
        script = {"turns": turns} if turns else {"conversations": conversations}
        return f"scripted:{self.write('script.json', script)}"

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything that both databases hold, table by table."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name in DATABASES:
            with closing(sqlite3.connect(self.data / f"{name}.sqlite")) as database:
                tables = database.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
                ).fetchall()
                found |= {table: database.execute(f'SELECT * FROM "{table}"').fetchall() for (table,) in tables}
        return found

    def query(self, database: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that answer a question to one of the databases."""
        with closing(sqlite3.connect(self.data / f"{database}.sqlite")) as opened, opened:
            return opened.execute(sql, values).fetchall()

    def status(self, ticket_id: str) -> str:
        """Return a ticket's status as the database has it."""
        [(status,)] = self.query("ticketing", "SELECT status FROM tickets WHERE number = ?", int(ticket_id))
        return status

    def acts(self, ticket_id: str) -> list[tuple[str, str | None]]:
        """Return what the agent has done to a ticket: the kind and the key of each event, in order."""
        sql = "SELECT kind, key FROM ticket_events WHERE ticket = ? AND actor = 'support-agent' ORDER BY id"
        return self.query("ticketing", sql, int(ticket_id))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended, or is another user's
        return b""


def claude(api: MessagesApi, *, key: str = KEY) -> dict[str, str]:
    """Return the variables that lead Claude's requests to the fake service."""
    return {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": key}


def bad(*arguments: str | Path) -> dict[str, Any]:
    """Return the entry of `.mcp.json` that starts bad_server.py with these arguments."""
    return {
        "command": sys.executable,
        "args": ["-I", "-S", str(FAKES / "bad_server.py"), *(str(argument) for argument in arguments)],
        "env": {"SUPPORT_AGENT_HOME": "${SUPPORT_AGENT_HOME}"},
    }


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """Return a call for a script; `ticketing.close_ticket` is written as the configuration writes it."""
    return {"name": name.replace(".", "__"), "arguments": arguments}


def turn(*calls: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
    """Return a turn for a script: its calls, and further keys such as `text` and `expect`."""
    return {"calls": list(calls), **rest}
