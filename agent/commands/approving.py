"""`servers approve`: a server that is not as it was approved, shown to a person, and approved as it is now."""

from agent.commands.frame import Frame
from agent.commands.servers import only
from agent.configuration import way_told
from agent.errors import UsageError
from agent.host import Host
from agent.pinning import Pinning, first_use
from agent.records import JsonObject
from agent.render import SilentView
from agent.render.figures import count
from agent.render.trust import is_approved_by_person, show_difference
from agent.trust import Difference


async def approve(frame: Frame, name: str, *, is_sure: bool) -> int:
    """Show what of one server is not as it was approved, ask, and write down what was agreed to; 1 if it was not."""
    settings = await frame.settings()
    pinning = Pinning.read(settings)
    async with Host(only(settings, name), SilentView(), trace=frame.trace) as host:
        held = pinning.held(host.servers)
    difference = held.differences.get(name) or first_use(held.first[name])
    is_first, is_as_it_was = name in held.first, difference.before == difference.now
    if not (is_first or is_as_it_was or frame.is_json):
        show_difference(frame.out, name, way_told(settings.own_ways.get(name, {})), difference)
    is_approved = is_first or not difference.needs_approval or is_sure or await _is_agreed(frame, name)
    if is_approved and not is_as_it_was:
        pinning.approve({name: difference.now})
    if frame.is_json:
        frame.print_json(_json(name, difference, is_first=is_first, is_approved=is_approved))
    if not is_approved:
        frame.say(f"{name} was not approved: nothing of it that changed is used.")
    else:
        tools = count(len(difference.now.tools), "tool")
        frame.say(f"{name} {'was already' if is_as_it_was else 'is'} approved as it is now, with {tools}.")
    return 0 if is_approved else 1


async def _is_agreed(frame: Frame, name: str) -> bool:
    if frame.is_json:
        return False  # the document is the answer: who reads it may come again with --yes
    if not frame.has_person:
        raise UsageError(f"Nobody is here to approve {name}: look at the difference, and say --yes.")
    return await is_approved_by_person(frame.out, name)


def _json(name: str, difference: Difference, *, is_first: bool, is_approved: bool) -> JsonObject:
    return {
        "name": name,
        "is_first": is_first,
        "is_approved": is_approved,
        "has_other_way": difference.has_other_way and not is_first,
        "has_other_instructions": difference.has_other_instructions and not is_first,
        "changed": {tool: list(difference.lines(tool)) for tool in difference.changed},
        "new": {tool: list(difference.lines(tool)) for tool in difference.new},
        "gone": list(difference.gone),
    }
