"""The machine that the figures are from: they mean nothing without it."""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("support-agent", "mcp", "anthropic", "pydantic", "SQLAlchemy", "typer", "rich")


def describe() -> Iterator[str]:
    """Yield the lines that say what the benchmark runs on; nothing in them names the host, a user or a folder."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"CPU       {_cpu_model()}, {os.cpu_count()} cores"
    yield f"Memory    {memory_gib:.1f} GiB"
    yield f"System    {_system()}"
    yield f"Python    {platform.python_version()} ({platform.python_implementation()})"
    yield f"Packages  {', '.join(f'{name} {version(name)}' for name in PACKAGES)}"
    # Another busy process makes every figure worse: whoever reads them must be able to tell.
    yield f"Load      {os.getloadavg()[0]:.2f} in the minute before"


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    name = platform.system()
    with suppress(OSError):
        name = platform.freedesktop_os_release().get("PRETTY_NAME", name)
    return f"{name}, {platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}"
