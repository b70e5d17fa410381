"""Lines and records into their tables, inside the transaction that holds their segment.

PostgreSQL takes binary COPY, SQLite many rows in each statement. Rows are made by the compiled loops or by
iterators of the interpreter, never by a step of bytecode per line.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate, chain, groupby, islice, repeat
from operator import is_
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from db import copy, lines
from db.columns import json_text, moment_text, text_moment
from db.copy import encode_group, joined, line_head, line_heads
from db.lanes import Tables
from pipeline.formats.line import Piece
from pipeline.formats.parse import Rejected, cut
from pipeline.scanner import line_rows

_LAKE = ("source_id", "stored_on", "line_start", "line", "raw")
_CLEAN = ("source_id", "stored_on", "format_id", "line_start")
_REJECTED = (*_CLEAN, "position", "reason", "line", "raw")
#: Rows of one statement on SQLite, whose binding is a step of the interpreter for each value either way: one
#: by one the lake's rows took 1.7 s instead of 1.2 s per million, those of clean 3.7 s instead of 3.3 s.
_ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Part:
    """A claimed range on its way into the tables.

    Attributes:
        source_id: of its source.
        start: byte offset of the block in the source.
        block: the bytes.
        day: UTC day of storing, by which old lines can be dropped.
    """

    source_id: int
    start: int
    block: bytes
    day: date


@dataclass(frozen=True, slots=True)
class Shape:
    """What the records of one format look like: its id in the database, its columns group by group."""

    format_id: int
    columns: tuple[str, ...]


class Loader(Protocol):
    """The loading of one kind of database."""

    @property
    def encodes_to_bytes(self) -> bool:
        """Whether `encode` returns bytes, which the compiled loops can put together."""

    def encode(self, columns: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Return the values of one group in the form that `load_records` joins; raise RejectedLine."""

    def decode(self, columns: tuple[str, ...], wanted: frozenset[str], encoded: Any) -> list[Any]:
        """Return the values of the wanted columns of one group, at least one and none of type `json`."""

    def width(self, encoded: Any) -> int:
        """Return how many columns one group has."""

    def load_lines(self, tables: Tables, part: Part) -> None:
        """Load the lines of a part into the lake."""

    def records(self, part: Part, shape: Shape, parsed: Piece[Any]) -> Any:
        """Return the rows of accepted lines, without the database; groups hold what `encode` returned."""

    def columns(self, rows: Sequence[Any]) -> Sequence[Mapping[str, Sequence[Any]]] | None:
        """Return what some calls of `records` returned as values by column, None where they are encoded."""

    def load_records(self, tables: Tables, shape: Shape, rows: Sequence[Any]) -> None:
        """Load what some calls of `records` returned."""

    def load_rejected(self, tables: Tables, part: Part, format_id: int, rejected: Sequence[Rejected]) -> None:
        """Load the rejected lines of a part, with their reasons."""


def loader_of(dialect: str) -> Loader:
    """Return the loader of a dialect, "postgresql" or "sqlite"."""
    return PostgresqlLoader() if dialect == "postgresql" else SqliteLoader()


def _starts(first: int, pieces: Sequence[bytes | str]) -> Iterable[int]:
    # The newline that split() takes away counts: one more byte for each line.
    return accumulate(map((1).__add__, map(len, pieces[:-1])), initial=first)


def _rejected_rows(part: Part, rejected: Iterable[Rejected]) -> Iterable[tuple[Any, ...]]:
    for line in rejected:
        end = line.start + len(line.line)
        text, raw = lines.columns(part.block[line.start : end + 1])
        yield part.start + line.start, line.position, line.reason, text, raw


class PostgresqlLoader:
    """Loads by binary COPY."""

    encodes_to_bytes = True

    def encode(self, columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        """Return the fields of one group as COPY takes them."""
        return encode_group(columns, values)

    def decode(self, columns: tuple[str, ...], wanted: frozenset[str], encoded: bytes) -> list[Any]:
        """Return the values of the wanted columns of one group."""
        return copy.decode_group(columns, wanted, encoded)

    def width(self, encoded: bytes) -> int:
        """Return how many columns one group has."""
        return copy.width_of(encoded)

    def load_lines(self, tables: Tables, part: Part) -> None:
        """Load the lines of a part; a block of plain text goes as it is."""
        pieces = list(cut(part.block))
        if all(lines.is_plain(piece) for _, piece in pieces):
            rows = (self._plain_rows(part, start, piece) for start, piece in pieces)
            copy.copy(tables.connection, f"raw_logs{tables.suffix}", _LAKE[:-1], rows)
        else:
            copy.copy(tables.connection, f"raw_logs{tables.suffix}", _LAKE, [self._exact_rows(part)])

    @staticmethod
    def _plain_rows(part: Part, start: int, piece: bytes) -> bytes:
        head = line_head(_fixed(part), len(_LAKE) - 1)
        if (rows := line_rows(piece, part.start + start, head)) is not None:
            return rows
        own = piece.split(b"\n")
        own.pop()
        heads = line_heads(_fixed(part), len(_LAKE) - 1, _starts(part.start + start, own), map(len, own))
        return joined((heads, own))

    def _exact_rows(self, part: Part) -> bytes:
        pieces = list(lines.split(part.block))
        heads = line_heads(_fixed(part), len(_LAKE), (part.start + start for start, _ in pieces))
        held = (lines.columns(line) for _, line in pieces)
        return joined((heads, (copy.text(text) + copy.blob(raw) for text, raw in held)))

    def records(self, part: Part, shape: Shape, parsed: Piece[bytes]) -> bytes:
        """Return rows as COPY takes them."""
        fixed = (*_fixed(part), copy.smallint(shape.format_id))
        width = len(_CLEAN) + len(shape.columns)
        if (rows := parsed.rows(line_head(fixed, width), part.start)) is not None:
            return rows
        heads = line_heads(fixed, width, map(part.start.__add__, parsed.starts))
        return joined((heads, *parsed.groups))

    def columns(self, rows: Sequence[bytes]) -> None:
        """Return nothing: rows are encoded."""

    def load_records(self, tables: Tables, shape: Shape, rows: Sequence[bytes]) -> None:
        """Load rows."""
        copy.copy(tables.connection, f"clean_records{tables.suffix}", (*_CLEAN, *shape.columns), rows)

    def load_rejected(self, tables: Tables, part: Part, format_id: int, rejected: Sequence[Rejected]) -> None:
        """Load the rejected lines of a part."""
        rows = list(_rejected_rows(part, rejected))
        fixed = (*_fixed(part), copy.smallint(format_id))
        heads = line_heads(fixed, len(_REJECTED), (row[0] for row in rows))
        fields = (
            copy.integer(position) + copy.text(reason) + copy.text(text) + copy.blob(raw)
            for _, position, reason, text, raw in rows
        )
        copy.copy(tables.connection, f"rejected_lines{tables.suffix}", _REJECTED, [joined((heads, fields))])


def _fixed(part: Part) -> tuple[bytes, ...]:
    return copy.integer(part.source_id), copy.day(part.day)


class _Target(NamedTuple):
    """Where rows of SQLite go: the table, the columns that all have in common with their SQL, the others."""

    table: str
    fixed: Mapping[str, str]
    columns: Sequence[str]


class SqliteLoader:
    """Loads by statements of many rows on the driver's own connection."""

    encodes_to_bytes = False

    def encode(self, columns: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG002
        """Return the values of one group as SQLite stores them: moments and JSON as text."""
        return tuple(map(_sqlite_value, values))

    def decode(self, columns: tuple[str, ...], wanted: frozenset[str], encoded: tuple[Any, ...]) -> list[Any]:
        """Return the values of the wanted columns of one group."""
        pairs = zip(columns, encoded, strict=True)
        return [
            text_moment(value) if name == "timestamp" else value for name, value in pairs if name in wanted
        ]

    def width(self, encoded: tuple[Any, ...]) -> int:
        """Return how many columns one group has."""
        return len(encoded)

    def load_lines(self, tables: Tables, part: Part) -> None:
        """Load the lines of a part; a block of plain text goes as it is."""
        count = part.block.count(b"\n") + (not part.block.endswith(b"\n"))
        if lines.is_plain(part.block):
            rows = chain.from_iterable(_plain_pieces(part))
            self._insert(tables.connection, _Target("raw_logs", _shared(part), _LAKE[2:-1]), rows, count)
        else:
            self._insert(
                tables.connection, _Target("raw_logs", _shared(part), _LAKE[2:]), _exact_rows(part), count
            )

    def records(
        self, part: Part, shape: Shape, parsed: Piece[tuple[Any, ...]]
    ) -> tuple[dict[str, str], dict[str, Sequence[Any]]]:
        """Return what all rows share, as SQL, and the other columns that are not empty, each with its values.

        To bind a value takes time even if it is NULL, and most formats leave most columns empty.
        """
        fixed = {**_shared(part), "format_id": str(shape.format_id)}
        values: list[Sequence[Any]] = [list(map(part.start.__add__, parsed.starts))]
        for group in parsed.groups:
            assert len(group) == len(parsed.starts), "columns are aligned"
            values += zip(*group, strict=True)
        columns = dict(zip(("line_start", *shape.columns), values, strict=True))
        filled = {name: column for name, column in columns.items() if not _is_empty(column)}
        return fixed, filled

    def columns(self, rows: Sequence[Any]) -> Sequence[Mapping[str, Sequence[Any]]]:
        """Return the values of the columns that are not empty."""
        return [columns for _, columns in rows]

    def load_records(self, tables: Tables, shape: Shape, rows: Sequence[Any]) -> None:  # noqa: ARG002
        """Load rows."""
        for (columns, fixed), alike in groupby(rows, lambda each: (tuple(each[1]), each[0])):
            pieces = [piece.values() for _, piece in alike]
            count = sum(len(next(iter(piece))) for piece in pieces)
            whole = chain.from_iterable(zip(*piece, strict=True) for piece in pieces)
            self._insert(tables.connection, _Target("clean_records", fixed, columns), whole, count)

    def load_rejected(self, tables: Tables, part: Part, format_id: int, rejected: Sequence[Rejected]) -> None:
        """Load the rejected lines of a part."""
        fixed = {**_shared(part), "format_id": str(format_id)}
        target = _Target("rejected_lines", fixed, _REJECTED[3:])
        self._insert(tables.connection, target, _rejected_rows(part, rejected), len(rejected))

    @staticmethod
    def _insert(connection: Connection, target: _Target, rows: Iterable[tuple[Any, ...]], count: int) -> None:
        """Insert `count` rows."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection), "the loader of SQLite has a connection of SQLite"
        names = ", ".join(f'"{name}"' for name in (*target.fixed, *target.columns))
        row = f"({', '.join((*target.fixed.values(), *('?' * len(target.columns))))})"
        values = chain.from_iterable(rows)
        for size, statements in ((_ROWS_AT_ONCE, count // _ROWS_AT_ONCE), (1, count % _ROWS_AT_ONCE)):
            if statements:
                width = size * len(target.columns)
                bound = zip(*[islice(values, statements * width)] * width, strict=True)
                marks = ", ".join([row] * size)
                driver.executemany(f"INSERT INTO {target.table} ({names}) VALUES {marks}", bound)  # noqa: S608 - our names


def _exact_rows(part: Part) -> Iterable[tuple[Any, ...]]:
    return ((part.start + start, *lines.columns(line)) for start, line in lines.split(part.block))


def _plain_pieces(part: Part) -> Iterable[Iterable[tuple[Any, ...]]]:
    for start, piece in cut(part.block):
        text = piece.decode()
        plain = text.split("\n")[:-1]
        # A text as long as its bytes has the lengths that the bytes have.
        own = plain if len(text) == len(piece) else piece.split(b"\n")[:-1]
        yield zip(_starts(part.start + start, own), plain, strict=True)


def _is_empty(column: Sequence[Any]) -> bool:
    return all(map(is_, column, repeat(None)))  # ends at the first value, which most columns begin with


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, bool):
        return int(value)
    return json_text(value) if isinstance(value, dict) else value


def _shared(part: Part) -> dict[str, str]:
    """Return the columns that all rows of a part have in common, with their values as SQL."""
    return {"source_id": str(part.source_id), "stored_on": f"'{part.day.isoformat()}'"}
