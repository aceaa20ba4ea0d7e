"""The four files of a folder and the environment, laid over the built-in helpdesk."""

import json
import re
import sys
import tomllib
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from agent.configuration.coherence import first_contradiction
from agent.configuration.folder import DOTENV, LOCK, OWN, POLICY, SERVERS, Folder, read_folder
from agent.configuration.locations import Mistake, Source, error, label
from agent.configuration.places import absolute, data_folder
from agent.configuration.transports import ServerFile, Transport, read_server_file, transports, way_written
from agent.configuration.variables import Unexpandable, Variables, read_variables
from agent.configuration.wording import first_mistake
from agent.errors import ConfigurationError
from agent.records import JsonObject
from agent.settings import (
    Company,
    CustomerSettings,
    Limits,
    QualifiedName,
    ResourceSettings,
    Roots,
    ServerSettings,
    Settings,
    TicketSettings,
    ToolSettings,
)

_DEFAULTS = "agent.defaults"
_HELPDESK = ("tickets", "customers")
_LAID_OVER = {"limits": 1, "company": 1, "roots": 1, "tools": 1, "resources": 1, "servers": 2}
"""How deep a table of the operator's is merged with the default one: by key, or by the key of each entry."""


class _Document(BaseModel):
    """What `support-agent.toml` may say."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: str | None = None
    limits: Limits = Limits()
    company: Company = Company()
    roots: Roots = Roots()
    tickets: TicketSettings
    customers: CustomerSettings | None = None
    servers: Mapping[str, ServerSettings] = {}
    tools: Mapping[QualifiedName, ToolSettings] = {}
    resources: Mapping[str, ResourceSettings] = {}


def load(*, folder: Path, environ: Mapping[str, str], model: str | None = None) -> Settings:
    """Return the settings of this folder as `settings_of` does, whether anybody has trusted its files or not.

    Raises:
        ConfigurationError: a file cannot be read, or what `settings_of` raises.
    """
    return settings_of(read_folder(folder), environ=environ, model=model)


def settings_of(here: Folder, *, environ: Mapping[str, str], model: str | None = None) -> Settings:
    """Return what the files of the folder say, over the built-in helpdesk; a `policy.cedar` takes the default's place.

    `model` is the command line's and wins over `SUPPORT_AGENT_MODEL`, which wins over the file.

    Raises:
        ConfigurationError: the first mistake, with its file and line, and what is expected there.
    """
    folder = here.path
    dotenv, server_source, own, own_policy = (here.source(name) for name in (DOTENV, SERVERS, OWN, POLICY))
    policy = own_policy or _default(POLICY)
    variables = read_variables(environ, dotenv)
    home = data_folder(folder, variables)
    variables = variables.supplied(SUPPORT_AGENT_HOME=str(home), SUPPORT_AGENT_PYTHON=sys.executable)
    server_file = read_server_file(server_source) if server_source else None
    document = _document(own, folder, variables, server_file.entries if server_file else ())
    settings = Settings(
        home=home,
        transports=_transports(document, server_file, folder, variables),
        own_ways={name: way_written(server_file, name) for name in sorted(server_file.used)} if server_file else {},
        lock=folder / LOCK,
        servers=document.servers,
        limits=document.limits,
        company=document.company,
        roots=document.roots,
        tickets=document.tickets,
        customers=document.customers,
        tools=document.tools,
        resources=document.resources,
        policy=policy.text,
        policy_file=str(policy.path),
        journal=_secret(variables, "SUPPORT_AGENT_JOURNAL"),
        journal_key=_secret(variables, "SUPPORT_AGENT_JOURNAL_KEY"),
        model=model or variables.get("SUPPORT_AGENT_MODEL") or document.model or None,
        api_key=_api_key(variables),
        base_url=_base_url(variables),
        sources=tuple(str(source.path) for source in (dotenv, server_source, own, own_policy) if source),
    )
    if mistake := first_contradiction(settings, disabled=server_file.disabled if server_file else ()):
        raise error(mistake, *(source for source in (own, server_source) if source))
    return settings


def _default(name: str) -> Source:
    # The path is only what a mistake would be reported under: packages may live inside an archive.
    return Source(path=Path(_DEFAULTS, name), text=files(_DEFAULTS).joinpath(name).read_text(encoding="utf-8"))


def _document(own: Source | None, folder: Path, variables: Variables, defined: Collection[str]) -> _Document:
    """Return the operator's file laid over the built-in helpdesk; `defined` are the servers of `.mcp.json`."""
    default = _default("support-agent.toml")
    source = own or default
    document = _lay_over(_parsed(default), _parsed(own) if own else {}, defined)
    if isinstance(document["roots"], dict):
        document["roots"] = _expanded_roots(cast("JsonObject", document["roots"]), source, folder, variables)
    try:
        # JSON's strict mode takes lists for tuples and text for paths, and 24 for 24 but never "24" or true.
        return _Document.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as invalid:
        mistake = first_mistake(invalid, top=(), kind=_Document, document=document)
    raise error(mistake, source)


def _parsed(source: Source) -> JsonObject:
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as broken:
        message = str(broken)
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        what = message[: place.start()] if place else message
        line, column = place.groups() if place and place[1] else (source.text.rstrip("\n").count("\n") + 1, None)
        where = f"{source.path}, line {line}" + (f", column {column}" if column else "")
        raise ConfigurationError(f"{where}: this is not TOML: {what[0].lower()}{what[1:]}.") from broken
    except (RecursionError, ValueError) as broken:
        raise ConfigurationError(f"{source.path}: a value in this file is nested too deeply or too large.") from broken


def _lay_over(defaults: JsonObject, own: JsonObject, defined: Collection[str]) -> JsonObject:
    """Return one document: tables by key or by entry, and `[tickets]` with `[customers]` as a whole.

    What the defaults say about a server holds while that server is theirs, or `[tickets]` and `[customers]` are:
    a stranger of the same name inherits neither effects nor trust. The company is the default helpdesk's own.
    """
    helpdesk = {table: own[table] for table in _HELPDESK if table in own}
    if "tickets" not in own:
        helpdesk = {table: defaults[table] for table in _HELPDESK} | helpdesk
    described = {
        server
        for table, settings in helpdesk.items()
        if (server := _server(settings)) is not None and (table not in own or server not in defined)
    }
    base: JsonObject = {
        "limits": defaults["limits"],
        "company": {} if "tickets" in own else defaults["company"],
        "roots": defaults["roots"],
        "servers": {name: entry for name, entry in defaults["servers"].items() if name in described},
        "tools": {name: entry for name, entry in defaults["tools"].items() if name.partition(".")[0] in described},
        "resources": defaults["resources"] if described else {},
    }
    laid = {table: _merged(base[table], own.get(table, {}), depth) for table, depth in _LAID_OVER.items()}
    return {**own, **helpdesk, **laid}


def _server(settings: Any) -> str | None:
    server = cast("JsonObject", settings).get("server") if isinstance(settings, dict) else None
    return server if isinstance(server, str) else None


def _merged(under: Any, over: Any, depth: int) -> Any:
    if depth == 0 or not isinstance(under, dict) or not isinstance(over, dict):
        return over
    below = cast("JsonObject", under)
    return below | {
        key: _merged(below[key], value, depth - 1) if key in below else value
        for key, value in cast("JsonObject", over).items()
    }


def _expanded_roots(roots: JsonObject, source: Source, folder: Path, variables: Variables) -> JsonObject:
    def path(text: Any, key: str) -> Any:
        if not isinstance(text, str):
            return text
        keys = ("roots", key)
        try:
            expanded = variables.expanded(text)
        except Unexpandable as problem:
            raise error(Mistake(keys=keys, sentence=f"{label(keys)} {problem}"), source) from problem
        if not expanded and key == "folders":
            raise error(Mistake(keys=keys, sentence=f"{label(keys)} must not hold an empty path."), source)
        return str(absolute(expanded, folder, variables)) if expanded else None

    return {
        key: [path(item, key) for item in cast("list[Any]", value)] if isinstance(value, list) else path(value, key)
        for key, value in roots.items()
    }


def _transports(
    document: _Document, file: ServerFile | None, folder: Path, variables: Variables
) -> dict[str, Transport]:
    """Return the servers of `.mcp.json`, and the built-in ones that the helpdesk needs and the file does not define."""

    def from_folder(path: str) -> str:
        return str(absolute(path, folder, variables))

    helpdesk = {document.tickets.server, *([document.customers.server] if document.customers else [])}
    defined = set(file.entries) if file else set[str]()
    found = transports(read_server_file(_default("mcp.json")), helpdesk - defined, variables, from_folder)
    return found | (transports(file, file.used, variables, from_folder) if file else {})


def _api_key(variables: Variables) -> SecretStr | None:
    key = variables.get("ANTHROPIC_API_KEY")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise variables.error("ANTHROPIC_API_KEY", "holds a character that no key has: paste it again.")
    return SecretStr(key) if key else None


def _secret(variables: Variables, name: str) -> SecretStr | None:
    value = variables.get(name)
    return SecretStr(value) if value else None


def _base_url(variables: Variables) -> str | None:
    url = variables.get("ANTHROPIC_BASE_URL")
    if url and not re.match(r"https?://", url):
        raise variables.error("ANTHROPIC_BASE_URL", "must be an address that starts with http:// or https://.")
    return url or None
