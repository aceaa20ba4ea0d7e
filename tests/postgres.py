"""A PostgreSQL of the test run's own: started when the first test asks, gone when the run ends, however it ends.

It is made of Debian's package (`apt-get install postgresql`), keeps its data in a folder under /tmp, and touches no
server that the machine has. Where none can be had, what needs it is skipped with the reason; with REQUIRE_POSTGRES=1,
as in CI, it fails.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import OperationalError

from tests.ports import own_port

PASSWORD = "s3cret-Qx7/pass"
"""Of the one user; in a URL it is percent-encoded."""

USER = "helpdesk"

_IN_USE = "55006"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "50ms",
    "max_connections": "200",
    "unix_socket_directories": "..",  # beside the data, in which it runs
}

# The shell outlives nobody: when the run ends, its end of the pipe closes, `read` returns, and all is taken away.
_LIFE = """
cd "$1"
"$0/pg_ctl" -D data -l log -t 600 -w start >&2 && echo ready && read -r _
"$0/pg_ctl" -D data -m immediate stop >&2
rm -rf "$1"
"""


class Postgres:
    """A running server: databases are made from templates in it, and dropped."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._names = (f"test_{number}" for number in count(1))
        self._admin = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")

    def url(self, database: str, *, driver: str = "postgresql+psycopg") -> str:
        """Return a URL by way of the socket, where nobody is asked for a password."""
        return f"{driver}://{USER}@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, password: str = PASSWORD) -> str:
        """Return a URL as teams write it."""
        return f"postgresql://{USER}:{password.replace('/', '%2F')}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template0") -> str:
        """Make a database like another one, and return its name."""
        name = next(self._names)
        self._alone(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, with whoever is still connected to it."""
        self._alone(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def connected(self, name: str) -> Generator[Connection]:
        """Look into a database, or change it behind everyone's back."""
        engine = create_engine(self.url(name), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def control(self, *arguments: str) -> None:
        """Run pg_ctl on this server and wait for the end: `stop -m fast`, `start`, `restart`."""
        command = [binaries() / "pg_ctl", "-D", "data", "-l", "log", "-t", "600", "-w", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **_unprivileged())

    def close(self) -> None:
        self._admin.dispose()

    def _alone(self, statement: str) -> None:
        """Do what wants a database for itself: on a busy machine, who has left it may be on the way for long."""
        for tries_left in reversed(range(60)):  # each of them waits for five seconds
            try:
                with self._admin.connect() as connection:
                    connection.exec_driver_sql(statement)
                return
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _IN_USE or not tries_left:
                    raise


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL that is installed; its name ends in a version."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not found:
        missing("PostgreSQL is not installed (apt-get install postgresql)")
    return max(found, key=lambda path: int(path.parent.name))


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it where PostgreSQL must be there."""
    if os.environ.get("REQUIRE_POSTGRES"):
        pytest.fail(f"REQUIRE_POSTGRES is set, and {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def running_postgres() -> Generator[Postgres]:
    """Run a server of one's own."""
    if importlib.util.find_spec("psycopg") is None:
        missing("psycopg is not installed (pip install -e '.[dev]')")
    programs = binaries()
    folder = Path(tempfile.mkdtemp(prefix="support-agent-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, _account().pw_name)
    _initialize(programs, folder)
    with own_port() as port, _serving(programs, folder, port) as server:
        yield server


@contextmanager
def _serving(programs: Path, folder: Path, port: int) -> Generator[Postgres]:
    _configure(folder, {**_SETTINGS, "port": str(port)})
    with subprocess.Popen(
        ["/bin/sh", "-c", _LIFE, programs, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **_unprivileged(),
    ) as life:
        assert life.stdout is not None
        assert life.stdout.readline() == b"ready\n", "PostgreSQL did not start"
        server = Postgres(folder, port)
        try:
            yield server
        finally:
            server.close()


def _initialize(programs: Path, folder: Path) -> None:
    # An order of texts that no program expects: what must not depend on it fails where it does.
    has_icu = int(programs.parent.name) >= 15
    icu = ["--locale-provider=icu", "--icu-locale=en"] if has_icu else []
    users = ["-U", USER, "--pwfile=password", "--auth-local=trust", "--auth-host=scram-sha-256"]
    password = folder / "password"
    password.write_text(PASSWORD)
    subprocess.run(
        [programs / "initdb", "-D", "data", "-E", "UTF8", "--locale=C.UTF-8", *icu, "--no-sync", *users],
        cwd=folder,
        check=True,
        capture_output=True,
        **_unprivileged(),
    )


def _configure(folder: Path, settings: Mapping[str, str]) -> None:
    with (folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def _unprivileged() -> Mapping[str, Any]:
    """How a child is started as somebody who may run PostgreSQL, which refuses root."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    if os.geteuid() != 0:
        return {"env": environment}
    account = _account()
    return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
