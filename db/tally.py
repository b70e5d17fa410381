"""What the records of a segment add to the counts for reports, counted column by column as they are parsed.

No step of bytecode for each line: each encoded field is looked up in a dict that numbers it, and numbers are
grouped by numpy. What a number stands for is made out once for each distinct field. The result, the tally, is
stored beside the segment in its transaction, and added up behind the load (tallied.py): counts of high
cardinality have nearly a row a line in a single segment, too many to insert one by one.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import zstandard
from numpy.typing import NDArray

from db import fixed, sketches
from db.durations import FINEST, LONGEST_SECONDS, PARTS, WIDTHS
from db.grouping import Numbers, grouped
from db.load import Loader, Shape
from db.traffic import EPOCH, LARGEST_SIZE, NO_STATUS, VALUES
from pipeline.formats.parse import ParsedBlock

#: Bytes of fields that are remembered, with what each costs beside itself; then all is forgotten.
KEPT_BYTES, FIELD_BYTES = 16 << 20, 250
_ENDS, _WIDTHS = (np.array(list(each), np.int64) for each in (WIDTHS, WIDTHS.values()))

#: Columns whose values are numbered, by the pool that numbers them: columns of one pool can be coalesced.
_POOLS = {
    "rest_method": "method", "path": "path", "user_agent": "agent", "country": "country",
    "browser": "browser", "server_name": "host", "host": "host", "ip": "who", "client_host": "who",
    "user_name": "who",
}  # fmt: skip


#: The pool of a key's values, None where the key is the number itself; and the key of each line.
_Key = tuple[str | None, Numbers]


def _minutes(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds() // 60)


def _size(size: int | None) -> int:
    return size if size is not None and 0 <= size <= LARGEST_SIZE else 0


def _microseconds(seconds: float | None) -> int:
    """Return whole microseconds, -1 for what does not count; as durations.microseconds."""
    return int(seconds * 1e6 + 0.5) if seconds is not None and 0 <= seconds <= LONGEST_SECONDS else -1


#: Columns that are numbers themselves, and what stands for a value.
_NUMBERS: dict[str, Callable[[Any], int]] = {
    "timestamp": _minutes,
    "status": lambda status: NO_STATUS if status is None else status,
    "size_bytes": _size,
    "duration_seconds": _microseconds,
    "upstream_seconds": _microseconds,
}


_Number = Callable[[Any], int]


def _all_microseconds(seconds: NDArray[np.float64]) -> Numbers:
    counts = (seconds >= 0) & (seconds <= LONGEST_SECONDS)
    return np.where(counts, np.where(counts, seconds, 0) * 1e6 + 0.5, -1).astype(np.int64)


#: The same for all lines at once, from the binary form of the database; times are microseconds since EPOCH.
_AT_ONCE: dict[str, Callable[[Any], Numbers]] = {
    "timestamp": lambda moments: moments.astype(np.int64) // 60_000_000,
    "status": lambda statuses: statuses.astype(np.int64),
    "size_bytes": lambda sizes: np.where((sizes >= 0) & (sizes <= LARGEST_SIZE), sizes, 0).astype(np.int64),
    "duration_seconds": _all_microseconds,
    "upstream_seconds": _all_microseconds,
}


class Pool(dict[Any, int]):
    """Numbers of values, and the values by their numbers; NULL is number 0."""

    def __init__(self) -> None:
        super().__init__({None: 0})
        self.names: list[Any] = [None]

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self.names)
        self.names.append(value)
        return number

    def values_of(self, numbers: Numbers) -> list[Any]:
        """Return the values of some numbers."""
        return list(map(self.names.__getitem__, numbers.tolist()))


class _Visitors(Pool):
    """A pool of visitors, with the place of each in a sketch."""

    def __init__(self) -> None:
        super().__init__()
        self.registers, self.runs = array("q", [0]), array("B", [0])

    def __missing__(self, value: Any) -> int:
        register, run = sketches.place(value)
        self.registers.append(register)
        self.runs.append(run)
        return super().__missing__(value)

    def sketch(self, numbers: Numbers) -> bytes:
        """Return the sketch of some visitors by their numbers."""
        found = np.zeros(sketches.REGISTERS, np.uint8)
        registers, runs = np.frombuffer(self.registers, np.int64), np.frombuffer(self.runs, np.uint8)
        np.maximum.at(found, registers[numbers], runs[numbers])
        return found.tobytes()


class _Fields(dict[Any, int]):
    """Encoded fields of one group of columns, numbered; for each its values as numbers, column by column."""

    def __init__(self, columns: tuple[str, ...], loader: Loader, number: Mapping[str, _Number]) -> None:
        super().__init__()
        self.bytes_ = 0
        self._loader = loader
        self._columns = columns
        self._wanted = {name: number[name] for name in columns if name in number}
        self._names = frozenset(self._wanted)
        self.of_field = [array("q") for _ in self._wanted]

    def __missing__(self, encoded: Any) -> int:
        values = self._loader.decode(self._columns, self._names, encoded)
        for column, number, value in zip(self.of_field, self._wanted.values(), values, strict=True):
            column.append(number(value))
        self.bytes_ += len(encoded) + FIELD_BYTES
        field = self[encoded] = len(self)
        return field

    def columns(self, fields: Iterable[Any], count: int) -> dict[str, Numbers]:
        """Return the numbers of some fields, column by column."""
        rows = np.fromiter(map(self.__getitem__, fields), np.int64, count)
        return {
            name: np.frombuffer(column, np.int64)[rows]
            for name, column in zip(self._wanted, self.of_field, strict=True)
        }


class Counter:
    """Counts records; it remembers fields, so use one for many blocks, in one thread."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._forget()

    def _forget(self) -> None:
        self._fields: dict[tuple[str, ...], _Fields] = {}
        self._who = _Visitors()
        self._pools = {pool: Pool() for pool in _POOLS.values()} | {"who": self._who}
        numbers = {name: self._pools[pool].__getitem__ for name, pool in _POOLS.items()}
        self._number: dict[str, Callable[[Any], int]] = {**_NUMBERS, **numbers}

    def count(self, shape: Shape, blocks: Sequence[ParsedBlock[Any]]) -> bytes:
        """Return what the records of one shape add to the counts, as a part of a tally."""
        count = sum(len(block.starts) for block in blocks)
        if not count:
            return b""
        if sum(fields.bytes_ for fields in self._fields.values()) > KEPT_BYTES:
            self._forget()
        columns: dict[str, Numbers] = {}
        for place, names in enumerate(self._names(shape, blocks)):
            if any(name in self._number for name in names):
                fields = list(chain.from_iterable(block.groups[place] for block in blocks))
                columns |= self._at_once(names, fields) or self._one_by_one(names, fields)
        return zstandard.compress(msgpack.packb(self._section(columns, count)), 1)

    @staticmethod
    def _at_once(names: tuple[str, ...], fields: Sequence[Any]) -> dict[str, Numbers]:
        """Return columns of fixed width, of which no value is NULL."""
        found = fixed.read(names, fields, len(fields)) if isinstance(fields[0], bytes) else None
        if found is None:
            return {}
        return {name: convert(found[name]) for name, convert in _AT_ONCE.items() if name in names}

    def _one_by_one(self, names: tuple[str, ...], fields: Sequence[Any]) -> dict[str, Numbers]:
        """Return columns of any width, each distinct field converted once."""
        if names not in self._fields:
            self._fields[names] = _Fields(names, self._loader, self._number)
        return self._fields[names].columns(fields, len(fields))

    @staticmethod
    def joined(parts: Iterable[bytes]) -> bytes:
        """Return the tally of parts that `count` returned."""
        packed: bytes = msgpack.packb([part for part in parts if part])
        return packed

    def _names(self, shape: Shape, blocks: Sequence[ParsedBlock[Any]]) -> Iterator[tuple[str, ...]]:
        """Yield the names of the columns of each group."""
        names = iter(shape.columns)
        for group in next(block.groups for block in blocks if block.starts):
            yield tuple(islice(names, self._loader.width(group[0])))

    def _section(self, columns: dict[str, Numbers], count: int) -> dict[str, Any]:
        none = np.zeros(count, np.int64)
        minute, size = columns["timestamp"], columns.get("size_bytes", none)
        day, hour = (None, minute // 1440), (None, minute // 60)
        status = (None, columns.get("status", none + NO_STATUS))
        method = ("method", columns.get("rest_method", none))
        host = ("host", _first(columns, none, "server_name", "host"))
        section = {
            "minutes": self._rows([(None, minute), status, method, host], [size]),
            "visitors": self._visitors(hour[1], _first(columns, none, "ip", "client_host", "user_name")),
        }
        for kind, name in VALUES.items():
            if name in columns:
                keys, sums = [day, (_POOLS[name], columns[name])], [size]
                took = columns.get("duration_seconds") if kind == "path" else None
                keys += [status] if kind == "path" else []
                sums += [] if took is None else [(took >= 0).astype(np.int64), np.maximum(took, 0)]
                section[kind] = self._rows(keys, sums, columns[name] > 0)
        for part in PARTS:
            took = columns.get(f"{part}_seconds")
            if took is not None:
                section[part] = self._rows([hour, host, (None, _buckets(took))], [], took >= 0)
        return {kind: rows for kind, rows in section.items() if rows}

    def _rows(self, keys: Sequence[_Key], sums: Sequence[Numbers], where: Any = None) -> list[Any]:
        """Return the distinct keys column by column, then how many lines each has, then their sums."""
        if where is not None and not where.all():
            keys = [(pool, column[where]) for pool, column in keys]
            sums = [column[where] for column in sums]
        if not len(keys[0][1]):
            return []
        found, hits, added = grouped([column for _, column in keys], sums)
        told = [
            _packed(column) if pool is None else self._pools[pool].values_of(column)
            for (pool, _), column in zip(keys, found, strict=True)
        ]
        return [*told, *(_packed(column) for column in (hits, *added))]

    def _visitors(self, hour: Numbers, who: Numbers) -> list[Any]:
        if not who.any():
            return []
        (hours, numbers), _, _ = grouped([hour[who > 0], who[who > 0]], [])
        begins = np.flatnonzero(np.diff(hours, prepend=hours[:1] - 1))
        parts = zip(hours[begins].tolist(), np.split(numbers, begins[1:]), strict=False)
        return [[each, sketches.packed(self._who.sketch(part))] for each, part in parts]


def _first(columns: Mapping[str, Numbers], none: Numbers, *names: str) -> Numbers:
    """Return for each line the first of some columns of one pool that is not NULL."""
    found = none
    for name in names:
        if name in columns:
            found = np.where(found == 0, columns[name], found)
    return found


def _packed(column: Numbers) -> bytes:
    """Return whole numbers in as few bytes each as the widest needs, behind the type of array for that."""
    code = next(
        (c for c in "bhi" if np.iinfo(c).min <= column.min() and column.max() <= np.iinfo(c).max), "q"
    )
    return code.encode() + column.astype(code).tobytes()


def _buckets(took: Numbers) -> Numbers:
    """Return the lower ends of the buckets of microseconds; as durations.bucket."""
    width = _WIDTHS[np.searchsorted(_ENDS, took, side="right").clip(max=len(_WIDTHS) - 1)]
    return took - np.where(took < FINEST, 0, took % width)
