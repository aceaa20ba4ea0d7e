"""`policy`: what is wrong with a policy, and why a call would be allowed, asked about or denied."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.binding import UnusableArguments
from agent.catalog import Catalog, OfferedTool
from agent.commands.frame import Frame
from agent.commands.staging import Staging, opened_intake
from agent.errors import UsageError
from agent.journal import new_run_id
from agent.judging import Weighed
from agent.models import OFFLINE
from agent.policies import Explanation, check, explain
from agent.records import Decision, JsonObject, RunMode, ToolCall, Verdict
from agent.render import SilentView
from agent.render.policies import show_explanation, show_findings
from agent.session import open_session


async def check_policy(frame: Frame, file: Path | None) -> int:
    """Check a policy file, or the policy in use, against the tools of the servers; 1 if anything is wrong with it."""
    settings = await frame.settings()
    source, name = (settings.policy, settings.policy_file) if file is None else (_read(file), str(file))
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        tools = session.catalog.tools
    findings = await asyncio.to_thread(check, source, tools, file=name)
    if frame.is_json:
        found = [
            {"file": item.file, "line": item.line, "severity": item.severity.value, "message": item.message}
            for item in findings
        ]
        frame.print_json({"file": name, "findings": found, "tools": len(tools)})
    else:
        show_findings(frame.out, name, findings, tools=len(tools))
    return 1 if findings else 0


async def explain_call(frame: Frame, *, ticket_id: str, tool: str, arguments: Sequence[str]) -> int:
    """Say what would become of this call as the first of a run of this ticket, and which rules decide."""
    staging = Staging(settings=await frame.settings(), model=OFFLINE, mode=RunMode.LIVE, approve="never")
    async with opened_intake(frame, staging, SilentView()) as intake:
        session, journal = intake.assembly.session, intake.journal
        offered = _tool(session.catalog, tool)
        case = await session.helpdesk.open(ticket_id)
        customer = journal.customer_hash(case.ticket.requester)
        # A run that never begins: its record is empty, and nothing of it is written.
        record = journal.record(run_id=new_run_id(), customer=customer, on_entry=lambda _: None)
        judge = intake.assembly.begin(case, record, RunMode.LIVE).gate.judge
        call = ToolCall(id="explained", name=offered.offered_as, arguments=_arguments(offered, arguments))
        try:
            weighed = await judge.weigh(call, offered)
        except UnusableArguments as unusable:
            raise UsageError(f"This makes no call: {unusable}") from unusable
        explanation = explain(session.policies, weighed.request)
    decision = _decision(explanation, weighed)
    if frame.is_json:
        frame.print_json(_json(offered, weighed, explanation, decision))
    else:
        show_explanation(frame.out, weighed.request, explanation, decision, file=staging.settings.policy_file)
    return 0


def _decision(explanation: Explanation, weighed: Weighed) -> Decision:
    """Return the verdict of the policy, or what the host itself forbids, which it does not lift."""
    if explanation.decision.verdict is Verdict.DENY or not weighed.forbidden:
        return explanation.decision
    return Decision(verdict=Verdict.DENY, reasons=weighed.forbidden)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "it cannot be read") if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"{file}: {reason[0].lower()}{reason[1:]}.") from error


def _tool(catalog: Catalog, name: str) -> OfferedTool:
    tool = catalog.qualified(name) or catalog.offered(name)
    if tool is None:
        names = ", ".join(sorted(tool.qualified for tool in catalog.tools))
        raise UsageError(f"There is no tool {name}. There are: {names}.")
    return tool


def _arguments(tool: OfferedTool, given: Sequence[str]) -> JsonObject:
    """Return what `name=value` says, each value as text or as JSON, whichever the tool's schema wants."""
    arguments: JsonObject = {}
    for item in given:
        name, sign, value = item.partition("=")
        if not sign:
            raise UsageError(f"--arg {item}: say it as name=value.")
        arguments[name] = _value(tool.full_schema.get("properties", {}).get(name), value)
    return arguments


def _value(schema: Any, value: str) -> Any:
    if isinstance(schema, dict) and '"string"' in json.dumps(schema):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _json(tool: OfferedTool, weighed: Weighed, explanation: Explanation, decision: Decision) -> JsonObject:
    request = weighed.request
    return {
        "tool": tool.qualified,
        "effect": tool.effect.value,
        "arguments": request.arguments,
        "facts": dict(request.facts),
        "spent": weighed.circumstances.spent.as_json(),
        "verdict": decision.verdict.value,
        "reasons": [{"rule": reason.rule, "because": reason.because} for reason in decision.reasons],
        "rules": [
            {
                "rule": rule.rule,
                "line": rule.line,
                "because": rule.because,
                "is_forbid": rule.is_forbid,
                "fate": rule.fate.value,
                "unmet": [str(unmet) for unmet in rule.unmet],
            }
            for rule in explanation.rules
        ],
        "is_as_approved": explanation.is_as_approved,
    }
