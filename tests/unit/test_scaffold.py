import re
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

import agent.defaults
from agent.configuration import load
from agent.errors import ConfigurationError
from agent.records import Effect
from agent.scaffold import Act, Written, write_starter

REPOSITORY = Path(__file__).parents[2]
STARTER = Path(agent.defaults.__file__).parent / "starter"
ENVIRONMENT = {"HOME": "/home/lead", "SUPPORT_AGENT_HOME": "/data"}


def acts(written: list[Written]) -> dict[str, Act]:
    return {file.path.name: file.act for file in written}


NAMES = (".env", ".mcp.json", "support-agent.toml", "policy.cedar")


def test_an_empty_folder_gets_the_four_files_and_loads_as_if_it_had_none(tmp_path: Path):
    unconfigured = load(folder=tmp_path, environ=ENVIRONMENT)

    written = write_starter(tmp_path)

    assert [file.path for file in written] == [tmp_path / name for name in NAMES]
    assert set(acts(written).values()) == {Act.CREATED}
    settings = load(folder=tmp_path, environ=ENVIRONMENT)
    assert settings.sources == tuple(str(file.path) for file in written)
    assert settings.policy_file == str(tmp_path / "policy.cedar")
    assert settings.model_copy(update={"sources": (), "policy_file": unconfigured.policy_file}) == unconfigured


def test_only_the_owner_may_read_the_new_dotenv(tmp_path: Path):
    write_starter(tmp_path)

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_there_is_kept_as_it_is(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"mine")

    written = write_starter(tmp_path)

    assert (tmp_path / name).read_bytes() == b"mine"
    assert acts(written)[name] is Act.KEPT
    assert sorted(acts(written).values()) == [Act.CREATED, Act.CREATED, Act.CREATED, Act.KEPT]


def test_a_dangling_link_is_kept_and_nothing_is_written_through_it(tmp_path: Path):
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")

    assert acts(write_starter(tmp_path))[".env"] is Act.KEPT
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b".env\n"), (b"dist/\n", b"dist/\n.env\n"), (b"caf\xe9", b"caf\xe9\n.env\n")]
)
def test_a_gitignore_that_is_there_leaves_dotenv_out_from_then_on(tmp_path: Path, before: bytes, after: bytes):
    (tmp_path / ".gitignore").write_bytes(before)

    assert acts(write_starter(tmp_path))[".gitignore"] is Act.EXTENDED
    assert acts(write_starter(tmp_path))[".gitignore"] is Act.KEPT
    assert (tmp_path / ".gitignore").read_bytes() == after


def test_a_folder_without_gitignore_gets_none(tmp_path: Path):
    assert ".gitignore" not in acts(write_starter(tmp_path))
    assert not (tmp_path / ".gitignore").exists()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path):
    with pytest.raises(ConfigurationError) as raised:
        write_starter(tmp_path / "nowhere")

    assert str(raised.value) == f"{tmp_path / 'nowhere' / '.env'} cannot be written: no such file or directory."


def test_what_the_starter_files_offer_in_comments_is_valid_configuration(tmp_path: Path):
    (tmp_path / ".mcp.json").write_text('{"mcpServers": {"crm": {"command": "crm"}}}')
    for name, template in ((".env", "env"), ("support-agent.toml", "support-agent.toml")):
        text = (STARTER / template).read_text(encoding="utf-8")
        (tmp_path / name).write_text(re.sub(r"^# (?=\[|\w+ ?=)", "", text, flags=re.MULTILINE), encoding="utf-8")

    settings = load(folder=tmp_path, environ={"HOME": "/home/lead", "ANTHROPIC_API_KEY": "sk"})

    assert (settings.model, settings.base_url, settings.home, settings.api_key) == (
        "claude-sonnet-5-5",
        "http://localhost:11434",
        Path("/home/lead/support-agent"),
        SecretStr("sk"),
    )
    assert settings.tools["crm.get_orders"].effect is Effect.READ
    assert settings.roots.knowledge == tmp_path / "knowledge"


def test_the_limits_that_the_starter_shows_are_the_defaults(tmp_path: Path):
    shown = dict(
        re.findall(
            r"^# (turns|seconds|usd|writes) = (\S+)$", (STARTER / "support-agent.toml").read_text(), re.MULTILINE
        )
    )
    limits = load(folder=tmp_path, environ=ENVIRONMENT).limits

    assert {name: float(value) for name, value in shown.items()} == {
        name: getattr(limits, name) for name in ("turns", "seconds", "usd", "writes")
    }


def test_the_example_in_the_repository_is_the_starter():
    assert (REPOSITORY / ".env.example").read_bytes() == (STARTER / "env").read_bytes()


def test_each_variable_of_the_starter_has_one_line_of_comment():
    blocks = (STARTER / "env").read_text(encoding="utf-8").strip().split("\n\n")[1:]

    assert [block.count("\n") for block in blocks] == [1] * 6
    assert all(re.fullmatch(r"# .+\.\n(# )?[A-Z_]+=.*", block) for block in blocks)


def test_the_guide_names_every_variable_of_the_starter():
    guide = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (STARTER / "env").read_text(encoding="utf-8"), re.MULTILINE)

    assert re.findall(r"^\| `([A-Z_]+)` \|", guide, re.MULTILINE) == names
