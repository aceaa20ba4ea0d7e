"""A recorded run through the loop and the gate of now."""

from contextlib import suppress
from dataclasses import dataclass

import prompts
from agent.applying import Applied
from agent.catalog import Catalog, OfferedTool, build_recorded
from agent.errors import ConfigurationError, ServerLost
from agent.gate import Gate
from agent.judging import Judge
from agent.ledger import Ledger
from agent.loop import work
from agent.outgoing import Outgoing
from agent.policies import load_policies
from agent.recall import Past, recall
from agent.records import CallStatus, Entry, JsonObject, Owner, ToolCall, ToolResult
from agent.repeats import Repeats
from agent.replay.comparing import Comparing, Differs, RecordEnds
from agent.replay.recorded import Recorded
from agent.replay.stand_ins import RecordedCalls, RecordedHelpdesk, RecordedModel, RecordedPerson
from agent.replay.values import Found
from agent.run import Foundation, Run
from agent.settings import Settings

PROMPT, CATALOG = "/system", "/catalog"
"""Where a case differs that rests on another system prompt, or on tools that do not fit the configuration."""

_OF_SERVERS = "\n\n# About the tools of "
"""What servers say of themselves follows our own system prompt under such headings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """How far a replay has come."""

    compared: int  # entries
    found: Found | None = None  # None: to the end


async def play(record: Recorded, settings: Settings) -> Played:
    """Run the record's conversation again, and return the first difference from it, if there is one."""
    comparing = Comparing(record)
    try:
        run = _run(record, settings, comparing)
    except ConfigurationError as unfit:
        case = record.entries[0]
        said = "the tools as the servers described them"
        found = Found(seq=case.seq, kind=case.kind, path=CATALOG, recorded=said, replayed=str(unfit))
        return Played(compared=0, found=found)
    try:
        with suppress(RecordEnds):
            await work(run)
        # What it came to was less than what is recorded.
        comparing.ended("the run would end before this")
    except Differs as left:
        return Played(compared=comparing.compared, found=left.found)
    return Played(compared=comparing.compared)


def _run(record: Recorded, settings: Settings, comparing: Comparing) -> Run:
    was = recall(record.entries[:1])
    catalog = build_recorded(record.case["catalog"], settings)
    ledger = Ledger(versions=was.ledger.versions, clock=comparing.clock)
    observer = _Unseen()
    plan = None if record.case["plan"] is None else Applied.from_json(record.case["plan"])
    foundation = _foundation(record.case, catalog)
    outgoing = Outgoing.of(was.case, catalog, settings, system=foundation.system)
    for one in () if plan is None else plan.heard:
        outgoing.heard(*one.told)
    calls = RecordedCalls(record, comparing, ledger)
    judge = Judge(
        case=was.case,
        calls=calls,
        policies=load_policies(settings.policy, catalog.tools, file=settings.policy_file),
        limits=settings.limits,
        mode=was.mode,
        recorder=comparing,
        ledger=ledger,
        repeats=Repeats(catalog=catalog, most=settings.limits.same_calls),
        outgoing=outgoing,
        planned={} if plan is None else plan.planned,
    )
    gate = _OneByOne(
        case=was.case,
        catalog=catalog,
        calls=calls,
        judge=judge,
        mode=was.mode,
        approver=RecordedPerson(comparing),
        recorder=comparing,
        ledger=ledger,
        outgoing=outgoing,
        past=Past(approvals=dict(record.approvals)),
        record=record,
    )
    return Run(
        case=was.case,
        model=RecordedModel(record, comparing),
        gate=gate,
        helpdesk=RecordedHelpdesk(record, comparing, settings, observer),
        catalog=catalog,
        recorder=comparing,
        observer=observer,
        settings=settings,
        mode=was.mode,
        foundation=foundation,
        ledger=ledger,
        outgoing=outgoing,
        plan=plan,
    )


def _foundation(case: JsonObject, catalog: Catalog) -> Foundation:
    """Return what the run would rest on now; what decides, rather than is said, stands as it was: it shows itself."""
    return Foundation(
        system=_system(case["system"]),
        tools=catalog.definitions,
        owner=Owner(**case["owner"]),
        version=case["version"],
        catalog=case["catalog"],
        settings=case["settings"],
    )


def _system(recorded: str) -> str:
    _, heading, instructions = recorded.partition(_OF_SERVERS)
    return prompts.render("system") + heading + instructions


@dataclass(frozen=True, kw_only=True)
class _OneByOne(Gate):
    """The gate, for calls one after another: reads that ran together are compared each for itself.

    A call that the record breaks off in the middle of has an answer that nobody hears, so that the others of its
    reply are compared too.
    """

    record: Recorded

    def is_read(self, call: ToolCall) -> bool:  # noqa: ARG002 - none runs beside another
        return False

    async def pass_through(self, call: ToolCall, *, turn_seq: int) -> ToolResult:
        try:
            return await super().pass_through(call, turn_seq=turn_seq)
        except RecordEnds:
            return ToolResult.saying(CallStatus.UNCERTAIN, "Nothing more is recorded of this call.")
        except ServerLost as lost:
            return _not_made(lost)

    async def call_by_host(self, call: ToolCall, tool: OfferedTool, *, turn_seq: int) -> ToolResult:
        try:
            return await super().call_by_host(call, tool, turn_seq=turn_seq)
        except ServerLost as lost:
            if not self.record.went_on_after(self.record.calls[call.id][-1].seq):
                raise
            return _not_made(lost)


def _not_made(lost: ServerLost) -> ToolResult:
    return ToolResult.saying(CallStatus.FAILED, f"Not made: {lost}")


class _Unseen:
    """An observer of what nobody watches."""

    def entry(self, ticket_id: str, entry: Entry) -> None:
        pass

    def text(self, ticket_id: str, delta: str) -> None:
        pass

    def progress(self, ticket_id: str, tool: str, done: float, total: float | None, message: str | None) -> None:
        pass

    def notice(self, message: str) -> None:
        pass
