"""The command line that both servers share: where the data is, what to do with it, how to start fast and end clean."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from sqlalchemy.engine import URL
from starlette.types import ASGIApp

from servers.database import Database, Fill, Schema, Unusable, open_database, reset_demo, upgrade_database

CANNOT_START = 3
INTERRUPTED = 130


class Runs(Protocol):
    """An MCP server."""

    @property
    def name(self) -> str:
        """Its name in a client's configuration."""
        ...

    def run(self) -> None:
        """Serve standard input and output until the client leaves."""
        ...

    def streamable_http_app(self, *, streamable_http_path: str, max_request_body_size: int) -> ASGIApp:
        """Return the application that serves HTTP, see `servers.web.Servable`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one server is made of."""

    schema: Schema
    fill: Fill
    create: Callable[[Database], Runs]
    copy_files: Callable[[bool], None] | None = None  # the demo's files; true: also over changed ones


def home() -> Path:
    """Return the data folder that SUPPORT_AGENT_HOME names; a new one is for its owner only.

    Raises:
        Unusable: the variable is not set, or there can be no such folder.
    """
    named = os.environ.get("SUPPORT_AGENT_HOME")
    if not named:
        raise Unusable("SUPPORT_AGENT_HOME is not set: let it name the folder for the helpdesk's data.")
    folder = Path(named).expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{folder} cannot be used as the data folder: {error.strerror}.") from error
    return folder


def database_url(component: str) -> str:
    """Return DATABASE_URL, else the URL of the component's SQLite file in the data folder.

    Raises:
        Unusable: as `home`.
    """
    named = os.environ.get("DATABASE_URL")
    if named:
        return named
    return URL.create("sqlite", database=str(home() / f"{component}.sqlite")).render_as_string(hide_password=False)


def main(service: Service) -> NoReturn:
    """Run one server's command line; it ends the process."""
    parser = _parser(service.schema.component)
    options = parser.parse_args()
    if options.reset and not options.demo:
        parser.error("--reset needs --demo: only demo data can be made anew")
    # Before the server is made: the SDK would install a handler of its own.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        url = database_url(service.schema.component)
        fill = _demo_of(service) if options.demo else None
        if options.reset:
            _reset(service, url)
        if options.upgrade:
            _upgrade(service.schema, url, fill)
        database = open_database(url, service.schema, fill)
        if options.demo and service.copy_files is not None:
            service.copy_files(False)  # noqa: FBT003 - see Service.copy_files
        run = _way_to_serve(service.create(database), options.http)
    except Unusable as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(CANNOT_START)
    # What the imports made lives as long as the process: no collection need ever look at it.
    gc.freeze()
    gc.enable()
    status = 0
    try:
        run()
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* BrokenPipeError:
        pass  # A client that was killed leaves without a word; answers to it then have nowhere to go.
    database.close()
    # The client has left and the data is on disk; taking the interpreter apart would only delay the client's exit.
    os._exit(status)


def _way_to_serve(server: Runs, port: int | None) -> Callable[[], None]:
    if port is None:
        return server.run
    from servers.web import HttpServer  # noqa: PLC0415 - over stdio no part of a web server is needed

    return HttpServer(server, port).run


def _demo_of(service: Service) -> Fill:
    if os.environ.get("DATABASE_URL"):
        raise Unusable(
            "DATABASE_URL names a database of your own, and the demo's rows never go there: "
            "start the server without --demo, or without DATABASE_URL."
        )
    return service.fill


def _upgrade(schema: Schema, url: str, fill: Fill | None) -> NoReturn:
    done = upgrade_database(url, schema, fill)
    tables = f"{done.place}: the tables for {schema.component}"
    match done.before:
        case None:
            sys.stdout.write(f"{tables} were created (schema {done.after}).\n")
        case done.after:
            sys.stdout.write(f"{tables} are up to date (schema {done.after}).\n")
        case _:
            sys.stdout.write(f"{tables} were upgraded from schema {done.before} to {done.after}.\n")
    sys.exit(0)


def _reset(service: Service, url: str) -> NoReturn:
    reset_demo(url, service.schema, service.fill)
    if service.copy_files is not None:
        service.copy_files(True)  # noqa: FBT003 - see Service.copy_files
    sys.stdout.write(f"The {service.schema.component} demo is as new.\n")
    sys.exit(0)


def _parser(component: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -P -m servers.{component}",
        description=f"Serve the built-in {component} server (MCP) on standard input and output, or over HTTP.",
        epilog="Data: DATABASE_URL (postgresql: or sqlite:), else a SQLite file in the folder that SUPPORT_AGENT_HOME "
        "names. Over HTTP, clients need the bearer token of SUPPORT_AGENT_SERVER_TOKEN, else one that is made.",
    )
    parser.add_argument("--demo", action="store_true", help="fill a database that does not exist yet with demo data")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--reset", action="store_true", help="with --demo: make the demo data anew, and do not serve")
    instead.add_argument("--upgrade", action="store_true", help="create or migrate the tables, and do not serve")
    parser.add_argument(
        "--http", type=_port, metavar="PORT", help="serve streamable HTTP on this port of 127.0.0.1; 0 is a free one"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)
