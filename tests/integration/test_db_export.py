"""Exports of both stages from both databases: everything that is stored, of one moment, and nothing else."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.engine import reading, transaction
from db.export import Selection, clean_table, lake_table
from db.rebuild import LakeGap, rebuild
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.enrich.enrichment import Enrichment
from pipeline.export.table import Table
from pipeline.formats.base import ColumnType
from pipeline.generate import generate_blocks

FIRST = Source("ef" * 16, "web-1", "/a.log", format="combined")
SECOND = Source("ab" * 16, "web-1", "/b.log", format="proxy")
LAST_TIME = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def store(engine: Engine, source: Source, lines: int = 600, block_lines: int = 150) -> bytes:
    """Store generated lines, some of them hostile, in both stages in segments; return their bytes."""
    made = [
        line for lines in generate_blocks(lines, seed=1, format=source.format, broken=0.2) for line in lines
    ]
    stores = LakeStore(engine), CleanStore(engine, Enrichment(("address", "agent")))
    start, whole = 0, b""
    for first in range(0, lines, block_lines):
        block = b"".join(made[first : first + block_lines])
        for each in stores:
            each.store(Batch(source, start, block))
        start, whole = start + len(block), whole + block
    return whole


def rows(table: Table) -> Iterator[dict[str, Any]]:
    """Yield each row by column."""
    names = [column.name for column in table.columns]
    for chunk in table.chunks:
        assert len(chunk) == len(names)
        for values in zip(*chunk, strict=True):
            yield dict(zip(names, values, strict=True))


def clean(engine: Engine, selection: Selection = Selection()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    """Return the clean rows of a selection by source and place."""
    with clean_table(engine, selection) as table:
        return sorted(rows(table), key=lambda row: (row["source_id"], row["line_start"]))


def lake(engine: Engine, selection: Selection = Selection()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    """Return the lake's rows of a selection."""
    with lake_table(engine, selection) as table:
        return list(rows(table))


def test_clean_is_the_view(engine: Engine) -> None:
    """Every row and column of clean_logs is exported, with the type that its column promises."""
    store(engine, FIRST)
    store(engine, SECOND)
    kinds = {
        ColumnType.TEXT: str,
        ColumnType.INET: str,
        ColumnType.JSON: str,
        ColumnType.BOOLEAN: bool,
        ColumnType.DOUBLE: float,
        ColumnType.TIMESTAMP: datetime,
    }

    with clean_table(engine, Selection()) as table:
        columns, found = table.columns, list(rows(table))

    with reading(engine) as connection:
        stored = connection.execute(
            text("SELECT * FROM clean_logs ORDER BY source_id, line_start")
        ).mappings()
        expected = [dict(row) for row in stored]
    assert len(expected) == len(found) > 900
    assert [column.name for column in columns] == list(expected[0])
    plain = [
        column.name for column in columns if column.type not in (ColumnType.TIMESTAMP, ColumnType.DOUBLE)
    ]
    found.sort(key=lambda row: (row["source_id"], row["line_start"]))
    assert [
        [str(row[n]) for n in plain if n not in ("is_email", "is_complete", "is_bot")] for row in found
    ] == [[str(row[n]) for n in plain if n not in ("is_email", "is_complete", "is_bot")] for row in expected]
    for column in columns:
        types = {type(row[column.name]) for row in found} - {type(None)}
        assert types <= {kinds.get(column.type, int)}, column


def test_both_databases_export_the_same(sqlite_url: str, postgresql_url: str) -> None:
    """The same lines give the same rows, whatever stores them."""
    from db.engine import make_engine  # noqa: PLC0415

    engines = make_engine(sqlite_url), make_engine(postgresql_url)
    for engine in engines:
        store(engine, FIRST)
    first, second = (clean(engine) for engine in engines)
    for row in (*first, *second):
        row["time"] = row["time"].partition(".")[0]

    assert first == second
    for engine in engines:
        engine.dispose()


def test_clean_by_time_and_source(engine: Engine) -> None:
    """A range of the records' own time, its end left out, and one source."""
    store(engine, FIRST)
    store(engine, SECOND)
    every = clean(engine)
    moments = sorted({row["timestamp"] for row in every})
    since, until = moments[len(moments) // 3], moments[len(moments) // 2]

    found = clean(engine, Selection(since, until, source_id=2))

    assert found == [r for r in every if since <= r["timestamp"] < until and r["source_id"] == 2] != []
    assert clean(engine, Selection(since=until)) == [r for r in every if r["timestamp"] >= until]


def test_lake_is_byte_exact(engine: Engine) -> None:
    """The lines of the export are the source's bytes, whatever they are, in their order."""
    whole = store(engine, FIRST) + b"no newline \xff\0"
    LakeStore(engine).store(Batch(FIRST, len(whole) - 13, whole[-13:]))
    store(engine, SECOND, 10)

    found = lake(engine, Selection(source_id=1))

    lines = [
        row["line"].encode() + b"\n" if row["raw_base64"] is None else base64.b64decode(row["raw_base64"])
        for row in found
    ]
    assert b"".join(lines) == whole == b"".join(rebuild(engine, 1))
    assert [row["line_start"] for row in found] == [len(b"".join(lines[:i])) for i in range(len(lines))]
    assert any(row["raw_base64"] for row in found)
    assert json.dumps([row["line"] for row in found])


def test_lake_by_time_of_storing(engine: Engine) -> None:
    """Segments that were stored in the range, their end left out."""
    store(engine, FIRST)
    with transaction(engine) as connection:
        for number, segment in enumerate((1, 3, 5)):
            moment = (LAST_TIME + timedelta(days=number)).replace(tzinfo=None).isoformat(" ")
            update = "UPDATE segments SET stored_at = :moment WHERE id = :id"
            if engine.dialect.name == "postgresql":
                moment += "+00"
            connection.execute(text(update), {"moment": moment, "id": segment})
    with reading(engine) as connection:
        query = "SELECT line_count FROM segments WHERE id = 3 AND stage = 'lake'"
        expected = connection.execute(text(query)).scalar_one()

    found = lake(engine, Selection(LAST_TIME + timedelta(days=1), LAST_TIME + timedelta(days=2)))

    assert len(found) == expected
    assert {row["stored_at"] for row in found} == {LAST_TIME + timedelta(days=1)}


def test_more_segments_than_a_page(engine: Engine) -> None:
    """Segments are taken a page at a time, across sources, each once."""
    store(engine, FIRST, 70, 10)
    store(engine, SECOND, 30, 10)

    with lake_table(engine, Selection(), page_segments=3) as table:
        assert len(list(rows(table))) == 100


def test_gap_in_the_lake_is_an_error(engine: Engine) -> None:
    """A segment whose rows were lost is named, not passed over."""
    store(engine, FIRST)
    with transaction(engine) as connection:
        query = "DELETE FROM raw_logs WHERE line_start = (SELECT max(line_start) FROM raw_logs)"
        connection.execute(text(query))

    with pytest.raises(LakeGap, match="source 1"):
        lake(engine)


@pytest.mark.parametrize("table_of", [partial(clean_table, chunk_rows=50), lake_table])
def test_one_moment_is_seen(engine: Engine, table_of: Callable[..., AbstractContextManager[Table]]) -> None:
    """What is stored while an export runs is not in it."""
    store(engine, FIRST)
    with table_of(engine, Selection()) as table:
        found = rows(table)
        next(found)
        writer = Thread(target=store, args=(engine, SECOND))
        writer.start()
        writer.join()
        assert {row["source_id"] for row in found} == {1}

    with table_of(engine, Selection()) as table:
        assert {row["source_id"] for row in rows(table)} == {1, 2}


def test_chunks_are_as_large_as_they_are_meant_to_be(engine: Engine) -> None:
    """Rows come so many at a time: fewer would cost time, and in Parquet a row group each."""
    store(engine, FIRST)

    with clean_table(engine, Selection(), chunk_rows=50) as table:
        sizes = [len(chunk[0]) for chunk in table.chunks]

    assert set(sizes[:-1]) == {50}
    assert 0 < sizes[-1] <= 50


def test_nothing_stored(engine: Engine) -> None:
    """An empty database has the columns and no rows."""
    assert clean(engine) == lake(engine) == []
