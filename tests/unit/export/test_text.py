"""CSV and JSON lines: what is written reads back, in spreadsheets without harm."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.export.table import Column, Table, write_table
from pipeline.export.text import FORMULA_STARTS, KEPT_VALUES, CsvWriter, JsonWriter, guarded, unguarded
from pipeline.formats.base import ColumnType

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
#: Texts that begin like a formula, or with what guards one.
FORMULAS = st.builds(str.__add__, st.sampled_from(sorted(FORMULA_STARTS)), TEXTS)
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.TEXT: TEXTS | FORMULAS,
    ColumnType.SMALLINT: st.integers(-(1 << 15), (1 << 15) - 1),
    ColumnType.INTEGER: st.integers(-(1 << 31), (1 << 31) - 1),
    ColumnType.BIGINT: st.integers(-(1 << 63), (1 << 63) - 1),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    ColumnType.TIMESTAMP: st.datetimes(timezones=st.just(UTC)),
    ColumnType.INET: st.ip_addresses().map(str),
    ColumnType.JSON: st.dictionaries(TEXTS, TEXTS | st.integers()).map(
        lambda value: json.dumps(value, ensure_ascii=False)
    ),
}
COLUMNS = tuple(Column(f"c{number}", kind) for number, kind in enumerate(ColumnType))
ROW = st.tuples(*(st.none() | VALUES[column.type] for column in COLUMNS))
#: Rows of every type take long to make.
few = settings(max_examples=40)
ROWS = st.lists(st.lists(ROW, min_size=1, max_size=4), max_size=3)


def written(writer: type, chunks: list[list[tuple[Any, ...]]], **options: bool) -> str:
    """Return what a writer makes of chunks of rows."""
    stream = io.BytesIO()
    table = Table(COLUMNS, (list(zip(*rows, strict=True)) for rows in chunks))
    assert write_table(table, writer(COLUMNS, stream, **options)) == sum(map(len, chunks))
    return stream.getvalue().decode()


def csv_rows(text: str) -> Iterator[list[str | None]]:
    """Yield the rows of a CSV by a reader of our own, which tells nothing from an empty text."""
    rows, row, rest = [], [], text
    while rest:
        if rest.startswith('"'):
            end = 1
            while rest[end] != '"' or rest[end + 1 : end + 2] == '"':
                end += 1 if rest[end] != '"' else 2
            value, rest = rest[1:end].replace('""', '"'), rest[end + 1 :]
        else:
            end = min(i for i in (rest.find(","), rest.find("\r\n")) if i >= 0)
            value, rest = rest[:end] or None, rest[end:]
        row.append(value)
        if rest.startswith("\r\n"):
            rows.append(row)
            row = []
        rest = rest[2 if rest.startswith("\r\n") else 1 :]
    yield from rows


def parsed(column: Column, cell: str | None, *, as_written: bool = False) -> Any:
    """Return the value of a cell of CSV."""
    readers = {
        ColumnType.TEXT: str if as_written else unguarded,
        ColumnType.BOOLEAN: {"true": True, "false": False}.__getitem__,
        ColumnType.DOUBLE: float,
        ColumnType.TIMESTAMP: datetime.fromisoformat,
        ColumnType.INET: str,
        ColumnType.JSON: str,
    }
    return None if cell is None else readers.get(column.type, int)(cell)


@few
@given(ROWS)
def test_csv_reads_back(chunks: list[list[tuple[Any, ...]]]) -> None:
    """Every value comes back with its type, NULL and the empty text apart, once the guard is taken away."""
    head, *cells = csv_rows(written(CsvWriter, chunks))

    assert head == [column.name for column in COLUMNS]
    assert [tuple(map(parsed, COLUMNS, row)) for row in cells] == [row for rows in chunks for row in rows]


@few
@given(ROWS)
def test_raw_csv_is_as_it_is(chunks: list[list[tuple[Any, ...]]]) -> None:
    """Without the guard a text is written as it is."""
    _head, *cells = csv_rows(written(CsvWriter, chunks, guarded=False))

    rows = [tuple(parsed(c, v, as_written=True) for c, v in zip(COLUMNS, row, strict=True)) for row in cells]
    assert rows == [row for rows in chunks for row in rows]


@few
@given(ROWS)
def test_csv_is_what_others_read(chunks: list[list[tuple[Any, ...]]]) -> None:
    """The standard library's reader sees the same cells, NULL as empty."""
    text = written(CsvWriter, chunks)

    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))

    assert found == [[cell or "" for cell in row] for row in csv_rows(text)]


@given(TEXTS | FORMULAS)
@example("=cmd|'/c calc'!A1")
@example("'=1")
@example("＝1")  # noqa: RUF001 - full-width on purpose
def test_guard(text: str) -> None:
    """No text begins like a formula after the guard, and taking it away gives the very text back."""
    assert guarded(text)[:1] not in FORMULA_STARTS - {"'"}
    assert unguarded(guarded(text)) == text


@few
@given(ROWS)
def test_json_lines_read_back(chunks: list[list[tuple[Any, ...]]]) -> None:
    """Each line is an object with the columns that are not NULL, and the values come back."""
    text = written(JsonWriter, chunks)
    assert text.count("\n") == sum(map(len, chunks))

    objects = [json.loads(line) for line in text.split("\n")[:-1]]

    for found, row in zip(objects, (row for rows in chunks for row in rows), strict=True):
        for column, value in zip(COLUMNS, row, strict=True):
            expected = value
            if value is not None and column.type is ColumnType.TIMESTAMP:
                expected = value.isoformat()
            elif value is not None and column.type is ColumnType.JSON:
                expected = json.loads(value)
            assert found.get(column.name) == expected
            assert (column.name in found) == (value is not None)


@pytest.mark.parametrize("writer", [CsvWriter, JsonWriter])
def test_distinct_values_take_no_room(writer: type) -> None:
    """A column of values that are all different keeps a bounded number of them, and none that is long."""
    columns = (Column("text", ColumnType.TEXT),)
    made = writer(columns, io.BytesIO())
    for number in range(10):
        made.write([[f"{number} {i}" for i in range(KEPT_VALUES)]])
    made.write([["x" * 100_000]])

    (pieces,) = made._pieces
    assert len(pieces) <= KEPT_VALUES
    assert max(len(value) for value in pieces if value is not None) < 1000


def test_empty_table() -> None:
    """Without rows CSV has its head, and JSON lines nothing."""
    assert written(CsvWriter, []) == ",".join(column.name for column in COLUMNS) + "\r\n"
    assert written(JsonWriter, []) == ""
