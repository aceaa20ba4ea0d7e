"""What becomes of one call, as far as can be said before it leaves: read facts → bind → decide, and record that."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent.binding import UnusableArguments, bind
from agent.budgets import Used, over_budget
from agent.calling import Calls, Circumstances
from agent.catalog import READ_RESOURCE, OfferedTool, ReadableTemplate
from agent.documents import digest, fill
from agent.ledger import Ledger
from agent.outgoing import Outgoing, Written
from agent.policies import Request, Standing
from agent.protocols import Recorder
from agent.records import Case, Decision, Effect, EntryKind, JsonObject, Reason, RunMode, Spent, ToolCall, Verdict
from agent.repeats import Repeats
from agent.settings import Limits

if TYPE_CHECKING:
    # It needs Cedar, which is loaded by whoever reads a policy.
    from agent.policies import Policies

_MOVED = Reason(rule="ticket.moved", because="The ticket has changed since it was read, so this was not done.")

_READABLE = Reason(rule="readable", because="It is of this run's own ticket or customer, or public.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A call as it would leave, and the verdict on it."""

    arguments: JsonObject  # bound values included
    stripped: tuple[str, ...]  # names of what the model sent and the host sets
    facts: Mapping[str, Any]
    decision: Decision
    sources: tuple[str, ...] = ()  # the articles that its text rests on, as the model says
    spent: Spent | None = None  # the totals that the decision rests on, if it is one about money
    more: tuple[str, ...] = ()  # sentences beside those of the rules

    @property
    def digest(self) -> str:
        """The fingerprint of exactly these arguments: what an approval is about."""
        return digest(self.arguments)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of the rules that decided, and of what came of a question."""
        return (*(reason.because for reason in self.decision.reasons), *self.more)

    def denied(self, because: str) -> "Judged":
        """Return the same call, denied for what came of a question."""
        return replace(self, decision=replace(self.decision, verdict=Verdict.DENY), more=(because,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A call as a plan has it, to which a run that applies the plan holds it."""

    arguments: JsonObject  # as they were to leave then
    facts: Mapping[str, Any]  # by which it was judged then


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """Everything that the verdict on one call depends on."""

    request: Request
    stripped: tuple[str, ...]
    sources: tuple[str, ...]
    circumstances: Circumstances
    ticket_version: Any  # the ticket's as it is now; None: nobody looked, or its helpdesk keeps none
    forbidden: tuple[Reason, ...]  # limits and checks of the host, which no approval lifts


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Decides about the calls of one run, by the policy and within `[limits]`; every decision is recorded."""

    case: Case
    calls: Calls
    policies: "Policies"
    limits: Limits
    mode: RunMode
    recorder: Recorder
    ledger: Ledger
    repeats: Repeats
    outgoing: Outgoing
    planned: Mapping[str, Planned] = field(default_factory=dict[str, Planned])
    """Of a run that applies a plan: its calls."""

    async def judge(
        self, call: ToolCall, tool: OfferedTool, *, approved: str | None = None, is_by_host: bool = False
    ) -> Judged:
        """Return what becomes of this call now: its facts are read, its arguments bound, the rules asked.

        `approved` is the digest of the arguments that a person has said yes to; for others it counts nothing.

        Raises:
            UnusableArguments: no call can be made of it.
            ServerLost: the server of a fact is gone for good.
        """
        if not is_by_host and (reason := self.repeats.refusal(call)):
            return await self._repeated(call, tool, reason)
        known = self.ledger.versions.get("ticket")
        try:
            weighed = await self.weigh(call, tool, is_by_host=is_by_host)
        except UnusableArguments:
            # No decision will say what was seen: live, the run must not know more than when it goes on.
            self.ledger.versions["ticket"] = known
            raise
        request = weighed.request
        is_approved = approved is not None and digest(request.arguments) == approved
        decision = self.policies.decide(request, is_approved=is_approved)
        if decision.verdict is not Verdict.DENY and weighed.forbidden:
            decision = Decision(verdict=Verdict.DENY, reasons=weighed.forbidden)
        judged = Judged(
            arguments=request.arguments,
            stripped=weighed.stripped,
            facts=request.facts,
            decision=decision,
            sources=weighed.sources,
            spent=weighed.circumstances.spent if tool.effect is Effect.MONEY else None,
        )
        await self._record(call, tool, judged, weighed, is_approved=is_approved)
        return judged

    async def weigh(self, call: ToolCall, tool: OfferedTool, *, is_by_host: bool = False) -> Weighed:
        """Return everything that the verdict on this call depends on; what it raises, `judge` says."""
        ticket_version = None
        if not tool.is_read and not is_by_host:
            ticket_version = await self.calls.ticket_version(call.id)
            self.ledger.rebase(ticket_version)
        written = self.outgoing.parted(tool, call.arguments)
        if untold := self.outgoing.fact_objections(tool, written.arguments):
            raise UnusableArguments(f"Not sent: {' '.join(reason.because for reason in untold)}")
        facts = await self.calls.facts(call.id, tool, written.arguments, lambda path: self._value(path, {}))
        bound = bind(
            tool, written.arguments, lambda path: self._value(path, facts), most_chars=self.limits.argument_chars
        )
        own = {name: value for name, value in bound.arguments.items() if name not in tool.settings.bind}
        circumstances = await self.calls.circumstances(call.id, is_payment=tool.effect is Effect.MONEY)
        spent = self._spent(circumstances.spent)
        request = Request(
            tool=tool.qualified,
            arguments=self.outgoing.linked(tool, bound.arguments, written.sources),
            facts=facts,
            case=self.case,
            standing=Standing(
                run_id=self.recorder.run_id,
                writes=self.ledger.writes,
                replies=self.ledger.replies,
                has_ended=self.ledger.has_ended,
                refunded_cents=self.ledger.paid_cents,
            ),
            refunded_today_cents=spent.customer_cents,
            is_by_host=is_by_host,
            now=circumstances.now,
        )
        used = Used(writes=self.ledger.writes, replies=self.ledger.replies, spent=spent)
        return Weighed(
            request=request,
            stripped=bound.stripped,
            sources=written.sources,
            circumstances=circumstances,
            ticket_version=ticket_version,
            forbidden=(
                *self._over_budget(tool, facts, used, is_by_host=is_by_host),
                *self._departures(call, tool, request),
                *(() if is_by_host else self._objections(tool, own, written, ticket_version)),
            ),
        )

    async def judge_reading(self, call: ToolCall, located: tuple[ReadableTemplate, str] | None) -> Decision:
        """Return whether a resource may be read: where it belongs is decided by bindings, and not by the policy."""
        refusal = self.repeats.refusal(call) or (None if located else self._unreadable)
        reasons = (refusal,) if refusal else self.outgoing.uri_objections(*located) if located else ()
        decision = Decision(verdict=Verdict.DENY if reasons else Verdict.ALLOW, reasons=reasons or (_READABLE,))
        judged = Judged(arguments=self.repeats.own_arguments(call), stripped=(), facts={}, decision=decision)
        await self._record(call, None, judged, None)
        return decision

    def _departures(self, call: ToolCall, tool: OfferedTool, request: Request) -> tuple[Reason, ...]:
        """Return what is other than in the plan that is being applied; versions move with its own calls."""
        planned = self.planned.get(call.id)
        if planned is None:
            return ()
        bind = tool.settings.bind
        moving = {name for name, path in bind.items() if path.endswith(".version")}
        # What a fact fills in is told by its own name.
        filled = {name for name, path in bind.items() if path.startswith("facts.")}
        return (
            *_differing(planned.facts, request.facts, but=()),
            *_differing(planned.arguments, request.arguments, but=moving | filled),
        )

    def _objections(
        self, tool: OfferedTool, own: JsonObject, written: Written, ticket_version: Any
    ) -> tuple[Reason, ...]:
        if ticket_version is not None and ticket_version != self.ledger.versions.get("ticket"):
            return (_MOVED,)
        return self.outgoing.objections(tool, own, written)

    @property
    def _unreadable(self) -> Reason:
        templates = ", ".join(entry.template for entry in self.repeats.catalog.readable)
        because = f"Only this run's own ticket and customer, and what is public, can be read: {templates}."
        return Reason(rule="unreadable", because=because)

    def changes(self, tool: OfferedTool, arguments: JsonObject) -> JsonObject:
        """Return the record fields that this call would set, by what its configuration declares."""
        filled: JsonObject = {}
        for name, template in tool.settings.changes.items():
            try:
                filled[name] = fill(template, arguments)
            except KeyError:
                continue  # it is an optional argument's, which the call does not have
        return filled

    async def _repeated(self, call: ToolCall, tool: OfferedTool, reason: Reason) -> Judged:
        decision = Decision(verdict=Verdict.DENY, reasons=(reason,))
        judged = Judged(arguments=self.repeats.own_arguments(call), stripped=(), facts={}, decision=decision)
        await self._record(call, tool, judged, None)
        return judged

    def _over_budget(
        self, tool: OfferedTool, facts: Mapping[str, Any], used: Used, *, is_by_host: bool
    ) -> tuple[Reason, ...]:
        # People are told whatever the run has used up; paid is nothing beyond a limit, whoever wants it.
        is_exempt = is_by_host and tool.effect is not Effect.MONEY
        return () if is_exempt else over_budget(tool.effect, facts, used, self.limits)

    def _spent(self, by_all: Spent) -> Spent:
        # The journal has what this run has paid; what it plans stands nowhere else, and is nobody else's.
        planned = self.ledger.paid_cents if self.mode.is_planning else 0
        return Spent(
            since=by_all.since,
            customer_cents=by_all.customer_cents + planned,
            all_cents=by_all.all_cents + planned,
        )

    def _value(self, path: str, facts: Mapping[str, Any]) -> Any:
        owner, _, name = path.partition(".")
        if owner == "facts":
            return facts.get(name)
        return self.ledger.versions.get(owner) if name == "version" else self.case.value(path)

    async def _record(
        self,
        call: ToolCall,
        tool: OfferedTool | None,  # None: a resource is to be read
        judged: Judged,
        weighed: Weighed | None,  # None: nothing else was looked at
        *,
        is_approved: bool = False,
    ) -> None:
        circumstances = None if weighed is None else weighed.circumstances
        self.ledger.object(judged.decision)
        await self.recorder.append(
            EntryKind.DECISION,
            {
                "tool_use_id": call.id,
                "tool": tool.qualified if tool else READ_RESOURCE,
                "effect": (tool.effect if tool else Effect.READ).value,
                "arguments": judged.arguments,
                "verdict": judged.decision.verdict.value,
                "reasons": [{"rule": reason.rule, "because": reason.because} for reason in judged.decision.reasons],
                "stripped": list(judged.stripped),
                "facts": dict(judged.facts),
                "sources": list(judged.sources),
                "spent": None if circumstances is None else circumstances.spent.as_json(),
                "now": None if circumstances is None else circumstances.now.isoformat(),
                "ticket_version": None if weighed is None else weighed.ticket_version,
                "is_approved": is_approved,
            },
        )


def _differing(planned: Mapping[str, Any], now: Mapping[str, Any], *, but: Collection[str]) -> Iterator[Reason]:
    """Yield a reason for each name whose value is another one now than in the plan."""
    for name in sorted({*planned, *now} - {*but}):
        if planned.get(name) != now.get(name):
            told = f"{name} was {planned.get(name)!r} in the plan, and is {now.get(name)!r} now."
            yield Reason(rule="plan.changed", because=told)
