"""`pause` and `unpause`: whether runs may start and write. Nothing here starts a server or loads a model."""

import asyncio

from agent.account import operator_account
from agent.commands.frame import Frame
from agent.commands.runs import pause_json, recorded
from agent.journal import Journal, Pause, open_journal
from agent.render import show_notice
from agent.render.figures import count

NOT_PAUSED = "Nothing is paused: runs start and write."


async def pause(frame: Frame, *, reason: str | None) -> int:
    """Let no run start or write from now on, and say where that holds and whom it stops."""
    journal = await asyncio.to_thread(open_journal, await frame.settings())
    try:
        before = await journal.paused()
        holds = await journal.pause(by=operator_account(), reason=reason)
        unfinished = len(await journal.runs(is_finished=False))
    finally:
        await journal.aclose()
    if frame.is_json:
        shared = {"paused": pause_json(holds), "was_paused": before is not None}
        frame.print_json({**shared, "unfinished": unfinished, "journal": journal.place})
    elif before is None:
        said = "Paused: no run starts or writes until `support-agent unpause`."
        frame.say(f"{said} {_stopping(unfinished)}".rstrip())
        frame.say(_where(journal))
    else:
        show_notice(frame.out, _already(holds, before))
    return 0


async def unpause(frame: Frame) -> int:
    """Let runs start and write again, and say what goes on with those that were stopped."""
    async with recorded(frame) as journal:
        ended = None if journal is None else await journal.unpause()
        unfinished = 0 if journal is None else len(await journal.runs(is_finished=False))
        place = None if journal is None else journal.place
    if frame.is_json:
        frame.print_json({"ended": pause_json(ended), "unfinished": unfinished, "journal": place})
    elif ended is None:
        frame.say(NOT_PAUSED)
    else:
        show_notice(frame.out, f"Runs start and write again. They were paused {ended.told}.")
        if unfinished:
            frame.say(f"{_unfinished(unfinished)}: `support-agent runs resume --all` goes on from there.")
    return 0


def _already(holds: Pause, before: Pause) -> str:
    if holds == before:
        return f"Nothing has changed: all runs are paused {holds.told}."
    return f"All runs were paused before, and stay so {holds.told}."


def _stopping(unfinished: int) -> str:
    if unfinished == 0:
        return ""
    stops = "it stops before its" if unfinished == 1 else "they stop before their"
    return f"{_unfinished(unfinished)}: {stops} next write."


def _unfinished(number: int) -> str:
    return f"{count(number, 'run')} {'is' if number == 1 else 'are'} unfinished"


def _where(journal: Journal) -> str:
    if journal.is_shared:
        return f"This holds on every machine, for runs in the journal {journal.place}."
    return f"This holds on this machine, for runs in the journal {journal.place}."
