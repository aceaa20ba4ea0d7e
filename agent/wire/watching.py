"""What a server is asked to tell by itself: that something which a run uses has changed.

Since 2026-07-28 a client opens a stream of changes; before that it subscribes to a resource, and some servers tell
unasked. Either way the change arrives as a notification of the connection.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import anyio
import mcp_types
from mcp import Client, MCPError
from mcp.client.subscriptions import Subscription, SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent.wire.discovery import Offer

MOST_STREAMS = 3
"""How often a stream of changes that breaks off is opened on one connection."""

_GOODBYE_S = 5.0


@dataclass(eq=False, kw_only=True)
class Watch:
    """Resources of one server that someone wants to hear about, over all its connections."""

    uris: Sequence[str]
    on_update: Callable[[], None]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)  # of the present connection's stream
    was_held: bool = False  # so that nobody knows what has changed between that time and this
    is_over: bool = False

    def end(self) -> None:
        """Want to hear no more."""
        self.is_over = True
        self.scope.cancel()

    def is_about(self, uri: str) -> bool:
        """Whether this resource is one of those, or a part of one."""
        return any(uri == watched or uri.startswith(f"{watched}/") for watched in self.uris)


async def hold(client: Client, offer: Offer, watch: Watch) -> None:
    """Keep the server telling of these resources until the watch's scope is cancelled, where it offers to."""
    resources = offer.capabilities.resources
    if watch.is_over or resources is None or not resources.subscribe:
        return
    is_modern = offer.protocol_version in MODERN_PROTOCOL_VERSIONS
    subscribed: list[str] = []
    watch.scope = anyio.CancelScope()
    with watch.scope:
        if is_modern:
            await _stream(lambda: client.listen(resource_subscriptions=watch.uris), lambda: _begin(watch))
        else:
            _begin(watch)
            await _subscribe(client, watch.uris, subscribed)
    # Not reached when the connection ends: then there is nobody to tell.
    with anyio.move_on_after(_GOODBYE_S):
        for uri in subscribed:
            request = mcp_types.UnsubscribeRequest(params=mcp_types.UnsubscribeRequestParams(uri=uri))
            await _send(client, request)


async def hold_lists(client: Client, offer: Offer) -> None:
    """Keep a server of the modern era telling that its lists have changed; the others do so unasked."""
    can = offer.capabilities
    tools = can.tools is not None and bool(can.tools.list_changed)
    prompts = can.prompts is not None and bool(can.prompts.list_changed)
    resources = can.resources is not None and bool(can.resources.list_changed)
    if offer.protocol_version in MODERN_PROTOCOL_VERSIONS and (tools or prompts or resources):
        await _stream(
            lambda: client.listen(
                tools_list_changed=tools, prompts_list_changed=prompts, resources_list_changed=resources
            )
        )


async def hush(client: Client, offer: Offer, level: mcp_types.LoggingLevel) -> None:
    """Ask a server of the handshake era to log from this level on; since then every request says so itself."""
    if offer.capabilities.logging is not None and offer.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        await _send(client, mcp_types.SetLevelRequest(params=mcp_types.SetLevelRequestParams(level=level)))


def _begin(watch: Watch) -> None:
    if watch.was_held:
        watch.on_update()
    watch.was_held = True


async def _stream(
    listen: Callable[[], AbstractAsyncContextManager[Subscription]], on_open: Callable[[], None] = lambda: None
) -> None:
    for _ in range(MOST_STREAMS):
        try:
            async with listen() as events:
                on_open()
                async for _ in events:
                    pass  # it has come as a notification of the connection, too
            return
        except SubscriptionLost:
            continue
        except MCPError:
            return


async def _subscribe(client: Client, uris: Sequence[str], subscribed: list[str]) -> None:
    for uri in uris:
        request = mcp_types.SubscribeRequest(params=mcp_types.SubscribeRequestParams(uri=uri))
        if await _send(client, request):
            subscribed.append(uri)
    await anyio.sleep_forever()


async def _send(client: Client, request: mcp_types.ClientRequest) -> bool:
    """Send a request that a server may refuse without harm; return whether it did it."""
    try:
        await client.session.send_request(request, mcp_types.EmptyResult)
        return True
    except (MCPError, ValidationError):
        return False
