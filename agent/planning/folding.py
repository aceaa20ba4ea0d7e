"""The fold over a dry run's entries: by the configuration that the run recorded, never by that of now."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from agent.documents import fill
from agent.planning.values import Change, Plan, PlannedCall, RefusedCall
from agent.records import (
    CONFINING,
    CallStatus,
    Effect,
    Entry,
    EntryKind,
    JsonObject,
    Outcome,
    OutcomeKind,
    Reason,
    Reply,
    RunMode,
    ToolResult,
    Usage,
    Verdict,
)

_HOST_CALL = "host-"
_OWNERS = ("ticket", "customer")
_VERSIONS = frozenset(f"{owner}.version" for owner in _OWNERS)
_SPENDING = frozenset({EntryKind.REPLY, EntryKind.SAMPLING})
_ENDED_BY = {"closed": Effect.CLOSE, "escalated": Effect.ESCALATE, "pending": Effect.REPLY}


def plan_of(entries: Sequence[Entry]) -> Plan:
    """Return what the run of these entries would do, however far it has come.

    Raises:
        ValueError: it is no dry run.
    """
    if not entries or not RunMode(entries[0].body["mode"]).is_planning:
        raise ValueError("only a dry run has a plan")
    first, *others = entries
    body = first.body
    ticket, customer = _object(body, "ticket"), _object(body, "customer")
    fold = _Fold(body)
    for entry in others:
        fold.take(entry)
    is_planned = fold.outcome is not None and fold.outcome.kind in {OutcomeKind.PLANNED, OutcomeKind.DRAFTED}
    return Plan(
        run_id=first.run_id,
        ticket_id=str(body["ticket_id"]),
        subject=str(_object(ticket, "fields").get("subject") or ""),
        requester=str(_object(ticket, "fields").get("requester") or ""),
        customer_id=customer.get("id"),
        tier=_object(customer, "fields").get("tier"),
        versions=dict(fold.versions),
        made_at=first.at,
        by=str(body["owner"]["user"]),
        model=body["model"],
        mode=RunMode(body["mode"]),
        turns=fold.turns,
        usage=fold.usage,
        cost_usd=fold.cost_usd,
        outcome=fold.outcome,
        calls=tuple(fold.calls),
        refused=tuple(fold.refused),
        read=tuple(dict.fromkeys(fold.read)),
        last_words=fold.last_words,
        would_end=fold.would_end() if is_planned else None,
        is_forgotten="ticket" not in body,
    )


class _Fold:
    """What is known of a plan so far; the fields of ticket and customer move on with each of its calls."""

    def __init__(self, case: JsonObject) -> None:
        self._settings = _object(case, "settings")
        self._catalog = _object(case, "catalog")
        owners = {owner: _object(case, owner) for owner in _OWNERS}
        self._fields = {owner: dict(_object(record, "fields")) for owner, record in owners.items() if record}
        self._set: dict[str, set[str]] = {owner: set() for owner in self._fields}  # fields that a call would set
        self.versions = {owner: fields.get("version") for owner, fields in self._fields.items()}
        self._decisions: dict[str, JsonObject] = {}
        self._seq = 0
        self.turns, self.usage = 0, Usage()
        self.cost_usd: float | None = 0.0
        self.calls: list[PlannedCall] = []
        self.refused: list[RefusedCall] = []
        self._done: set[str] = set()  # reads
        self.last_words = ""
        self.outcome: Outcome | None = None

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        body = entry.body
        if entry.kind in _SPENDING:
            price = body["cost_usd"]
            self.usage += Usage(**body["usage"])
            self.cost_usd = None if price is None or self.cost_usd is None else self.cost_usd + price
        match entry.kind:
            case EntryKind.REPLY:
                self.turns, self._seq = body["turn"], entry.seq
                self.last_words = Reply(content=body.get("content", []), stop_reason="", model="").text
            case EntryKind.DECISION:
                self._decisions[body["tool_use_id"]] = body  # of several about one call, the last one holds
            case EntryKind.RESULT:
                self._result(body)
            case EntryKind.OUTCOME:
                self.outcome = Outcome(kind=OutcomeKind(body["outcome"]), reason=body.get("reason", ""))
            case _:
                pass

    @property
    def read(self) -> list[str]:
        """What was read, in the order in which it was asked for: answers to neighbouring reads come as they come."""
        return [_read(decided) for call, decided in self._decisions.items() if call in self._done]

    def would_end(self) -> str | None:
        """Return the state in which the calls would leave the ticket, as the helpdesk's configuration names it."""
        for name, condition in _object(_object(self._settings, "tickets"), "outcome").items():
            own = [call for call in self.calls if call.effect in {_ENDED_BY[name], Effect.UNNAMED}]
            own = [call for call in own if self._is_about_ticket(call)]
            fields = self._fields.get("ticket", {})
            if own and all(fields.get(key) in allowed for key, allowed in condition.items()):
                return name
            if any(call.effect is _ENDED_BY[name] and not self._declared(call.tool) for call in own):
                return name  # nothing is declared: by what its tool is for
        return None

    def _result(self, body: JsonObject) -> None:
        status, decided = CallStatus(body["status"]), self._decisions.get(body["tool_use_id"])
        if status is CallStatus.PLANNED and decided is not None:
            self.calls.append(self._planned(decided))
        elif status in {CallStatus.DENIED, CallStatus.FAILED}:
            self.refused.append(_refused(body, decided, status))
        elif decided is not None and decided["effect"] == Effect.READ:
            self._done.add(body["tool_use_id"])

    def _planned(self, decided: JsonObject) -> PlannedCall:
        tool, arguments = str(decided["tool"]), _object(decided, "arguments")
        configured = self._tool(tool)
        self._reread(decided, _object(configured, "bind"))
        return PlannedCall(
            tool_use_id=decided["tool_use_id"],
            seq=self._seq,
            tool=tool,
            effect=Effect(decided["effect"]),
            arguments=arguments,
            bound=tuple(name for name in arguments if name in _object(configured, "bind")),
            verdict=Verdict(decided["verdict"]),
            reasons=_reasons(decided),
            facts=_object(decided, "facts"),
            changes=tuple(self._changes(tool, arguments)),
            sends={name: _text(arguments[name]) for name in configured.get("sends", ()) if name in arguments},
            sources=tuple(decided.get("sources", ())),
            is_by_host=str(decided["tool_use_id"]).startswith(_HOST_CALL),
        )

    def _reread(self, decided: JsonObject, bind: JsonObject) -> None:
        """Take the versions that a call was judged at; of a record that has moved, only what the plan sets is known."""
        seen = {"ticket": decided.get("ticket_version")}
        arguments = _object(decided, "arguments")
        seen |= {path.partition(".")[0]: arguments.get(name) for name, path in bind.items() if path in _VERSIONS}
        for owner, version in seen.items():
            # As texts: a bound version has the type that its argument must have.
            if owner in self._fields and version is not None and str(version) != str(self.versions[owner]):
                self.versions[owner] = version
                fields = self._fields[owner]
                self._fields[owner] = {name: fields[name] for name in self._set[owner]}

    def _changes(self, tool: str, arguments: JsonObject) -> Iterator[Change]:
        given = self._given(tool, arguments)
        for path, template in self._declared(tool).items():
            try:
                after = fill(template, given)
            except KeyError:
                continue  # an optional argument's, which the call does not have
            owner, _, name = path.partition(".")
            fields = self._fields.get(owner)
            is_known = fields is not None and name in fields
            before = fields[name] if fields is not None and is_known else None
            if fields is not None:
                fields[name] = after
                self._set[owner].add(name)
            if is_known and before == after:
                continue
            argument = template[1:] if isinstance(template, str) and template.startswith("$") else None
            yield Change(field=path, before=before, after=after, is_before_known=is_known, argument=argument)

    def _given(self, tool: str, arguments: JsonObject) -> JsonObject:
        """Return the arguments without a null that may as well not be there, by the tool's own schema."""
        server, _, name = tool.partition(".")
        tools: Sequence[JsonObject] = _object(self._catalog, server).get("tools", ())
        schemas = [_object(offered, "inputSchema") for offered in tools if offered["name"] == name]
        described = _object(schemas[0], "properties") if schemas else {}
        return {
            argument: value
            for argument, value in arguments.items()
            if value is not None or _object(described, argument).get("default", "") is not None
        }

    def _is_about_ticket(self, call: PlannedCall) -> bool:
        confined = CONFINING.intersection(_object(self._tool(call.tool), "bind").values())
        return not confined or "ticket.id" in confined

    def _tool(self, tool: str) -> JsonObject:
        return _object(_object(self._settings, "tools"), tool)

    def _declared(self, tool: str) -> JsonObject:
        return _object(self._tool(tool), "changes")


def _read(decided: JsonObject) -> str:
    # What belongs to no server is the host's own reading of a resource.
    uri = _object(decided, "arguments").get("uri") if "." not in decided["tool"] else None
    return str(decided["tool"] if uri is None else uri)


def _refused(body: JsonObject, decided: JsonObject | None, status: CallStatus) -> RefusedCall:
    effect = _object(body, "effect")
    # What a call was allowed for says nothing about why it then failed.
    is_why = decided is not None and (status is CallStatus.DENIED or decided["verdict"] == Verdict.DENY)
    return RefusedCall(
        tool_use_id=body["tool_use_id"],
        tool=str(body.get("tool") or (decided or effect).get("tool") or ""),
        # As the report has them first: there, a text that was not to leave is withheld.
        arguments=_object(effect, "arguments") or _object(decided or {}, "arguments"),
        status=status,
        reasons=_reasons(decided) if decided is not None and is_why else (),
        told=ToolResult(content=body.get("content", []), status=status).text,
    )


def _reasons(decided: JsonObject) -> tuple[Reason, ...]:
    """Return the rules that decided; of forgotten ones, the names are left."""
    if "reasons" in decided:
        return tuple(Reason(rule=reason["rule"], because=reason["because"]) for reason in decided["reasons"])
    return tuple(Reason(rule=rule, because="") for rule in decided.get("rules", ()))


def _object(body: Mapping[str, Any], name: str) -> JsonObject:
    """Return the object that stands there; an empty one, where a text was forgotten or nothing was recorded."""
    value = body.get(name)
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
