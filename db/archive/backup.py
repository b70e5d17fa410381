"""Everything that is stored, as it was at one moment, into an archive; stages go on storing meanwhile."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from sqlalchemy import Connection, Engine, select, text

from db import ledger, schema
from db.archive.container import ArchiveWriter, Sink
from db.archive.tables import COLUMNS, TABLES, names, sqlite_line
from db.engine import reading
from db.ledger import STAGES
from db.models import Source

#: Name of the member that holds the checkpoint.
CHECKPOINT = "checkpoint"
#: Rows that one write takes on SQLite.
ROWS = 5000
#: What the text of a value depends on.
_FORMS = text("SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'")


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What an archive holds: rows of each table, and confirmed bytes that a stage had not stored yet."""

    rows: dict[str, int]
    behind_bytes: int


def backup(
    engine: Engine, archive: ArchiveWriter, checkpoint: bytes = b"", offsets: Mapping[str, int] | None = None
) -> BackedUp:
    """Write all tables, from one moment's view of the database, and the checkpoint; then the manifest.

    The checkpoint must be older than the call: what it confirms is then stored, or counted as behind.

    Raises:
        DatabaseUnavailable: the archive is not one.
    """
    with archive.stream(CHECKPOINT) as sink:
        sink.write(checkpoint)
    rows = {}
    with reading(engine) as connection:
        write = _write_postgresql if connection.dialect.name == "postgresql" else _write_sqlite
        for table in TABLES:
            with archive.stream(table) as sink:
                rows[table] = write(connection, table, sink)
        version = schema.version_of(connection)
        behind = _behind(connection, offsets or {})
    tables = {name: {"rows": rows[name], "columns": _columns(name)} for name in TABLES}
    made = {"made_at": datetime.now(UTC).isoformat(), "schema": version, "behind_bytes": behind}
    archive.finish({**made, "dialect": engine.dialect.name, "tables": tables})
    return BackedUp(rows, behind)


def _columns(table: str) -> list[str]:
    return [column.name for column in COLUMNS[table]]


def _write_postgresql(connection: Connection, table: str, sink: Sink) -> int:
    connection.execute(_FORMS)
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection in a transaction has its driver's connection"
    # A query and not the table: a partitioned one has no rows of its own.
    query = f"SELECT {names(_columns(table))} FROM {table}"  # noqa: S608 - our names
    with driver.cursor() as cursor:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT", sink)
        return int(cursor.rowcount)


def _write_sqlite(connection: Connection, table: str, sink: Sink) -> int:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "SQLite's dialect has SQLite's connection"
    cursor = driver.execute(f"SELECT {sqlite_line(table)} FROM {table}")  # noqa: S608 - our names
    count = 0
    while lines := cursor.fetchmany(ROWS):
        sink.write("\n".join(chain(chain.from_iterable(lines), ("",))).encode())
        count += len(lines)
    return count


def behind_bytes(engine: Engine, offsets: Mapping[str, int]) -> int:
    """Return how many confirmed bytes the stages have not stored yet, both stages together.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        return _behind(connection, offsets)


def _behind(connection: Connection, offsets: Mapping[str, int]) -> int:
    query = select(Source.key, Source.id)
    ids = {key: source_id for key, source_id in connection.execute(query)}  # noqa: C416 - rows, not pairs
    return sum(
        high - low
        for key, offset in offsets.items()
        for stage in STAGES
        for low, high in ledger.gaps(connection, ids.get(key, 0), stage, offset)
    )
