"""`python -P -m servers.customers`: the customer records on standard input and output."""

import gc

gc.disable()  # a collection during the imports frees nothing and costs a quarter of them

# ruff: noqa: E402 - the imports are what the collector is off for

from sqlalchemy import Connection

from servers import command, demo
from servers.customers.server import create_server
from servers.customers.store import CustomerStore, insert_demo
from servers.customers.tables import SCHEMA
from servers.database import Database


def _fill(connection: Connection) -> None:
    insert_demo(connection, demo.customers())


def _create(database: Database) -> command.Runs:
    return create_server(CustomerStore(database))


if __name__ == "__main__":
    command.main(command.Service(schema=SCHEMA, fill=_fill, create=_create))
