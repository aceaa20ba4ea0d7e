"""What servers ask back while a tool call is in flight: a reply of the model, an answer of the operator, the roots.

A server's words are untrusted. They reach the model as a conversation of their own, never inside the run's, and
the operator as a question that names the server.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast
from urllib.parse import urlsplit

import mcp_types
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from mcp_types import ErrorData
from pydantic import ValidationError as WrongShape
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.documents import digest, without_surrogates
from agent.errors import ModelError
from agent.protocols import Model, Operator, Recorder
from agent.recall import Past
from agent.records import EntryKind, FormAnswer, JsonObject, ModelRequest, Reply, Usage
from agent.sampling import model_request, request_json, sampled
from agent.settings import Limits
from agent.wire.roots import listed

_Recorded: TypeAlias = list[JsonObject]
"""The answers to one question of one call that wait to be given again, in their order."""


@dataclass(kw_only=True)
class Answers:
    """Answers what servers ask during one run, within the run's limits, and records every answer.

    `on_spend` is told what each sampled reply used and cost; None: its price is not known. `has_money` says whether
    the run's dollars leave room for another one.
    """

    model: Model
    operator: Operator
    recorder: Recorder
    limits: Limits
    roots: Sequence[Path]
    on_spend: Callable[[Usage, float | None], None]
    has_money: Callable[[], bool] = lambda: True
    past: Past = field(default_factory=Past)
    sampled: int = 0  # replies asked of the model for servers in this run
    withheld_from: Callable[[str, JsonObject], str | None] = lambda _server, _reply: None
    """Says why a server may not be given this reply of the model; None where it may."""
    declined: Callable[[str, str, str], None] | None = None
    """Where nobody answers, as in a run that applies a plan: is told in which call which server wanted what."""

    def for_call(self, server: str, tool_use_id: str) -> "CallAnswers":
        """Return who answers while this call is in flight."""
        return CallAnswers(
            answers=self, server=server, tool_use_id=tool_use_id, sampled=self.past.sampled.get(tool_use_id, 0)
        )


@dataclass(kw_only=True)
class CallAnswers:
    """Answers what one server asks during one tool call."""

    answers: Answers
    server: str
    tool_use_id: str
    sampled: int = 0
    _given: list[tuple[_Recorded, JsonObject]] = field(default_factory=list[tuple[_Recorded, JsonObject]])

    def again(self) -> None:
        """Answer from the beginning: the server that asked has died, and the next one asks the same."""
        for recorded, body in reversed(self._given):
            recorded.insert(0, body)
        self._given.clear()

    async def sample(
        self, params: mcp_types.CreateMessageRequestParams
    ) -> mcp_types.CreateMessageResult | mcp_types.CreateMessageResultWithTools | ErrorData:
        """Return a reply of the run's model, or a sentence that says why there is none."""
        run, limits = self.answers, self.answers.limits
        request = model_request(params, most_tokens=limits.sampling_tokens, timeout_s=limits.reply_seconds)
        asked = digest(request_json(request))
        known = run.past.replies[self.tool_use_id, asked]
        if recorded := self._taken(known):
            return sampled(Reply(**recorded["reply"]), has_tools=bool(params.tools))
        refusal = self._over_limit()
        if run.declined is not None:
            run.declined(self.tool_use_id, self.server, EntryKind.SAMPLING.value)
            refusal = "Nothing is answered while a plan is applied."
        if refusal is not None:
            return await self._refuse(request, refusal)
        run.sampled += 1
        self.sampled += 1
        try:
            reply = await run.model.reply(request, _unseen)
        except ModelError as error:
            return await self._refuse(request, str(error))
        run.on_spend(reply.usage, reply.cost_usd)
        if (why := run.withheld_from(self.server, {"content": reply.content})) is not None:
            return await self._refuse(request, f"The reply is withheld: {why}", reply)
        body = {
            "digest": asked,
            "request": request_json(request),
            "reply": _reply_json(reply),
            "usage": reply.usage.as_json(),
            "cost_usd": reply.cost_usd,
        }
        await self._record(EntryKind.SAMPLING, body)
        self._given.append((known, body))
        return sampled(reply, has_tools=bool(params.tools))

    async def elicit(self, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult | ErrorData:
        """Return what the operator answers; what does not fit the server's own schema counts as declined."""
        message = without_surrogates(params.message)
        asked = digest(params.model_dump(mode="json", exclude={"meta", "elicitation_id"}))
        known = self.answers.past.answers[self.tool_use_id, asked]
        if recorded := self._taken(known):
            return mcp_types.ElicitResult(action=recorded["action"], content=recorded["content"])
        began = time.monotonic()
        if self.answers.declined is not None:
            self.answers.declined(self.tool_use_id, self.server, EntryKind.ELICITATION.value)
            answer = mcp_types.ElicitResult(action="decline")
        elif isinstance(params, mcp_types.ElicitRequestURLParams):
            answer = await self._visit(message, without_surrogates(params.url))
        else:
            schema = cast("JsonObject", without_surrogates(params.requested_schema))
            given = await self.answers.operator.fill_form(self.server, message, schema)
            answer = _as_result(given, schema)
        body = {
            "digest": asked,
            "mode": params.mode,
            "message": message,
            "action": answer.action,
            "content": answer.content,
            "seconds": round(time.monotonic() - began, 4),
        }
        await self._record(EntryKind.ELICITATION, body)
        self._given.append((known, body))
        return answer

    async def list_roots(self) -> mcp_types.ListRootsResult:
        """Return the run's folders that exist."""
        told = listed(self.answers.roots)
        await self._record(EntryKind.ROOTS, {"uris": [str(root.uri) for root in told.roots]})
        return told

    def _taken(self, known: _Recorded) -> JsonObject | None:
        """Take out the first recorded answer to a question, or return None; each serves once while a call is made."""
        if not known:
            return None
        self._given.append((known, known[0]))
        return known.pop(0)

    async def _visit(self, message: str, url: str) -> mcp_types.ElicitResult:
        if not _is_web_address(url):
            return mcp_types.ElicitResult(action="decline")
        answer = await self.answers.operator.visit_url(self.server, message, url)
        return mcp_types.ElicitResult(action=_action(answer))

    def _over_limit(self) -> str | None:
        limits = self.answers.limits
        if not self.answers.has_money():
            return f"This run has used its ${limits.usd:.2f}."
        if self.answers.sampled >= limits.sampling_calls:
            return f"This run may ask the model {limits.sampling_calls} times for servers, and has."
        if self.sampled >= limits.sampling_depth:
            return f"One tool call may ask the model {limits.sampling_depth} times, and has."
        return None

    async def _refuse(self, request: ModelRequest, sentence: str, reply: Reply | None = None) -> ErrorData:
        """Answer with a sentence; `reply` is what was paid for, and is not given."""
        asked = request_json(request)
        used = {"usage": Usage().as_json(), "cost_usd": 0.0}
        if reply is not None:
            used = {"usage": reply.usage.as_json(), "cost_usd": reply.cost_usd}
        await self._record(EntryKind.SAMPLING, {"digest": digest(asked), "request": asked, "error": sentence, **used})
        return ErrorData(code=mcp_types.INTERNAL_ERROR, message=sentence)

    async def _record(self, kind: EntryKind, body: JsonObject) -> None:
        await self.answers.recorder.append(kind, {"server": self.server, "tool_use_id": self.tool_use_id, **body})


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.netloc)


def _unseen(text: str) -> None:
    """Take the reply as it arrives; a server's conversation is no part of what the run says."""


def _reply_json(reply: Reply) -> JsonObject:
    return {"content": reply.content, "stop_reason": reply.stop_reason, "model": reply.model}


def _as_result(given: FormAnswer, schema: JsonObject) -> mcp_types.ElicitResult:
    action = _action(given)
    if action != "accept":
        return mcp_types.ElicitResult(action=action)
    content = without_surrogates(given.content or {})
    try:
        Draft202012Validator.check_schema(schema)
        # An empty registry: a server's `$ref` must not make the host fetch anything.
        Draft202012Validator(schema, registry=Registry()).validate(content)  # pyright: ignore[reportUnknownMemberType]  # untyped
        return mcp_types.ElicitResult(action="accept", content=content)
    except (SchemaError, ValidationError, Unresolvable, WrongShape):
        return mcp_types.ElicitResult(action="decline")


def _action(answer: FormAnswer) -> Literal["accept", "decline", "cancel"]:
    match answer.action:
        case "accept" | "decline":
            return answer.action
        case _:
            return "cancel"
