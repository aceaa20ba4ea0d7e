"""Tools and calls for the policy to judge, and the shortest way to a verdict."""

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from agent.catalog import OfferedTool
from agent.policies import Policies, Request, Standing, load_policies
from agent.records import Case, Customer, Decision, Effect, JsonObject, Ticket
from agent.settings import FactSettings, ToolSettings

DEFAULT = (files("agent.defaults") / "policy.cedar").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

_FACT = FactSettings(tool="desk.price", path="/cents")
_OWN = {"ticket_id": "ticket.id"}


def offered(name: str, effect: Effect, schema: JsonObject | None = None, **settings: Any) -> OfferedTool:
    """A tool of the server `desk`; bound to the ticket, and money with its facts, unless the settings say otherwise."""
    facts = {"amount_cents": _FACT, "currency": _FACT} if effect is Effect.MONEY else {}
    schema = schema or {"type": "object", "properties": {"ticket_id": {"type": "string"}}}
    return OfferedTool(
        server="desk",
        name=name,
        offered_as=f"desk__{name}",
        description="",
        effect=effect,
        input_schema=schema,
        full_schema=schema,
        settings=ToolSettings(effect=effect, **({"bind": _OWN, "facts": facts} | settings)),
    )


TOOLS = [offered(effect.value, effect) for effect in Effect]
"""One confined tool of every effect, called like it."""


def rules(*texts: str) -> str:
    """Return a policy of these rules, numbered and annotated."""
    return "\n".join(f'@id("rule-{i}")\n@because("Rule {i}.")\n{text}' for i, text in enumerate(texts))


def policy(*texts: str, tools: list[OfferedTool] | None = None) -> Policies:
    return load_policies(rules(*texts), TOOLS if tools is None else tools, file="policy.cedar")


def case(*, is_known: bool = True, **customer: Any) -> Case:
    fields = {"tier": "pro", "verified": True} | customer
    ticket = Ticket(
        id="42", fields={"requester": "alice@example.com", "status": "open", "priority": "high"}, context=""
    )
    return Case(ticket=ticket, customer=Customer(id="c1", fields=fields, context="") if is_known else None)


def request(tool: str, arguments: JsonObject | None = None, **changes: Any) -> Request:
    """A call of `desk.<tool>` in a run that has done nothing yet; a refund is one of 5.00 USD."""
    standing: dict[str, Any] = {
        "run_id": "r1",
        "writes": 0,
        "replies": 0,
        "has_ended": False,
        "refunded_cents": 0,
    }
    amount = changes.pop("amount", 500)
    currency = changes.pop("currency", "USD")
    standing |= {name: changes.pop(name) for name in list(changes) if name in standing}
    usual: dict[str, Any] = {
        "arguments": {} if arguments is None else arguments,
        "facts": {"amount_cents": amount, "currency": currency},
        "case": case(),
        "refunded_today_cents": 0,
        "is_by_host": False,
        "now": NOW,
    }
    return Request(tool=f"desk.{tool}", standing=Standing(**standing), **(usual | changes))


def because_of(decision: Decision) -> set[str]:
    """The rules that decided."""
    return {reason.rule for reason in decision.reasons}
