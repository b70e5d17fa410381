"""Lookups of the user's own: files COLUMN.csv, the key first, then what is known about it."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from pipeline.enrich.enricher import EXTRA, Enricher
from pipeline.enrich.networks import NetworkTable, network_text
from pipeline.errors import ConfigurationError
from pipeline.formats.base import COLUMNS, ColumnType
from pipeline.formats.fields import address

#: A larger file is refused: its table stays in the memory of every process that parses.
MAX_FILE_BYTES = 16 << 20
SUFFIX = ".csv"
_RANGES = {ColumnType.SMALLINT: 15, ColumnType.INTEGER: 31, ColumnType.BIGINT: 63}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def lookup_files(folder: Path) -> list[Path]:
    """Return the lookups of a folder, in the order of their names.

    Raises:
        ConfigurationError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.name[0] != ".")
    except OSError as error:
        raise ConfigurationError(f"SLUICE_LOOKUPS: {folder}: {error.strerror}") from error


def lookup_enricher(path: Path) -> Enricher:
    """Return the enricher of one file, from the column of its name to those of its head.

    Names of the head that are no columns become entries of `extra`. An empty cell says nothing. The key of an
    address may be a network.

    Raises:
        ConfigurationError: names file, line and what is wrong with it.
    """
    rows = _Rows(path)
    outputs = rows.outputs
    columns = tuple(dict.fromkeys(name if name in COLUMNS else EXTRA for name in outputs))
    nothing = (None,) * len(columns)
    table = {key: _arranged(outputs, columns, values) for key, values in rows}
    if COLUMNS[rows.column] is ColumnType.INET:
        return Enricher(path.name, rows.column, columns, NetworkTable(table, nothing).find)

    def enrich(value: Any) -> Sequence[Any]:
        return table.get(value if isinstance(value, str) else _key(value), nothing)

    return Enricher(path.name, rows.column, columns, enrich)


def _key(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _arranged(outputs: Sequence[str], columns: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...]:
    known = dict(zip(outputs, values, strict=True))
    extra = {name: value for name, value in known.items() if name not in COLUMNS and value is not None}
    return tuple((extra or None) if name == EXTRA else known[name] for name in columns)


class _Rows:
    """The key and the values of each line of a file."""

    def __init__(self, path: Path) -> None:
        self.column = path.stem
        self._path = path
        self._reader = csv.reader(io.StringIO(self._text(), newline=""), strict=True)
        if COLUMNS.get(self.column, ColumnType.JSON) in (ColumnType.JSON, ColumnType.TIMESTAMP):
            raise self._error(f"no column {self.column} to look up: name the file after one of {_NAMES}")
        head = self._next() or []
        if not head or head[0] != self.column:
            raise self._error(f"the first name of the head must be {self.column}")
        self.outputs = head[1:]
        wrong = [name for name in self.outputs if not name or name in (self.column, EXTRA, "timestamp")]
        if not self.outputs or wrong or len(set(head)) != len(head):
            raise self._error("the head needs further names, each once, none of them extra or timestamp")
        self._converters = [_converter(COLUMNS.get(name)) for name in self.outputs]

    def __iter__(self) -> Iterator[tuple[str, list[Any]]]:
        seen: set[str] = set()
        kind = COLUMNS[self.column]
        key_of = network_text if kind is ColumnType.INET else _converter(kind)
        while (row := self._next()) is not None:
            if len(row) != len(self.outputs) + 1:
                raise self._error(f"{len(row)} cells, and the head has {len(self.outputs) + 1}")
            key = self._checked(self.column, key_of, row[0])
            if key is None or _key(key) in seen:
                raise self._error(f"the key {row[0]!r} is empty or was there before")
            seen.add(_key(key))
            cells = zip(self.outputs, self._converters, row[1:], strict=True)
            yield _key(key), [self._checked(*cell) for cell in cells]

    def _next(self) -> list[str] | None:
        try:
            # An empty line says nothing, as the last one of many an editor.
            return next((row for row in self._reader if row), None)
        except csv.Error as error:
            raise self._error(str(error)) from None

    def _checked(self, name: str, convert: Callable[[str], Any], cell: str) -> Any:
        try:
            return convert(cell) if cell else None
        except (ValueError, KeyError):
            raise self._error(f"{cell[:40]!r} does not fit {name} ({COLUMNS[name]})") from None

    def _text(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"SLUICE_LOOKUPS: {self._path}: {error.strerror}") from error
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError(f"SLUICE_LOOKUPS: {self._path}: over {MAX_FILE_BYTES >> 20} MiB")
        for number, line in enumerate(content.split(b"\n"), start=1):
            if not _is_text(line):
                raise ConfigurationError(f"SLUICE_LOOKUPS: {self._path}:{number}: not UTF-8, or a NUL")
        return content.decode("utf-8-sig")

    def _error(self, message: str) -> ConfigurationError:
        return ConfigurationError(f"SLUICE_LOOKUPS: {self._path}:{max(self._reader.line_num, 1)}: {message}")


_NAMES = ", ".join(name for name, kind in COLUMNS.items() if kind not in ("json", "timestamp"))


def _is_text(line: bytes) -> bool:
    try:
        return "\0" not in line.decode()
    except UnicodeDecodeError:
        return False


def _converter(kind: ColumnType | None) -> Callable[[str], Any]:
    if kind in _RANGES:
        return partial(_integer, _RANGES[kind])
    return _CONVERTERS.get(kind, str) if kind else str


def _integer(bits: int, cell: str) -> int:
    value = int(cell) if len(cell) <= 20 else 1 << bits  # noqa: PLR2004 - digits of 64 bits, and a sign
    if not -(1 << bits) <= value < 1 << bits:
        raise ValueError(cell)
    return value


def _double(cell: str) -> float:
    value = float(cell)
    if not isfinite(value):
        raise ValueError(cell)
    return value


def _inet(cell: str) -> str:
    (found, _) = address(cell.encode())
    if found is None:
        raise ValueError(cell)
    return found


_CONVERTERS: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.BOOLEAN: lambda cell: _BOOLEANS[cell.lower()],
    ColumnType.DOUBLE: _double,
    ColumnType.INET: _inet,
}
