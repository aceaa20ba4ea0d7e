"""`db upgrade`: the built-in servers and the journal create and migrate their tables, wherever these are put."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from agent.commands.frame import Frame
from agent.errors import ServerStartFailed
from agent.journal import Upgraded, upgrade_journal
from agent.settings import Settings, StdioTransport
from agent.wire.transports import child_environment

_PACKAGE = "servers."
"""Modules of this package take `--upgrade`; another server might take it for anything."""


async def upgrade(frame: Frame) -> int:
    """Let each configured built-in server create or migrate its tables, one after another, and then the journal."""
    settings = await frame.settings()
    done: list[dict[str, str]] = []
    for name, transport in _upgradable(settings).items():
        sentence = await _upgraded(name, transport)
        done.append({"server": name, "sentence": sentence})
        frame.say(sentence)
    journal = _told(await asyncio.to_thread(upgrade_journal, settings))
    frame.say(journal)
    if frame.is_json:
        frame.print_json({"databases": done, "journal": journal})
    return 0


def _told(journal: Upgraded) -> str:
    if journal.before is None:
        what = f"were created (schema {journal.after})"
    elif journal.before == journal.after:
        what = f"are up to date (schema {journal.after})"
    else:
        what = f"were upgraded from schema {journal.before} to {journal.after}"
    return f"{journal.place}: the tables for the journal {what}."


def _upgradable(settings: Settings) -> Mapping[str, StdioTransport]:
    return {
        name: transport
        for name, transport in sorted(settings.transports.items())
        if isinstance(transport, StdioTransport) and _is_built_in(transport)
    }


def _is_built_in(transport: StdioTransport) -> bool:
    # `python -P -m servers.NAME`, whatever Python it is and whatever starts that.
    words = (transport.command, *transport.args)
    return any(word == "-m" and module.startswith(_PACKAGE) for word, module in pairwise(words))


async def _upgraded(name: str, transport: StdioTransport) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            transport.command,
            *transport.args,
            "--upgrade",
            # Exactly what it has when it serves: DATABASE_URL of this shell may be another program's.
            env=child_environment(transport),
            cwd=transport.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ServerStartFailed(name, f"{name} cannot be started: {transport.command}: {reason}.") from error
    said, complaint = await process.communicate()
    if process.returncode != 0:
        sentence = complaint.decode(errors="replace").strip()
        raise ServerStartFailed(name, f"{name}: {sentence or 'its tables could not be upgraded.'}")
    return said.decode(errors="replace").strip()
