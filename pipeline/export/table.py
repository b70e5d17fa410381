"""What is exported: named, typed columns, and chunks of their values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.formats.base import ColumnType


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name and type; values of JSON travel as its text, addresses as text."""

    name: str
    type: ColumnType


#: Values by column, all of one length, in the order of the columns.
Chunk = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and the rows in chunks that fit in memory; the chunks can be taken once."""

    columns: tuple[Column, ...]
    chunks: Iterator[Chunk]


class Writer(Protocol):
    """Writes a table to a stream; `begin` first, `end` last, once each."""

    def begin(self) -> None:
        """Write what stands before the first row."""

    def write(self, chunk: Chunk) -> None:
        """Write rows."""

    def end(self) -> None:
        """Write what stands behind the last row."""


def write_table(table: Table, writer: Writer) -> int:
    """Write a table and return its number of rows."""
    rows = 0
    writer.begin()
    for chunk in table.chunks:
        writer.write(chunk)
        rows += len(chunk[0])
    writer.end()
    return rows
