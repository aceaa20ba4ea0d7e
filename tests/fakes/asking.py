"""ClaudeModel in front of the fake Messages API, with pauses that are recorded instead of waited for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.models.claude import ClaudeModel
from agent.models.patience import Patience
from agent.records import JsonObject, ModelRequest
from tests.fakes.messages_api import MessagesApi

TOOLS: tuple[JsonObject, ...] = (
    {"name": "ticketing__close_ticket", "description": "Close it.", "input_schema": {"type": "object"}},
    {"name": "ticketing__search", "description": "Search.", "input_schema": {"type": "object"}},
)


class Pauses:
    """Stands in for sleeping: every pause is over at once, and written down."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@asynccontextmanager
async def asking(api: MessagesApi, *, pauses: Pauses | None = None, **options: Any) -> AsyncIterator[ClaudeModel]:
    """Yield a model that asks the fake; options are ClaudeModel's own."""
    patience = Patience(sleep=pauses or Pauses(), chance=lambda: 1.0)
    defaults = {"model": "claude-sonnet-5-5", "api_key": api.key, "base_url": api.url, "patience": patience}
    model = ClaudeModel(**{**defaults, **options})
    try:
        yield model
    finally:
        await model.aclose()


def question(text: str = "Why?", **fields: Any) -> ModelRequest:
    """A first request; `fields` are those of ModelRequest."""
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    return ModelRequest(**{"system": "Be brief.", "messages": messages, "tools": TOOLS, "timeout_s": 600, **fields})
