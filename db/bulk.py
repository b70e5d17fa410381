"""Many rows into a table of counts, at a few microseconds each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Date, Integer, LargeBinary, SmallInteger, Text, insert

from db import copy
from db.columns import Moment
from db.models import Base
from pipeline.formats.base import ColumnType

#: Rows that go to the server in one piece.
ROWS_AT_ONCE = 5000
#: How COPY takes values, by the type of the column. The narrower types derive from Integer: they come first.
_ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Moment: copy.ENCODERS[ColumnType.TIMESTAMP],
    Date: copy.day,
    SmallInteger: copy.smallint,
    BigInteger: copy.ENCODERS[ColumnType.BIGINT],
    Integer: copy.integer,
    Text: copy.text,
    LargeBinary: copy.blob,
}


def insert_rows(
    connection: Connection, model: type[Base], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows, given as values in the order of `names`."""
    if connection.dialect.name != "postgresql":
        values = [dict(zip(names, row, strict=True)) for row in rows]
        if values:
            connection.execute(insert(model), values)
        return
    kinds = [model.__table__.c[name].type for name in names]
    encoders = [
        next(encode for kind, encode in _ENCODERS.items() if isinstance(each, kind)) for each in kinds
    ]
    head = len(names).to_bytes(2)

    def encoded(row: Sequence[Any]) -> bytes:
        pairs = zip(encoders, row, strict=True)
        return head + b"".join([copy.NULL if value is None else encode(value) for encode, value in pairs])

    copy.copy(connection, model.__tablename__, names, list(_pieces(map(encoded, rows))))


def _pieces(rows: Iterable[bytes]) -> Iterable[bytes]:
    piece: list[bytes] = []
    for row in rows:
        piece.append(row)
        if len(piece) == ROWS_AT_ONCE:
            yield b"".join(piece)
            piece.clear()
    if piece:
        yield b"".join(piece)
