"""What a policy can see of a call, as plans and as Cedar's schema: the groups, the tools, and the context of each.

`docs/policy.md` describes the same to those who write policies.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.catalog import OfferedTool
from agent.policies.arguments import arguments_plan
from agent.policies.plans import Attribute, Canonical, Moment, Plan, Record, Text, Truth, Whole, cedar_type
from agent.records import Effect, JsonObject

RUN = "Run"
TICKET = "Ticket"
ACTION = "Action"


def _record(required: Mapping[str, Plan], optional: Mapping[str, Plan] | None = None) -> Record:
    attributes = {name: Attribute(plan=plan) for name, plan in required.items()}
    attributes |= {name: Attribute(plan=plan, is_required=False) for name, plan in (optional or {}).items()}
    return Record(attributes=attributes)


_TICKET = _record({"id": Text(), "requester": Text(), "status": Text()}, {"priority": Text()})
_CUSTOMER = _record(
    {"id": Text(), "email": Text(), "refunded_today_cents": Whole()}, {"tier": Text(), "verified": Truth()}
)
_CALL = _record({"confined": Truth(), "public": Truth(), "by_host": Truth()})
_RUN = _record({"writes": Whole(), "replies": Whole(), "ended": Truth(), "refunded_cents": Whole()})
_COMMON: Mapping[str, Plan] = {"ticket": _TICKET, "call": _CALL, "run": _RUN, "approved": Truth(), "now": Moment()}
_MONEY: Mapping[str, Plan] = {"amount_cents": Whole(), "currency": Text()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shapes:
    """The context of every group and of every tool that can be judged, and why the others cannot be."""

    groups: Mapping[str, Record]  # by the name of the effect
    tools: Mapping[str, Record]  # by `server.tool`
    effects: Mapping[str, Effect]  # of `tools`
    problems: Mapping[str, str]  # `server.tool` → why every call of it is denied, in a sentence

    def of(self, action: str) -> Record:
        """Return the context of a group or of a tool.

        Raises:
            KeyError: there is no such action.
        """
        return self.groups[action] if action in self.groups else self.tools[action]

    def members(self, action: str) -> frozenset[str]:
        """Return the actions for which `action in Action::"…"` holds: the action itself, and a group's tools."""
        tools = (name for name, effect in self.effects.items() if effect.value == action)
        return frozenset((action, *tools))

    @property
    def actions(self) -> frozenset[str]:
        """The names of all groups and tools."""
        return frozenset((*self.groups, *self.tools))


def shapes_of(tools: Iterable[OfferedTool]) -> Shapes:
    """Return what a policy can see of the calls of these tools."""
    everything = list(tools)
    counts = Counter(tool.qualified for tool in everything)
    found: dict[str, Record] = {}
    effects: dict[str, Effect] = {}
    problems: dict[str, str] = {}
    for tool in everything:
        name = tool.qualified
        shape = f"Two tools are called {name}." if counts[name] > 1 else _shape(tool)
        if isinstance(shape, str):
            problems[name] = shape
        else:
            found[name], effects[name] = shape, tool.effect
    groups = {effect.value: _context(effect, _record({}), is_open=False) for effect in Effect}
    return Shapes(groups=groups, tools=found, effects=effects, problems=problems)


def unjudgeable(tools: Iterable[OfferedTool]) -> Mapping[str, str]:
    """Return why the calls of some of these tools can never be judged, by `server.tool`; all of them are denied."""
    return shapes_of(tools).problems


def _shape(tool: OfferedTool) -> Record | str:
    if tool.problem is not None:
        return f"{tool.qualified} cannot be called: {tool.problem}."
    if tool.effect is Effect.MONEY and not _MONEY.keys() <= tool.settings.facts.keys():
        return (
            f"{tool.qualified} moves money, and nothing tells the host how much: configure the facts "
            f'amount_cents and currency in [tools."{tool.qualified}"].'
        )
    arguments = arguments_plan(tool.full_schema)
    if arguments is None:
        return f"{tool.qualified} takes an argument whose name means something else to a policy."
    shape = _context(tool.effect, arguments.named, is_open=arguments.is_open)
    try:
        json.dumps([tool.qualified, cedar_type(shape)], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "A tool's name, or the name of an argument of it, holds half a character (a lone surrogate)."
    return shape


def _context(effect: Effect, arguments: Record, *, is_open: bool) -> Record:
    required: dict[str, Plan] = {"args": arguments, **_COMMON}
    optional: dict[str, Plan] = {"customer": _CUSTOMER}
    if effect is Effect.MONEY:
        required |= _MONEY
    if is_open:
        optional["other_args"] = Canonical()
    return _record(required, optional)


def cedar_schema(shapes: Shapes) -> JsonObject:
    """Return the schema in Cedar's JSON format: one action per group, and one per tool, a member of its group."""
    actions: JsonObject = {group: _action(shape) for group, shape in shapes.groups.items()}
    for name, shape in shapes.tools.items():
        actions[name] = _action(shape) | {"memberOf": [{"id": shapes.effects[name].value}]}
    return {"": {"entityTypes": {RUN: {}, TICKET: {}}, "actions": actions}}


def _action(context: Record) -> JsonObject:
    return {"appliesTo": {"principalTypes": [RUN], "resourceTypes": [TICKET], "context": cedar_type(context)}}
