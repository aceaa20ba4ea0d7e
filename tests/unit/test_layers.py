"""The plan of the house, held by its source: floors, who imports what, what the host never names or swallows."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import agent
from agent.settings import Settings
from tests.conftest import CleanEnv

ROOT = Path(agent.__file__).parents[1]
DEFAULTS = ROOT / "agent" / "defaults"

FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        # What travels, and what may be said of it.
        "records errors documents unseen defaults",
        "protocols settings trust language sentences",
        "secrecy",
        # What needs nobody else: files, shapes, one frame, one child process.
        "configuration scaffold catalog content approval account ledger budgets",
        "journal locks conversation handover egress contract",
        # A record read; servers: what they ask, how they are reached.
        "recall planning staleness sampling wire",
        "callbacks",
        "host",
        # One call, one ticket, one model.
        "binding pinning policies models repeats outgoing",
        "facts",
        "calling tickets",
        "judging",
        "gate",
        "applying",
        "run",
        "ending",
        "loop",
        "watch cancelling replay",
        # One command.
        "session triage render",
        "assembly",
        "intake",
        "commands",
        "cli",
    )
)
"""Every unit of `agent/`: a module, or a package as a whole. It imports from floors above it in this list only."""

SPEAKS_MCP = {"catalog", "content", "sampling", "callbacks", "wire", "host"}

HEAVY = {
    "mcp",
    "mcp_types",
    "anthropic",
    "sqlalchemy",
    "pydantic",
    "jsonschema",
    "httpx2",
    "genai_prices",
    "anyio",
    "filelock",
    "cedarpy",
    "phonenumbers",
    "stdnum",
}


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """The source of every module of a top-level package, by its dotted name."""
    found: dict[str, ast.Module] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Everything that is imported anywhere in this module; `from a import b` is `a.b`, whatever `b` is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_within(package: str, module: str) -> set[str]:
    """The other modules of its package that a module imports, or imports names from."""
    known = modules(package)
    found: set[str] = set()
    for imported in imports(known[module]):
        parts = imported.split(".")
        found.update([name for end in range(len(parts)) if (name := ".".join(parts[: end + 1])) in known][-1:])
    return found - {package, module}


def roots(tree: ast.Module) -> set[str]:
    return {name.partition(".")[0] for name in imports(tree)}


def unit(module: str) -> str:
    return module.split(".")[1]


def importers(*packages: str) -> set[str]:
    """The modules of `agent` that import any of these top-level packages."""
    return {name for name, tree in modules("agent").items() if roots(tree) & set(packages)}


def floor_of(name: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


def test_every_module_of_the_host_has_its_floor():
    units = {unit(name) for name in modules("agent") if name != "agent"}
    assert sorted(units) == sorted(name for floor in FLOORS for name in floor)


@pytest.mark.parametrize("module", [name for name in modules("agent") if name != "agent"])
def test_a_module_imports_only_from_lower_floors(module: str):
    others = {unit(name) for name in imported_within("agent", module)} - {unit(module)}
    assert [name for name in sorted(others) if floor_of(name) >= floor_of(unit(module))] == []


@pytest.mark.parametrize("package", ["agent", "servers", "prompts"])
def test_no_modules_import_each_other_in_a_circle(package: str):
    graph = {module: imported_within(package, module) for module in modules(package)}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(graph)


def test_servers_and_agent_do_not_know_each_other():
    assert {name for name, tree in modules("servers").items() if "agent" in roots(tree)} == set()
    assert importers("servers") == set()
    assert {name for name, tree in modules("prompts").items() if roots(tree) & {"agent", "servers"}} == set()


def test_only_the_claude_model_knows_its_sdk():
    assert importers("anthropic") == {"agent.models.claude"}


def test_only_what_meets_servers_speaks_mcp():
    assert {unit(name) for name in importers("mcp", "mcp_types")} == SPEAKS_MCP


def test_only_the_command_line_knows_the_terminal():
    found = importers("typer", "rich", "click")
    assert found
    assert {unit(name) for name in found} <= {"cli", "render"}


def test_only_the_journal_knows_a_database():
    assert {unit(name) for name in importers("sqlalchemy", "sqlite3")} == {"journal"}


# Names of the built-in helpdesk.


def defaults() -> tuple[set[str], set[str], set[str]]:
    """The names that only the default configuration may hold: servers, tools and prompts; and URI schemes."""
    settings = tomllib.loads((DEFAULTS / "support-agent.toml").read_text(encoding="utf-8"))
    servers = set(json.loads((DEFAULTS / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]) | set(
        settings["servers"]
    )
    tools = {name.partition(".")[2] for name in settings["tools"]}
    schemes = {template.partition("://")[0] + "://" for template in settings["resources"]}
    return servers, tools | {settings["tickets"]["prompt"]["name"]}, schemes


def said(tree: ast.Module) -> Iterator[str]:
    """Every string of a module that it can act on: all but docstrings."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            yield node.value


def referred_to(tree: ast.Module) -> Iterator[str]:
    """Every name that a module uses: variables, attributes, parameters, keywords, imports."""
    for node in ast.walk(tree):
        for name in ("id", "attr", "arg"):
            if isinstance(found := getattr(node, name, None), str):
                yield found
        if isinstance(node, ast.alias):
            yield from node.name.split(".")


@cache
def defined() -> set[str]:
    """The functions and classes of the host, whose names are its own words."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for tree in modules("agent").values() for node in ast.walk(tree) if isinstance(node, kinds)}


def words(text: str) -> set[str]:
    """The words of a text, a tool's two names in `server__tool` apart."""
    return set(re.findall(r"\w+", text.replace("__", ".")))


def names_held_by(tree: ast.Module) -> set[str]:
    servers, tools, schemes = defaults()
    tables = set(Settings.model_fields)  # `customers` is a table of the configuration, whatever its server is called
    forbidden = (servers - tables) | tools
    in_strings = {word for text in said(tree) for word in words(text)} & forbidden
    in_code = set(referred_to(tree)) & (forbidden - defined())
    in_uris = {scheme for text in said(tree) for scheme in schemes if scheme in text}
    return in_strings | in_code | in_uris


def test_the_default_configuration_names_a_helpdesk():
    servers, tools, schemes = defaults()
    assert len(servers) >= 2
    assert len(tools) >= 20
    assert len(schemes) >= 3


@pytest.mark.parametrize("module", [name for name in modules("agent") if unit(f"{name}.") != "defaults"])
def test_the_host_names_no_built_in_server_or_tool(module: str):
    assert names_held_by(modules("agent")[module]) == set()


@pytest.mark.parametrize(
    "held",
    [
        'call("close_ticket")',
        'name = "ticketing.close_ticket"',
        'name = "customers__get_customer"',
        'server = "ticketing"',
        'print(f"{server}.issue_refund was called")',
        "tools.close_ticket(ticket)",
        "call(close_ticket=True)",
        "uri = f'kb://{slug}'",
        'prompt = "resolution_prompt"',
    ],
)
def test_a_name_of_the_built_in_helpdesk_is_found_however_it_is_held(held: str):
    assert names_held_by(ast.parse(held))


@pytest.mark.parametrize(
    "held",
    [
        '"""Calls `ticketing.close_ticket`."""',
        "settings.customers",
        'place = "[customers] fields"',
        'word = "ticket"',
    ],
)
def test_words_of_the_trade_are_no_names(held: str):
    assert names_held_by(ast.parse(held)) == set()


def test_no_data_of_the_host_names_a_built_in_server_or_tool():
    servers, tools, schemes = defaults()
    for path in (ROOT / "agent").rglob("*"):
        if path.suffix in {".toml", ".json", ".md"} and DEFAULTS not in path.parents:
            text = path.read_text(encoding="utf-8")
            assert words(text) & (servers | tools) == set(), path
            assert not any(scheme in text for scheme in schemes), path


# What is caught.

BOUNDARIES = {"agent.triage", "agent.cli.executing"}
EVERYTHING = {"Exception", "BaseException"}
GROUPS = {"ExceptionGroup", "BaseExceptionGroup"}


def named(node: ast.AST | None) -> set[str]:
    return EVERYTHING if node is None else {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}


def broad_handlers(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    """Handlers that catch everything and do not let it go on as it is; a group may go on as what it holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and named(node.type) & (EVERYTHING | GROUPS):
            last = node.body[-1]
            goes_on = isinstance(last, ast.Raise) and (last.exc is None or not named(node.type) & EVERYTHING)
            if not goes_on:
                yield node


def suppressions(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "suppress" in ast.unparse(node.func):
            yield from [node] if any(named(argument) & (EVERYTHING | GROUPS) for argument in node.args) else []


def test_everything_is_caught_at_two_boundaries_only():
    everywhere = modules("agent") | modules("servers") | modules("prompts")
    catching = {name: list(broad_handlers(tree)) for name, tree in everywhere.items()}
    assert {name for name, found in catching.items() if found} == BOUNDARIES
    assert [len(catching[name]) for name in BOUNDARIES] == [1, 1]
    assert {name for name, tree in everywhere.items() if list(suppressions(tree))} == set()


# What `--help` costs.


def loaded_by(*command: str, environment: dict[str, str]) -> set[str]:
    """Every module that a command imports, as Python itself reports it."""
    run = subprocess.run(
        command, env=environment | {"PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", run.stderr, re.MULTILINE))


def test_help_loads_nothing_heavy(clean_env: CleanEnv):
    loaded = loaded_by("support-agent", "--help", environment=clean_env())
    assert "agent.cli" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


@pytest.mark.parametrize("command", ["run", "triage-all", "tickets", "runs", "plans", "servers", "doctor", "init"])
def test_the_help_of_a_command_loads_nothing_heavy_of_ours(command: str, clean_env: CleanEnv):
    loaded = loaded_by("support-agent", command, "--help", environment=clean_env())
    assert "agent.cli" in loaded
    # Typer itself loads pydantic to describe a command's options.
    assert {name.partition(".")[0] for name in loaded} & HEAVY <= {"pydantic"}


def test_the_measure_of_loading_sees_what_is_loaded(clean_env: CleanEnv):
    loaded = loaded_by("python", "-c", "import anyio, sqlalchemy", environment=clean_env())
    assert {"anyio", "sqlalchemy"} <= loaded
