"""Ports for servers that bind one by its number: they stay free until then, and while such a server is restarted."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FIRST, _BEHIND = 20_000, 32_768
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


@contextmanager
def own_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that no other test takes meanwhile.

    It is none of those that the kernel gives to whoever asks for any, or connects to somewhere.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
        yield next(port for port in range(_FIRST, _end()) if _is_claimed(claim, port))


def _end() -> int:
    given_out = int(_GIVEN_OUT.read_text().split()[0]) if _GIVEN_OUT.exists() else _BEHIND
    return given_out if given_out > _FIRST else _BEHIND


def _is_claimed(claim: socket.socket, port: int) -> bool:
    """Claim a port among tests, by the UDP port of the same number; False if somebody has either of the two."""
    with suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        claim.bind(("127.0.0.1", port))
        return True
    return False
