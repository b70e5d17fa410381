"""Databases of the tests: each made from a template, in memory where there is room."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2

#: Of a private server: it need not outlive a killed machine, nor be copied, nor look after large tables.
SERVER_OPTIONS = {
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
#: Where servers and databases are, if it has room for them: making their files costs a tenth there.
MEMORY = Path("/dev/shm")
#: What must be free in it, in bytes; containers often have 64 MiB.
MEMORY_BYTES = 2 << 30
#: Of the names of folders, before the number of the process that made them.
PREFIX = "sluice-tests-"


def delete_left_folders() -> None:
    """Delete from memory the folders of processes that were killed."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(PREFIX).partition("-")[0])):
            shutil.rmtree(folder, ignore_errors=True)


def new_folder(stack: ExitStack) -> Path:
    """Return a new folder, in memory if there is room, that goes with the stack."""
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY if roomy else None)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def execute(url: str, statement: str) -> None:
    """Execute a statement outside of a transaction."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()


def create_database(server: str, name: str, template: str) -> None:
    """Make a database like a template."""
    connection = psycopg2.connect(server)
    # Half the time of writing a template to the log; older servers do nothing else.
    strategy = "STRATEGY file_copy" if connection.server_version >= 150_000 else ""
    connection.close()
    execute(server, f'CREATE DATABASE "{name}" ENCODING \'UTF8\' TEMPLATE "{template}" {strategy}')


def named(url: str, name: str) -> str:
    """Return the URL of a database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


_serial = iter(range(1_000_000_000))


def new_database(server: str, template: str) -> Iterator[str]:
    """Yield the URL of a new database like a template, and drop it."""
    name = f"sluice_test_{os.getpid()}_{next(_serial)}"
    execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    create_database(server, name, template)
    yield named(server, name)
    execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def new_sqlite() -> Iterator[str]:
    """Yield the URL of a new, migrated SQLite database, and delete it."""
    with ExitStack() as stack:
        url = f"sqlite:///{new_folder(stack) / 'sluice.db'}"
        migrate(url)
        yield url


@cache
def sqlite_template() -> Path:
    """Return the folder of a migrated SQLite database to copy, there until the process ends."""
    from db import schema  # noqa: PLC0415 - tests without a database need not import it

    stack = ExitStack()
    atexit.register(stack.close)
    folder = new_folder(stack)
    schema.upgrade(f"sqlite:///{folder / 'sluice.db'}")
    return folder


def migrate(url: str) -> None:
    """Make a SQLite database at the newest version of the schema, as `schema.upgrade` does, by a copy."""
    path = Path(url.removeprefix("sqlite:///"))
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in sqlite_template().iterdir():  # a write-ahead log may be left beside it
        shutil.copy(part, path.parent / part.name.replace("sluice.db", path.name))
