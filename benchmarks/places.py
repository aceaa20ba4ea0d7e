"""Where a measured command runs: an environment of its own, a fresh helpdesk, a model on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.messages_api import KEY

ROOT = Path(__file__).parents[1]
SUPPORT_AGENT = str(Path(sys.executable).parent / "support-agent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one command took, its child processes included."""

    wall_s: float
    cpu_s: float
    output: str  # stdout


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder in which commands run: their home, their working folder and nothing else of this user's."""

    folder: Path

    @property
    def home(self) -> Path:
        """SUPPORT_AGENT_HOME of the commands."""
        return self.folder / "data"

    @property
    def work(self) -> Path:
        """The folder that the commands are run in; configuration files may be put there."""
        return self.folder / "work"

    def environment(self, *, base_url: str | None = None) -> dict[str, str]:
        """Return all variables of a command; a model can only be the one at this address."""
        model = {} if base_url is None else {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": KEY}
        return {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            "SUPPORT_AGENT_HOME": str(self.home),
            **model,
        }

    def run(self, argv: Sequence[str], *, base_url: str | None = None) -> Cost:
        """Run a command to its end.

        Raises:
            SystemExit: it failed; nothing could be measured.
        """
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
            began = time.perf_counter()
            process = subprocess.Popen(
                argv,
                cwd=self.work,
                env=self.environment(base_url=base_url),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
            )
            _, status, used = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            complained.seek(0)
            if process.returncode != 0:
                sys.exit(f"{' '.join(argv)} ended with {process.returncode}:\n{complained.read().decode()}")
            return Cost(wall_s=wall_s, cpu_s=used.ru_utime + used.ru_stime, output=said.read().decode())

    def restore(self, helpdesk: Path) -> None:
        """Put a copy of this helpdesk's data where the commands look for it."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(helpdesk, self.home)


@contextmanager
def temporary_place() -> Generator[Place]:
    """Yield a place that is removed with everything in it."""
    with tempfile.TemporaryDirectory(prefix="support-agent-benchmark-") as folder:
        place = Place(folder=Path(folder))
        place.work.mkdir()
        yield place


@contextmanager
def messages_api(script: Path, *, delay_s: float = 0) -> Generator[str]:
    """Start a Messages API that plays this script to every conversation, in a process of its own; yield its address."""
    argv = [sys.executable, "-m", "tests.fakes.messages_api", "--script", str(script), "--delay", str(delay_s)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if not (url := process.stdout.readline().strip()):
                sys.exit("The Messages API did not start.")
            yield url
        finally:
            process.terminate()
