"""Facts: what the host reads by itself to judge a call, so that the model need not be believed."""

import json
from collections.abc import Callable
from typing import Any, cast

from agent.binding import UnusableArguments, bind
from agent.catalog import Catalog, OfferedTool
from agent.content import result_content
from agent.documents import at, fill
from agent.errors import CallUncertain
from agent.host import Host
from agent.records import CallStatus, JsonObject, ToolResult
from agent.settings import FactSettings

_LONGEST_REFUSAL = 1000  # characters of what a source answers instead of the fact


async def read_facts(
    tool: OfferedTool,
    arguments: Any,
    *,
    catalog: Catalog,
    host: Host,
    value_of: Callable[[str], Any],
    most_chars: int,
) -> dict[str, Any]:
    """Return the facts that this call is judged by; sources that are asked the same are read once.

    `value_of` gives what the host binds, of the tool and of its sources alike.

    Raises:
        UnusableArguments: a fact cannot be read for these arguments; the message tells the model why.
        ServerLost: a source's server is gone for good.
    """
    # The facts are those of the call that would leave: where the host sets an argument, the model's is none.
    bound = {name: value_of(path) for name, path in tool.settings.bind.items()}
    sent = cast("JsonObject", arguments) if isinstance(arguments, dict) else {}
    leaving = {name: value for name, value in sent.items() if name not in bound}
    leaving |= {name: value for name, value in bound.items() if value is not None}

    answers: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    for name, fact in tool.settings.facts.items():
        asked = json.dumps([fact.tool, dict(fact.arguments)], sort_keys=True)
        if asked not in answers:
            source = catalog.qualified(fact.tool)
            if source is None or not source.is_read:
                raise UnusableArguments(f"{fact.tool}, which this call is judged by, is not there to be read.")
            wanted = bind(source, _filled(fact, leaving), value_of, most_chars=most_chars).arguments
            answers[asked] = await _ask(source, wanted, host)
        facts[name] = at(answers[asked], fact.path)
        if facts[name] is None:
            raise UnusableArguments(f"{fact.tool} does not say the {name} that {tool.qualified} is judged by.")
    return facts


def _filled(fact: FactSettings, arguments: JsonObject) -> JsonObject:
    try:
        return fill(fact.arguments, arguments)
    except KeyError as missing:
        raise UnusableArguments(f"The argument {missing} is missing.") from missing


async def _ask(source: OfferedTool, arguments: JsonObject, host: Host) -> Any:
    try:
        result = await host.call_tool(source.server, source.name, arguments, key=None, is_repeatable=True, answers=None)
    except CallUncertain as lost:
        raise UnusableArguments(f"{source.qualified} gave no answer: {lost}") from lost
    if result.is_error or result.structured_content is None:
        said = ToolResult(content=result_content(result, _LONGEST_REFUSAL), status=CallStatus.FAILED).text
        raise UnusableArguments(f"{source.qualified} could not be read for this call: {said}")
    return result.structured_content
