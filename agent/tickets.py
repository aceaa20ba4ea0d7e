"""The helpdesk as the configuration describes it: the case, the queue, the opening prompt, the outcome."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from agent.content import result_content
from agent.documents import at, fill, without_surrogates
from agent.errors import ConfigurationError, ServerProtocolError, TicketNotFound
from agent.host import Host, NotFound
from agent.records import (
    CONFINING,
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
from agent.settings import Condition, QueueReference, RecordReference, SaidReference, Settings, ToolReference
from agent.unseen import without_unseen

_ENDED_BY = {
    "closed": (OutcomeKind.CLOSED, Effect.CLOSE),
    "escalated": (OutcomeKind.ESCALATED, Effect.ESCALATE),
    "pending": (OutcomeKind.PENDING, Effect.REPLY),
}
_MOST_PAGES = 1_000
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

    async def requester(self, ticket_id: str) -> str:
        """Return the e-mail address of the person who wrote the ticket.

        Raises:
            TicketNotFound: the helpdesk knows no such ticket.
        """
        return str(self._fields(ticket_id, await self.record(ticket_id))["requester"])

    async def version(self, ticket_id: str) -> Any:
        """Return the version now of a ticket that is being worked, or None where the helpdesk keeps none."""
        return None if "version" not in self._tickets.fields else (await self._fields_now(ticket_id))["version"]

    async def reading(self, ticket_id: str) -> str:
        """Return what the model is told of a ticket that has moved while it was worked: how it reads now."""
        context = await self._text(self._tickets.server, self._tickets.context, {"ticket_id": ticket_id})
        moved = (
            f"Not done: ticket {ticket_id} has changed since you read it. This is how it reads now; go on from here."
        )
        return f"{moved}\n\n{untrusted(f'ticket {ticket_id}', context)}"

    def resources(self, ticket_id: str) -> list[str]:
        """Return the URIs under which the helpdesk's server keeps this ticket; none where tools read it."""
        places = (self._tickets.record, self._tickets.context)
        return [_uri(place, {"ticket_id": ticket_id}) for place in places if isinstance(place, str)]

    def is_workable(self, ticket: Ticket) -> bool:
        """Whether the configuration lets the agent work a ticket in this state."""
        return _matches(ticket.fields, self._tickets.workable)

    async def queue(self, limit: int | None = None) -> list[QueueItem]:
        """Return the waiting tickets in the helpdesk's own order, at most `limit`."""
        queue = self._tickets.queue
        if queue is None:
            raise ConfigurationError("No queue is configured: [tickets] needs `queue = { tool = …, items = … }`.")
        items: dict[str, QueueItem] = {}  # a ticket that moves while pages are read may stand on two of them
        cursors: list[Any] = [None]
        while (limit is None or len(items) < limit) and len(cursors) <= _MOST_PAGES:
            page = await self._page(queue, cursors[-1])
            items |= {item.ticket_id: item for item in self._queue_items(page, queue)}
            cursor = at(page, queue.next_cursor) if queue.next_cursor else None
            if not cursor or cursor in cursors:
                break
            cursors.append(cursor)
        return list(items.values())[:limit]

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
        own = {self._effect_on_ticket(effect) for effect in effects if effect.status in _HAPPENED} - {None}
        if not own:
            return None
        now = await self._fields_now(case.ticket.id)
        for name, condition in self._tickets.outcome.items():
            kind, ended_by = _ENDED_BY[name]
            if own & {ended_by, Effect.UNNAMED} and _matches(now, condition):
                return Outcome(kind=kind, reason=f"Read back from the helpdesk: {_described(now, condition)}.")
        return None

    def planned_outcome(self, case: Case, effects: Iterable[EffectReport]) -> Outcome | None:
        """Return what a dry run's planned calls would leave, by the changes that their tools declare."""
        fields = dict(case.ticket.fields)
        planned = [effect for effect in effects if effect.status is CallStatus.PLANNED]
        for effect in planned:
            fields |= self._changes(effect)
        for name, condition in self._tickets.outcome.items():
            _, ended_by = _ENDED_BY[name]
            endings = [effect for effect in planned if self._effect_on_ticket(effect) in {ended_by, Effect.UNNAMED}]
            if endings and _matches(fields, condition):
                return Outcome(kind=OutcomeKind.PLANNED, reason=f"It would be {name}: {_described(fields, condition)}.")
            if any(self._effect_on_ticket(effect) is ended_by and not self._changes(effect) for effect in endings):
                return Outcome(kind=OutcomeKind.PLANNED, reason=f"It would be {name}, by what its tool is for.")
        return None

    def _effect_on_ticket(self, effect: EffectReport) -> Effect | None:
        """Return what the call does; None if it is about the customer alone: an invoice sent again ends no ticket."""
        tool = self._settings.tools.get(f"{effect.server}.{effect.tool}")
        if tool is None:
            return Effect.UNNAMED
        bound = CONFINING.intersection(tool.bind.values())
        return tool.effect if not bound or "ticket.id" in bound else None

    def _changes(self, effect: EffectReport) -> dict[str, Any]:
        """Return the ticket's fields that the call's tool is declared to set, whatever its arguments are."""
        tool = self._settings.tools.get(f"{effect.server}.{effect.tool}")
        declared: Mapping[str, Any] = tool.changes if tool is not None else {}
        return {
            name.removeprefix("ticket."): value
            for name, value in declared.items()
            if name.startswith("ticket.") and not str(value).startswith("$")
        }

    async def _fields_now(self, ticket_id: str) -> dict[str, Any]:
        try:
            return self._fields(ticket_id, await self.record(ticket_id))
        except TicketNotFound as gone:
            raise ServerProtocolError(
                self._tickets.server, f"Ticket {ticket_id} is gone since this run began."
            ) from gone

    def _fields(self, ticket_id: str, record: JsonObject) -> dict[str, Any]:
        tickets = self._tickets
        fields = {name: at(record, pointer) for name, pointer in tickets.fields.items()}
        if not fields.get("requester") or fields.get("status") is None:
            raise ServerProtocolError(
                tickets.server,
                f"The record of ticket {ticket_id} has no requester or status where [tickets] fields point.",
            )
        return fields

    async def _ticket(self, ticket_id: str) -> Ticket:
        tickets = self._tickets
        record = await self.record(ticket_id)
        fields = self._fields(ticket_id, record)
        context = await self._text(tickets.server, tickets.context, {"ticket_id": ticket_id})
        return Ticket(id=ticket_id, fields=fields, context=context, said=_said(record, tickets.said))

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
            return await self._call(reference, values, server=server, is_read=True)
        text = await self._text(server, reference, values)
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise ServerProtocolError(server, f"{_uri(reference, values)} is not a JSON object.")
        return without_surrogates(record)  # an escape in the text may stand for half a character

    async def _text(self, server: str, reference: RecordReference, values: Mapping[str, str]) -> str:
        if isinstance(reference, ToolReference):
            record = await self._call(reference, values, server=server, is_read=True)
            return json.dumps(record, ensure_ascii=False, indent=1)
        result = await self._host.read_resource(server, _uri(reference, values))
        return "\n".join(text for contents in result.contents if (text := getattr(contents, "text", None)))

    async def _call(
        self,
        reference: ToolReference,
        values: Mapping[str, Any],
        *,
        server: str | None = None,
        extra: Mapping[str, Any] | None = None,
        is_read: bool = False,
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
            server, reference.tool, arguments, key=None, is_repeatable=is_read, answers=None
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
        return [without_unseen(text) for message in result.messages if (text := getattr(message.content, "text", None))]

    async def _page(self, queue: QueueReference, cursor: Any) -> JsonObject:
        # "$cursor" says which argument takes it; without one, it is `cursor`, as MCP itself calls it.
        names = [name for name, value in queue.arguments.items() if value == "$cursor"] or ["cursor"]
        fixed = {name: value for name, value in queue.arguments.items() if value != "$cursor"}
        reference = ToolReference(tool=queue.tool, arguments=fixed)
        return await self._call(reference, {}, extra=dict.fromkeys(names, cursor) if cursor else {}, is_read=True)

    def _queue_items(self, page: JsonObject, queue: QueueReference) -> list[QueueItem]:
        listed: Any = at(page, queue.items)
        if not isinstance(listed, list) or any(at(item, queue.id) is None for item in cast("list[Any]", listed)):
            raise ServerProtocolError(
                self._tickets.server,
                f"{queue.tool} gives no list of tickets with ids where [tickets] queue points: "
                f"items = {queue.items!r}, id = {queue.id!r}.",
            )
        return [
            QueueItem(
                ticket_id=str(at(item, queue.id)),
                requester=str(at(item, queue.requester) or "") if queue.requester else "",
                summary=item,
            )
            for item in cast("list[JsonObject]", listed)
        ]

    def _configured(self, name: str, reference: ToolReference | None) -> ToolReference:
        if reference is None:
            raise ConfigurationError(f"This helpdesk has no `{name}`: [tickets] names no tool for it.")
        return reference


def untrusted(origin: str, text: str) -> str:
    """Return the text between tags that say where it is from; it cannot close them itself."""
    # First: an unseen character in a tag would hide the tag from the second step, and then be gone.
    seen = without_unseen(text)
    closed = re.sub(r"<(?=\s*/?\s*untrusted)", "&lt;", seen, flags=re.IGNORECASE)
    return f'<untrusted origin="{quote(origin, safe=" @.+-_")}">\n{closed}\n</untrusted>'


def _uri(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: quote(str(values[name[1]]), safe=""), template)


def _said(record: JsonObject, place: SaidReference | None) -> str:
    """Return what the requester has written, as far as the configuration says how it is told from what others did."""
    items: Any = None if place is None else at(record, place.items)
    if place is None or not isinstance(items, list):
        return ""
    said = [cast("JsonObject", item) for item in cast("list[Any]", items) if isinstance(item, dict)]
    own = [item for item in said if _matches(item, place.where)]
    return "\n\n".join(str(at(item, place.text) or "") for item in own)


def _matches(fields: Mapping[str, Any], condition: Condition) -> bool:
    return all(fields.get(name) in values for name, values in condition.items())


def _described(fields: Mapping[str, Any], condition: Condition) -> str:
    return ", ".join(f"{name} {fields.get(name)}" for name in condition)
