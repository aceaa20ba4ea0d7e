"""The guard itself: no test reaches a real model, or any address outside this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests import guard
from tests.conftest import CleanEnv
from tests.fakes.answers import says
from tests.fakes.messages_api import MessagesApi

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, ("192.0.2.1", 443)), (socket.AF_INET6, ("2001:db8::1", 443))]
)
def test_a_connection_that_leaves_this_machine_is_refused(family: int, address: tuple[str, int]):
    with socket.socket(family) as sock, pytest.raises(guard.Refused, match=address[0]):
        sock.connect(address)
    assert len(guard.take_refusals()) == 1


def test_a_datagram_that_leaves_this_machine_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(guard.Refused, match=r"192\.0\.2\.1"):
        sock.sendto(b"?", ("192.0.2.1", 53))
    assert len(guard.take_refusals()) == 1


def test_a_name_is_not_even_looked_up():
    with pytest.raises(guard.Refused, match=r"api\.anthropic\.com"):
        socket.getaddrinfo("api.anthropic.com", 443)
    assert len(guard.take_refusals()) == 1


async def test_an_asynchronous_connection_is_refused_too():
    with pytest.raises(guard.Refused):
        await anyio.connect_tcp("api.anthropic.com", 443)
    assert guard.take_refusals()


def test_loopback_and_unix_sockets_stay_open(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        path = os.path.relpath(tmp_path / "s")  # socket paths are short
        server.bind(path)
        server.listen()
        client.connect(path)
    assert guard.take_refusals() == []


def test_a_child_process_gets_no_key_for_a_real_model(clean_env: CleanEnv):
    environment = clean_env(base_url="https://api.anthropic.com", ANTHROPIC_API_KEY="sk-real")
    with pytest.raises(guard.Refused, match="clean_env"):
        subprocess.run([sys.executable, "-c", ""], env=environment, check=True)
    assert len(guard.take_refusals()) == 1


def test_a_child_process_inherits_no_key(clean_env: CleanEnv, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-real")
    program = "import os; print([name for name in os.environ if name.startswith('ANTHROPIC')])"
    shown = subprocess.run([sys.executable, "-c", program], env=clean_env(), check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_a_child_process_that_finds_a_key_elsewhere_still_reaches_no_model(clean_env: CleanEnv):
    program = """
import anthropic
try:
    anthropic.Anthropic(api_key="sk-real", max_retries=0).models.list()
except anthropic.APIConnectionError as error:
    print(error.__cause__)
"""
    run = subprocess.run([sys.executable, "-c", program], env=clean_env(), check=True, capture_output=True, text=True)
    assert "Connection refused" in run.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 9))


def test_a_child_process_reaches_the_fake_model_on_this_machine(clean_env: CleanEnv):
    program = """
import anyio
from agent.models.claude import ClaudeModel
from tests.fakes.asking import question
import os
async def main():
    model = ClaudeModel(
        model="claude-sonnet-5-5", api_key=os.environ["ANTHROPIC_API_KEY"], base_url=os.environ["ANTHROPIC_BASE_URL"]
    )
    print((await model.reply(question(), lambda _: None)).text)
    await model.aclose()
anyio.run(main)
"""
    with MessagesApi([says("Here I am.")]) as api:
        environment = clean_env(base_url=api.url, ANTHROPIC_API_KEY=api.key, PYTHONPATH=str(ROOT))
        command = [sys.executable, "-c", program]
        run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "Here I am."


def test_a_refusal_that_the_code_swallows_still_fails_its_test(tmp_path: Path, clean_env: CleanEnv):
    swallowing = """
import contextlib, os, socket

def test_of_code_that_swallows_everything():
    assert "ANTHROPIC_API_KEY" not in os.environ
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 443))
"""
    (tmp_path / "test_swallowing.py").write_text(swallowing)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    environment = clean_env(base_url="http://127.0.0.1:9", ANTHROPIC_API_KEY="sk-real", PYTHONPATH=str(ROOT))
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "A test may not look up '192.0.2.1': only this machine is reachable." in run.stdout
    assert "1 passed, 1 error" in run.stdout
