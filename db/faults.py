"""Driver errors, sorted by what to do: wait, change the configuration, or set the values apart.

    DatabaseUnavailable     away, locked, full, restarting, or asks for the transaction to be tried again
    ConfigurationError      the schema is behind, or the database is not usable at all
    ValuesRefused           the database does not take a value of this batch

Any other driver error goes on as it is: it is unknown, and saying otherwise would hide it. No message
made here holds a value, since values are log lines, nor the URL, since it holds the password.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipeline.errors import ConfigurationError, DatabaseUnavailable, PermanentError, PipelineError

#: SQLSTATE classes and codes that pass by themselves: connections, transaction rollbacks, resources,
#: shutdowns and cancellations, I/O errors, lock timeouts, objects in use, read-only, idle for too long
#: (https://www.postgresql.org/docs/current/errcodes-appendix.html).
WAIT_CODES = ("08", "40", "53", "57", "58", "55P03", "55006", "25006", "25P03")
#: Missing table, column, schema, database; a wrong password or role; missing permission.
CONFIGURATION_CODES = ("42P01", "42703", "3F000", "3D000", "28", "42501")
VALUE_CODES = ("22",)

SCHEMA_HINT = "Run `python -m pipeline migrate`; `python -m pipeline check` says what is missing."

_SQLITE_WAIT = ("locked", "busy", "disk i/o", "is full", "readonly", "interrupted")
_SQLITE_SCHEMA = ("no such table", "no such column", "has no column")
_SQLITE_UNUSABLE = ("unable to open", "not a database", "malformed")


class ValuesRefused(PermanentError):  # noqa: N818 - named as the other outcomes are
    """The database refuses a value of the batch."""


def translate(error: Exception) -> PipelineError | None:
    """Return the error of Sluice that says what to do about a driver's error, or None if it is unknown."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg2.Error):
        return _from_postgresql(cause)
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause)
    return (
        DatabaseUnavailable("no connection of the pool is free") if isinstance(cause, PoolTimeout) else None
    )


def _from_postgresql(error: psycopg2.Error) -> PipelineError | None:
    code = error.pgcode or ""
    if code.startswith(VALUE_CODES):
        return ValuesRefused(f"the database refuses a value (SQLSTATE {code})")
    said = error.diag.message_primary or " ".join(str(error).split()) or "connection lost"
    text = f"DATABASE_URL: PostgreSQL: {said}"
    if not code and isinstance(error, psycopg2.ProgrammingError):
        return ConfigurationError(text)  # the driver itself does not understand the URL
    if code.startswith(CONFIGURATION_CODES):
        return ConfigurationError(f"{text}. {SCHEMA_HINT}")
    # Without a code it did not come from the server: the connection is the matter.
    away = not code and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    if away or code.startswith(WAIT_CODES):
        return DatabaseUnavailable(text)
    return None


def _from_sqlite(error: sqlite3.Error) -> PipelineError | None:
    text = str(error)
    if isinstance(error, sqlite3.DataError):
        return ValuesRefused(f"the database refuses a value: {text}")
    lowered = text.lower()
    if any(mark in lowered for mark in _SQLITE_SCHEMA):
        return ConfigurationError(f"SQLite: {text}. {SCHEMA_HINT}")
    if any(mark in lowered for mark in _SQLITE_UNUSABLE):
        return ConfigurationError(f"DATABASE_URL or SLUICE_STATE_DIR: SQLite: {text}")
    if any(mark in lowered for mark in _SQLITE_WAIT):
        return DatabaseUnavailable(f"DATABASE_URL or SLUICE_STATE_DIR: SQLite: {text}")
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Raise what the driver raises as the errors of Sluice, the driver's own error as the cause.

    Raises:
        DatabaseUnavailable: waiting can help.
        ConfigurationError: it cannot, and a person has to change something.
        ValuesRefused: the batch holds a value that the database does not take.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout, psycopg2.Error, sqlite3.Error) as error:
        known = translate(error)
        if known is None:
            raise
        raise known from error
