"""`servers` and `serve`: what is connected, what it offers, and one server alone for another MCP host."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from agent.catalog import Catalog, build_catalog
from agent.commands.frame import Frame
from agent.errors import ServerError, UsageError
from agent.host import ConnectedServer, Host
from agent.pinning import Pinning
from agent.records import JsonObject
from agent.render import (
    NamedLine,
    ServerLine,
    ServerSheet,
    SilentView,
    ToolLine,
    show_server,
    show_servers,
)
from agent.settings import Settings, StdioTransport
from agent.wire.transports import child_environment

HANDED_ON = "SUPPORT_AGENT_SERVER_TOKEN"
"""The variable with the bearer token that a server over HTTP wants of its clients."""


async def list_servers(frame: Frame) -> int:
    """Show every configured server: what it offers, or why it does not start."""
    settings = await frame.settings()
    lines = await asyncio.gather(*(_line(frame, settings, name) for name in sorted(settings.transports)))
    if frame.is_json:
        frame.print_json({"servers": [_line_json(line) for line in lines]})
    else:
        show_servers(frame.out, lines)
    return 0 if all(line.is_running for line in lines) else 3


async def show(frame: Frame, name: str) -> int:
    """Show one server: version and transport agreed upon, what it can, tools with their effects, and the rest."""
    settings = await frame.settings()
    async with Host(only(settings, name), SilentView(), trace=frame.trace) as host:
        server = host.servers[name]
        left_out = Pinning.read(settings).held(host.servers).unapproved
        catalog = build_catalog({name: server.tools}, {name: server.templates}, settings, left_out=left_out)
        sheet = _sheet(server, catalog, settings)
    if frame.is_json:
        frame.print_json(_sheet_json(sheet) | {"capabilities": _capabilities(server)})
    else:
        show_server(frame.out, sheet)
    return 0


async def serve(frame: Frame, name: str, *, http: int | None = None) -> int:
    """Become one configured stdio server, on this process's own streams; returns only when that fails.

    A port is handed on as `--http PORT`, with the variable that holds the token: whether the server knows either is
    for the server to say.
    """
    settings = await frame.settings()
    transport = only(settings, name).transports[name]
    if not isinstance(transport, StdioTransport):
        raise UsageError(f"{name} runs elsewhere, at {transport.url}: connect to it there.")
    sys.stdout.flush()
    if transport.cwd is not None:
        os.chdir(transport.cwd)
    command = [transport.command, *transport.args, *([] if http is None else ["--http", str(http)])]
    # Never as an argument: other users of this machine can read those.
    token = {HANDED_ON: os.environ[HANDED_ON]} if http is not None and HANDED_ON in os.environ else {}
    try:
        os.execvpe(transport.command, command, token | child_environment(transport))  # noqa: S606 - the configured command, without a shell
    except OSError as error:
        raise UsageError(f"{name} cannot be started: {transport.command}: {(error.strerror or '').lower()}.") from error


def only(settings: Settings, name: str) -> Settings:
    """Return the settings with this server alone.

    Raises:
        UsageError: there is no such server.
    """
    if name not in settings.transports:
        raise UsageError(f"There is no server {name!r}. Configured are: {', '.join(sorted(settings.transports))}.")
    return settings.model_copy(update={"transports": {name: settings.transports[name]}})


async def _line(frame: Frame, settings: Settings, name: str) -> ServerLine:
    try:
        async with Host(only(settings, name), SilentView(), trace=frame.trace) as host:
            return _running(host.servers[name])
    except ServerError as error:
        return ServerLine(name=name, transport=settings.transports[name].type, is_running=False, failure=str(error))


def _running(server: ConnectedServer) -> ServerLine:
    return ServerLine(
        name=server.name,
        transport=server.transport,
        is_running=True,
        protocol_version=server.protocol_version,
        tools=len(server.tools),
        resources=len(server.resources) + len(server.templates),
        prompts=len(server.prompts),
    )


def _sheet(server: ConnectedServer, catalog: Catalog, settings: Settings) -> ServerSheet:
    return ServerSheet(
        line=_running(server),
        title=server.info.name if server.info else "",
        version=server.info.version if server.info else "",
        capabilities=tuple(_in_words(_capabilities(server))),
        instructions=server.instructions or "",
        are_instructions_trusted=settings.server(server.name).trust_instructions,
        tools=tuple(
            ToolLine(
                name=tool.name,
                effect=tool.effect,
                arguments=tuple(tool.input_schema.get("properties", {})),
                bound=dict(tool.settings.bind),
                description=f"cannot be called: {tool.problem}" if tool.problem else tool.description,
                is_offered=tool.is_offered,
            )
            for tool in catalog.tools
        ),
        resources=_named([(resource.uri, resource.description) for resource in server.resources]),
        templates=_named([(template.uri_template, template.description) for template in server.templates]),
        prompts=_named([(prompt.name, prompt.description) for prompt in server.prompts]),
    )


def _capabilities(server: ConnectedServer) -> JsonObject:
    return server.capabilities.model_dump(mode="json", by_alias=True, exclude_none=True)


def _in_words(capabilities: Mapping[str, JsonObject]) -> Iterator[str]:
    for name, details in sorted(capabilities.items()):
        granted = [key for key, value in details.items() if value is not False]
        yield f"{name} ({', '.join(granted)})" if granted else name


def _named(pairs: Sequence[tuple[str, str | None]]) -> tuple[NamedLine, ...]:
    return tuple(NamedLine(name=str(name), description=description or "") for name, description in pairs)


def _line_json(line: ServerLine) -> JsonObject:
    return {
        "name": line.name,
        "transport": line.transport,
        "is_running": line.is_running,
        "protocol_version": line.protocol_version or None,
        "tools": line.tools,
        "resources": line.resources,
        "prompts": line.prompts,
        "failure": line.failure or None,
    }


def _sheet_json(sheet: ServerSheet) -> JsonObject:
    return _line_json(sheet.line) | {
        "title": sheet.title,
        "version": sheet.version,
        "instructions": sheet.instructions,
        "tools": [
            {
                "name": tool.name,
                "effect": tool.effect.value,
                "is_offered": tool.is_offered,
                "arguments": list(tool.arguments),
                "bound": dict(tool.bound),
                "description": tool.description,
            }
            for tool in sheet.tools
        ],
        "resources": [{"uri": line.name, "description": line.description} for line in sheet.resources],
        "templates": [{"uri_template": line.name, "description": line.description} for line in sheet.templates],
        "prompts": [{"name": line.name, "description": line.description} for line in sheet.prompts],
    }
