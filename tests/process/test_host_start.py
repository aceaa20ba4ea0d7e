"""Servers that start, start slowly, or do not start."""

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agent.errors import ServerStartFailed
from agent.host import Host
from agent.settings import StdioTransport
from tests.fakes.hosting import (
    HANGS_AFTER_S,
    Notes,
    bad,
    call,
    echo,
    is_running,
    let_pass,
    make_gate,
    numbers,
    open_gate,
    settings_for,
    until,
)

ROOT = Path(__file__).parents[2]
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


async def start_fails(home: Path, transport: StdioTransport, notes: Notes | None = None, **server: float) -> str:
    with pytest.raises(ServerStartFailed) as failure:
        async with Host(settings_for(home, {"bad": transport}, **server), notes or Notes()):
            pytest.fail("it started")
    assert failure.value.server == "bad"
    return str(failure.value)


@ERAS
async def test_what_a_server_offers_is_known_when_the_host_is_entered(home: Path, era: str):
    async with Host(settings_for(home, {"bad": bad("--era", era)}), Notes()) as host:
        server = host.servers["bad"]
        assert server.transport == "stdio"
        assert server.protocol_version == {"legacy": "2025-11-25", "modern": "2026-07-28"}[era]
        assert "echo" in {tool.name for tool in server.tools}
        assert [resource.uri for resource in server.resources] == ["note://first"]
        assert [template.uri_template for template in server.templates] == ["note://{name}"]
        assert [prompt.name for prompt in server.prompts] == ["greeting"]


async def test_a_real_server_presents_itself(home: Path):
    async with Host(settings_for(home, {"echo": echo()}), Notes()) as host:
        server = host.servers["echo"]
        assert server.info is not None
        assert (server.info.name, server.info.version) == ("echo", "1.2.3")
        assert server.instructions == "Says everything twice."
        result = await call(host, "echo", server="echo", arguments={"text": "hello"})
        assert result.structured_content == {"result": "hello"}


async def test_all_pages_of_a_list_are_read(home: Path):
    async with Host(settings_for(home, {"bad": bad("--pages", "4")}), Notes()) as host:
        names = [tool.name for tool in host.servers["bad"].tools]
        assert names[-3:] == ["page_2", "page_3", "page_4"]


async def test_a_list_that_never_ends_is_cut(home: Path):
    async with Host(settings_for(home, {"bad": bad("endless-pages")}), Notes()) as host:
        assert host.servers["bad"].tools[-1].name == "page_200"


@ERAS
async def test_unusable_tools_are_left_out_and_named(home: Path, era: str):
    notes = Notes()
    async with Host(settings_for(home, {"bad": bad("bad-tools", "--era", era)}), notes) as host:
        tools = host.servers["bad"].tools
        names = [tool.name for tool in tools]
        assert names.count("echo") == 1
        assert tools[names.index("echo")].description is None
        assert not {"no_object", "no_schema", ""} & set(names)
        assert (await call(host, "echo", arguments={"a": 1})).content[0].text == '{"a": 1}'
    assert notes.about("tool no_object is left out")
    assert notes.about("tool no_schema is left out")
    assert notes.about("tool echo is left out: another tool of the same name comes first.")
    assert notes.about("tool escape\\x1b[31m is left out")
    assert len(notes.notices) == 7


async def test_lists_that_are_refused_are_named_and_the_server_is_used_without_them(home: Path):
    notes = Notes()
    async with Host(settings_for(home, {"bad": bad("lists-refused")}), notes) as host:
        assert host.servers["bad"].resources == ()
        assert host.servers["bad"].tools != ()
    assert notes.about("resource (the list) is left out: No.")


async def test_a_server_that_does_not_list_its_tools_has_not_started(home: Path):
    assert "The list is lost." in await start_fails(home, bad("no-tools-list"))


async def test_a_command_that_does_not_exist_is_named(home: Path):
    sentence = await start_fails(home, StdioTransport(command="no-such-command"))
    assert sentence == "bad did not start: no-such-command was not found."


async def test_a_folder_that_does_not_exist_is_named(home: Path):
    sentence = await start_fails(home, StdioTransport(command=sys.executable, cwd="/no/such/folder"))
    assert sentence == "bad did not start: /no/such/folder was not found."


async def test_a_file_that_is_no_program_is_named(home: Path):
    file = home / "plain"
    file.write_text("no program")
    assert await start_fails(home, StdioTransport(command=str(file))) == (
        f"bad did not start: {file} cannot be run: Permission denied."
    )


async def test_a_nul_in_an_argument_is_a_sentence(home: Path):
    assert await start_fails(home, StdioTransport(command=sys.executable, args=("a\0b",))) == (
        "bad did not start: embedded null byte."
    )


async def test_a_server_that_exits_at_once_is_quoted_without_its_control_characters(home: Path):
    sentence = await start_fails(home, bad("exit"))
    assert sentence.startswith("bad did not start: it exited with status 3.\n    first line\n")
    assert "    ConfigError: \\x1b[31mno token\\x1b[0m\n" in sentence
    assert str(home / "logs" / "bad.log") in sentence
    assert "\x1b" not in sentence


async def test_a_server_that_prints_garbage_and_never_answers_is_given_up_in_time(home: Path):
    notes = Notes()

    async def wait_in_vain() -> None:
        await notes.wait_for("not JSON-RPC")
        await let_pass(30)

    waiting = asyncio.create_task(wait_in_vain())
    sentence = await start_fails(home, bad("garbage", "silent"), notes, start_timeout_s=30)
    await waiting
    assert sentence == (
        "bad did not start: it was not ready within 30 s; "
        "it writes what is not JSON-RPC to its stdout: Welcome to bad 1.0\\x1b[2J."
    )
    assert len(notes.notices) == 1


async def test_garbage_between_answers_is_ignored_and_told_once(home: Path):
    notes = Notes()
    async with Host(settings_for(home, {"bad": bad("chatty")}), notes) as host:
        for _ in range(3):
            assert not (await call(host, "echo")).is_error
    assert len(notes.about("not JSON-RPC")) == 1


async def test_a_server_that_answers_late_is_waited_for(home: Path, tmp_path: Path):
    gate = make_gate(tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(open_gate, gate)
        async with Host(settings_for(home, {"bad": bad("slow", "--folder", tmp_path)}), Notes()) as host:
            assert not (await call(host, "echo")).is_error


async def test_servers_start_at_the_same_time(home: Path, tmp_path: Path):
    # Each waits until the other has been started: one after the other they would never come up.
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        make_gate(folder)
    transports = {"one": bad("slow", "--folder", one), "two": bad("slow", "--folder", two)}

    async def open_both() -> None:
        for folder in (one, two):
            await until((folder / "starts").exists)
        for folder in (one, two):
            await open_gate(folder / "gate")

    with anyio.fail_after(HANGS_AFTER_S):
        async with anyio.create_task_group() as group:
            group.start_soon(open_both)
            async with Host(settings_for(home, transports), Notes()) as host:
                assert set(host.servers) == {"one", "two"}


async def test_when_one_server_fails_the_others_are_stopped(home: Path, tmp_path: Path):
    transports = {"good": bad("--folder", tmp_path), "bad": StdioTransport(command="no-such-command")}
    with pytest.raises(ServerStartFailed, match="no-such-command"):
        async with Host(settings_for(home, transports), Notes()):
            pytest.fail("it started")
    assert not any(is_running(pid) for pid in numbers(tmp_path, "starts"))


async def test_stderr_goes_to_a_private_log_and_not_to_the_terminal(home: Path, capfd: pytest.CaptureFixture[str]):
    async with Host(settings_for(home, {"echo/1": echo()}), Notes()):
        pass
    log = home / "logs" / "echo%2F1.log"
    assert log.read_text() == "echo is up\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert capfd.readouterr() == ("", "")


LOUD_SDK = """
import asyncio, logging, sys
from pathlib import Path
from agent.host import Host
from tests.fakes.hosting import Notes, bad, settings_for

async def main():
    async with Host(settings_for(Path(sys.argv[1]), {"bad": bad()}), Notes()):
        for name in ("mcp.client.stdio", "client"):
            logging.getLogger(name).error("into the middle of the screen")

asyncio.run(main())
"""


def test_the_sdk_writes_nothing_to_the_terminal(home: Path):
    run = subprocess.run(
        [sys.executable, "-c", LOUD_SDK, str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("", "")


async def test_a_log_that_has_grown_is_put_aside_at_the_next_start(home: Path):
    log = home / "logs" / "bad.log"
    log.parent.mkdir()
    log.write_text("old\n" * 300_000)
    sentence = await start_fails(home, bad("exit"))
    assert log.read_text().startswith("first line\n")
    assert (home / "logs" / "bad.log.1").read_text().startswith("old\n")
    assert "old" not in sentence


async def test_a_log_that_cannot_be_written_is_a_sentence(home: Path):
    (home / "logs").write_text("a file where the folder should be")
    assert "its log" in await start_fails(home, bad())
