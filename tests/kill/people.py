"""Who is asked during a run: a model and a person whose answers are never the same twice, and a list of all questions.

The list is a file that survives whoever is killed: what was asked, and answered, is known whatever became of it.
"""

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.documents import digest
from agent.records import Approval, FormAnswer, JsonObject, ModelRequest, Proposal, Reply, Usage
from agent.sampling import request_json
from tests.kill.points import Points

TOKEN = r"\[\[[0-9a-f]{16}\]\]"
"""What makes every text of the model and the person unlike all others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One question, and the token of the answer that it got, or would have got."""

    life: int
    kind: str  # reply, sampling, approval, form
    question: str
    answer: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asks:
    """The list of questions of one case."""

    life: int
    file: int  # a descriptor, open for appending

    def note(self, kind: str, question: str, answer: str) -> None:
        asked = Asked(life=self.life, kind=kind, question=question, answer=answer, at=datetime.now(UTC).isoformat())
        os.write(self.file, json.dumps(asdict(asked)).encode() + b"\n")


def read_asks(path: Path) -> list[Asked]:
    """Return every question that was asked, in order."""
    return [Asked(**json.loads(line)) for line in path.read_text().splitlines()]


class Words:
    """Texts and ids that nobody has used before."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def token(self) -> str:
        return f"[[{self.chance.getrandbits(64):016x}]]"

    def say(self, text: str) -> JsonObject:
        return {"type": "text", "text": f"{text} {self.token()}"}

    def call(self, tool: str, **arguments: Any) -> JsonObject:
        """A call of a `server.tool`; texts in its arguments get a token."""
        marked = {name: self._marked(value) if name in _FREE else value for name, value in arguments.items()}
        id_ = f"toolu_{self.chance.getrandbits(48):012x}"
        return {"type": "tool_use", "id": id_, "name": tool.replace(".", "__"), "input": marked}

    def _marked(self, text: str) -> str:
        words, sign_off, _ = text.partition(SIGN_OFF)
        return f"{words} {self.token()}{sign_off}"


SIGN_OFF = " — Support Team"

_FREE = {"body", "reason", "resolution", "label"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Where a conversation stands: all that a model knows of its run."""

    number: int  # of the case
    messages: Sequence[JsonObject]
    words: Words

    @property
    def turn(self) -> int:
        """How many replies there are already."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def last_calls(self) -> list[str]:
        """The tools that the last reply called."""
        spoken = [message for message in self.messages if message["role"] == "assistant"]
        return [block["name"] for block in spoken[-1]["content"] if block["type"] == "tool_use"] if spoken else []

    @property
    def last_results(self) -> str:
        """What those calls came to."""
        blocks = self.messages[-1]["content"] if self.messages[-1]["role"] == "user" else []
        results = [block for block in blocks if block["type"] == "tool_result"]
        return "\n".join(part["text"] for result in results for part in result["content"])


Says = Callable[[Scene], list[JsonObject]]


class Improviser:
    """A model that knows what its story wants next, and says it in other words, with other ids, each time."""

    name = "improviser"

    def __init__(self, number: int, says: Says, words: Words, asks: Asks, points: Points) -> None:
        self._number, self._says, self._words, self._asks, self._points = number, says, words, asks, points

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:
        kind = "reply" if request.tools else "sampling"
        scene = Scene(number=self._number, messages=request.messages, words=self._words)
        content = [self._words.say("Let me see.")]
        content += self._says(scene) if kind == "reply" else []
        self._asks.note(kind, question_of(kind, request), content[0]["text"][-20:])
        what = f"reply {scene.turn + 1}" if kind == "reply" else kind
        self._points.passes(f"{what} is asked for")
        reply = Reply(
            content=content,
            stop_reason=_stop_reason(content),
            model=self.name,
            usage=Usage(input_tokens=self._words.chance.randrange(1, 900), output_tokens=len(content)),
            cost_usd=self._words.chance.randrange(1, 9) / 1000,
        )
        self._points.passes(f"{what} has come")
        return reply

    async def aclose(self) -> None:
        pass


def question_of(kind: str, request: ModelRequest) -> str:
    """Return what stands for a request: a sampled one as the journal records it, a turn by its conversation."""
    return digest(request_json(request)) if kind == "sampling" else digest(list(request.messages))


def _stop_reason(content: list[JsonObject]) -> str:
    told = [block["stop"] for block in content if "stop" in block]
    content[:] = [block for block in content if "stop" not in block]
    if told:
        return told[0]
    return "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"


class Clerk:
    """The person at the terminal: approves and fills in forms, as the story has it."""

    def __init__(
        self, words: Words, asks: Asks, points: Points, *, grants: Callable[[], bool], form: Callable[[], FormAnswer]
    ) -> None:
        self._words, self._asks, self._points = words, asks, points
        self._grants, self._form = grants, form

    async def approve(self, proposal: Proposal) -> Approval:
        token = self._words.token()
        self._asks.note("approval", f"{proposal.tool} {digest(proposal.arguments)}", token)
        self._points.passes("approval is asked for")
        answer = Approval(is_granted=self._grants(), by="dana", because=f"I have looked {token}")
        self._points.passes("approval has come")
        return answer

    async def fill_form(self, server: str, message: str, schema: JsonObject) -> FormAnswer:
        answer = self._form()
        self._asks.note("form", message, json.dumps(answer.content))
        self._points.passes("form is asked for")
        self._points.passes("form has come")
        return answer

    async def visit_url(self, server: str, message: str, url: str) -> FormAnswer:
        return FormAnswer(action="decline")
