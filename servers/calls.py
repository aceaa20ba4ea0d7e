"""What a tool call means in MCP: its idempotency key, who makes it, how it is answered, refused and announced."""

import json
import logging
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import (
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from pydantic import ValidationError

from servers.checks import Refused
from servers.effects import Call, Done, JsonObject

KEY = "support-agent/idempotency-key"
VOID = "support-agent/void"
VOIDED = "support-agent/voided"
"""In a result's `_meta`: true says that the key is cancelled now and will never act."""

logger = logging.getLogger(__name__)


def package_version() -> str:
    """Return the version of the program that serves."""
    return version("support-agent")


def call_of(ctx: Context[Any, Any]) -> Call:
    """Return the tool call that `ctx` belongs to, as it was sent.

    Raises:
        Refused: the idempotency key is no text of 1 to 255 characters.
    """
    request = ctx.request_context
    params = request.params or {}
    meta: dict[str, Any] = dict(request.meta or {})
    key = meta.get(KEY)
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= 255 and key.isprintable()):
        raise Refused(f"_meta[{KEY!r}] must be a text of 1 to 255 characters; nothing was done.")
    client = ctx.session.client_params
    actor = client.client_info.name if client is not None else ""
    return Call(
        tool=str(params["name"]),
        arguments=params.get("arguments") or {},
        actor=" ".join(actor.split())[:100] or "unnamed client",
        key=key,
        is_void=meta.get(VOID) is True,
    )


def answer(done: Done) -> CallToolResult:
    """Return an effect's result; a cancelled call is an error for whoever made it."""
    if done.result is not None:
        return structured(done.result)
    refusal = refused("This call is cancelled: its idempotency key will never act.")
    return refusal.model_copy(update={"meta": {VOIDED: True}})


def structured(result: JsonObject, text: str | None = None) -> CallToolResult:
    """Return a result with its text for the model, which is the JSON itself unless something reads better."""
    body = json.dumps(result, ensure_ascii=False) if text is None else text
    return CallToolResult(content=[TextContent(type="text", text=body)], structured_content=result)


def refused(sentence: str) -> CallToolResult:
    """Return a failure that the model reads as it stands."""
    return CallToolResult(content=[TextContent(type="text", text=sentence)], is_error=True)


async def announce(ctx: Context[Any, Any], uris: Iterable[str]) -> None:
    """Tell whoever listens that these resources have changed; each era's clients hear it once."""
    for uri in uris:
        await ctx.notify_resource_updated(uri)
        await ctx.session.send_resource_updated(uri)


class HelpdeskServer(MCPServer[Any]):
    """An MCP server whose refusals are clean sentences and whose tools take no argument that they do not name."""

    def add_tool(self, *args: Any, **kwargs: Any) -> None:
        """Add a tool, see `MCPServer.add_tool`; its schema admits the named arguments only."""
        super().add_tool(*args, **kwargs)
        for tool in self._tool_manager.list_tools():
            tool.parameters.setdefault("additionalProperties", False)

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None) -> Any:
        """Call a tool; what it refuses comes back without the SDK's prefix."""
        tool = self._tool_manager.get_tool(name)
        if tool is not None and (unknown := arguments.keys() - tool.parameters["properties"].keys()):
            return refused(_unknown_arguments(tool, unknown))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            sentence = _sentence(name, error)
            if sentence is None:
                raise
            logger.info("%s refused: %r", name, sentence)
            return refused(sentence)

    async def read_resource(self, uri: Any, context: Context[Any, Any] | None = None) -> Any:
        """Read a resource; what the stores refuse does not exist."""
        try:
            return await super().read_resource(uri, context)
        except UnexpectedResourceError as error:
            if isinstance(error.__cause__, Refused):
                raise ResourceNotFoundError(str(error.__cause__)) from error
            raise

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> Any:
        """Return a prompt; one that does not exist, or not with these arguments, is refused as the client's mistake."""
        prompt = self._prompt_manager.get_prompt(name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"There is no prompt {name[:50]!r}.")
        known = {argument.name: argument.required for argument in prompt.arguments or ()}
        given = (arguments or {}).keys()
        missing = {argument for argument, is_required in known.items() if is_required} - given
        if missing or given - known.keys():
            takes = ", ".join(f"{argument} (needed)" if known[argument] else argument for argument in known) or "none"
            raise MCPError(INVALID_PARAMS, f"The prompt {name} was not given its arguments, which are: {takes}.")
        return await super().get_prompt(name, arguments, context)


def _sentence(name: str, error: ToolError) -> str | None:
    """Return what the model may read; None for a crash, whose text stays in the log."""
    match error.__cause__:
        # Of a crash it would be about a result, after the effect: nothing that other arguments could mend.
        case ValidationError() as cause if not isinstance(error, UnexpectedToolError):
            first = cause.errors(include_url=False, include_input=False)[:10]
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in first)
            return f"{name} was not carried out. Correct these arguments: {faults}."
        case Refused() as cause:
            return str(cause)
        case ToolError() as cause if not isinstance(cause, UnexpectedToolError):
            # Only the SDK raises these here, over a client's answer, and names our functions in them.
            logger.info("%s", cause)
            return f"{name} was not carried out: the client's answer does not fit the question that it was asked."
        case _:
            return None


def _unknown_arguments(tool: Tool, unknown: Iterable[str]) -> str:
    names = ", ".join(sorted(unknown))[:200]
    known = ", ".join(tool.parameters["properties"])
    return f"{tool.name} was not carried out: it has no argument {names}. Its arguments are: {known}."
