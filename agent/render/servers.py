"""The configured servers as a list, and everything that one of them offers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.text import Text

from agent.records import Effect
from agent.render.layout import Column, heading, table
from agent.render.page import Line, Page, Tone

_DESCRIPTION_COLUMNS = 160

_EFFECT_TONES = {
    Effect.READ: Tone.QUIET,
    Effect.MONEY: Tone.CARE,
    Effect.ACCOUNT: Tone.CARE,
    Effect.UNNAMED: Tone.CARE,
    Effect.DELETION: Tone.BAD,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLine:
    """One server of a list: what it offers, or the sentence that says why it does not run."""

    name: str
    transport: str  # stdio, http, sse
    is_running: bool
    protocol_version: str = ""
    tools: int = 0
    resources: int = 0  # templates counted in
    prompts: int = 0
    failure: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolLine:
    """One tool as configuration and server describe it together."""

    name: str
    effect: Effect
    arguments: tuple[str, ...] = ()  # those that the model chooses
    bound: Mapping[str, str] = field(default_factory=dict[str, str])  # argument → what the host fills in: ticket.id
    description: str = ""
    is_offered: bool = True  # False: the host's own tool, never shown to the model


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedLine:
    """A resource, a template or a prompt: its name or URI, and what it is."""

    name: str
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSheet:
    """Everything that one server says about itself."""

    line: ServerLine
    title: str = ""
    version: str = ""
    capabilities: tuple[str, ...] = ()  # what it said it can, in the protocol's words
    instructions: str = ""
    are_instructions_trusted: bool = False
    tools: tuple[ToolLine, ...] = ()
    resources: tuple[NamedLine, ...] = ()
    templates: tuple[NamedLine, ...] = ()
    prompts: tuple[NamedLine, ...] = ()


def show_servers(console: Console, servers: Sequence[ServerLine]) -> None:
    """Show the configured servers, and why one does not run."""
    page = Page(console)
    columns = [Column(name=name) for name in ("server", "transport", "state", "protocol")]
    columns += [Column(name=name, is_number=True) for name in ("tools", "resources", "prompts")]
    page.print(*table(page, columns, [_server_row(page, server) for server in servers]))
    for server in servers:
        if server.failure:
            page.print(Text(), *_failure(page, server))


def show_server(console: Console, sheet: ServerSheet) -> None:
    """Show one server: what it says about itself, and what the configuration makes of its tools."""
    page = Page(console)
    line = sheet.line
    name = page.text(line.name, style=Tone.STRONG)
    software = page.text(f"{sheet.title} {sheet.version}".strip())
    page.print(page.join(name, software, line.transport, line.protocol_version, _state(line)))
    if line.failure:
        page.print(Text(), *_failure(page, line))
    if sheet.capabilities:
        page.print(Line(indent=2, body=page.text(f"can: {', '.join(sheet.capabilities)}", style=Tone.QUIET)))
    if sheet.instructions:
        reader = "the model reads them" if sheet.are_instructions_trusted else "the model does not see them"
        page.print(*heading(page, f"Instructions ({reader})"), page.foreign(sheet.instructions, indent=2))
    if sheet.tools:
        page.print(*heading(page, f"Tools ({len(sheet.tools)})"))
        for tool in sheet.tools:
            page.print(*_tool(page, tool))
    for title, items in (("Resources", sheet.resources), ("Templates", sheet.templates), ("Prompts", sheet.prompts)):
        if items:
            page.print(*heading(page, f"{title} ({len(items)})"), *_named(page, items))


def _server_row(page: Page, server: ServerLine) -> list[Text]:
    numbers = (server.tools, server.resources, server.prompts)
    return [
        page.text(server.name, style=Tone.STRONG),
        page.text(server.transport),
        _state(server),
        page.text(server.protocol_version),
        *(page.text(number if server.is_running else "") for number in numbers),
    ]


def _state(server: ServerLine) -> Text:
    return Text("ready", style=Tone.GOOD) if server.is_running else Text("failed", style=Tone.BAD)


def _failure(page: Page, server: ServerLine) -> Iterator[Line]:
    lead = Text(page.symbols.failed, style=Tone.BAD)
    return page.message(f"{server.name}: {server.failure}", lead=lead, indent=2)


def _tool(page: Page, tool: ToolLine) -> Iterator[RenderableType]:
    head = [page.text(tool.name, style=Tone.STRONG), Text(tool.effect.value, style=_EFFECT_TONES.get(tool.effect, ""))]
    if not tool.is_offered:
        head.append(Text("not offered to the model", style=Tone.QUIET))
    yield Line(indent=2, body=Text("  ").join(head))
    if tool.description:
        yield Line(indent=4, body=page.excerpt(_first_line(tool.description), _DESCRIPTION_COLUMNS, style=Tone.QUIET))
    arguments = [page.text(name) for name in tool.arguments]
    bound = [page.text(f"{name}={source}", style=Tone.PLANNED) for name, source in tool.bound.items()]
    if arguments or bound:
        yield Line(indent=4, body=Text("  ").join([*arguments, *bound]))


def _named(page: Page, items: Sequence[NamedLine]) -> Iterator[RenderableType]:
    for item in items:
        yield Line(indent=2, body=page.text(item.name, style=Tone.STRONG))
        if item.description:
            description = page.excerpt(_first_line(item.description), _DESCRIPTION_COLUMNS, style=Tone.QUIET)
            yield Line(indent=4, body=description)


def _first_line(description: str) -> str:
    return description.strip().split("\n", 1)[0]
