"""A run put together: from a case that was just read, or from the record of one that goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from agent.applying import Applied
from agent.callbacks import Answers
from agent.calling import LiveCalls, VoidingCalls
from agent.errors import JournalError
from agent.gate import Gate
from agent.journal import RunRecord
from agent.judging import Judge
from agent.ledger import Ledger
from agent.outgoing import Outgoing
from agent.protocols import Approver, Model, Operator
from agent.recall import Past, recall
from agent.records import ENTRY_FORMAT, Case, Entry, FormAnswer, JsonObject, Owner, RunMode, ToolCall, ToolResult
from agent.repeats import Repeats
from agent.run import Foundation, Run
from agent.session import Session, system_prompt

_DECIDING = {"servers", "limits", "company", "tickets", "customers", "tools", "resources", "policy"}
"""The settings that decide what a call may do."""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """What every run of a command is made with: its servers, its model, and who answers for the person."""

    session: Session
    model: Model
    approver: Approver
    operator: Operator
    owner: Owner

    @cached_property
    def foundation(self) -> Foundation:
        """What a run that begins now rests on."""
        host, settings = self.session.host, self.session.settings
        return Foundation(
            system=system_prompt(host, settings),
            tools=self.session.catalog.definitions,
            owner=self.owner,
            version=version("support-agent"),
            catalog={
                name: {
                    "tools": [
                        tool.model_dump(mode="json", exclude_none=True, by_alias=True)
                        for tool in server.tools
                        if f"{name}.{tool.name}" not in self.session.left_out
                    ],
                    "templates": [
                        template.model_dump(mode="json", exclude_none=True, by_alias=True)
                        for template in server.templates
                    ],
                }
                for name, server in sorted(host.servers.items())
            },
            settings=settings.model_dump(mode="json", include=_DECIDING),
        )

    def begin(self, case: Case, recorder: RunRecord, mode: RunMode, *, plan: Applied | None = None) -> Run:
        """Return a run over this case that has not begun; nothing is asked of the model yet.

        `plan` is what a run that applies one has to do.
        """
        ledger = Ledger(versions={owner: case.value(f"{owner}.version") for owner in ("ticket", "customer")})
        return self._run(
            case=case, recorder=recorder, mode=mode, ledger=ledger, foundation=self.foundation, past=Past(), plan=plan
        )

    def go_on(self, entries: Sequence[Entry], recorder: RunRecord, *, is_cancelled: bool = False) -> Run:
        """Return the run of these entries, ready to go on where they end; a cancelled one can only be settled.

        What the model was given at its start stays: a conversation that is sent again must not change.

        Raises:
            JournalError: a newer version of this program has begun the run.
        """
        body = entries[0].body
        if body["format"] > ENTRY_FORMAT:
            raise JournalError(
                f"Run {entries[0].run_id} was begun by a newer version of support-agent ({body['version']}): "
                "let that one finish it."
            )
        was = recall(entries)
        foundation = Foundation(
            system=body["system"],
            tools=body["tools"],
            owner=self.owner,
            version=body["version"],
            catalog=body["catalog"],
            settings=body["settings"],
        )
        run = self._run(
            case=was.case,
            recorder=recorder,
            mode=was.mode,
            ledger=was.ledger,
            foundation=foundation,
            past=was.past,
            asked=was.calls,
            told=was.told,
            plan=None if body["plan"] is None else Applied.from_json(body["plan"]),
            calling=VoidingCalls if is_cancelled else LiveCalls,
        )
        run.messages, run.turn_seq, run.pauses, run.was_nudged = was.messages, was.turn_seq, was.pauses, was.was_nudged
        run.called, run.pending, run.results, run.gave_up = was.called, was.pending, was.results, was.gave_up
        return run

    def _run(
        self,
        *,
        case: Case,
        recorder: RunRecord,
        mode: RunMode,
        ledger: Ledger,
        foundation: Foundation,
        past: Past,
        asked: Sequence[ToolCall] = (),
        told: Sequence[tuple[str, Any, ToolResult]] = (),
        plan: Applied | None = None,
        calling: type[LiveCalls] = LiveCalls,
    ) -> Run:
        session, settings = self.session, self.session.settings
        outgoing = Outgoing.of(case, session.catalog, settings, system=foundation.system)
        heard = [] if plan is None else [one.told for one in plan.heard]
        for name, arguments, result in [*heard, *told]:
            outgoing.heard(name, arguments, result)
        answers = self._answers(recorder, ledger, outgoing, past, mode)
        calls = calling(
            case=case,
            catalog=session.catalog,
            host=session.host,
            settings=settings,
            answers=answers,
            observer=session.observer,
            version=lambda: session.helpdesk.version(case.ticket.id),
            ticket_now=lambda: session.helpdesk.reading(case.ticket.id),
            till=recorder,
        )
        repeats = Repeats(catalog=session.catalog, most=settings.limits.same_calls)
        repeats.recall(asked)
        judge = Judge(
            case=case,
            calls=calls,
            policies=session.policies,
            limits=settings.limits,
            mode=mode,
            recorder=recorder,
            ledger=ledger,
            repeats=repeats,
            outgoing=outgoing,
            planned={} if plan is None else plan.planned,
        )
        gate = Gate(
            case=case,
            catalog=session.catalog,
            calls=calls,
            judge=judge,
            mode=mode,
            approver=self.approver,
            recorder=recorder,
            ledger=ledger,
            outgoing=outgoing,
            past=past,
        )
        return Run(
            case=case,
            model=self.model,
            gate=gate,
            helpdesk=session.helpdesk,
            catalog=session.catalog,
            recorder=recorder,
            observer=session.observer,
            settings=settings,
            mode=mode,
            foundation=foundation,
            ledger=ledger,
            outgoing=outgoing,
            plan=plan,
        )

    def _answers(self, recorder: RunRecord, ledger: Ledger, outgoing: Outgoing, past: Past, mode: RunMode) -> Answers:
        """Return who answers what servers ask back during this run."""
        settings, roots = self.session.settings, self.session.settings.roots
        return Answers(
            model=self.model,
            operator=_Unhurried(self.operator, ledger),
            recorder=recorder,
            limits=settings.limits,
            roots=[*([roots.knowledge] if roots.knowledge else []), *roots.folders],
            on_spend=ledger.spend,
            has_money=lambda: ledger.cost_usd is None or ledger.cost_usd < settings.limits.usd,
            past=past,
            sampled=sum(past.sampled.values()),
            withheld_from=outgoing.withheld_from,
            declined=ledger.declined if mode is RunMode.APPLY else None,
        )


class _Unhurried:
    """An operator whose time is not the run's: while it answers, the run's clock stands still."""

    def __init__(self, operator: Operator, ledger: Ledger) -> None:
        self._operator = operator
        self._ledger = ledger

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        async with self._ledger.waiting():
            return await self._operator.fill_form(server, message, schema)

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        async with self._ledger.waiting():
            return await self._operator.visit_url(server, message, url)
