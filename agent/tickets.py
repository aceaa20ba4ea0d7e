"""The helpdesk as the configuration describes it: the case, the queue, the opening prompt, the outcome."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent.content import result_content
from agent.documents import at, fill
from agent.errors import ConfigurationError, ServerProtocolError, TicketNotFound
from agent.host import Host, NotFound
from agent.records import (
    CallStatus,
    Case,
    Customer,
    Effect,
    EffectReport,
    JsonObject,
    Outcome,
    OutcomeKind,
    Ticket,
    ToolResult,
)
from agent.settings import Condition, QueueReference, RecordReference, Settings, ToolReference

_ENDED_BY = {
    "closed": (OutcomeKind.CLOSED, frozenset({Effect.CLOSE, Effect.UNNAMED})),
    "escalated": (OutcomeKind.ESCALATED, frozenset({Effect.ESCALATE, Effect.UNNAMED})),
    "pending": (OutcomeKind.PENDING, frozenset({Effect.REPLY, Effect.UNNAMED})),
}
_HAPPENED = frozenset({CallStatus.DONE, CallStatus.UNCERTAIN})


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueItem:
    """One waiting ticket: enough to order it and to keep its customer's runs apart."""

    ticket_id: str
    requester: str
    summary: JsonObject  # as the helpdesk lists it


class Helpdesk:
    """Reads tickets and customers through their servers; everything it knows of them is configuration."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._tickets = settings.tickets

    async def open(self, ticket_id: str) -> Case:
        """Read the ticket and its requester, as they are now.

        Raises:
            TicketNotFound: the helpdesk knows no such ticket.
            ServerProtocolError: a record lacks what the configuration says it holds.
        """
        ticket = await self._ticket(ticket_id)
        return Case(ticket=ticket, customer=await self._customer(ticket.requester))

    async def record(self, ticket_id: str) -> JsonObject:
        """Return the ticket's whole record, as the helpdesk gives it."""
        try:
            return await self._record(self._tickets.server, self._tickets.record, {"ticket_id": ticket_id})
        except NotFound as missing:
            raise TicketNotFound(f"There is no ticket {ticket_id}.") from missing

    async def version(self, ticket_id: str) -> Any:
        """Return the ticket's version now, or None where the helpdesk keeps none."""
        pointer = self._tickets.fields.get("version")
        return None if pointer is None else at(await self.record(ticket_id), pointer)

    def is_workable(self, ticket: Ticket) -> bool:
        """Whether the configuration lets the agent work a ticket in this state."""
        return _matches(ticket.fields, self._tickets.workable)

    async def queue(self, limit: int | None = None) -> list[QueueItem]:
        """Return the waiting tickets in the helpdesk's own order, at most `limit`."""
        queue = self._tickets.queue
        if queue is None:
            raise ConfigurationError("No queue is configured: [tickets] needs `queue = { tool = …, items = … }`.")
        items: list[QueueItem] = []
        cursor: str | None = None
        while limit is None or len(items) < limit:
            page = await self._call(queue, {}, extra={"cursor": cursor} if cursor else {})
            items += _queue_items(page, queue)
            cursor = at(page, queue.next_cursor) if queue.next_cursor else None
            if not cursor:
                break
        return items[:limit]

    async def import_tickets(self, tickets: Sequence[JsonObject]) -> JsonObject:
        """Hand new tickets to the helpdesk's own import and return what it answers."""
        return await self._call(self._configured("import", self._tickets.import_), {"tickets": list(tickets)})

    async def customer_reply(self, ticket_id: str, body: str) -> JsonObject:
        """Record a reply as if the customer had sent it."""
        reference = self._configured("customer_reply", self._tickets.customer_reply)
        return await self._call(reference, {"ticket_id": ticket_id, "body": body})

    async def opening(self, case: Case) -> JsonObject:
        """Return the first message of a run: the server's prompt, then ticket and customer as untrusted data."""
        ticket, customer = case.ticket, case.customer
        texts = [
            *await self._prompt(case),
            untrusted(f"ticket {ticket.id}", ticket.context),
            untrusted(f"customer {ticket.requester}", customer.context)
            if customer is not None
            else "The requester of this ticket is in no customer record.",
        ]
        return {"role": "user", "content": [{"type": "text", "text": text} for text in texts if text]}

    async def outcome(self, case: Case, effects: Iterable[EffectReport]) -> Outcome | None:
        """Return how the ticket stands because of this run, read past every cache; None if the run has not ended it."""
        own = {self._effect_of(effect) for effect in effects if effect.status in _HAPPENED}
        if not own:
            return None
        now = await self._ticket(case.ticket.id)
        for name, condition in self._tickets.outcome.items():
            kind, ended_by = _ENDED_BY[name]
            if own & ended_by and _matches(now.fields, condition):
                return Outcome(kind=kind, reason=f"Read back from the helpdesk: {_described(now.fields, condition)}.")
        return None

    def planned_outcome(self, case: Case, effects: Iterable[EffectReport]) -> Outcome | None:
        """Return what a dry run's planned calls would leave, by the changes that their tools declare."""
        fields = dict(case.ticket.fields)
        effects = [effect for effect in effects if effect.status is CallStatus.PLANNED]
        for effect in effects:
            tool = self._settings.tools.get(f"{effect.server}.{effect.tool}")
            changes: Mapping[str, Any] = tool.changes if tool is not None else {}
            for name, value in changes.items():
                owner, _, field_name = name.partition(".")
                if owner == "ticket" and not str(value).startswith("$"):
                    fields[field_name] = value
        for name, condition in self._tickets.outcome.items():
            _, ended_by = _ENDED_BY[name]
            if _matches(fields, condition) and any(self._effect_of(effect) in ended_by for effect in effects):
                return Outcome(kind=OutcomeKind.PLANNED, reason=f"It would be {name}: {_described(fields, condition)}.")
        return None

    def _effect_of(self, effect: EffectReport) -> Effect:
        tool = self._settings.tools.get(f"{effect.server}.{effect.tool}")
        return tool.effect if tool is not None else Effect.UNNAMED

    async def _ticket(self, ticket_id: str) -> Ticket:
        tickets = self._tickets
        record = await self.record(ticket_id)
        fields = {name: at(record, pointer) for name, pointer in tickets.fields.items()}
        if not fields.get("requester") or fields.get("status") is None:
            raise ServerProtocolError(
                tickets.server,
                f"The record of ticket {ticket_id} has no requester or status where [tickets] fields point.",
            )
        context = await self._text(tickets.server, tickets.context, {"ticket_id": ticket_id})
        return Ticket(id=ticket_id, fields=fields, context=context)

    async def _customer(self, requester: str) -> Customer | None:
        customers = self._settings.customers
        if customers is None:
            return None
        values = {"requester": requester}
        try:
            record = await self._record(customers.server, customers.record, values)
            context = await self._text(customers.server, customers.context, values)
        except NotFound:
            return None
        fields = {name: at(record, pointer) for name, pointer in customers.fields.items()}
        if fields.get("id") is None:
            raise ServerProtocolError(
                customers.server, "The customer record has no id where [customers] fields points."
            )
        return Customer(id=str(fields["id"]), fields=fields, context=context)

    async def _record(self, server: str, reference: RecordReference, values: Mapping[str, str]) -> JsonObject:
        if isinstance(reference, ToolReference):
            return await self._call(reference, values, server=server)
        text = await self._text(server, reference, values)
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ServerProtocolError(server, f"{_uri(reference, values)} is not a JSON object.")
        return record  # pyright: ignore[reportUnknownVariableType]  # JSON of any shape

    async def _text(self, server: str, reference: RecordReference, values: Mapping[str, str]) -> str:
        if isinstance(reference, ToolReference):
            return json.dumps(await self._call(reference, values, server=server), ensure_ascii=False, indent=1)
        result = await self._host.read_resource(server, _uri(reference, values))
        return "\n".join(text for contents in result.contents if (text := getattr(contents, "text", None)))

    async def _call(
        self,
        reference: ToolReference,
        values: Mapping[str, Any],
        *,
        server: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """Call a tool of the helpdesk's own server for the host and return its structured result."""
        server = server or self._tickets.server
        try:
            arguments: JsonObject = fill(reference.arguments, values) | dict(extra or {})
        except KeyError as unknown:
            known = ", ".join(f"${name}" for name in values) or "no value"
            raise ConfigurationError(
                f"[tickets] fills {reference.tool} with ${unknown.args[0]}, but the host has {known} there."
            ) from unknown
        answer = await self._host.call_tool(
            server, reference.tool, arguments, key=None, is_repeatable=False, answers=None
        )
        if answer.is_error:
            said = ToolResult(content=result_content(answer, 1000), status=CallStatus.FAILED).text
            raise ServerProtocolError(server, said)
        if answer.structured_content is None:
            raise ServerProtocolError(server, f"{server}.{reference.tool} gives no structured result.")
        return answer.structured_content

    async def _prompt(self, case: Case) -> list[str]:
        prompt = self._tickets.prompt
        if prompt is None:
            return ["Resolve this ticket."]
        values = {name: case.value(path) for name, path in prompt.arguments.items()}
        arguments = {name: str(value) for name, value in values.items() if value is not None}
        arguments |= {name: "unknown" for name, value in values.items() if value is None}
        result = await self._host.get_prompt(self._tickets.server, prompt.name, arguments)
        return [text for message in result.messages if (text := getattr(message.content, "text", None))]

    def _configured(self, name: str, reference: ToolReference | None) -> ToolReference:
        if reference is None:
            raise ConfigurationError(f"This helpdesk has no `{name}`: [tickets] names no tool for it.")
        return reference


def untrusted(origin: str, text: str) -> str:
    """Return the text between tags that say where it is from; it cannot close them itself."""
    closed = re.sub(r"<(?=\s*/?\s*untrusted)", "&lt;", text, flags=re.IGNORECASE)
    return f'<untrusted origin="{quote(origin, safe=" @.+-_")}">\n{closed}\n</untrusted>'


def _uri(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: quote(str(values[name[1]]), safe=""), template)


def _queue_items(page: JsonObject, queue: QueueReference) -> list[QueueItem]:
    listed: list[JsonObject] = at(page, queue.items) or []
    return [
        QueueItem(
            ticket_id=str(at(item, queue.id)),
            requester=str(at(item, queue.requester)) if queue.requester else "",
            summary=item,
        )
        for item in listed
    ]


def _matches(fields: Mapping[str, Any], condition: Condition) -> bool:
    return all(fields.get(name) in values for name, values in condition.items())


def _described(fields: Mapping[str, Any], condition: Condition) -> str:
    return ", ".join(f"{name} {fields.get(name)}" for name in condition)
