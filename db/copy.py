"""PostgreSQL's binary COPY: rows as bytes, and the way into a table.

A field is its length (int4, -1 for NULL) and its binary form; a row is the number of its fields (int2) and
the fields (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
"""

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain, repeat
from typing import Any

from sqlalchemy import Connection

from db.columns import json_text
from pipeline.errors import RejectedLine
from pipeline.formats.base import COLUMNS, ColumnType

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
_NO_LENGTH = int.from_bytes(NULL)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: What an address begins with in the binary form of inet: family (PGSQL_AF_INET, PGSQL_AF_INET6), bits of the
#: network, no CIDR, bytes.
_INET4 = bytes((socket.AF_INET, 32, 0, 4))
_INET6 = bytes((socket.AF_INET + 1, 128, 0, 16))

Encoder = Callable[[Any], bytes]


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def text(value: str) -> bytes:
    """Return a text field."""
    encoded = value.encode()
    return len(encoded).to_bytes(4) + encoded


def blob(value: bytes | None) -> bytes:
    """Return a bytea field."""
    return NULL if value is None else _sized(value)


def smallint(value: int) -> bytes:
    """Return an int2 field."""
    return _two(2, value)


def integer(value: int | None) -> bytes:
    """Return an int4 field."""
    return NULL if value is None else _four(4, value)


def _bigint(value: int) -> bytes:
    return _eight(8, value)


def _boolean(value: bool) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def _timestamp(value: datetime) -> bytes:
    return _eight(8, (value - _EPOCH) // _MICROSECOND)


def _inet(value: str) -> bytes:
    if ":" in value:
        return _sized(_INET6 + socket.inet_pton(socket.AF_INET6, value))
    return _sized(_INET4 + socket.inet_pton(socket.AF_INET, value))


def _double(value: float) -> bytes:
    return _float(8, value)


def _json(value: Any) -> bytes:
    # jsonb in its binary form is its version, 1, and text.
    return _sized(b"\1" + json_text(value).encode())


def day(value: date) -> bytes:
    """Return a date field."""
    return _four(4, (value - _EPOCH.date()).days)


_two = struct.Struct("!ih").pack
_four = struct.Struct("!ii").pack
_eight = struct.Struct("!iq").pack
_float = struct.Struct("!id").pack

ENCODERS: dict[ColumnType, Encoder] = {
    ColumnType.TEXT: text,
    ColumnType.SMALLINT: smallint,
    ColumnType.INTEGER: integer,
    ColumnType.BIGINT: _bigint,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.INET: _inet,
    ColumnType.DOUBLE: _double,
    ColumnType.JSON: _json,
}


def _number(field: bytes) -> int:
    return int.from_bytes(field, signed=True)


def _address(field: bytes) -> str:
    family = socket.AF_INET if field[0] == _INET4[0] else socket.AF_INET6
    return socket.inet_ntop(family, field[4:])


_DECODERS: dict[ColumnType, Callable[[bytes], Any]] = {
    ColumnType.TEXT: bytes.decode,
    ColumnType.SMALLINT: _number,
    ColumnType.INTEGER: _number,
    ColumnType.BIGINT: _number,
    ColumnType.BOOLEAN: lambda field: field != b"\0",
    ColumnType.TIMESTAMP: lambda field: _EPOCH + _number(field) * _MICROSECOND,
    ColumnType.INET: _address,
    ColumnType.DOUBLE: lambda field: struct.unpack("!d", field)[0],
}


@cache
def _encoders(columns: tuple[str, ...]) -> tuple[Encoder, ...]:
    return tuple(ENCODERS[COLUMNS[column]] for column in columns)


def encode_group(columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    """Return the fields of some columns of a clean record.

    Raises:
        RejectedLine: a value does not fit the type of its column.
    """
    pairs = zip(_encoders(columns), values, strict=True)
    try:
        return b"".join([NULL if value is None else encode(value) for encode, value in pairs])
    except (struct.error, ValueError, OverflowError, OSError) as error:
        raise RejectedLine(f"a value of {', '.join(columns)} is out of range") from error


@cache
def _decoders(columns: tuple[str, ...], wanted: frozenset[str]) -> tuple[Callable[[bytes], Any] | None, ...]:
    last = max(place for place, name in enumerate(columns) if name in wanted)
    return tuple(_DECODERS[COLUMNS[name]] if name in wanted else None for name in columns[: last + 1])


def decode_group(columns: tuple[str, ...], wanted: frozenset[str], encoded: bytes) -> list[Any]:
    """Return the values of the wanted ones, at least one, of the columns that `encode_group` encoded."""
    values: list[Any] = []
    place = 0
    for decode in _decoders(columns, wanted):
        start = place + 4
        length = int.from_bytes(encoded[place:start])
        place = start if length == _NO_LENGTH else start + length
        if decode is not None:
            values.append(None if length == _NO_LENGTH else decode(encoded[start:place]))
    return values


def width_of(encoded: bytes) -> int:
    """Return how many fields there are in a group."""
    place = count = 0
    while place < len(encoded):
        place += 4 + max(0, int.from_bytes(encoded[place : place + 4], signed=True))
        count += 1
    return count


def line_head(fixed: Sequence[bytes], field_count: int) -> bytes:
    """Return what each row begins with up to the eight bytes of its line_start."""
    return b"".join((field_count.to_bytes(2), *fixed, (8).to_bytes(4)))


def line_heads(
    fixed: Sequence[bytes], field_count: int, starts: Iterable[int], lengths: Iterable[int] | None = None
) -> Iterable[bytes]:
    """Return what each row begins with: field count, the fields that all rows share, line_start.

    With `lengths`, the length of the next field follows, so that its bytes can stand right behind.
    """
    prefix = line_head(fixed, field_count)
    layout = f"!{len(prefix)}sq"
    if lengths is None:
        return map(struct.Struct(layout).pack, repeat(prefix), starts)
    return map(struct.Struct(f"{layout}i").pack, repeat(prefix), starts, lengths)


def joined(columns: Sequence[Iterable[bytes]]) -> bytes:
    """Return rows, given by columns, as one piece of bytes."""
    return b"".join(chain.from_iterable(zip(*columns, strict=True)))


class _Pieces:
    """What the driver reads: each piece whole and as it is, whatever size it asks for.

    Through a file in memory the rows are copied twice more: as dear as all else that loads the lake.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        self._pieces = chain((_HEADER,), rows, (_TRAILER, b""))

    def read(self, _size: int) -> bytes:
        return next(self._pieces)


def copy(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """Load rows, piece by piece, into a table inside the connection's transaction.

    The driver hides what goes wrong while it reads: pieces that are made on the way must not raise.
    """
    names = ", ".join(f'"{name}"' for name in columns)
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection in a transaction has its driver's connection"
    with driver.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", _Pieces(rows))
