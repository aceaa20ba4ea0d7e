import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from pydantic import SecretStr

from agent import settings as shapes
from agent.configuration import load, read_here, settings_of
from agent.configuration.wording import _PATTERNS
from agent.errors import ConfigurationError
from agent.records import Effect
from agent.settings import HttpTransport, ServerSettings, Settings, StdioTransport

HOME = {"HOME": "/home/lead"}

OWN_HELPDESK = """
[tickets]
server = "zendesk"
record = { tool = "get_ticket", arguments = { id = "$ticket_id" } }
context = { tool = "get_ticket", arguments = { id = "$ticket_id" } }
fields = { requester = "/requester/email", status = "/status" }
outcome = { closed = { status = ["solved"] } }
"""
ZENDESK = {"zendesk": {"command": "zendesk-mcp"}}


def loaded(
    folder: Path,
    *,
    toml: str | None = None,
    servers: Mapping[str, Any] | None = None,
    mcp: str | None = None,
    dotenv: str | None = None,
    environ: Mapping[str, str] = HOME,
    model: str | None = None,
) -> Settings:
    if servers is not None:
        mcp = json.dumps({"mcpServers": servers}, indent=1)
    for name, text in (("support-agent.toml", toml), (".mcp.json", mcp), (".env", dotenv)):
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return load(folder=folder, environ=environ, model=model)


def mistake(folder: Path, **given: Any) -> str:
    """Return the sentence that loading ends with, the folder's own path left out."""
    with pytest.raises(ConfigurationError) as raised:
        loaded(folder, **given)
    return str(raised.value).replace(f"{folder}/", "")


# Without any file


def test_without_any_file_the_built_in_helpdesk_is_configured(tmp_path: Path):
    settings = loaded(tmp_path, environ={"SUPPORT_AGENT_HOME": "/data"})

    assert settings.home == Path("/data")
    assert settings.transports == {
        name: StdioTransport(
            command=sys.executable,
            args=("-P", "-m", f"servers.{name}", "--demo"),
            env={"SUPPORT_AGENT_HOME": "/data"},
        )
        for name in ("ticketing", "customers")
    }
    assert settings.tools["customers.issue_refund"].effect is Effect.MONEY
    assert settings.roots.knowledge == Path("/data/knowledge")
    assert (settings.model, settings.api_key, settings.base_url, settings.sources) == (None, None, None, ())


def test_a_file_is_read_once_whatever_becomes_of_it_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own = tmp_path / "support-agent.toml"
    own.write_text("limits.turns = 3\n")
    monkeypatch.chdir(tmp_path)

    here = read_here()
    own.write_text("limits.turns = 4\n")

    assert settings_of(here, environ=HOME).limits.turns == 3
    assert here.digests == {"support-agent.toml": hashlib.sha256(b"limits.turns = 3\n").hexdigest()}


def test_a_current_folder_that_is_gone_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ConfigurationError, match="The current folder no longer exists"):
        read_here()


def test_the_sources_are_the_folders_own_files_in_the_order_they_are_read(tmp_path: Path):
    settings = loaded(tmp_path, toml="", servers={}, dotenv="")

    assert settings.sources == tuple(str(tmp_path / name) for name in (".env", ".mcp.json", "support-agent.toml"))


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path):
    settings = loaded(tmp_path, toml="\ufeff[limits]\r\nturns = 3\r\n", mcp='\ufeff{"mcpServers": {}}')

    assert settings.limits.turns == 3


# The environment and .env


def test_the_environment_wins_over_dotenv(tmp_path: Path):
    dotenv = "SUPPORT_AGENT_MODEL=from-dotenv\nANTHROPIC_API_KEY='sk-dotenv'\n"

    settings = loaded(tmp_path, dotenv=dotenv, environ={**HOME, "SUPPORT_AGENT_MODEL": "from-environment"})

    assert settings.model == "from-environment"
    assert settings.api_key == SecretStr("sk-dotenv")


def test_a_dollar_in_dotenv_is_a_dollar(tmp_path: Path):
    settings = loaded(tmp_path, dotenv="ANTHROPIC_API_KEY=a${HOME}b\n")

    assert settings.api_key == SecretStr("a${HOME}b")


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_variable_is_none(tmp_path: Path, value: str):
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "SUPPORT_AGENT_MODEL")

    settings = loaded(tmp_path, environ={**HOME, **dict.fromkeys(names, value)})

    assert (settings.api_key, settings.base_url, settings.model) == (None, None, None)


def test_the_option_wins_over_the_variable_and_the_variable_over_the_file(tmp_path: Path):
    toml, variable = 'model = "from-file"\n', {**HOME, "SUPPORT_AGENT_MODEL": "from-variable"}

    assert loaded(tmp_path, toml=toml).model == "from-file"
    assert loaded(tmp_path, environ=variable).model == "from-variable"
    assert loaded(tmp_path, environ=variable, model="from-option").model == "from-option"


def test_a_key_is_never_shown(tmp_path: Path):
    settings = loaded(tmp_path, environ={**HOME, "ANTHROPIC_API_KEY": "sk-very-secret"})

    assert "very-secret" not in repr(settings)


def test_a_key_that_no_header_can_hold_is_a_sentence_without_the_key(tmp_path: Path):
    said = mistake(tmp_path, dotenv="\n\nANTHROPIC_API_KEY=“sk-secret”\n")

    assert said == ".env, line 3: ANTHROPIC_API_KEY holds a character that no key has: paste it again."


def test_a_base_url_without_a_scheme_is_a_sentence(tmp_path: Path):
    said = mistake(tmp_path, environ={**HOME, "ANTHROPIC_BASE_URL": "localhost:11434"})

    assert said == "The environment: ANTHROPIC_BASE_URL must be an address that starts with http:// or https://."


@pytest.mark.parametrize("line", ["this is no assignment", "KEY='never closed"])
def test_a_line_of_dotenv_that_sets_nothing_is_a_sentence(tmp_path: Path, line: str):
    said = mistake(tmp_path, dotenv=f"# mine\nOK=1\n\n{line}\n")

    assert said == ".env, line 4: expected NAME=value, with a closing quote if the value has one."


@pytest.mark.parametrize(
    ("value", "home"),
    [("~/desk", "/home/lead/desk"), ("~", "/home/lead"), ("/data/./x", "/data/x"), ("data", "{folder}/data")],
)
def test_home_is_absolute(tmp_path: Path, value: str, home: str):
    settings = loaded(tmp_path, environ={**HOME, "SUPPORT_AGENT_HOME": value})

    assert str(settings.home) == home.format(folder=tmp_path)


def test_home_is_in_the_users_data_folder_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

    settings = loaded(tmp_path, environ={})

    assert settings.home.name == "support-agent"
    assert settings.home.is_absolute()


def test_a_user_without_a_data_folder_is_told_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: Path("~/.local/share/support-agent"))

    assert mistake(tmp_path, environ={}) == "This user has no data folder: set SUPPORT_AGENT_HOME to one."


def test_a_user_without_a_home_cannot_say_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)

    said = mistake(tmp_path, environ={"SUPPORT_AGENT_HOME": "~/desk"})

    assert said == "This user has no home folder that ~ could stand for: set HOME."


# Files that cannot be read


@pytest.mark.parametrize("name", [".env", ".mcp.json", "support-agent.toml"])
def test_a_file_that_is_a_folder_is_a_sentence(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()

    assert mistake(tmp_path) == f"{name} is a folder; a file is expected there."


@pytest.mark.parametrize("name", [".env", ".mcp.json", "support-agent.toml"])
def test_a_link_to_itself_is_a_sentence(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to(tmp_path / name)

    assert re.fullmatch(rf"{re.escape(name)} cannot be read: too many levels of symbolic links\.", mistake(tmp_path))


@pytest.mark.parametrize("name", [".env", ".mcp.json", "support-agent.toml"])
def test_a_link_to_nothing_is_a_sentence(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")

    assert mistake(tmp_path) == f"{name} is a link to a file that does not exist."


@pytest.mark.parametrize("name", [".env", ".mcp.json", "support-agent.toml"])
def test_a_file_that_is_not_utf_8_is_a_sentence_with_its_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"# one\n# caf\xe9\n")

    assert mistake(tmp_path) == f"{name}, line 2: this is not UTF-8 text: save the file as UTF-8."


@pytest.mark.parametrize("name", [".env", ".mcp.json", "support-agent.toml"])
def test_a_nul_in_a_file_is_a_sentence_with_its_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"A=1\n\nB=\0\n")

    assert mistake(tmp_path) == f"{name}, line 3: a NUL character stands here: is this a text file?"


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)  # a superuser may read what chmod forbids

    assert mistake(tmp_path) == ".env cannot be read: permission denied."


# .mcp.json


def test_a_third_server_stands_beside_the_built_in_helpdesk(tmp_path: Path):
    servers = {"crm": {"command": "crm-mcp", "args": ["--fast"], "env": {"A": "1"}}}

    settings = loaded(tmp_path, servers=servers)

    assert list(settings.transports) == ["ticketing", "customers", "crm"]
    assert settings.transports["crm"] == StdioTransport(command="crm-mcp", args=("--fast",), env={"A": "1"})


def test_a_built_in_server_that_the_file_defines_is_started_as_the_file_says(tmp_path: Path):
    settings = loaded(tmp_path, servers={"ticketing": {"command": "${SUPPORT_AGENT_PYTHON}", "args": ["-m", "mine"]}})

    assert settings.transports["ticketing"] == StdioTransport(command=sys.executable, args=("-m", "mine"))
    assert settings.servers["ticketing"].idempotency == "meta"
    assert settings.tools["ticketing.close_ticket"].effect is Effect.CLOSE


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"url": "https://crm.example.com/mcp"}, "http"),
        ({"type": "http", "url": "https://crm.example.com/mcp"}, "http"),
        ({"type": "streamable-http", "url": "https://crm.example.com/mcp"}, "http"),
        ({"type": "streamableHttp", "url": "https://crm.example.com/mcp"}, "http"),
        ({"type": "sse", "url": "https://crm.example.com/mcp"}, "sse"),
    ],
)
def test_a_server_with_a_url_is_reached_over_http(tmp_path: Path, entry: dict[str, Any], kind: str):
    transport = loaded(tmp_path, servers={"crm": entry}).transports["crm"]

    assert isinstance(transport, HttpTransport)
    assert (transport.type, transport.url) == (kind, "https://crm.example.com/mcp")


def test_the_type_decides_between_a_command_and_a_url(tmp_path: Path):
    entry = {"type": "stdio", "command": "crm", "url": "https://unused.example.com"}

    assert loaded(tmp_path, servers={"crm": entry}).transports["crm"] == StdioTransport(command="crm")


def test_keys_of_other_hosts_and_nulls_are_ignored(tmp_path: Path):
    entry = {"command": "crm", "cwd": None, "alwaysAllow": ["x"], "timeout": 5, "disabled": False, "envFile": "x"}

    assert loaded(tmp_path, servers={"crm": entry}).transports["crm"] == StdioTransport(command="crm")


def test_a_disabled_server_is_left_out_even_if_it_could_not_be_started(tmp_path: Path):
    toml = '[servers.crm]\ncall_timeout_s = 5\n[tools."crm.look"]\neffect = "write"\n'

    settings = loaded(tmp_path, toml=toml, servers={"crm": {"disabled": True, "command": "${NOT_SET}"}})

    assert list(settings.transports) == ["ticketing", "customers"]


def test_variables_are_expanded_everywhere_in_a_server(tmp_path: Path):
    servers = {
        "local": {"command": "${BIN}/crm", "args": ["--to=${TO:-home}"], "env": {"T": "${TOKEN}"}, "cwd": "${WHERE}"},
        "remote": {"url": "https://${HOST:-crm}.example.com", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
    }
    environ = {**HOME, "BIN": "/opt", "TO": "", "TOKEN": "t${BIN}", "WHERE": "~/crm"}

    transports = loaded(tmp_path, servers=servers, environ=environ).transports

    assert transports["local"] == StdioTransport(
        command="/opt/crm", args=("--to=home",), env={"T": "t${BIN}"}, cwd="/home/lead/crm"
    )
    assert transports["remote"] == HttpTransport(
        type="http", url="https://crm.example.com", headers={"Authorization": "Bearer t${BIN}"}
    )


def test_dotenv_supplies_variables_to_servers(tmp_path: Path):
    settings = loaded(tmp_path, servers={"crm": {"command": "${BIN}"}}, dotenv="BIN=crm-mcp\n")

    assert settings.transports["crm"] == StdioTransport(command="crm-mcp")


def test_a_relative_working_folder_is_in_the_configured_folder(tmp_path: Path):
    settings = loaded(tmp_path, servers={"crm": {"command": "crm", "cwd": "tools/../crm"}})

    assert settings.transports["crm"] == StdioTransport(command="crm", cwd=str(tmp_path / "crm"))


def test_a_missing_variable_names_itself_its_server_and_its_line(tmp_path: Path):
    said = mistake(tmp_path, servers={"crm": {"command": "crm", "env": {"A": "1", "TOKEN": "${CRM_TOKEN}"}}})

    assert said == (
        '.mcp.json, line 7: server "crm" env.TOKEN needs the variable CRM_TOKEN: set it in the environment or in .env.'
    )


def test_what_the_program_supplies_cannot_be_overridden_from_outside(tmp_path: Path):
    environ = {**HOME, "SUPPORT_AGENT_PYTHON": "/evil/python", "SUPPORT_AGENT_HOME": "data"}

    transport = loaded(tmp_path, environ=environ).transports["ticketing"]

    assert isinstance(transport, StdioTransport)
    assert (transport.command, transport.env["SUPPORT_AGENT_HOME"]) == (sys.executable, str(tmp_path / "data"))


@pytest.mark.parametrize("name", ["two words", "a.b", "", "x" * 65, "ünï"])
def test_a_server_name_that_no_tool_name_can_hold_is_a_sentence(tmp_path: Path, name: str):
    said = mistake(tmp_path, servers={name: {"command": "crm"}})

    expected = "must be 1 to 64 letters, digits, hyphens or underscores."
    assert said == f".mcp.json, line 3: the server name {json.dumps(name)} {expected}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, 'server "crm" needs a "command" to start it or a "url" to reach it.'),
        (
            {"command": "c", "url": "https://u"},
            'server "crm" has both a "command" to start it and a "url" to reach it: keep one.',
        ),
        ({"type": "ws", "url": "wss://u"}, 'server "crm" type must be "stdio", "http", "streamable-http" or "sse".'),
        ({"type": "stdio"}, 'server "crm" needs "command".'),
        ({"command": ""}, 'server "crm" command must be more than empty text.'),
        ({"command": ["crm"]}, 'server "crm" command must be text.'),
        ({"command": "crm", "args": "--fast"}, 'server "crm" args must be a list.'),
        ({"command": "crm", "args": [1]}, 'server "crm" args must be text.'),
        ({"command": "crm", "env": {"TOKEN": 12345}}, 'server "crm" env.TOKEN must be text.'),
        ({"command": "crm", "env": []}, 'server "crm" env must be an object.'),
        ({"url": "crm.example.com"}, 'server "crm" url must be an address that starts with http:// or https://.'),
        ({"command": "crm", "args": ["a\0b"]}, 'server "crm" args holds a character that is no text.'),
        ({"command": "crm", "args": ["\ud83d"]}, 'server "crm" args holds a character that is no text.'),
        (
            {"command": "crm", "env": {"A=B": "1"}},
            'server "crm" env has the name "A=B", which neither a variable nor a header can have.',
        ),
        (
            {"url": "https://u", "headers": {"X": "a\nb"}},
            'server "crm" headers.X holds a line break or another character that no header can hold.',
        ),
        ("crm-mcp", 'server "crm" must be an object.'),
    ],
)
def test_a_wrong_server_entry_is_a_sentence(tmp_path: Path, entry: Any, expected: str):
    said = mistake(tmp_path, servers={"crm": entry})

    place, _, sentence = said.partition(": ")
    assert sentence == expected
    assert re.fullmatch(r"\.mcp\.json, line \d+", place)


def test_a_wrong_value_of_a_server_is_never_repeated(tmp_path: Path):
    assert "12345" not in mistake(tmp_path, servers={"crm": {"command": "crm", "env": {"TOKEN": 12345}}})


def test_broken_json_is_told_with_line_and_column(tmp_path: Path):
    said = mistake(tmp_path, mcp='{\n "mcpServers": {\n  "crm": {"command" "x"}\n }\n}\n')

    assert said == (
        ".mcp.json, line 3, column 21: this is not JSON: expecting ':' delimiter "
        "(comments and trailing commas are none)."
    )


@pytest.mark.parametrize("text", ["{}", "[]", '{"servers": {}}'])
def test_json_of_another_shape_is_told_what_is_expected(tmp_path: Path, text: str):
    assert mistake(tmp_path, mcp=text) == '.mcp.json: expected {"mcpServers": {"NAME": {…}}} in this file.'


def test_servers_that_are_no_object_are_told_with_their_line(tmp_path: Path):
    said = mistake(tmp_path, mcp='{\n "mcpServers": []\n}')

    assert said == '.mcp.json, line 2: expected {"mcpServers": {"NAME": {…}}} in this file.'


@pytest.mark.parametrize("text", ["[" * 200_000, f'{{"mcpServers": {"9" * 5000}}}'])
def test_json_that_no_one_wrote_by_hand_is_a_sentence(tmp_path: Path, text: str):
    assert mistake(tmp_path, mcp=text) == ".mcp.json: a value in this file is nested too deeply or too large."


# support-agent.toml over the defaults


def test_limits_are_laid_over_the_defaults_key_by_key(tmp_path: Path):
    limits = loaded(tmp_path, toml="[limits]\nturns = 3\nseconds = 10\n").limits

    assert (limits.turns, limits.seconds, limits.writes) == (3, 10, 10)


def test_a_server_table_is_laid_over_the_default_one_key_by_key(tmp_path: Path):
    ticketing = loaded(tmp_path, toml="[servers.ticketing]\ncall_timeout_s = 5\n").server("ticketing")

    assert (ticketing.call_timeout_s, ticketing.idempotency, ticketing.void) == (5, "meta", True)


def test_a_tool_entry_replaces_the_default_one_whole_and_leaves_the_others(tmp_path: Path):
    tools = loaded(tmp_path, toml='[tools."customers.issue_refund"]\neffect = "deletion"\n').tools

    assert tools["customers.issue_refund"].effect is Effect.DELETION
    assert (tools["customers.issue_refund"].bind, tools["customers.issue_refund"].facts) == ({}, {})
    assert tools["customers.get_invoice"].bind == {"customer_id": "customer.id"}


def test_a_resource_entry_replaces_the_default_one_and_leaves_the_others(tmp_path: Path):
    resources = loaded(tmp_path, toml='[resources."kb://{slug}"]\nbind = { slug = "ticket.id" }\n').resources

    assert resources["kb://{slug}"].public is False
    assert resources["ticket://{ticket_id}"].bind == {"ticket_id": "ticket.id"}


def test_a_helpdesk_of_ones_own_starts_and_inherits_nothing_of_the_built_in_one(tmp_path: Path):
    settings = loaded(tmp_path, toml=OWN_HELPDESK, servers=ZENDESK)

    assert list(settings.transports) == ["zendesk"]
    assert settings.customers is None
    assert (settings.tools, settings.servers, settings.resources) == ({}, {}, {})
    assert settings.limits.writes == 10


def test_a_strangers_server_inherits_no_trust_by_having_a_built_in_name(tmp_path: Path):
    toml = OWN_HELPDESK.replace("zendesk", "ticketing")

    settings = loaded(tmp_path, toml=toml, servers={"ticketing": {"command": "other"}, "customers": {"command": "x"}})

    assert settings.server("ticketing") == settings.server("customers") == ServerSettings()
    assert settings.tools == {}


def test_customers_of_ones_own_leave_the_built_in_tickets(tmp_path: Path):
    toml = """
[customers]
server = "crm"
record = "crm://{requester}.json"
context = "crm://{requester}"
fields = { id = "/id", tier = "/plan", verified = "/ok", version = "/v" }
"""
    settings = loaded(tmp_path, toml=toml, servers={"crm": {"command": "crm"}})

    assert list(settings.transports) == ["ticketing", "crm"]
    assert settings.customers is not None
    assert settings.customers.fields["tier"] == "/plan"
    assert not [name for name in settings.tools if name.startswith("customers.")]


def test_the_built_in_tickets_read_in_another_way_keep_their_tools(tmp_path: Path):
    toml = """
[tickets]
server = "ticketing"
record = "ticket://{ticket_id}/record"
context = "ticket://{ticket_id}"
fields = { requester = "/requester", status = "/status", version = "/version" }
outcome = { closed = { status = ["solved", "closed"] } }
"""
    settings = loaded(tmp_path, toml=toml)

    assert list(settings.transports) == ["ticketing"]
    assert settings.tools["ticketing.close_ticket"].effect is Effect.CLOSE
    assert settings.server("ticketing").idempotency == "meta"


def test_roots_are_absolute_and_expanded(tmp_path: Path):
    toml = '[roots]\nknowledge = "articles"\nfolders = ["~/a", "${WHERE}/b", "/c"]\n'

    roots = loaded(tmp_path, toml=toml, environ={**HOME, "WHERE": "/where"}).roots

    assert roots.knowledge == tmp_path / "articles"
    assert roots.folders == (Path("/home/lead/a"), Path("/where/b"), Path("/c"))


def test_no_knowledge_folder_is_an_empty_one(tmp_path: Path):
    assert loaded(tmp_path, toml='[roots]\nknowledge = ""\n').roots.knowledge is None


def test_variables_are_expanded_in_roots_only(tmp_path: Path):
    toml = OWN_HELPDESK.replace("solved", "${HOME}")

    settings = loaded(tmp_path, toml=toml, servers=ZENDESK)

    assert settings.tickets.outcome["closed"] == {"status": ("${HOME}",)}


# Mistakes in support-agent.toml


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[limits]\nturns 3\n", ", line 2, column 7: this is not TOML: expected '=' after a key in a key/value pair."),
        ("a = [\n", ", line 1: this is not TOML: invalid value."),
        ("limits = 3\n", ", line 1: [limits] must be a table."),
        ("\n[limits]\nturns = 0\n", ", line 3: [limits] turns must be greater than 0, not 0."),
        ("[limits]\nwrites = -1\n", ", line 2: [limits] writes must be at least 0, not -1."),
        ('[limits]\nturns = "24"\n', ", line 2: [limits] turns must be a whole number."),
        ("[limits]\nturns = 1.5\n", ", line 2: [limits] turns must be a whole number."),
        ("[limits]\nseconds = true\n", ", line 2: [limits] seconds must be a number."),
        ("[limits]\nseconds = nan\n", ", line 2: [limits] seconds must be greater than 0, not NaN."),
        ("[limits]\n# more\nturn = 3\n", ', line 3: [limits] has no key "turn"; did you mean "turns"?'),
        ("modle = 'x'\n", ', line 1: the file has no key "modle"; did you mean "model"?'),
        (
            "[firm]\n",
            (
                ', line 1: the file has no key "firm"; it may have company, customers, limits, model, resources, '
                "roots, servers, tickets, tools."
            ),
        ),
        ("model = 5\n", ", line 1: model must be text."),
        ("api_key = 'sk-secret'\n[limits]\nturns = 0\n", None),
        (
            '[servers.ticketing]\nidempotency = "always"\n',
            ', line 2: [servers.ticketing] idempotency must be "none" or "meta", not "always".',
        ),
        (
            '[tools."customers.issue_refund"]\neffect = "mony"\n',
            (
                ', line 2: [tools."customers.issue_refund"] effect must be "read", "write", "reply", "money", "close", '
                '"escalate", "access", "account", "deletion" or "unnamed", not "mony".'
            ),
        ),
        (
            '[tools.issue_refund]\neffect = "money"\n',
            ', line 1: the name of [tools.issue_refund] must be "server.tool".',
        ),
        (
            '[tools."customers.issue_refund"]\nefect = "money"\n',
            ', line 2: [tools."customers.issue_refund"] has no key "efect"; did you mean "effect"?',
        ),
        (
            '[tools."customers.issue_refund"]\nbind = { customer_id = "id" }\neffect = "money"\n',
            (
                ', line 2: [tools."customers.issue_refund"] bind.customer_id must be "ticket.FIELD", "customer.FIELD" '
                'or "facts.NAME", not "id".'
            ),
        ),
        (
            (
                '[tools."customers.issue_refund"]\neffect = "money"\n'
                'facts = { cents = { tool = "customers.get_invoice", path = "amount_cents" } }\n'
            ),
            (
                ', line 3: [tools."customers.issue_refund"] facts.cents.path must be a JSON pointer such as "/id", '
                'not "amount_cents".'
            ),
        ),
        ("[tools]\n'a.b' = 3\n", ', line 2: [tools."a.b"] must be a table.'),
        ("[roots]\nfolders = '/a'\n", ", line 2: [roots] folders must be a list."),
        ("[roots]\nfolders = ['']\n", ", line 2: [roots] folders must not hold an empty path."),
        (
            "[roots]\nknowledge = '${KNOWLEDGE}'\n",
            ", line 2: [roots] knowledge needs the variable KNOWLEDGE: set it in the environment or in .env.",
        ),
        ("[tickets]\nserver = 'ticketing'\n", ', line 1: [tickets] needs "record".'),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_with_its_line(tmp_path: Path, toml: str, expected: str | None):
    said = mistake(tmp_path, toml=toml)

    if expected is None:
        assert "sk-secret" not in said
    else:
        assert said == f"support-agent.toml{expected}"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            '"zendesk"',
            '"zendsk"',
            '3: [tickets] server is "zendsk", which .mcp.json does not define; did you mean "zendesk"?',
        ),
        ("/status", "status", '6: [tickets] fields.status must be a JSON pointer such as "/id", not "status".'),
        (
            'requester = "/requester/email", ',
            "",
            '6: [tickets] fields needs "requester": a JSON pointer into the record.',
        ),
        (', status = "/status"', "", '6: [tickets] fields needs "status": a JSON pointer into the record.'),
        (
            'closed = { status = ["solved"] }',
            'closed = { state = ["solved"] }',
            (
                '7: [tickets] outcome.closed asks for "state", which [tickets] fields does not have; '
                'did you mean "status"?'
            ),
        ),
        (
            'closed = { status = ["solved"] }',
            'resolved = { status = ["solved"] }',
            '7: the name of [tickets] outcome.resolved must be "closed", "escalated" or "pending".',
        ),
        ('["solved"]', '"solved"', "7: [tickets] outcome.closed.status must be a list."),
        (
            'closed = { status = ["solved"] }',
            "closed = {}",
            "7: [tickets] outcome.closed must not be empty: every ticket would match.",
        ),
        (
            'closed = { status = ["solved"] }',
            "",
            "7: [tickets] outcome must say how a closed, escalated or pending ticket is known.",
        ),
        (
            "outcome",
            "workable = { state = ['new'] }\noutcome",
            '7: [tickets] workable asks for "state", which [tickets] fields does not have; did you mean "status"?',
        ),
        (
            'record = { tool = "get_ticket"',
            'record = { toool = "get_ticket"',
            '4: [tickets] record has no key "toool"; did you mean "tool"?',
        ),
        ("record = {", "record = [] #", "4: [tickets] record must be text or a table."),
        (
            'record = { tool = "get_ticket", arguments = { id = "$ticket_id" } }',
            'record = "zendesk://{id}"',
            "4: [tickets] record must hold {ticket_id} and no other placeholder.",
        ),
        (
            'record = { tool = "get_ticket", arguments = { id = "$ticket_id" } }',
            'record = { tool = "get_ticket", arguments = { id = "$id" } }',
            '4: [tickets] record must hold "$ticket_id" and no other placeholder.',
        ),
        (
            "outcome",
            "prompt = { name = 'start', arguments = { tier = 'customer.tier' } }\noutcome",
            '7: [tickets] prompt.arguments.tier is "customer.tier", but there is no [customers] table.',
        ),
        (
            "outcome",
            "queue = { tool = 'list' }\noutcome",
            '7: [tickets] queue needs "items".',
        ),
        (
            "[tickets]",
            (
                "[customers]\nserver = 'zendesk'\nrecord = 'u://{requester}'\ncontext = 'u://{requester}'\n"
                "fields = { tier = '/tier' }\n[tickets]"
            ),
            '6: [customers] fields needs "id": a JSON pointer into the record.',
        ),
    ],
)
def test_a_helpdesk_that_cannot_be_read_is_one_sentence_with_its_line(
    tmp_path: Path, before: str, after: str, expected: str
):
    assert before in OWN_HELPDESK

    said = mistake(tmp_path, toml=OWN_HELPDESK.replace(before, after), servers=ZENDESK)

    assert said == f"support-agent.toml, line {expected}"


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (
            '[tools."customers.issue_refund"]\neffect = "money"\nbind = { customer_id = "customer.idd" }\n',
            (
                ', line 3: [tools."customers.issue_refund"] bind.customer_id is "customer.idd", but [customers] fields '
                'has no "idd"; did you mean "id"?'
            ),
        ),
        (
            '[tools."ticketing.set_priority"]\neffect = "write"\nbind = { v = "ticket.versoin" }\n',
            (
                ', line 3: [tools."ticketing.set_priority"] bind.v is "ticket.versoin", but [tickets] fields has no '
                '"versoin"; did you mean "version"?'
            ),
        ),
        (
            '[tools."customers.issue_refund"]\neffect = "money"\nbind = { cents = "facts.amount" }\n',
            (
                ', line 3: [tools."customers.issue_refund"] bind.cents is "facts.amount", but there is no fact '
                '"amount" here.'
            ),
        ),
        (
            '[resources."kb://{slug}"]\nbind = { slag = "ticket.id" }\n',
            ', line 2: [resources."kb://{slug}"] bind binds "slag", which is not in the URI; did you mean "slug"?',
        ),
        (
            '[tools."customers.get_customer"]\neffect = "read"\n',
            (
                ', line 1: [tools."customers.get_customer"] could read other customers\' data: bind an argument to '
                "ticket.id, ticket.requester or customer.id, or add public = true if it reaches nobody's data, or "
                "offer = false."
            ),
        ),
        (
            '[resources."customer://{email}"]\n',
            (
                ', line 1: [resources."customer://{email}"] could read other customers\' data: bind an argument to '
                "ticket.id, ticket.requester or customer.id, or add public = true if it reaches nobody's data."
            ),
        ),
        (
            (
                '[tools."customers.issue_refund"]\neffect = "money"\n'
                'facts = { cents = { tool = "ticketing.list_tickets", path = "/x" } }\n'
            ),
            (
                ', line 3: [tools."customers.issue_refund"] facts.cents asks ticketing.list_tickets, which [tools] '
                "must name as a read that is bound to the case or public."
            ),
        ),
        (
            '[tools."customers.issue_refund"]\neffect = "money"\nbind = { customer_id = "customer.id" }\n',
            (
                ', line 1: [tools."customers.issue_refund"] facts needs amount_cents and currency: what moves money is '
                "judged by how much, which the host reads by itself."
            ),
        ),
        (
            (
                '[tools."customers.issue_refund"]\neffect = "money"\nfacts = { amount_cents = '
                '{ tool = "customers.get_invoice", arguments = { invoice_id = "$invoice_id" }, path = "/x" } }\n'
            ),
            (
                ', line 3: [tools."customers.issue_refund"] facts needs currency: what moves money is judged by how '
                "much, which the host reads by itself."
            ),
        ),
        (
            '[tools."customer.issue_refund"]\neffect = "deletion"\n',
            (
                ', line 1: [tools."customer.issue_refund"] speaks of the server "customer", which .mcp.json does not '
                'define; did you mean "customers"?'
            ),
        ),
        (
            "[servers.crm]\nvoid = true\n",
            ', line 1: [servers.crm] speaks of the server "crm", which .mcp.json does not define.',
        ),
    ],
)
def test_a_contradiction_is_one_sentence_with_its_line(tmp_path: Path, toml: str, expected: str):
    assert mistake(tmp_path, toml=toml) == f"support-agent.toml{expected}"


def test_a_read_bound_only_to_a_fact_could_still_read_anyones_data(tmp_path: Path):
    toml = """
[tools."customers.list_invoices"]
effect = "read"
bind = { customer_id = "facts.owner" }
facts = { owner = { tool = "customers.get_invoice", arguments = { invoice_id = "$id" }, path = "/owner" } }
"""
    said = mistake(tmp_path, toml=toml)

    assert said.startswith(
        'support-agent.toml, line 2: [tools."customers.list_invoices"] could read other customers\' data: '
    )


@pytest.mark.parametrize("confinement", ["public = true", "offer = false", 'bind = { x = "ticket.requester" }'])
def test_a_read_that_is_public_bound_or_the_hosts_own_is_no_mistake(tmp_path: Path, confinement: str):
    toml = f'[tools."customers.get_customer"]\neffect = "read"\n{confinement}\n'

    assert loaded(tmp_path, toml=toml).tools["customers.get_customer"].effect is Effect.READ


def test_a_policy_of_the_folder_takes_the_defaults_place(tmp_path: Path):
    default = loaded(tmp_path)
    assert default.policy_file == str(Path("agent.defaults", "policy.cedar"))
    assert '@id("own-case")' in default.policy

    (tmp_path / "policy.cedar").write_text("// Mine.\n", encoding="utf-8")

    settings = loaded(tmp_path)
    assert (settings.policy, settings.policy_file) == ("// Mine.\n", str(tmp_path / "policy.cedar"))
    assert settings.sources == (str(tmp_path / "policy.cedar"),)


def test_a_prompts_usual_arguments_need_no_customers(tmp_path: Path):
    settings = loaded(tmp_path, toml=OWN_HELPDESK + 'prompt = "start"\n', servers=ZENDESK)

    assert settings.tickets.prompt is not None
    assert settings.tickets.prompt.name == "start"


def test_a_default_that_the_own_helpdesk_contradicts_is_told_at_the_own_line(tmp_path: Path):
    toml = OWN_HELPDESK.replace("zendesk", "ticketing")

    said = mistake(tmp_path, toml=toml)

    assert said == (
        'support-agent.toml, line 6: [tools."ticketing.set_priority"] bind.expected_version is "ticket.version", '
        'but [tickets] fields has no "version".'
    )


def test_a_disabled_helpdesk_is_told_at_the_line_that_disables_it(tmp_path: Path):
    said = mistake(tmp_path, servers={"ticketing": {"disabled": True}})

    assert said == '.mcp.json, line 4: [tickets] server is "ticketing", which .mcp.json disables.'


def test_a_mistake_is_found_behind_multi_line_values(tmp_path: Path):
    toml = (
        '[roots]\nfolders = [\n  "/a",  # turns = 0\n  "/b",\n]\nknowledge = """/k\n[limits]\nturns = 1"""\n'
        "\n# [limits]\n[limits]\n\nturns = 0\n"
    )
    assert mistake(tmp_path, toml=toml) == "support-agent.toml, line 13: [limits] turns must be greater than 0, not 0."


def test_a_dotted_key_is_found_like_one_in_its_table(tmp_path: Path):
    said = mistake(tmp_path, toml='model = "x"\nlimits.turns = 0\n')

    assert said == "support-agent.toml, line 2: [limits] turns must be greater than 0, not 0."


def test_toml_that_no_one_wrote_by_hand_is_a_sentence(tmp_path: Path):
    said = mistake(tmp_path, toml=f"a = {'[' * 20_000}\n")

    assert said == "support-agent.toml: a value in this file is nested too deeply or too large."


def test_no_sentence_is_in_pydantics_words():
    patterns = re.findall(r'pattern=r"([^"]+)"', Path(shapes.__file__).read_text(encoding="utf-8"))

    assert sorted(patterns) == sorted(_PATTERNS)


# The guide


def blocks(language: str) -> list[str]:
    guide = Path(__file__).parents[2] / "docs" / "configuration.md"
    return re.findall(rf"```{language}\n(.*?)```", guide.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_guides_servers_and_tables_load(tmp_path: Path):
    servers, _ = blocks("json")
    tables, resources, _ = blocks("toml")

    settings = loaded(
        tmp_path, mcp=servers, toml=tables + resources, environ={**HOME, "ORDERS_TOKEN": "o", "STATUS_TOKEN": "s"}
    )

    assert list(settings.transports) == ["ticketing", "customers", "orders", "status"]
    assert settings.limits == shapes.Limits()
    assert settings.server("orders") == ServerSettings()


def test_the_guides_limits_and_server_settings_are_complete():
    tables = blocks("toml")[0]

    assert set(shapes.Limits.model_fields) | set(ServerSettings.model_fields) <= set(
        re.findall(r"^(\w+) =", tables, flags=re.MULTILINE)
    )


def test_the_guides_other_helpdesk_loads(tmp_path: Path):
    settings = loaded(tmp_path, mcp=blocks("json")[1], toml=blocks("toml")[2], environ={**HOME, "DESKLINE_TOKEN": "t"})

    assert list(settings.transports) == ["deskline"]
    assert {name.partition(".")[0] for name in settings.tools} == {"deskline"}


def test_the_guide_explains_every_key_of_a_tool_and_every_effect():
    guide = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(\w+)` \|", guide.partition("### Tools")[2], flags=re.MULTILINE)

    assert sorted(set(explained) - {"effect"}) == sorted(
        {*shapes.ToolSettings.model_fields, *(effect.value for effect in Effect)} - {"effect"}
    )
