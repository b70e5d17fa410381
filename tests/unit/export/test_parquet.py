"""Parquet: types and values read back by pyarrow; a pipe is enough to write to."""

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.export.parquet import ParquetWriter
from pipeline.export.table import Column, Table, write_table
from pipeline.formats.base import ColumnType

COLUMNS = tuple(Column(kind.value, kind) for kind in ColumnType)
MOMENT = datetime(2015, 5, 17, 10, 5, 3, 250_000, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {
        "text": '=1, "2"\n',
        "smallint": -300,
        "integer": 1 << 30,
        "bigint": (1 << 63) - 1,
        "boolean": False,
        "double": 0.1,
        "timestamp": MOMENT,
        "inet": "2001:db8::1",
        "json": '{"a":1}',
    },
    dict.fromkeys((kind.value for kind in ColumnType), None),
]


def table(chunks: int) -> Table:
    """Return a table of the rows, so many times."""
    chunk = [[row[column.name] for row in ROWS] for column in COLUMNS]
    return Table(COLUMNS, iter([chunk] * chunks))


def test_values_read_back(tmp_path: Path) -> None:
    """Every type has its own in Parquet, and NULL stays NULL."""
    path = tmp_path / "x.parquet"
    with path.open("wb") as file:
        assert write_table(table(3), ParquetWriter(COLUMNS, file)) == 6
        assert not file.closed

    found = pq.ParquetFile(path)
    assert found.read().to_pylist() == ROWS * 3
    assert found.schema_arrow.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert found.schema_arrow.field("smallint").type == pa.int16()


def test_chunks_become_large_row_groups(tmp_path: Path) -> None:
    """Small chunks are gathered, and a row group is written as soon as it is large enough."""
    path = tmp_path / "x.parquet"
    chunk = [[row[column.name] for row in ROWS] * 5000 for column in COLUMNS]
    with path.open("wb") as file:
        write_table(Table(COLUMNS, iter([chunk] * 11)), ParquetWriter(COLUMNS, file))

    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        50_000,
        50_000,
        10_000,
    ]


def test_pipe_is_enough() -> None:
    """What cannot seek, as standard output, gets the same bytes."""
    direct = io.BytesIO()
    write_table(table(2), ParquetWriter(COLUMNS, direct))
    reader, writer = os.pipe()
    received: list[bytes] = []
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as sink:
        thread = Thread(target=lambda: received.append(source.read()))
        thread.start()
        write_table(table(2), ParquetWriter(COLUMNS, sink))
        sink.close()
        thread.join()

    assert received == [direct.getvalue()]


def test_empty_table_has_its_columns() -> None:
    """Without rows there is a file with the schema."""
    stream = io.BytesIO()
    write_table(table(0), ParquetWriter(COLUMNS, stream))

    assert pq.read_table(stream).column_names == [column.name for column in COLUMNS]
