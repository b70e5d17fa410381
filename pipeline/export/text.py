"""CSV (RFC 4180) and JSON lines: each value as a piece of text, and rows joined from them.

Values repeat within a column, so each distinct one is written out once and kept for a while; the pieces of a
row are joined without a step of bytecode for each value.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import IO, Any

from pipeline.export.table import Chunk, Column
from pipeline.formats.base import ColumnType

#: Distinct values of one column that are kept, and the longest of them in characters.
KEPT_VALUES = 5000
KEPT_CHARACTERS = 256
#: First characters that make a spreadsheet take a text for a formula (OWASP ASVS 1.2.10), as they are and
#: full-width; and the apostrophe that is put before them, so that taking it away is exact.
FORMULA_STARTS = frozenset("=+-@\t\r\n\0'＝＋－＠＇")  # noqa: RUF001 - full-width on purpose
GUARD = "'"

#: Turns a value that is not None into its text.
Encode = Callable[[Any], str]


class _Pieces(dict[Any, str]):
    """The text of each value of a column."""

    def __init__(self, encode: Encode, absent: str) -> None:
        # Most values of most columns are NULL: always here, never made.
        super().__init__({None: absent})
        self._encode = encode
        self._absent = absent

    def __missing__(self, value: Any) -> str:
        piece = self._encode(value)
        if len(piece) <= KEPT_CHARACTERS:
            if len(self) >= KEPT_VALUES:
                self.clear()
                self[None] = self._absent
            self[value] = piece
        return piece


class _TextWriter:
    """What both formats share: pieces by column, joined to lines."""

    #: What stands before and behind a row, and before the first.
    before = ""
    behind = "\n"
    head = ""

    def __init__(self, columns: Sequence[Column], stream: IO[bytes]) -> None:
        self._stream = stream
        self._pieces = [_Pieces(*self.encoding(column)) for column in columns]

    def encoding(self, column: Column) -> tuple[Encode, str]:
        """Return how a column's values are written, and what stands for NULL."""
        raise NotImplementedError

    def kept(self, rows: Iterable[tuple[str, ...]]) -> Iterable[Iterable[str]]:
        """Return the pieces of each row that are written."""
        return rows

    def begin(self) -> None:
        """Write the head, where there is one."""
        self._stream.write(self.head.encode())

    def write(self, chunk: Chunk) -> None:
        """Write rows, all of a chunk at once."""
        columns = [
            map(pieces.__getitem__, values) for pieces, values in zip(self._pieces, chunk, strict=True)
        ]
        rows = map(",".join, self.kept(zip(*columns, strict=True)))
        text = (self.behind + self.before).join(rows)
        self._stream.write(f"{self.before}{text}{self.behind}".encode() if len(chunk[0]) else b"")

    def end(self) -> None:
        """Write nothing."""


class CsvWriter(_TextWriter):
    """CSV with a head: every text in quotes, NULL as nothing, so that an empty text is told from it."""

    behind = "\r\n"

    def __init__(self, columns: Sequence[Column], stream: IO[bytes], *, guarded: bool = True) -> None:
        self._guarded = guarded
        self.head = ",".join(column.name for column in columns) + self.behind
        super().__init__(columns, stream)

    def encoding(self, column: Column) -> tuple[Encode, str]:
        """Return how a column's values are written; numbers need no guard, an `=` of theirs is none."""
        return _CSV.get(column.type, self._text), ""

    def _text(self, value: str) -> str:
        return _quoted(guarded(value) if self._guarded else value)


class JsonWriter(_TextWriter):
    """JSON lines: an object a row in UTF-8, without what is NULL, as half of most records is."""

    before, behind = "{", "}\n"

    def encoding(self, column: Column) -> tuple[Encode, str]:
        """Return how a column's values are written, its name in front."""
        encode = _JSON.get(column.type, _json)
        name = _json(column.name)
        return lambda value: f"{name}:{encode(value)}", ""

    def kept(self, rows: Iterable[tuple[str, ...]]) -> Iterable[Iterable[str]]:
        """Return the pieces of each row that are not empty."""
        return map(partial(filter, None), rows)


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; `unguarded` gives it back."""
    return GUARD + text if text[:1] in FORMULA_STARTS and text else text


def unguarded(text: str) -> str:
    """Return the text that was guarded: without its first apostrophe, where it has one."""
    return text.removeprefix(GUARD)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


_CSV: dict[ColumnType, Encode] = {
    **dict.fromkeys((ColumnType.SMALLINT, ColumnType.INTEGER, ColumnType.BIGINT), str),
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DOUBLE: repr,
    ColumnType.TIMESTAMP: datetime.isoformat,
    ColumnType.INET: str,
    ColumnType.JSON: _quoted,
}
_JSON: dict[ColumnType, Encode] = {
    **dict.fromkeys((ColumnType.SMALLINT, ColumnType.INTEGER, ColumnType.BIGINT), str),
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: lambda value: f'"{value.isoformat()}"',
    # Text of JSON already; one line, as JSON writes a newline as an escape.
    ColumnType.JSON: str,
}
