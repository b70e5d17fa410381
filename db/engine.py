"""The engine of a database URL, its transactions, and what a fork must not share."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError

from db import sqlite
from db.faults import translated
from pipeline.errors import ConfigurationError

#: A worker's child works on one batch at a time; the second connection is for a look at the ledger meanwhile.
POOL_SIZE = 2
#: Longest wait to connect, for a lock, and for the client inside a transaction, in seconds.
CONNECT_SECONDS = 5
LOCK_SECONDS = 5
IDLE_SECONDS = 60
#: SQLSTATE of a write in a read-only session.
READ_ONLY_CODE = "25006"
#: Execution option that says how a SQLite transaction begins.
_BEGIN = "sluice_begin"

_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()
_inherited: list[Any] = []


def make_engine(
    url: str, *, statement_seconds: float = 30, application_name: str = "sluice", readers: int = 0
) -> Engine:
    """Return an engine for PostgreSQL or SQLite; nothing connects yet.

    A statement on PostgreSQL ends after `statement_seconds`. In a forked child the engine forgets its
    connections and makes new ones, so parent and child never share one. With `readers` it keeps so many
    connections, and none of them can write.

    Raises:
        ConfigurationError: an unusable URL, another dialect, SQLite older than 3.35, or a SQLite file where
            SQLite is not safe.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite_engine(parsed, readers)
    else:
        engine = _postgresql_engine(parsed, statement_seconds, application_name, readers)
    _engines.add(engine)
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The error's text may hold the URL, and with it the password.
        raise ConfigurationError("DATABASE_URL: not a URL such as postgresql://user@host/name") from error
    if parsed.get_backend_name() not in ("postgresql", "sqlite"):
        raise ConfigurationError("DATABASE_URL: use postgresql:// or sqlite://")
    return parsed


def _sqlite_engine(url: URL, readers: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("DATABASE_URL: SQLite needs a file, several processes share it")
    sqlite.require_version()
    sqlite.refuse_network(Path(url.database))
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        pool_size=readers or POOL_SIZE,
        hide_parameters=True,
        connect_args={"timeout": sqlite.BUSY_SECONDS},
    )
    event.listen(engine, "connect", lambda connection, _record: sqlite.prepare(connection))
    if readers:
        event.listen(engine, "connect", lambda connection, _record: sqlite.forbid_writes(connection))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    # The driver would begin late, at the first write, and then fail at once where it should wait.
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE"))


def _postgresql_engine(url: URL, statement_seconds: float, application_name: str, readers: int) -> Engine:
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": LOCK_SECONDS,
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    # What is asked here takes less time than compiling it would: of a second, two thirds were that.
    options = "-c jit=off " + " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items())
    if readers:
        options += " -c default_transaction_read_only=on"
    given = url.query.get("options", "")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg2").difference_update_query(["options"]),
        pool_size=readers or POOL_SIZE,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "options": f"-c timezone=UTC {options} {given}".strip(),
            "connect_timeout": CONNECT_SECONDS,
            "application_name": application_name,
            "client_encoding": "utf8",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "connect", _require_utf8)
    event.listen(engine, "handle_error", _leave_read_only_session)
    return engine


def _leave_read_only_session(context: ExceptionContext) -> None:
    # A session that began on a standby, or in a database that was read-only then, stays so for its life.
    if getattr(context.original_exception, "pgcode", None) == READ_ONLY_CODE:
        context.is_disconnect = True


def _require_utf8(connection: Any, _record: object) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"DATABASE_URL: the database has the encoding {encoding}; log lines need UTF8. "
            "Create it with `createdb -E UTF8 -T template0 NAME`."
        )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that commits at the end and rolls back on any error.

    On SQLite it holds the write lock from the beginning.

    Raises:
        DatabaseUnavailable, ConfigurationError, ValuesRefused: see `db.faults`.
    """
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a read-only view of one moment: what commits meanwhile is not seen.

    It never waits for writers and no writer waits for it.

    Raises:
        DatabaseUnavailable, ConfigurationError, ValuesRefused: see `db.faults`.
    """
    options: dict[str, Any] = {_BEGIN: "BEGIN"}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with translated(), engine.execution_options(**options).begin() as connection:
        yield connection


def _forget_connections() -> None:
    # The pools are kept and never closed: closing what the parent uses would end its sessions, and would
    # make SQLite remove a log that the parent still writes.
    for engine in list(_engines):
        _inherited.append(engine.pool)
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)
