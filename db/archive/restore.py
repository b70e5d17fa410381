"""An archive into an empty database: every row as it was, in one transaction."""

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text, update

from db import schema
from db.archive.container import READ_BYTES, Archive, ArchiveDamaged
from db.archive.tables import TABLES, columns_of, is_empty, names, readers, tables_of
from db.engine import transaction
from db.models import Segment
from pipeline.errors import ConfigurationError

#: Rows that one statement takes on SQLite.
ROWS = 5000
#: Tables whose ids count up by themselves.
_COUNTED = ("sources", "formats", "segments", "removals", "conflicts")


def require_known(archive: Archive) -> None:
    """Return if this Sluice can read the archive's tables.

    Raises:
        ConfigurationError: a newer Sluice wrote it.
    """
    version = archive.manifest.get("schema")
    if not schema.is_known(str(version)):
        raise ConfigurationError(f"{archive.path} has schema {version}, which only a newer Sluice knows")
    for table in tables_of(archive):
        columns_of(archive, table)


def restore(engine: Engine, archive: Archive) -> dict[str, int]:
    """Fill an empty database of either kind with all rows of a verified archive; return them by table.

    Raises:
        ConfigurationError: the database is not empty, or the archive's schema is not known.
        ArchiveDamaged: the archive holds fewer or more rows than it says; nothing is stored.
        DatabaseUnavailable: nothing is stored.
    """
    require_known(archive)
    with transaction(engine) as connection:
        load = _load_postgresql if connection.dialect.name == "postgresql" else _load_sqlite
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE sources IN SHARE ROW EXCLUSIVE MODE"))
        if not is_empty(connection):
            raise ConfigurationError(
                "DATABASE_URL: the database is not empty: restore into a new one, or take a part with "
                "--source or --day, which adds only what is missing"
            )
        rows = {table: load(connection, archive, table) for table in tables_of(archive)}
        # The counts for reports are no part of an archive: they follow from the records.
        connection.execute(update(Segment).values(is_counted=False))
        _compare(archive, rows)
        if connection.dialect.name == "postgresql":
            _count_on(connection)
    return rows


def _compare(archive: Archive, rows: dict[str, int]) -> None:
    for table, count in rows.items():
        said = archive.manifest["tables"][table]["rows"]
        if count != said:
            raise ArchiveDamaged(f"{archive.path}: {table} has {count} rows and not {said}")


def _load_postgresql(connection: Connection, archive: Archive, table: str) -> int:
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection in a transaction has its driver's connection"
    target = f"{table} ({names(columns_of(archive, table))})"
    with archive.stream(table) as stream, driver.cursor() as cursor:
        cursor.copy_expert(f"COPY {target} FROM STDIN", stream, size=READ_BYTES)
        return int(cursor.rowcount)


def _count_on(connection: Connection) -> None:
    for table in _COUNTED:
        last = select(func.max(TABLES[table].columns["id"])).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table, "id")
        connection.execute(select(func.setval(sequence, last)))


def _load_sqlite(connection: Connection, archive: Archive, table: str) -> int:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "SQLite's dialect has SQLite's connection"
    columns = columns_of(archive, table)
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({names(columns)}) VALUES ({marks})"  # noqa: S608 - our names
    count = 0
    values = _values(archive, table, columns)
    while rows := list(islice(values, ROWS)):
        driver.executemany(statement, rows)
        count += len(rows)
    return count


def _values(archive: Archive, table: str, columns: list[str]) -> Iterator[list[Any]]:
    makers = readers(table, columns)
    for fields in archive.rows(table):
        yield [make(field) for make, field in zip(makers, fields, strict=True)]
