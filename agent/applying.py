"""A plan carried out: exactly its calls, in its order, through the gate, without a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agent.catalog import SOURCES, OfferedTool
from agent.gate import Gate
from agent.judging import Planned
from agent.planning import plan_of
from agent.recall import recall
from agent.records import CallStatus, Entry, JsonObject, ToolCall, ToolResult

_BY_HOST = "planned-"
_LONGEST_ANSWER = 300  # characters of why a call that stopped the apply was not done

_LEFT_OUT = "It was left out of the apply."
_STOPPED = "The apply had stopped before it."


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedCall:
    """One call of a plan. The key of the call that leaves is made of `seq` and the id, and so the same each time."""

    tool_use_id: str
    seq: int  # of the plan's reply that asked for it
    tool: str  # server.tool
    arguments: JsonObject  # as it was to leave, bound values included
    facts: Mapping[str, Any]  # what it was judged by
    sources: tuple[str, ...] = ()
    is_by_host: bool = False

    @property
    def id(self) -> str:
        """Its id in the run that applies it; the host's own calls there have other ids than the plan's host had."""
        return f"{_BY_HOST}{self.tool_use_id}" if self.is_by_host else self.tool_use_id

    def as_json(self) -> JsonObject:
        """Return the seven values under their own names."""
        return {
            "tool_use_id": self.tool_use_id,
            "seq": self.seq,
            "tool": self.tool,
            "arguments": self.arguments,
            "facts": dict(self.facts),
            "sources": list(self.sources),
            "is_by_host": self.is_by_host,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One answer that the plan's run has had: its texts rest on these, and what they may hold is judged by them."""

    tool: str  # server.tool, or what reads a resource
    arguments: JsonObject | None  # None: they were not recorded
    content: list[JsonObject]

    @property
    def told(self) -> tuple[str, JsonObject | None, ToolResult]:
        """The same, as one of a run's own results."""
        return self.tool, self.arguments, ToolResult(content=self.content, status=CallStatus.DONE)

    def as_json(self) -> JsonObject:
        """Return the three values under their own names."""
        return {"tool": self.tool, "arguments": self.arguments, "content": self.content}


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a run that applies a plan has to do; recorded in its CASE."""

    run_id: str  # the plan's
    digest: str  # of the plan's calls
    calls: tuple[AppliedCall, ...]
    left_out: tuple[str, ...] = ()  # server.tool: calls of these are not made
    heard: tuple[Heard, ...] = ()  # in the plan's run, in order
    versions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of `ticket` and `customer`, as the plan's run saw them last."""

    @cached_property
    def planned(self) -> Mapping[str, Planned]:
        """What each call is held to, by its id."""
        return {call.id: Planned(arguments=call.arguments, facts=call.facts) for call in self.calls}

    @classmethod
    def of(cls, entries: Sequence[Entry], *, left_out: Sequence[str] = ()) -> "Applied":
        """Return what has to be done to carry out the plan of the run of these entries.

        Raises:
            ValueError: it is no dry run.
        """
        plan = plan_of(entries)
        told = recall(entries).told
        return cls(
            run_id=plan.run_id,
            digest=plan.digest,
            calls=tuple(
                AppliedCall(
                    tool_use_id=call.tool_use_id,
                    seq=call.seq,
                    tool=call.tool,
                    arguments=call.arguments,
                    facts=call.facts,
                    sources=call.sources,
                    is_by_host=call.is_by_host,
                )
                for call in plan.calls
            ),
            left_out=tuple(left_out),
            heard=tuple(
                Heard(tool=tool, arguments=arguments, content=result.content)
                for tool, arguments, result in told
                if result.status is CallStatus.DONE
            ),
            versions=plan.versions,
        )

    def as_json(self) -> JsonObject:
        """Return the six values under their own names."""
        return {
            "run_id": self.run_id,
            "digest": self.digest,
            "calls": [call.as_json() for call in self.calls],
            "left_out": list(self.left_out),
            "heard": [one.as_json() for one in self.heard],
            "versions": dict(self.versions),
        }

    @classmethod
    def from_json(cls, item: JsonObject) -> "Applied":
        """Return what `as_json` has described."""
        calls = tuple(AppliedCall(**call | {"sources": tuple(call["sources"])}) for call in item["calls"])
        return cls(
            run_id=item["run_id"],
            digest=item["digest"],
            calls=calls,
            left_out=tuple(item["left_out"]),
            heard=tuple(Heard(**one) for one in item["heard"]),
            versions=item["versions"],
        )

    def is_through(self, results: Mapping[str, ToolResult]) -> bool:
        """Whether each call of the plan has its result among these."""
        return all(call.id in results for call in self.calls)


async def apply(applied: Applied, gate: Gate, results: dict[str, ToolResult]) -> str | None:
    """Make the calls that have no result yet, one after another; return why it stopped before the last, or None.

    Each of `results`, by call, is one that is known already; the others are added. After a call that was not done, and
    after one that asked for what the plan holds no answer to, no other is made; each still gets its result.

    Raises:
        InfrastructureError: a server or the journal is gone, or all runs are paused; it goes on from here later.
    """
    stopped: str | None = None
    for call in applied.calls:
        is_left_out = call.tool in applied.left_out
        if call.id not in results:
            not_made = _LEFT_OUT if is_left_out else None if stopped is None else _STOPPED
            results[call.id] = await _result(call, gate, not_made)
        if stopped is None and not is_left_out:
            stopped = _stopped(call, results[call.id], gate)
    return stopped


async def settle(applied: Applied, gate: Gate, results: dict[str, ToolResult]) -> None:
    """Add the result of the call that was under way when the run was interrupted, if one was.

    Raises:
        InfrastructureError: as `apply` does.
    """
    for call in applied.calls:
        if call.id in gate.past.attempts:
            results[call.id] = await _result(call, gate, None)


async def _result(call: AppliedCall, gate: Gate, not_made: str | None) -> ToolResult:
    tool = gate.catalog.qualified(call.tool)
    if tool is None:
        asked = ToolCall(id=call.id, name=call.tool, arguments=call.arguments)
        return await gate.pass_through(asked, turn_seq=call.seq)
    asked = ToolCall(id=call.id, name=tool.offered_as, arguments=_chosen(call, tool))
    if not_made is not None:
        return await gate.leave_out(asked, tool, call.arguments, not_made)
    if call.is_by_host:
        return await gate.call_by_host(asked, tool, turn_seq=call.seq)
    return await gate.pass_through(asked, turn_seq=call.seq)


def _chosen(call: AppliedCall, tool: OfferedTool) -> JsonObject:
    """Return what the model chose of a call's arguments; what the host fills in is filled in anew."""
    own = {name: value for name, value in call.arguments.items() if name not in tool.settings.bind}
    return own | {SOURCES: list(call.sources)} if call.sources and tool.takes_sources else own


def _stopped(call: AppliedCall, result: ToolResult, gate: Gate) -> str | None:
    if asked := gate.ledger.asked_back.get(call.id):
        return f"{call.tool} asked for what the plan holds no answer to ({asked}), so the plan was left there"
    if result.status is not CallStatus.DONE:
        return f"the plan could be carried out only up to {call.tool} ({_why(call, result, gate)})"
    return None


def _why(call: AppliedCall, result: ToolResult, gate: Gate) -> str:
    # The first of this tool that was not done: all calls before it were.
    reasons: Sequence[str] = next(
        (
            effect.reasons
            for effect in gate.ledger.effects
            if effect.qualified == call.tool and effect.status is not CallStatus.DONE
        ),
        (result.text,),
    )
    return " ".join(reasons)[:_LONGEST_ANSWER].rstrip(".")
