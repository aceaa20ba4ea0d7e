"""What a server offers, all pages of it; what no client could use is left out and named."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import anyio
import mcp_types
from mcp import Client, MCPError
from pydantic import ValidationError

from agent.wire.diagnosis import is_cut_off
from agent.wire.link import LeftOut, printable

MOST_PAGES = 200
"""Stops a server whose list never ends; real ones need one page."""

LONGEST_NAME = 128
"""Characters in a tool's name, as the specification has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What a server said of itself when the connection was made."""

    protocol_version: str
    info: mcp_types.Implementation | None  # None: it did not say
    instructions: str | None
    capabilities: mcp_types.ServerCapabilities
    tools: tuple[mcp_types.Tool, ...] = ()
    resources: tuple[mcp_types.Resource, ...] = ()
    templates: tuple[mcp_types.ResourceTemplate, ...] = ()
    prompts: tuple[mcp_types.Prompt, ...] = ()


_T = TypeVar("_T")

_Fetch: TypeAlias = Callable[[str | None], Awaitable[tuple[Iterable[_T], str | None]]]
"""Fetches the page at a cursor: its entries, and the cursor of the next page."""


async def discover(client: Client, on_left_out: Callable[[LeftOut], None]) -> Offer:
    """List everything that the server's capabilities offer, all lists at once.

    Raises:
        MCPError: the server does not list its tools.
        ValidationError: its list of tools is none.
    """
    can = client.server_capabilities
    tools: list[mcp_types.Tool] = []
    resources: list[mcp_types.Resource] = []
    templates: list[mcp_types.ResourceTemplate] = []
    prompts: list[mcp_types.Prompt] = []

    async def tool_page(cursor: str | None) -> tuple[Iterable[mcp_types.Tool], str | None]:
        page = await client.list_tools(cursor=cursor)
        return page.tools, page.next_cursor

    async def resource_page(cursor: str | None) -> tuple[Iterable[mcp_types.Resource], str | None]:
        page = await client.list_resources(cursor=cursor)
        return page.resources, page.next_cursor

    async def template_page(cursor: str | None) -> tuple[Iterable[mcp_types.ResourceTemplate], str | None]:
        page = await client.list_resource_templates(cursor=cursor)
        return page.resource_templates, page.next_cursor

    async def prompt_page(cursor: str | None) -> tuple[Iterable[mcp_types.Prompt], str | None]:
        page = await client.list_prompts(cursor=cursor)
        return page.prompts, page.next_cursor

    async with anyio.create_task_group() as lists:
        if can.tools is not None:
            lists.start_soon(_collect, tool_page, tools)
        if can.resources is not None:
            lists.start_soon(_collect_if_listed, "resource", resource_page, resources, on_left_out)
            lists.start_soon(_collect_if_listed, "resource template", template_page, templates, on_left_out)
        if can.prompts is not None:
            lists.start_soon(_collect_if_listed, "prompt", prompt_page, prompts, on_left_out)
    return Offer(
        protocol_version=client.protocol_version,
        info=client.server_info,
        instructions=client.instructions,
        capabilities=can,
        tools=tuple(_callable(tools, on_left_out)),
        resources=tuple(resources),
        templates=tuple(templates),
        prompts=tuple(prompts),
    )


async def _collect(fetch: _Fetch[_T], found: list[_T]) -> None:
    cursor: str | None = None
    seen: set[str] = set()
    while len(seen) < MOST_PAGES:
        entries, cursor = await fetch(cursor)
        found += entries
        if not cursor or cursor in seen:
            return
        seen.add(cursor)


async def _collect_if_listed(
    kind: str, fetch: _Fetch[_T], found: list[_T], on_left_out: Callable[[LeftOut], None]
) -> None:
    try:
        await _collect(fetch, found)
    except MCPError as error:
        if is_cut_off(error):
            raise
        if error.code != mcp_types.METHOD_NOT_FOUND:
            on_left_out(LeftOut(kind=kind, name="(the list)", because=printable(error.message, 200)))
    except ValidationError:
        on_left_out(LeftOut(kind=kind, name="(the list)", because="it is not what the protocol describes"))


def _callable(tools: Iterable[mcp_types.Tool], on_left_out: Callable[[LeftOut], None]) -> Iterable[mcp_types.Tool]:
    names: set[str] = set()
    for tool in tools:
        problem = _problem(tool.name, names)
        if problem is None:
            names.add(tool.name)
            yield tool
        else:
            on_left_out(LeftOut(kind="tool", name=printable(tool.name, 80) or "without a name", because=problem))


def _problem(name: str, names: set[str]) -> str | None:
    if not name.strip() or not name.isprintable():
        return "its name is empty or holds control characters"
    if len(name) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} characters"
    return "another tool of the same name comes first" if name in names else None
