"""What is exported: clean records by their own time, or the lake's lines by when they were stored.

One transaction sees one moment, however long the export takes. Rows come through a cursor of the server, or
of SQLite, so memory holds one chunk.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, inspect, select, text, tuple_

from db import lines
from db.columns import moment_text
from db.engine import reading
from db.ledger import LAKE
from db.models import RawLog, Segment
from db.rebuild import LakeGap
from db.removals import Place, removed_ranges
from db.summaries import prefer_summaries, summarise
from pipeline.export.table import Chunk, Column, Table
from pipeline.formats.base import COLUMNS, ColumnType

#: Rows of clean records in one chunk.
CHUNK_ROWS = 5000
#: Segments whose bounds are in memory at once.
PAGE_SEGMENTS = 500

#: Columns of the view that are none of COLUMNS.
_OF_VIEW = {
    **dict.fromkeys(("source_id", "year", "month", "day", "format_version"), ColumnType.INTEGER),
    "line_start": ColumnType.BIGINT,
    **dict.fromkeys(("is_email", "is_complete"), ColumnType.BOOLEAN),
    **dict.fromkeys(("size_kilo_bytes", "size_mega_bytes"), ColumnType.DOUBLE),
}
#: What PostgreSQL is asked for instead of a column, so that its driver gives what the types promise.
_CAST = {ColumnType.DOUBLE: "float8", ColumnType.JSON: "text", ColumnType.TEXT: "text"}
_LAKE = (
    Column("source_id", ColumnType.INTEGER),
    Column("line_start", ColumnType.BIGINT),
    Column("stored_at", ColumnType.TIMESTAMP),
    Column("line", ColumnType.TEXT),
    Column("raw_base64", ColumnType.TEXT),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported.

    Attributes:
        since, until: aware datetimes, [since, until), None without a bound: of a clean record its own time,
            of a lake's line the time at which its segment was stored.
        source_id: of one source; None is every source.
    """

    since: datetime | None = None
    until: datetime | None = None
    source_id: int | None = None


@contextmanager
def clean_table(engine: Engine, selection: Selection, chunk_rows: int = CHUNK_ROWS) -> Iterator[Table]:
    """Yield the rows of the view clean_logs, in the order in which the database reads them fastest.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    summarise(engine)
    with snapshot(engine) as connection:
        columns = tuple(
            Column(name, COLUMNS.get(name) or _OF_VIEW.get(name, ColumnType.TEXT))
            for name in (found["name"] for found in inspect(connection).get_columns("clean_logs"))
        )
        yield Table(columns, _clean_chunks(connection, columns, selection, chunk_rows))


@contextmanager
def lake_table(engine: Engine, selection: Selection, page_segments: int = PAGE_SEGMENTS) -> Iterator[Table]:
    """Yield the lake's lines by place; `raw_base64` is NULL where `line` and a newline are all of it.

    Raises:
        DatabaseUnavailable: the database does not answer.
        LakeGap: while rows are taken: those of a segment are not its bytes.
    """
    summarise(engine)
    with snapshot(engine) as connection:
        prefer_summaries(connection)
        yield Table(_LAKE, _lake_chunks(connection, selection, page_segments))


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a view of one moment for rows that are taken slowly.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            # Whoever takes the rows may be slow, as a person who reads them page by page.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield connection


def _clean_chunks(
    connection: Connection, columns: Sequence[Column], selection: Selection, chunk_rows: int
) -> Iterator[Chunk]:
    postgresql = connection.dialect.name == "postgresql"
    names = ", ".join(_expression(column, postgresql=postgresql) for column in columns)
    bounds: dict[str, Any] = {"since": selection.since, "until": selection.until}
    given = {
        name: value if postgresql else moment_text(value)
        for name, value in bounds.items()
        if value is not None
    }
    where = [{"since": '"timestamp" >= :since', "until": '"timestamp" < :until'}[name] for name in given]
    if selection.source_id is not None:
        where.append("source_id = :source_id")
        given["source_id"] = selection.source_id
    if where:
        prefer_summaries(connection)
    query = f"SELECT {names} FROM clean_logs WHERE {' AND '.join(where) or 'TRUE'}"  # noqa: S608 - our names
    rows = connection.execution_options(yield_per=chunk_rows).execute(text(query), given)
    for part in rows.partitions(chunk_rows):
        chunk: list[Sequence[Any]] = list(zip(*part, strict=True))
        yield chunk if postgresql else list(map(_of_sqlite, columns, chunk))


def _expression(column: Column, *, postgresql: bool) -> str:
    cast = _CAST.get(column.type) if postgresql else None
    return f'"{column.name}"' + (f"::{cast}" if cast else "")


def _of_sqlite(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.type is ColumnType.TIMESTAMP:
        return [datetime.fromisoformat(value).replace(tzinfo=UTC) for value in values]
    if column.type is ColumnType.BOOLEAN:
        return [None if value is None else bool(value) for value in values]
    return values


def _lake_chunks(connection: Connection, selection: Selection, page_segments: int) -> Iterator[Chunk]:
    for source_id, start, end, stored_at in _segments(connection, selection, page_segments):
        query = (
            select(RawLog.line_start, RawLog.line, RawLog.raw)
            .where(RawLog.source_id == source_id, RawLog.line_start >= start, RawLog.line_start < end)
            .order_by(RawLog.line_start)
        )
        rows = connection.execute(query).all()
        held = [(row.line_start, row.line_start + len(lines.original(row.line, row.raw))) for row in rows]
        removed = removed_ranges(connection, Place(source_id, LAKE), start, end)
        # Every byte is in one line, but for those that were removed on purpose.
        places = sorted([*held, *((max(low, start), min(high, end)) for low, high in removed)])
        if [start, *(high for _, high in places)] != [*(low for low, _ in places), end]:
            raise LakeGap(source_id, [(start, end)])
        if not rows:
            continue
        starts, texts, raws = zip(*rows, strict=True)
        coded = [None if raw is None else base64.b64encode(raw).decode() for raw in raws]
        yield [source_id] * len(rows), starts, [stored_at] * len(rows), texts, coded


def _segments(
    connection: Connection, selection: Selection, page_segments: int
) -> Iterator[tuple[int, int, int, datetime]]:
    query = select(Segment.source_id, Segment.start_offset, Segment.end_offset, Segment.stored_at).where(
        Segment.stage == LAKE
    )
    if selection.source_id is not None:
        query = query.where(Segment.source_id == selection.source_id)
    if selection.since is not None:
        query = query.where(Segment.stored_at >= selection.since)
    if selection.until is not None:
        query = query.where(Segment.stored_at < selection.until)
    query = query.order_by(Segment.source_id, Segment.start_offset).limit(page_segments)
    place, full = (0, -1), True
    while full:
        page = connection.execute(
            query.where(tuple_(Segment.source_id, Segment.start_offset) > tuple_(*place))
        ).all()
        for source_id, start, end, stored_at in page:
            yield source_id, start, end, stored_at
            place = (source_id, start)
        full = len(page) == page_segments
