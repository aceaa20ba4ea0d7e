"""Attempts without end: every tool with every trick, in an order of chance, each drawn from a seed and counted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, product
from random import Random
from typing import Any

from agent.records import JsonObject
from tests.adversary.knowledge import Knowledge
from tests.adversary.tricks import TRICKS, combined, lookalike, somebody, tricky_uri

_READ = "read_resource"
_MANY_URIS = 6  # attempts at URIs for each pass over tools and tricks of one tool
_AGAIN = 0.08  # how often an earlier attempt is made once more
_IDS = ("host-1", "host-2", "", "toolu_1", "x" * 200, "../1", "1/2", "\u202e")
_WORDS = (
    "Hi, all is well. — Support Team",
    "Refunded.",
    "We have looked into it and set it right.",
    "Please sign in again on your other devices.",
    "The invoice is on its way to you.",
    "A colleague takes over from here.",
    "See cus_1002 and bob@example.com",
    "[link](https://evil.example)",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One call as the model makes it."""

    channel: str
    trick: str
    name: str
    arguments: Any
    id: str


class Adversary:
    """Makes the attempts of one run; the model's tools are known when it is first asked."""

    def __init__(self, random: Random, known: Knowledge) -> None:
        self._random = random
        self._known = known
        self._ids = count(1)
        self._made: list[Attempt] = []

    def attempts(self, tools: Sequence[JsonObject], *, may_end: Callable[[], bool]) -> Iterator[Attempt]:
        """Yield one pass over every tool with every trick; what ends the ticket is left out until it may."""
        schemas = {tool["name"]: tool["input_schema"] for tool in tools} | dict(self._known.hidden)
        names = [name for name in schemas if name != _READ for _ in range(self._known.weights.get(name, 1))]
        pairs = list(product(names, (*TRICKS, "combination", "other tool name")))
        pairs += [(_READ, "")] * (_MANY_URIS * len(TRICKS))
        self._random.shuffle(pairs)
        for name, trick in pairs:
            if name in self._known.endings and not may_end():
                continue
            attempt = self._uri() if name == _READ else self._call(name, trick, schemas[name])
            if self._made and self._random.random() < _AGAIN:
                yield self._again()
            self._made.append(attempt)
            yield attempt

    def _call(self, name: str, trick: str, schema: JsonObject) -> Attempt:
        random, known = self._random, self._known
        arguments: Any = self._sensible(schema)
        channel = "host's own tool" if name in known.hidden else known.channels.get(name, "reading")
        if trick == "combination":
            arguments = combined(random, arguments, known)
        elif trick == "other tool name":
            name = self._misspelt(name)
        else:
            arguments = TRICKS[trick](random, arguments, known)
        return Attempt(channel=channel, trick=trick, name=name, arguments=arguments, id=self._id())

    def _uri(self) -> Attempt:
        trick, uri = tricky_uri(self._random, self._random.choice(list(self._known.uris)))
        arguments: Any = {"uri": uri}
        if self._random.random() < 0.1:
            trick, arguments = "arrays", self._random.choice(([uri], {"uri": [uri]}, {"uri": {"uri": uri}}, uri))
        return Attempt(channel="resource URI", trick=trick, name=_READ, arguments=arguments, id=self._id())

    def _again(self) -> Attempt:
        """Return an earlier attempt: as it was, under its own id, or another one under that id."""
        earlier = self._random.choice(self._made)
        way = self._random.choice(("repeat", "replay"))
        return Attempt(
            channel=earlier.channel,
            trick=way,
            name=earlier.name,
            arguments=earlier.arguments,
            id=self._id() if way == "repeat" else earlier.id,
        )

    def _id(self) -> str:
        if self._made and self._random.random() < 0.03:
            return self._random.choice((*_IDS, self._made[-1].id))
        return f"toolu_{next(self._ids)}"

    def _misspelt(self, name: str) -> str:
        server, _, tool = name.partition("__")
        ways = (f"{server}.{tool}", tool, name.upper(), lookalike(self._random, name), f"{name}\n", f"mcp__{name}")
        return self._random.choice(ways)

    def _sensible(self, schema: JsonObject) -> JsonObject:
        """Return arguments that an honest model might give."""
        properties: JsonObject = schema.get("properties", {})
        wanted = {*schema.get("required", ())} | {name for name in properties if self._random.random() < 0.4}
        return {name: self._value(name, properties[name]) for name in sorted(wanted) if name in properties}

    def _value(self, name: str, schema: JsonObject) -> Any:
        if name in self._known.useful:
            return self._random.choice(list(self._known.useful[name]))
        if name in self._known.own:
            return self._random.choice((self._known.own[name], somebody(self._random, self._known, name)))
        return self._of(schema)

    def _of(self, schema: JsonObject) -> Any:
        random = self._random
        if "enum" in schema:
            return random.choice(schema["enum"])
        if "anyOf" in schema:
            return self._of(random.choice(schema["anyOf"]))
        match schema.get("type"):
            case "integer":
                return random.randint(0, 3)
            case "number":
                return random.random()
            case "boolean":
                return random.random() < 0.5
            case "array":
                return [self._of(schema.get("items", {})) for _ in range(random.randint(0, 2))]
            case "null":
                return None
            case _:
                # Each once: an honest model does not repeat itself, and what is repeated is refused.
                return f"{random.choice(_WORDS)} {next(self._ids)}"
