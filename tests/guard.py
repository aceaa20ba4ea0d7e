"""What no test may do: reach a real model, or any address outside this machine.

An audit hook sees every connection, name lookup and child process of the interpreter, whoever makes it, and cannot
be taken out again. It refuses with a sentence and keeps the sentence, because code under test may swallow the error:
`conftest.py` fails every test that leaves a refusal behind.
"""

import os
import socket
import sys
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

CLOSED_PROXY = {"ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
"""Environment that sends every HTTP client of a child process to the discard port, where nothing listens."""

_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}

_refusals: list[str] = []


class Refused(AssertionError):  # noqa: N818 - reads as the sentence it is
    """A test tried to leave this machine."""


def take_refusals() -> list[str]:
    """Return what was refused since the last call, and forget it."""
    taken = _refusals.copy()
    _refusals.clear()
    return taken


@cache
def install() -> None:
    """Put the guard into this interpreter, for good."""
    sys.addaudithook(_audit)


def is_loopback(host: object) -> bool:
    """Whether a host, as sockets take it, is this machine: a name, an address, bytes or None."""
    name = os.fsdecode(host) if isinstance(host, (str, bytes)) else ""
    if name in {"", "localhost"}:
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _SENDS:
        _judge_address(*arguments)
    elif event in _LOOKUPS and not is_loopback(arguments[0]):
        _refuse(f"A test may not look up {arguments[0]!r}: only this machine is reachable.")
    elif event == "subprocess.Popen":
        _judge_child(arguments[3])


def _judge_address(sock: socket.socket, address: Any) -> None:
    if address is None or sock.family == socket.AF_UNIX:  # None: a message on a socket that is connected already
        return
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or not is_loopback(address[0]):
        _refuse(f"A test may not connect to {address!r}: only this machine is reachable.")


def _judge_child(environment: Mapping[str, str] | None) -> None:
    inherited = os.environ if environment is None else environment
    names = {os.fsdecode(name): os.fsdecode(value) for name, value in inherited.items()}
    has_key = any(names.get(name) for name in _CREDENTIALS)
    if has_key and not is_loopback(urlsplit(names.get("ANTHROPIC_BASE_URL") or "//api.anthropic.com").hostname):
        _refuse("A test may not give a child a key without a base URL on this machine: pass base_url to clean_env.")


def _refuse(sentence: str) -> None:
    _refusals.append(sentence)
    raise Refused(sentence)
