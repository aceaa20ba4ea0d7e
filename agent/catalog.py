"""MCP tools as the model is offered them: names, schemas, bound arguments, effects, readable resources."""

import copy
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import quote, unquote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from mcp_types import ResourceTemplate, Tool, ToolAnnotations

from agent.documents import without_surrogates
from agent.errors import ConfigurationError
from agent.records import CONFINING, Case, Effect, JsonObject
from agent.settings import ResourceSettings, Settings, ToolSettings
from agent.unseen import without_unseen

READ_RESOURCE = "read_resource"
"""The host's own tool; it holds no `__`, so no server's tool can take its name."""

SOURCES = "sources"
"""The argument in which the model names the articles that a text to the customer rests on; no server sees it."""

_LONGEST_NAME = 64
_VALID_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{_LONGEST_NAME}}}")
_VALID_ARGUMENT = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_LONGEST_PROBLEM = 200
_DIGESTED = re.compile(r"_[0-9a-f]{8}")
NOTHING: Mapping[str, str] = MappingProxyType({})

_SOURCES_SCHEMA: JsonObject = {
    "type": "array",
    "items": {"type": "string"},
    "description": "URIs of the articles that the text rests on, all read in this run; the customer does not see them.",
}

_WORDS = frozenset({"description", "title", "$comment"})
_COMBINATORS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, kw_only=True)
class OfferedTool:
    """One tool: what the model sees of it, and how the call that leaves is made from that."""

    server: str
    name: str  # the server's own
    offered_as: str  # the model's: server__tool
    description: str
    effect: Effect
    input_schema: JsonObject  # what the model sees; bound arguments are absent
    full_schema: JsonObject  # what the call that leaves must satisfy
    settings: ToolSettings
    honours_keys: bool = False
    problem: str | None = None  # why no call of it can be made, so that it is not offered

    @property
    def is_offered(self) -> bool:
        """Whether the model is shown this tool."""
        return self.settings.offer and self.problem is None

    @property
    def qualified(self) -> str:
        """The name on the screen, in the journal and in the configuration: `server.tool`."""
        return f"{self.server}.{self.name}"

    @property
    def is_read(self) -> bool:
        """Whether the call may be made in a dry run, beside others, and again."""
        return self.effect is Effect.READ

    @property
    def is_repeatable(self) -> bool:
        """Whether making the same call twice, with the same key, is the same as making it once."""
        return self.is_read or self.honours_keys or self.settings.idempotent

    @property
    def takes_sources(self) -> bool:
        """Whether the model is asked which articles its text rests on; the answer stays with the host."""
        return bool(self.settings.sends) and SOURCES not in self.full_schema.get("properties", {})

    @property
    def is_confined(self) -> bool:
        """Whether the host fills in whose data the call touches."""
        return not CONFINING.isdisjoint(self.settings.bind.values())

    @property
    def definition(self) -> JsonObject:
        """The LLM tool definition, in the Messages API's shape."""
        schema = self.input_schema
        if self.takes_sources:
            schema = {**schema, "properties": {**schema.get("properties", {}), SOURCES: _SOURCES_SCHEMA}}
        return {"name": self.offered_as, "description": self.description, "input_schema": schema}


@dataclass(frozen=True, kw_only=True)
class ReadableTemplate:
    """A resource template that the model may read, and the case values that confine it."""

    server: str
    template: str  # simple {name} variables of RFC 6570, one path segment each
    settings: ResourceSettings
    description: str = ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", self.template)
        literal_and_names = [re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/?#]+)" for i, part in enumerate(parts)]
        return re.compile("".join(literal_and_names))

    def variables(self, uri: str) -> dict[str, str] | None:
        """Return the decoded variables of a URI of this template, or None if it is none."""
        match = self._pattern.fullmatch(uri)
        variables = match and {name: unquote(value) for name, value in match.groupdict().items()}
        # No encoding makes a dot segment a name: whoever resolves the URI removes it.
        return None if variables is None or {".", ".."} & set(variables.values()) else variables

    def beginning(self, text: str) -> str | None:
        """Return the URI of this template that a text begins with, as it is asked for; None if it begins with none."""
        match = self._pattern.match(text)
        variables = match and self.variables(match[0])
        return None if variables is None else self.expand(variables)

    def admits(self, variables: Mapping[str, str], case: Case) -> bool:
        """Whether a URI with these variables is this case's to read, or anyone's."""
        bind = self.settings.bind
        if not self.settings.public and CONFINING.isdisjoint(bind.values()):
            return False
        bound = {name: case.value(path) for name, path in bind.items()}
        return all(value is not None and variables.get(name) == str(value) for name, value in bound.items())

    def expand(self, variables: Mapping[str, str]) -> str:
        """Return the URI with these variables, each encoded so that it stays one path segment."""
        return re.sub(r"\{(\w+)\}", lambda name: quote(variables[name[1]], safe=""), self.template)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Every tool of every server of this run. It does not change while the run lasts."""

    tools: tuple[OfferedTool, ...]  # sorted by the model's name; the host's own tools included
    readable: tuple[ReadableTemplate, ...] = ()
    _by_offered: dict[str, OfferedTool] = field(init=False, repr=False, compare=False)
    _by_qualified: dict[str, OfferedTool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_offered", {t.offered_as: t for t in self.tools if t.is_offered})
        object.__setattr__(self, "_by_qualified", {t.qualified: t for t in self.tools})

    def offered(self, name: str) -> OfferedTool | None:
        """Return the tool that the model calls by this name."""
        return self._by_offered.get(name)

    def qualified(self, name: str) -> OfferedTool | None:
        """Return the tool of this `server.tool`, offered or the host's own."""
        return self._by_qualified.get(name)

    @cached_property
    def definitions(self) -> tuple[JsonObject, ...]:
        """The LLM tool definitions, sorted by name: the prefix that prompt caching depends on."""
        definitions = [tool.definition for tool in self._by_offered.values()]
        if self.readable:
            definitions.append(_read_resource_definition(self.readable))
        return tuple(sorted(definitions, key=lambda definition: definition["name"]))

    def locate(self, uri: str, case: Case) -> tuple[ReadableTemplate, str] | None:
        """Return the template and the URI to read, or None if it is not this case's to read.

        The URI is built anew from what it was understood to mean: no encoding of the model's reaches a server.
        """
        for readable in self.readable:
            variables = readable.variables(without_surrogates(uri))
            if variables is not None and readable.admits(variables, case):
                return readable, readable.expand(variables)
        return None


def build_catalog(
    tools: Mapping[str, Iterable[Tool]],
    templates: Mapping[str, Iterable[ResourceTemplate]],
    settings: Settings,
    *,
    left_out: Mapping[str, str] = NOTHING,
) -> Catalog:
    """Return the catalog of what these servers (by name) offer, as the configuration lets the model see it.

    `left_out` are tools that must not be used, by `server.tool`, and why.

    Raises:
        ConfigurationError: a binding names an argument that its tool does not have.
    """
    discovered = [(server, tool) for server in sorted(tools) for tool in tools[server]]
    names = _offered_names([(server, tool.name) for server, tool in discovered])
    offered = [
        _offer(server, tool, names[server, tool.name], settings, left_out.get(f"{server}.{tool.name}"))
        for server, tool in discovered
    ]
    readable = [
        ReadableTemplate(
            server=server,
            template=template.uri_template,
            settings=settings.resources[template.uri_template],
            description=without_unseen(template.description or ""),
        )
        for server in sorted(templates)
        for template in templates[server]
        if (configured := settings.resources.get(template.uri_template)) and configured.server in {None, server}
    ]
    return Catalog(tools=tuple(sorted(offered, key=lambda tool: tool.offered_as)), readable=tuple(readable))


def build_recorded(recorded: Mapping[str, JsonObject], settings: Settings) -> Catalog:
    """Return the catalog of what servers offered when a run began: each one's tools and templates, as recorded.

    Raises:
        ConfigurationError: a binding names an argument that its tool did not have then.
    """
    return build_catalog(
        {name: [Tool.model_validate(tool) for tool in server["tools"]] for name, server in recorded.items()},
        {name: [ResourceTemplate.model_validate(t) for t in server["templates"]] for name, server in recorded.items()},
        settings,
    )


def _offer(server: str, tool: Tool, offered_as: str, settings: Settings, because: str | None) -> OfferedTool:
    configured = settings.tools.get(f"{server}.{tool.name}", ToolSettings(effect=Effect.UNNAMED))
    problem = because or _problem(tool)
    properties: JsonObject = {} if problem else tool.input_schema.get("properties", {})
    for name in configured.sends:
        if name not in properties and problem is None:
            raise ConfigurationError(
                f'[tools."{server}.{tool.name}"] sends {name}, but the tool takes only: '
                f"{', '.join(sorted(properties)) or 'nothing'}."
            )
    unknown = sorted(set(configured.bind) - set(properties))
    if unknown and problem is None:
        raise ConfigurationError(
            f'[tools."{server}.{tool.name}"] binds {", ".join(unknown)}, but the tool takes only: '
            f"{', '.join(sorted(properties)) or 'nothing'}."
        )
    described = _legible(tool.input_schema) if problem is None else {"type": "object"}
    shown, note = _shown(described, set(configured.bind))
    return OfferedTool(
        server=server,
        name=tool.name,
        offered_as=offered_as,
        description="\n\n".join(filter(None, [without_unseen(tool.description or tool.title or tool.name), note])),
        effect=_tightened(configured.effect, tool.annotations),
        input_schema=shown,
        full_schema=tool.input_schema,
        settings=configured,
        honours_keys=settings.server(server).idempotency == "meta",
        problem=problem,
    )


def _problem(tool: Tool) -> str | None:
    if tool.execution is not None and tool.execution.task_support == "required":
        return "it can only be called as a task (taskSupport), which this host does not do"
    return _schema_problem(tool.input_schema)


def _schema_problem(schema: JsonObject) -> str | None:
    # The Messages API refuses every request that shows such a schema, and no call could be checked against it.
    if schema.get("type") != "object":
        return "its input schema is no object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path)
        return f"its input schema is no JSON Schema ({place or 'at the top'}: {error.message[:_LONGEST_PROBLEM]})"
    except RecursionError:
        return "its input schema is nested too deeply"
    return None


def _tightened(effect: Effect, annotations: ToolAnnotations | None) -> Effect:
    # A server's annotations are advice: one that warns is believed, one that reassures is not.
    if annotations is None:
        return effect
    is_warned_of = annotations.destructive_hint or (effect is Effect.READ and annotations.read_only_hint is False)
    return Effect.UNNAMED if effect in {Effect.READ, Effect.WRITE} and is_warned_of else effect


def _legible(schema: Any) -> Any:
    """Return the schema with nothing unseen in what it says in words; its names and values stay as they are."""
    if isinstance(schema, list):
        return [_legible(part) for part in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_unseen(value) if key in _WORDS and isinstance(value, str) else _legible(value)
        for key, value in cast("JsonObject", schema).items()
    }


def _shown(schema: JsonObject, bound: set[str]) -> tuple[JsonObject, str]:
    """Return the schema that the model sees, and what has to be told of it in words."""
    shown = copy.deepcopy(schema)
    free = {name: value for name, value in shown.get("properties", {}).items() if name not in bound}
    shown["properties"] = {name: value for name, value in free.items() if _VALID_ARGUMENT.fullmatch(name)}
    # The Messages API refuses these at the top of a schema. They are told in words, and still hold for the call.
    told: dict[str, Any] = {name: shown.pop(name) for name in _COMBINATORS if name in shown}
    if unusual := {name: free[name] for name in free if name not in shown["properties"]}:
        told["properties"] = unusual
    if "required" in shown:
        required = [name for name in cast("list[str]", shown["required"]) if name not in bound]
        shown["required"] = [name for name in required if name not in unusual]
        told |= {"required": [name for name in required if name in unusual]} if unusual else {}
    note = f"The arguments must also satisfy this JSON Schema: {json.dumps(told, ensure_ascii=False)}" if told else ""
    return shown, note


def _offered_names(tools: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    plain = {tool: re.sub(r"[^a-zA-Z0-9_-]", "_", "__".join(tool)) for tool in tools}
    counts = Counter(plain.values())

    def unique(tool: tuple[str, str]) -> str:
        name = plain[tool]
        # A name that only looks like one with a digest gets its own, so that no tool can take another's.
        if counts[name] == 1 and _VALID_NAME.fullmatch(name) and not _DIGESTED.fullmatch(name[-9:]):
            return name
        # Depends on this tool alone: no order of servers and no third tool changes it.
        digest = hashlib.sha256(".".join(tool).encode()).hexdigest()[:8]
        return f"{name[: _LONGEST_NAME - 9]}_{digest}"

    return {tool: unique(tool) for tool in tools}


def _read_resource_definition(readable: Iterable[ReadableTemplate]) -> JsonObject:
    lines = [f"- {entry.template}{': ' + entry.description if entry.description else ''}" for entry in readable]
    return {
        "name": READ_RESOURCE,
        "description": "Read a resource by its URI. Readable are, for the ticket and the customer of this run "
        "and for what is public:\n" + "\n".join(lines),
        "input_schema": {
            "type": "object",
            "properties": {"uri": {"type": "string", "description": "The URI, its variables filled in."}},
            "required": ["uri"],
            "additionalProperties": False,
        },
    }
