"""Claude, or any other model behind the Messages API, through the anthropic SDK."""

import json
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeAlias, cast
from urllib.parse import urlsplit

import anthropic
import httpx2
from anthropic.lib.streaming import AsyncMessageStream
from anthropic.types import Message, MessageParam, ToolParam
from anthropic.types.message_create_params import MessageCreateParamsBase

from agent.documents import without_surrogates
from agent.errors import ConfigurationError, ModelRejected
from agent.models.patience import Broken, Patience
from agent.models.pricing import cost_usd
from agent.records import JsonObject, ModelRequest, Reply, Usage

MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")
"""What to suggest to someone who names a model that is not there."""

OFFICIAL_URL = "https://api.anthropic.com"

CONNECT_TRIES = 3
"""A service that nothing listens for is rarely back within seconds: say so early."""

_Stream: TypeAlias = AsyncMessageStream[Any]

_EPHEMERAL: Any = {"type": "ephemeral"}
_RETRIED = frozenset({408, 409, 425, 429})  # and every 5xx
_FINAL_TYPES = frozenset(
    {"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error"}
)
_WITHOUT_ADAPTIVE_THINKING = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5")
_REFUSALS = {
    401: "The key was refused by {service} (401: {says}): check ANTHROPIC_API_KEY.",
    403: "The key may not use {model} at {service} (403: {says}).",
    413: "The conversation is too large for {service} (413: {says}).",
}
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, anthropic.APIResponseValidationError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What a service understands beyond messages and plain tools."""

    caches: bool = False  # cache_control
    thinks: bool = False  # adaptive thinking and effort
    silence_s: float | None = None  # how long a stream may say nothing; None: only the reply's deadline counts


OFFICIAL = Profile(caches=True, thinks=True, silence_s=60)  # the API pings while it works
COMPATIBLE = Profile()  # a local model may read a long prompt in silence


class ClaudeModel:
    """A `Model` that streams each reply, and asks again when a reply breaks off.

    Visible text of a broken try has been handed to `on_text` already. It ends with a line break, and the next try
    starts over, so deltas may repeat: the Reply alone says what the model said.

    A broken try is billed by the service: usage and cost of a Reply include what broken tries had reported.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str | None = None,
        profile: Profile | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Make the model without reaching for the service.

        Raises:
            ConfigurationError: the key or the address cannot be one.
        """
        self._model = model
        self._key = _checked_key(api_key)
        url = _checked_url(base_url or OFFICIAL_URL)
        self._service = _without_password(url)
        is_official = urlsplit(url).hostname == urlsplit(OFFICIAL_URL).hostname
        self._profile = profile or (OFFICIAL if is_official else COMPATIBLE)
        self._patience = patience or Patience()
        self._client = anthropic.AsyncAnthropic(
            api_key=self._key,
            base_url=url,
            max_retries=0,  # Patience alone asks again: two owners would multiply tries and ignore the deadline
            timeout=httpx2.Timeout(self._profile.silence_s, connect=10),
        )

    @property
    def name(self) -> str:
        """The model's id, as the service knows it."""
        return self._model

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        """Return the next reply; see `agent.protocols.Model`."""
        body = self._body(request)
        started: list[Message] = []  # one snapshot for each try that began to answer

        async def attempt() -> Message:
            before = len(started)
            try:
                return await self._ask_once(body, on_text, started)
            except Broken:
                if any(block.type == "text" for message in started[before:] for block in message.content):
                    on_text("\n")
                raise

        message = await self._patience.ask(attempt, service=self._model, within_s=request.timeout_s)
        return Reply(
            content=without_surrogates([block.to_dict() for block in message.content]),
            stop_reason=cast("str", message.stop_reason),
            model=message.model,
            usage=sum((_usage(one) for one in started), Usage()),
            cost_usd=cost_usd([{"model": one.model, "usage": one.usage.to_dict()} for one in started]),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _body(self, request: ModelRequest) -> MessageCreateParamsBase:
        body: MessageCreateParamsBase = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "messages": cast("list[MessageParam]", without_surrogates(list(request.messages))),
        }
        if request.system:
            system = cast("str", without_surrogates(request.system))
            body["system"] = system
            if self._profile.caches:
                body["system"] = [{"type": "text", "text": system, "cache_control": _EPHEMERAL}]
        if request.tools:
            body["tools"] = cast("list[ToolParam]", without_surrogates(list(request.tools)))
            if request.tool_choice:
                body["tool_choice"] = cast("Any", _unforced(request.tool_choice))
        if request.stop_sequences:
            body["stop_sequences"] = list(request.stop_sequences)
        if self._profile.caches:
            body["cache_control"] = _EPHEMERAL
        if self._profile.thinks and not self._model.startswith(_WITHOUT_ADAPTIVE_THINKING):
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            if not request.tools:
                # A server's sampling question: thought counts toward max_tokens, and those are few.
                body["output_config"] = {"effort": "low"}
        return body

    async def _ask_once(
        self, body: MessageCreateParamsBase, on_text: Callable[[str], None], started: list[Message]
    ) -> Message:
        try:
            async with self._client.messages.stream(**body) as stream:
                reading = _Reading(stream)
                async with aclosing(reading.text(started)) as deltas:
                    async for delta in deltas:
                        on_text(delta)
                return reading.whole_message()
        except anthropic.APIStatusError as error:
            raise self._explained(error) from error
        except anthropic.APIConnectionError as error:
            raise self._unconnected(error.__cause__ or error) from error

    def _unconnected(self, cause: BaseException) -> Broken:
        says = self._said(str(cause) or type(cause).__name__)
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            return Broken(f"no connection to {self._service} ({says})", tries=CONNECT_TRIES)
        return Broken(f"the connection was lost before the reply ({says})")

    def _explained(self, error: anthropic.APIStatusError) -> Broken | ModelRejected:
        """Return what an error of the service means for this request: another try, or the end."""
        status = error.status_code
        says = self._said(error.api_message or error.response.reason_phrase or "no explanation")
        if error.response.is_success:  # an `error` event in the stream
            if error.type in _FINAL_TYPES:
                return ModelRejected(f"{self._service} refuses the request: {says}.")
            return Broken(f"the service broke off with {error.type or 'an error'}: {says}")
        advice = error.response.headers.get("x-should-retry")
        if status in _RETRIED or status >= 500 or advice == "true":
            tries = 1 if advice == "false" else None
            return Broken(f"the service answers {status}: {says}", tries=tries, wait_s=_wait_s(error.response.headers))
        if status == 404:
            return ModelRejected(self._not_found(says, is_model=error.type == "not_found_error" and "model" in says))
        sentence = _REFUSALS.get(status, "{service} refuses the request ({status}: {says}).")
        return ModelRejected(sentence.format(service=self._service, model=self._model, status=status, says=says))

    def _not_found(self, says: str, *, is_model: bool) -> str:
        if not is_model:
            return f"There is no Messages API at {self._service} (404: {says}): check ANTHROPIC_BASE_URL."
        others = (
            f"; there are, for example, {', '.join(MODELS)}" if self._model.startswith("claude") else f" (404: {says})"
        )
        return f"There is no model {self._model!r} at {self._service}{others}."

    def _said(self, text: str) -> str:
        """Return foreign text as one line of bounded length, without the key."""
        return " ".join(text.replace(self._key, "[key]").split())[:500].rstrip(".")


class _Reading:
    """One stream on its way to a message. Whatever a broken stream raises comes out as `Broken`."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._message: Message | None = None
        self._inputs: defaultdict[int, list[str]] = defaultdict(list)  # content index → JSON of a tool's input

    async def text(self, started: list[Message]) -> AsyncGenerator[str, None]:
        """Yield visible text as it arrives; the message joins `started` when the service begins it."""
        try:
            async for event in self._stream:
                if event.type == "text":
                    yield without_surrogates(event.text)
                elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                    self._inputs[event.index].append(event.delta.partial_json)
                elif event.type == "message_start":
                    self._message = self._stream.current_message_snapshot
                    started.append(self._message)
        except httpx2.RequestError as error:
            raise Broken(f"the connection was lost in mid-reply ({type(error).__name__})") from error
        except _MALFORMED as error:
            raise Broken("the service sent something that is no part of a message") from error

    def whole_message(self) -> Message:
        """Return the message, whose tool calls are complete; a message that merely stopped coming is none."""
        if self._message is None:
            kind = self._stream.response.headers.get("content-type", "nothing")
            raise Broken(f"the service answered with {kind} instead of a message")
        if self._message.stop_reason is None:
            raise Broken("the reply broke off")
        if self._message.stop_reason == "tool_use":
            for index, block in enumerate(self._message.content):
                # The SDK completes a JSON text that was cut, and checks no type.
                if block.type == "tool_use" and not _is_object("".join(self._inputs[index]), block.input):
                    raise Broken("a tool call of the reply broke off")
        return self._message


def _is_object(text: str, value: object) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_no_constant) if text else value, dict)
    except ValueError:
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _unforced(tool_choice: JsonObject) -> JsonObject:
    """Return the choice with `any` and `tool` as `auto`: current models answer a forced call with a 400."""
    if tool_choice.get("type") not in {"any", "tool"}:
        return tool_choice
    return {**{key: value for key, value in tool_choice.items() if key != "name"}, "type": "auto"}


def _usage(message: Message) -> Usage:
    reported = message.usage.to_dict()  # attributes of what a sloppy service left out do not exist
    return Usage(
        input_tokens=_count(reported.get("input_tokens")),
        output_tokens=_count(reported.get("output_tokens")),
        cache_read_tokens=_count(reported.get("cache_read_input_tokens")),
        cache_write_tokens=_count(reported.get("cache_creation_input_tokens")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after` asks for; it may be a number or a date."""
    try:
        if "retry-after-ms" in headers:
            wait_s = float(headers["retry-after-ms"]) / 1000
        else:
            wait_s = _seconds(headers.get("retry-after", ""))
    except ValueError:
        return None
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()


def _checked_key(api_key: str) -> str:
    key = api_key.strip()
    if not key:
        raise ConfigurationError("ANTHROPIC_API_KEY is empty: set it to a key, or choose another model with --model.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("ANTHROPIC_API_KEY holds characters that no key has: copy the key again.")
    return key


def _checked_url(base_url: str) -> str:
    """Return the address without what would not work: a trailing slash, and the /v1 that the SDK adds."""
    url = base_url.strip().rstrip("/").removesuffix("/v1")
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigurationError(f"ANTHROPIC_BASE_URL is {base_url!r}: expected http://HOST:PORT or https://HOST.")
    return url


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
