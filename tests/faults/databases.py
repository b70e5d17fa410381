"""Databases and virtual hosts of the suite, each empty and with a name of its own."""

import contextlib
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from tests.services import PrivatePostgres, PrivateRabbit

_serial = iter(range(1_000_000))


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def new_database(server: PrivatePostgres, options: str = "") -> str:
    """Create an empty database on a private server and return its URL."""
    name = f"faults_{next(_serial)}"
    execute(server.url, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0 {options}")
    return urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))


def new_virtual_host(node: PrivateRabbit) -> str:
    """Create an empty virtual host on a private node and return its URL."""
    name = f"faults-{next(_serial)}"
    node.ctl("add_vhost", name)
    node.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    return node.url.removesuffix("/") + name


def virtual_host(url: str) -> str:
    """Return the name of the virtual host of a broker's URL, or of the first of several."""
    return urlsplit(url.partition(";")[0]).path[1:]
