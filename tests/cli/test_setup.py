"""`support-agent init` and `doctor`: a folder to start from, and what is missing in it."""

import stat

from tests.cli.conftest import Once
from tests.cli.shell import Ended, Shell, bad

STARTER = [".env", ".mcp.json", "support-agent.toml", "policy.cedar"]


def test_init_writes_the_starter_files(bare: Shell):
    ended = bare.run("init")
    assert ended == Ended(
        code=0,
        out="created  .env\ncreated  .mcp.json\ncreated  support-agent.toml\ncreated  policy.cedar\n\n"
        "Next: put your key into .env, then `support-agent doctor`.\n",
        err="",
    )
    assert {path.name for path in bare.work.iterdir()} == set(STARTER)
    assert stat.S_IMODE((bare.work / ".env").stat().st_mode) == 0o600


def test_init_keeps_what_is_there(bare: Shell):
    bare.write(".env", "ANTHROPIC_API_KEY=mine\n")
    bare.write(".gitignore", "build\n")
    ended = bare.run("init", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert [(file["path"], file["act"]) for file in ended.document["files"]] == [
        (str(bare.work / ".env"), "kept"),
        (str(bare.work / ".mcp.json"), "created"),
        (str(bare.work / "support-agent.toml"), "created"),
        (str(bare.work / "policy.cedar"), "created"),
        (str(bare.work / ".gitignore"), "extended"),
    ]
    assert (bare.work / ".env").read_text() == "ANTHROPIC_API_KEY=mine\n"
    assert (bare.work / ".gitignore").read_text() == "build\n.env\n"


def test_init_demo_creates_the_demo_helpdesk(bare: Shell):
    ended = bare.run("init", "--demo")
    sentence = f"The demo helpdesk is in {bare.data}: 24 tickets are waiting.\n"
    assert ended == Ended(code=0, out=sentence, err="")
    assert bare.status("42") == "new"
    assert (bare.data / "knowledge" / "login-after-password-change.md").exists()
    assert list(bare.work.iterdir()) == []


def test_reset_makes_the_demo_as_new(shell: Shell):
    shell.query("ticketing", "UPDATE tickets SET status = 'closed'")
    shell.query("customers", "UPDATE customers SET account_tier = 'free'")
    article = shell.data / "knowledge" / "login-after-password-change.md"
    article.write_text("nothing")
    ended = shell.run("init", "--demo", "--reset", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.document == {"home": str(shell.data), "waiting": 24}
    assert shell.status("42") == "new"
    assert ("pro",) in shell.query("customers", "SELECT account_tier FROM customers")
    assert "Forget saved login" in article.read_text()


def test_a_helpdesk_that_is_no_demo_is_never_reset(bare: Shell):
    bare.servers(ticketing=bad(), customers=bad())
    ended = bare.run("init", "--demo", "--reset")
    assert ended.code == 3
    assert ended.err.startswith("error: ")


def test_reset_alone_is_wrong_usage(bare: Shell):
    ended = bare.run("init", "--reset")
    assert (ended.code, ended.out) == (2, "")
    assert "--reset goes with --demo: starter files are never" in ended.err
    assert list(bare.work.iterdir()) == []


def checked(shell: Shell) -> Ended:
    """Check a folder with a server of its own, and tables for a tool that it has and for one that it does not."""
    shell.run("init")
    shell.servers(mine=bad())
    shell.write(
        "support-agent.toml",
        '[tools."mine.echo"]\neffect = "read"\npublic = true\n[tools."mine.gone"]\neffect = "write"\n',
    )
    return shell.run("doctor", "--json")


def test_doctor_says_what_is_configured(shell: Shell, once: Once):
    ended = once("mine", lambda: checked(shell))
    assert (ended.code, ended.err) == (0, "")
    files = [check["sentence"] for check in ended.document["checks"] if check["sentence"].startswith("Configuration: ")]
    assert [path.rpartition("/")[2] for path in files[0].split(", ")] == STARTER
    sentences = [check["sentence"] for check in ended.document["checks"] if check["state"] == "ok"]
    assert "Server ticketing: 12 tools, MCP 2026-07-28 over stdio" in sentences
    assert "Helpdesk ticketing: 24 tickets are waiting" in sentences
    assert f"Policy: {shell.work / 'policy.cedar'}" in sentences


def test_doctor_says_how_to_get_a_model(shell: Shell, once: Once):
    ended = once("mine", lambda: checked(shell))
    assert {
        "state": "warn",
        "sentence": "Model: none, so only dry runs and --model offline work",
        "fix": "Set ANTHROPIC_API_KEY, in the environment or in .env.",
    } in ended.document["checks"]


def test_doctor_names_tools_that_no_configuration_names_and_tables_without_a_tool(shell: Shell, once: Once):
    ended = once("mine", lambda: checked(shell))
    warnings = [check["sentence"] for check in ended.document["checks"] if check["state"] == "warn"]
    assert '[tools."mine.gone"] speaks of a tool that its server does not have' in warnings
    [unnamed] = [warning for warning in warnings if warning.startswith("Tools that no configuration names")]
    names = unnamed.partition(": ")[2].split(", ")
    assert "mine.big" in names
    assert "mine.echo" not in names


def test_doctor_fails_where_a_server_does_not_start(shell: Shell):
    shell.servers(mine=bad("exit"))
    ended = shell.run("doctor")
    assert (ended.code, ended.err) == (3, "")
    assert "✗ mine did not start: it exited with status 3.\n" in ended.out
    assert "ConfigError: \\x1b[31mno token" in ended.out
    assert ended.out.endswith("\n1 check failed\n")


def test_doctor_reports_a_mistake_in_a_file_as_a_failed_check(bare: Shell):
    bare.write("support-agent.toml", "[limits]\nturns = 0\n")
    ended = bare.run("doctor", "--json")
    [check] = ended.document["checks"]
    assert (ended.code, check["state"]) == (3, "fail")
    assert check["sentence"].startswith(f"{bare.work / 'support-agent.toml'}, line 2: ")
