"""What has changed since a plan was made, by the first entries of two runs: the plan's, and one that begins now."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from agent.records import JsonObject

_MOST_NAMED = 5  # of the settings and of the tools that have changed


def changed_since(then: JsonObject, now: JsonObject, *, seen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what has changed between two CASE bodies of one ticket, in sentences; none if the plan still holds.

    A record that has a version has changed when that is another one than in `seen`, the versions of `ticket` and
    `customer` as the plan saw them last; of others, what the host and the model read.
    """
    return tuple(_changes(then, now, seen))


def _changes(then: JsonObject, now: JsonObject, seen: Mapping[str, Any]) -> Iterator[str]:
    ticket = f"Ticket {then['ticket_id']}"
    # Whose ticket it is decides which locks are held: a plan that saw it change hands holds none of them.
    if then["ticket"]["fields"]["requester"] != now["ticket"]["fields"]["requester"]:
        yield f"{ticket} is another customer's."
        return
    yield from _record_changes(ticket, then["ticket"], now["ticket"], seen.get("ticket"))
    yield from _record_changes("The customer record", then["customer"], now["customer"], seen.get("customer"))
    if not _are_equal(then["settings"].get("policy"), now["settings"].get("policy")):
        yield "The policy has changed."
    if names := sorted(_differing(_without_policy(then["settings"]), _without_policy(now["settings"]))):
        yield f"The configuration has changed: {_named(names)}."
    if then["system"] != now["system"]:
        yield "The system prompt has changed."
    if not _are_equal(_prompt(then), _prompt(now)):
        yield "The helpdesk's own prompt has changed."
    if names := sorted(_tools_differing(then["catalog"], now["catalog"])):
        yield f"The tools have changed: {_named(names)}."


def _record_changes(what: str, then: JsonObject | None, now: JsonObject | None, seen: Any) -> Iterator[str]:
    if then is None or now is None:
        if then is not now:
            yield f"{what} {'was not there yet' if then is None else 'is not there any more'}."
        return
    if then["id"] != now["id"]:
        yield f"{what} is another one."
        return
    after = now["fields"].get("version")
    if seen is not None or after is not None:
        # As texts: a version that a call was judged at has the type that its argument must have.
        if str(seen) != str(after):
            yield f"{what} has changed: it was at version {seen}, and is at {after}."
    elif not _are_equal(then, now):
        yield f"{what} has changed."


def _prompt(case: JsonObject) -> Any:
    # The ticket and the customer follow it in the same message, and have versions of their own.
    return case["messages"][0]["content"][:-2]


def _without_policy(settings: JsonObject) -> JsonObject:
    return {name: value for name, value in settings.items() if name != "policy"}


def _tools_differing(then: JsonObject, now: JsonObject) -> Iterator[str]:
    for server in sorted(then.keys() | now.keys()):
        before, after = (_by_name(catalog.get(server)) for catalog in (then, now))
        yield from (f"{server}.{name}" for name in _differing(before, after))


def _by_name(server: JsonObject | None) -> JsonObject:
    if server is None:
        return {}
    tools = {tool["name"]: tool for tool in server["tools"]}
    return tools | {template["uriTemplate"]: template for template in server["templates"]}


def _differing(then: JsonObject, now: JsonObject) -> Iterator[str]:
    """Yield the names, two levels deep, of what is not the same."""
    for name in then.keys() | now.keys():
        left, right = then.get(name), now.get(name)
        if _are_equal(left, right):
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            inner, outer = cast("JsonObject", left), cast("JsonObject", right)
            yield from (
                f"{name}.{key}" for key in inner.keys() | outer.keys() if not _are_equal(inner.get(key), outer.get(key))
            )
        else:
            yield name


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _are_equal(left: Any, right: Any) -> bool:
    return json.dumps(left, sort_keys=True, default=str) == json.dumps(right, sort_keys=True, default=str)
