"""A well-behaved MCP server: an echo, and tools that ask back. In-process `build()`; else run this file."""

import os
import socket
import sys
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, ListRoots, MCPServer, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    CreateMessageResult,
    CreateMessageResultWithTools,
    ListRootsResult,
    SamplingMessage,
    TextContent,
    Tool,
    ToolUseContent,
)
from pydantic import BaseModel


class Colour(BaseModel):
    colour: str


class Gates:
    """Lets a test hold calls of an in-process server open."""

    def __init__(self) -> None:
        self.entered = 0
        self.changed = anyio.Event()
        self.release = anyio.Event()

    async def wait_for(self, entered: int) -> None:
        while self.entered < entered:
            await self.changed.wait()

    async def pass_through(self) -> None:
        self.entered += 1
        self.changed.set()
        self.changed = anyio.Event()
        await self.release.wait()


def build(name: str = "echo", gates: Gates | None = None) -> MCPServer:
    server = MCPServer(name, instructions="Says everything twice.", version="1.2.3")
    keys: list[Any] = []

    @server.tool()
    async def echo(text: str) -> str:
        return text

    @server.tool()
    async def keys_seen(ctx: Context) -> list[Any]:
        """The idempotency keys of all calls so far, this one included."""
        keys.append((ctx.request_context.meta or {}).get("support-agent/idempotency-key"))
        return keys

    @server.tool()
    async def refuse() -> str:
        raise ToolError("No. Ask for something else.")

    @server.tool()
    async def count(upto: int, ctx: Context) -> str:
        for number in range(1, upto + 1):
            await ctx.report_progress(number, upto, f"number {number}")
        return "counted"

    @server.tool()
    async def ask_model(
        about: str,
        answer: Annotated[CreateMessageResult, Resolve(_question)],
    ) -> str:
        return f"{about}: {answer.content.text if isinstance(answer.content, TextContent) else answer.content.type}"

    @server.tool()
    async def ask_model_with_tools(
        answer: Annotated[CreateMessageResultWithTools, Resolve(_question_with_tools)],
    ) -> str:
        return " ".join(part.name for part in answer.content_as_list if isinstance(part, ToolUseContent))

    @server.tool()
    async def ask_operator(answer: Annotated[ElicitationResult[Colour], Resolve(_which_colour)]) -> str:
        return f"{answer.action}: {answer.data.colour}" if answer.action == "accept" else answer.action

    @server.tool()
    async def ask_roots(roots: Annotated[ListRootsResult, Resolve(_roots)]) -> list[str]:
        return [f"{root.name} {root.uri}" for root in roots.roots]

    @server.tool()
    async def grow(ctx: Context) -> str:
        """Says that its list of tools has changed."""
        await ctx.notify_tools_changed()
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.tool()
    async def touch(uri: str, ctx: Context) -> str:
        """Says that a resource has changed."""
        await ctx.notify_resource_updated(uri)
        await ctx.session.send_resource_updated(uri)
        return "touched"

    @server.tool()
    async def hold(text: str) -> str:
        """Answers when the test opens the gate."""
        if gates is not None:
            await gates.pass_through()
        return text

    @server.resource("note://{name}")
    async def note(name: str) -> str:
        return f"note {name}"

    @server.resource("note://first")
    async def first_note() -> str:
        return "the first"

    @server.prompt()
    def greeting(name: str) -> str:
        return f"Greet {name}."

    return server


def _question(about: str) -> Sample:
    return Sample(
        [SamplingMessage(role="user", content=TextContent(type="text", text=f"What about {about}?"))],
        max_tokens=100,
        system_prompt="You are brief.",
    )


def _question_with_tools() -> Sample:
    message = SamplingMessage(role="user", content=TextContent(type="text", text="What is there?"))
    return Sample([message], max_tokens=100, tools=[Tool(name="look", input_schema={"type": "object"})])


def _which_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


def _roots() -> ListRoots:
    return ListRoots()


def main() -> None:
    """Serve over stdio; `echo_server.py KIND FD` serves over HTTP on a listening socket that was inherited."""
    server = build()

    @server.tool()
    async def die() -> str:
        os._exit(9)

    if len(sys.argv) == 1:
        sys.stderr.write("echo is up\n")
        server.run()
        return
    app = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([socket.socket(fileno=int(sys.argv[2]))])


if __name__ == "__main__":
    main()
