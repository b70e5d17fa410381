"""A subject's value outside of lines: in conflicts, in what was noticed of lines, in counts by values."""

import hashlib
from collections.abc import Iterator
from typing import Any

import zstandard
from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from db.conflicts import conflict_block
from db.engine import reading, transaction
from db.erasure_search import Search, contains
from db.models import Base, Conflict
from pipeline.formats.redaction import MASK
from pipeline.subject import Subject, blanked

#: Text and JSON made of lines, by table; every other one is in `tests/unit/test_erasure_texts.py`.
NOTICED = {
    "drift_events": ("changes", "examples"),
    "drift_states": ("state",),
    "detection_states": ("state",),
    "findings": ("subject", "summary"),
    "silences": ("target", "reason"),
    "alerts": ("content", "problem"),
}
#: Counts of records: a row is of the values of these columns.
COUNTED = {
    "traffic_days": ("value",),
    "traffic_minutes": ("rest_method", "host"),
    "traffic_latencies": ("host",),
    "traffic_latency_minutes": ("rest_method", "host"),
    "traffic_visitor_minutes": ("rest_method", "host"),
}
#: Values of one statement, and rows that are in memory at once.
VALUES_AT_ONCE = 500
ROWS_AT_ONCE = 100


def conflicts_with(engine: Engine, subject: Subject) -> list[int]:
    """Return the ids of the conflicts whose bytes hold the value, one block at a time in memory.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    query = select(*Conflict.__table__.columns).order_by(Conflict.id)
    with reading(engine) as connection:
        rows = connection.execute(query.execution_options(yield_per=1)).mappings()
        return [row["id"] for row in rows if subject.lines_of(conflict_block(Conflict(**row)))]


def blank_conflicts(engine: Engine, subject: Subject, ids: list[int]) -> None:
    """Put stars in the place of those lines of conflicts that hold the value.

    Raises:
        DatabaseUnavailable: those before are changed.
    """
    query = select(*Conflict.__table__.columns)
    for id_ in ids:
        with transaction(engine) as connection:
            rows = connection.execute(query.where(Conflict.id == id_).with_for_update())
            if (found := rows.mappings().first()) is not None:
                _blank_conflict(connection, subject, Conflict(**found))


def _blank_conflict(connection: Connection, subject: Subject, conflict: Conflict) -> None:
    held = conflict_block(conflict)
    block = blanked(held, subject.lines_of(held))
    checksum = hashlib.sha256(block).digest()
    other = aliased(Conflict)
    same = exists().where(
        other.source_id == conflict.source_id, other.stage == conflict.stage, other.id != conflict.id,
        other.start_offset == conflict.start_offset, other.end_offset == conflict.end_offset,
        other.checksum == checksum,
    )  # fmt: skip
    own = Conflict.id == conflict.id
    if connection.execute(select(same)).scalar_one():
        # Without the subject's lines it says what another one says already.
        connection.execute(delete(Conflict).where(own))
        return
    values = {"block": zstandard.compress(block), "checksum": checksum}
    connection.execute(update(Conflict).where(own).values(values))


def mask_noticed(engine: Engine, subject: Subject, *, dry_run: bool = False) -> dict[str, int]:
    """Put stars in the place of texts that hold the value; return how many rows had one, by table.

    Raises:
        DatabaseUnavailable: what was changed before stays so.
    """
    counts = {}
    for name, columns in NOTICED.items():
        table = Base.metadata.tables[name]
        keys = list(_rows_with(engine, subject, table, columns))
        counts[name] = len(keys)
        for key in [] if dry_run else keys:
            _mask_row(engine, subject, table, columns, key)
    return counts


def _rows_with(engine: Engine, subject: Subject, table: Table, columns: tuple[str, ...]) -> Iterator[Any]:
    (key,) = table.primary_key.columns
    query = select(key, *(table.c[name] for name in columns)).order_by(key)
    with reading(engine) as connection:
        for id_, *values in connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
            if any(_masked(value, subject) != value for value in values):
                yield id_


def _mask_row(engine: Engine, subject: Subject, table: Table, columns: tuple[str, ...], key: Any) -> None:
    (column,) = table.primary_key.columns
    own = column == key
    try:
        with transaction(engine) as connection:
            query = select(*(table.c[name] for name in columns)).where(own).with_for_update()
            row = connection.execute(query).mappings().first()
            if row is not None:
                masked = {name: _masked(row[name], subject) for name in columns}
                connection.execute(update(table).where(own).values(masked))
    except IntegrityError:
        # With stars it is the same as another row.
        with transaction(engine) as connection:
            connection.execute(delete(table).where(own))


def _masked(value: Any, subject: Subject) -> Any:
    """Return a text, or a value of JSON, with stars for each text that holds the value, which may be a line.

    What a map has under such a name goes with it.
    """
    if isinstance(value, str):
        return MASK if subject.holds(value) else value
    if isinstance(value, list):
        return [_masked(each, subject) for each in value]
    if isinstance(value, dict):
        return {name: _masked(each, subject) for name, each in value.items() if not subject.holds(name)}
    return value


def delete_counted(engine: Engine, search: Search, *, dry_run: bool = False) -> dict[str, int]:
    """Delete the counts of values that hold the subject's, whose records are gone; return the rows by table.

    Raises:
        DatabaseUnavailable: what was deleted before stays so.
    """
    counts = {}
    for name, columns in COUNTED.items():
        table = Base.metadata.tables[name]
        counts[name] = sum(
            len(values) if dry_run else _delete_values(engine, search, table, column, sorted(values))
            for column in columns
            if (values := _values_with(engine, search, table, column))
        )
    return counts


def _values_with(engine: Engine, search: Search, table: Table, column: str) -> set[str]:
    subject, value = search.subject, table.c[column]
    query = select(value).distinct().where(value.is_not(None), *_of_source(search, table))
    if engine.dialect.name == "postgresql":
        query = query.where(contains(value, subject, subject.pseudonyms))
    # Of records that stay where they only hold the word, the counts stay too.
    holds = subject.is_field if search.fields_only else subject.holds
    with reading(engine) as connection:
        rows = connection.scalars(query.execution_options(yield_per=ROWS_AT_ONCE))
        return {text for text in rows if holds(text)}


def _delete_values(engine: Engine, search: Search, table: Table, column: str, values: list[str]) -> int:
    count = 0
    for index in range(0, len(values), VALUES_AT_ONCE):
        those = table.c[column].in_(values[index : index + VALUES_AT_ONCE])
        with transaction(engine) as connection:
            count += connection.execute(delete(table).where(those, *_of_source(search, table))).rowcount
    return count


def _of_source(search: Search, table: Table) -> list[ColumnElement[bool]]:
    return [] if search.source_id is None else [table.c.source_id == search.source_id]
