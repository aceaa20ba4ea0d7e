"""Whether a configuration contradicts itself: servers that are nowhere, bindings to nothing, reads of anyone's data."""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from urllib.parse import urlsplit

from agent.configuration.locations import Keys, Mistake, label
from agent.configuration.wording import did_you_mean
from agent.records import CONFINING, PRICE, Effect
from agent.settings import RecordReference, ResourceSettings, Settings, ToolReference, ToolSettings

_UNCONFINED = (
    "could read other customers' data: bind an argument to ticket.id, ticket.requester or customer.id, "
    "or add public = true if it reaches nobody's data"
)


def first_contradiction(settings: Settings, *, disabled: Collection[str]) -> Mistake | None:
    """Return the first thing that no run could go well with, or None; `disabled` are servers left out on purpose."""
    return next(
        chain(
            _unknown_servers(settings, disabled),
            _missing_fields(settings),
            _unknown_placeholders(settings),
            _impossible_conditions(settings),
            _unknown_paths(settings),
            _unsafe_facts(settings),
            _foreign_links(settings),
            _unpriced_payments(settings),
            _unconfined_reads(settings),
        ),
        None,
    )


def _unknown_servers(settings: Settings, disabled: Collection[str]) -> Iterator[Mistake]:
    named: list[tuple[Keys, str, bool]] = [(("tickets", "server"), settings.tickets.server, True)]
    if settings.customers is not None:
        named.append((("customers", "server"), settings.customers.server, True))
    named += [(("servers", name), name, False) for name in settings.servers]
    named += [(("tools", tool), tool.partition(".")[0], False) for tool in settings.tools]
    for keys, server, is_needed in named:
        if server in disabled and is_needed:
            yield Mistake(
                keys=keys,
                sentence=f'{label(keys)} is "{server}", which .mcp.json disables.',
                also=("mcpServers", server, "disabled"),
            )
        elif server not in settings.transports and server not in disabled:
            verb = "is" if is_needed else "speaks of the server"
            hint = did_you_mean(server, settings.transports) or "."
            yield Mistake(keys=keys, sentence=f'{label(keys)} {verb} "{server}", which .mcp.json does not define{hint}')


def _missing_fields(settings: Settings) -> Iterator[Mistake]:
    needed = [("tickets", "requester", settings.tickets.fields), ("tickets", "status", settings.tickets.fields)]
    if settings.customers is not None:
        needed.append(("customers", "id", settings.customers.fields))
    for table, name, fields in needed:
        if name not in fields:
            keys = (table, "fields")
            yield Mistake(keys=keys, sentence=f'{label(keys)} needs "{name}": a JSON pointer into the record.')


def _unknown_placeholders(settings: Settings) -> Iterator[Mistake]:
    tickets, customers = settings.tickets, settings.customers
    read = {("tickets", "record"): tickets.record, ("tickets", "context"): tickets.context}
    if customers is not None:
        read |= {("customers", "record"): customers.record, ("customers", "context"): customers.context}
    for keys, reference in read.items():
        name = "ticket_id" if keys[0] == "tickets" else "requester"
        if _placeholders(reference) != {name}:
            shown = f'"${name}"' if isinstance(reference, ToolReference) else f"{{{name}}}"
            yield Mistake(keys=keys, sentence=f"{label(keys)} must hold {shown} and no other placeholder.")
    called: list[tuple[str, ToolReference | None, set[str]]] = [
        ("queue", tickets.queue, set()),
        ("import", tickets.import_, {"tickets"}),
        ("customer_reply", tickets.customer_reply, {"ticket_id", "body"}),
        ("handoff", tickets.handoff, {"summary"}),
        ("draft", tickets.draft, {"draft"}),
    ]
    for key, reference, known in called:
        if reference is not None and not _placeholders(reference) <= known:
            expected = " and ".join(f'"${name}"' for name in sorted(known)) or "values only"
            keys = ("tickets", key)
            yield Mistake(keys=keys, sentence=f"{label(keys)} may hold no placeholder but {expected}.")


def _placeholders(reference: RecordReference) -> set[str]:
    if isinstance(reference, str):
        return set(re.findall(r"\{(\w+)\}", reference))
    return {value[1:] for value in reference.arguments.values() if isinstance(value, str) and value.startswith("$")}


def _impossible_conditions(settings: Settings) -> Iterator[Mistake]:
    tickets = settings.tickets
    conditions = [(("tickets", "workable"), tickets.workable)]
    conditions += [(("tickets", "outcome", kind), condition) for kind, condition in tickets.outcome.items()]
    if not tickets.outcome:
        keys = ("tickets", "outcome")
        yield Mistake(keys=keys, sentence=f"{label(keys)} must say how a closed, escalated or pending ticket is known.")
    for keys, condition in conditions:
        if not condition and keys != ("tickets", "workable"):
            yield Mistake(keys=keys, sentence=f"{label(keys)} must not be empty: every ticket would match.")
        for name in condition:
            if name not in tickets.fields:
                hint = did_you_mean(name, tickets.fields) or "."
                yield Mistake(
                    keys=(*keys, name),
                    sentence=f'{label(keys)} asks for "{name}", which [tickets] fields does not have{hint}',
                )


def _unknown_paths(settings: Settings) -> Iterator[Mistake]:
    bindings: list[tuple[Keys, Mapping[str, str], Collection[str]]] = []
    prompt = settings.tickets.prompt
    # The usual arguments are "unknown" where there is no customer; only what somebody wrote can be a mistake.
    if prompt is not None and "arguments" in prompt.model_fields_set:
        bindings.append((("tickets", "prompt", "arguments"), prompt.arguments, ()))
    for template, resource in settings.resources.items():
        keys = ("resources", template, "bind")
        bindings.append((keys, resource.bind, ()))
        for name in resource.bind:
            if name not in (variables := _placeholders(template)):
                hint = did_you_mean(name, variables) or "."
                yield Mistake(
                    keys=(*keys, name), sentence=f'{label(keys)} binds "{name}", which is not in the URI{hint}'
                )
    bindings += [(("tools", name, "bind"), tool.bind, tool.facts) for name, tool in settings.tools.items()]
    for keys, paths, facts in bindings:
        for name, path in paths.items():
            if problem := _problem(path, facts, settings):
                place = (*keys, name)
                yield Mistake(
                    keys=place,
                    sentence=f'{label(place)} is "{path}", but {problem}',
                    also=("customers" if path.startswith("customer.") else "tickets", "fields"),
                )


def _problem(path: str, facts: Collection[str], settings: Settings) -> str | None:
    owner, _, name = path.partition(".")
    if owner == "facts":
        return None if name in facts else f'there is no fact "{name}" here{did_you_mean(name, facts) or "."}'
    if owner == "ticket":
        fields, table = settings.tickets.fields, "[tickets]"
    elif settings.customers is not None:
        fields, table = settings.customers.fields, "[customers]"
    else:
        return "there is no [customers] table."
    if name == "id" or name in fields:
        return None
    return f'{table} fields has no "{name}"{did_you_mean(name, fields) or "."}'


def _unsafe_facts(settings: Settings) -> Iterator[Mistake]:
    for name, tool in settings.tools.items():
        for fact_name, fact in tool.facts.items():
            asked = settings.tools.get(fact.tool)
            if asked is None or asked.effect is not Effect.READ or not _is_confined(asked):
                keys = ("tools", name, "facts", fact_name)
                yield Mistake(
                    keys=keys,
                    sentence=f"{label(keys)} asks {fact.tool}, which [tools] must name as a read "
                    "that is bound to the case or public.",
                )


def _foreign_links(settings: Settings) -> Iterator[Mistake]:
    company, keys = settings.company, ("company", "article_link")
    host = "" if company.article_link is None else urlsplit(company.article_link).hostname
    allowed = {domain.lower() for domain in company.domains}
    if host is None:
        yield Mistake(
            keys=keys, sentence=f'{label(keys)} must be an address, such as "https://help.example.com/{{slug}}".'
        )
    elif host and not any(host == domain or host.endswith(f".{domain}") for domain in allowed):
        yield Mistake(keys=keys, sentence=f"{label(keys)} leads to {host}, which is below none of [company] domains.")


def _unpriced_payments(settings: Settings) -> Iterator[Mistake]:
    for name, tool in settings.tools.items():
        if tool.effect is Effect.MONEY and (missing := [fact for fact in PRICE if fact not in tool.facts]):
            keys = ("tools", name, "facts")
            yield Mistake(
                keys=keys,
                sentence=f"{label(keys)} needs {' and '.join(missing)}: what moves money is judged by how much, "
                "which the host reads by itself.",
            )


def _unconfined_reads(settings: Settings) -> Iterator[Mistake]:
    for name, tool in settings.tools.items():
        if tool.effect is Effect.READ and tool.offer and not _is_confined(tool):
            keys = ("tools", name)
            yield Mistake(keys=keys, sentence=f"{label(keys)} {_UNCONFINED}, or offer = false.")
    for template, resource in settings.resources.items():
        if not _is_confined(resource):
            keys = ("resources", template)
            yield Mistake(keys=keys, sentence=f"{label(keys)} {_UNCONFINED}.")


def _is_confined(tool: ToolSettings | ResourceSettings) -> bool:
    # Only these say whose data is touched: a fact follows from what the model asked for, a status from nobody.
    return tool.public or not CONFINING.isdisjoint(tool.bind.values())
