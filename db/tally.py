"""What the records of a segment add to the counts for reports, counted column by column as they are parsed.

No step of bytecode for each line: what is encoded is looked up in a dict that numbers it (numbering.py), and
numbers are grouped by numpy. What a number stands for is made out once for each distinct field. The result,
the tally, is stored beside the segment in its transaction, and added up behind the load (tallied.py): counts
of high cardinality have nearly a row a line in a single segment, too many to insert one by one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import Any
from weakref import WeakKeyDictionary

import msgpack  # type: ignore[import-untyped]
import numpy as np
import zstandard
from numpy.typing import NDArray

from db import fixed, minutely
from db.durations import LONGEST_SECONDS, PARTS
from db.grouping import Numbers, added, first_lines, grouped, numbered
from db.load import Loader, Shape
from db.minutely import packed
from db.numbering import KEPT_BYTES, NUMBERS, POOLS, CodedFields, Fields, Number, Pool, Values, Visitors
from db.traffic import LARGEST_SIZE, NO_STATUS, TALLY_VERSION, VALUES
from pipeline.formats.line import Piece

#: The pool of a key's values, None where the key is the number itself; and the key of each line.
_Key = tuple[str | None, Numbers]
#: Places and columns of the groups that have counted columns.
_Counted = list[tuple[int, tuple[str, ...]]]


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


class Counter:
    """Counts records; it remembers fields, so use one for many blocks, in one thread."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._forget()

    def _forget(self) -> None:
        self._fields: dict[tuple[str, ...], Fields] = {}
        # By dictionary: formats take turns, and each has its own, until they are replaced.
        self._coded: WeakKeyDictionary[Any, CodedFields] = WeakKeyDictionary()
        self._who = Visitors()
        self._pools = {pool: Pool() for pool in POOLS.values()} | {"who": self._who}
        self._pool = {name: self._pools[pool] for name, pool in POOLS.items()}
        numbers = {name: pool.__getitem__ for name, pool in self._pool.items()}
        self._number: dict[str, Number] = {**NUMBERS, **numbers}
        self._values = Values(self._loader, self._pool)

    def count(self, shape: Shape, blocks: Sequence[Piece[Any]], rows: Sequence[Any]) -> bytes:
        """Return what the records of one shape add to the counts, as a part of a tally.

        `rows` are what the loader made of each block.
        """
        count = sum(block.record_count for block in blocks)
        if not count:
            return b""
        if self._values.bytes_ + sum(fields.bytes_ for fields in self._fields.values()) > KEPT_BYTES:
            self._forget()
        try:
            pieces = self._loader.columns(rows)
            columns = self._encoded(shape, blocks) if pieces is None else self._values.columns(pieces, count)
        except BaseException:
            # What was broken off, be it by a time limit, may have numbered a field in part.
            self._forget()
            raise
        return zstandard.compress(msgpack.packb(self._section(columns, count)), 1)

    def _encoded(self, shape: Shape, blocks: Sequence[Piece[Any]]) -> dict[str, Numbers]:
        counted = [
            (place, names)
            for place, names in enumerate(self._names(shape, blocks))
            if any(name in self._number for name in names)
        ]
        parts = []
        for dictionaries, alike in groupby(blocks, lambda block: tuple(block.dictionaries)):
            own = self._of_codes if dictionaries else self._of_values
            parts.append(own(counted, list(alike)))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _of_codes(self, counted: _Counted, blocks: Sequence[Piece[Any]]) -> dict[str, Numbers]:
        """Return the columns of blocks that have the same dictionaries."""
        # Column by column, and as numpy wants indices: it would convert them each time.
        codes = np.ascontiguousarray(np.concatenate([block.codes for block in blocks]).T, np.intp)
        columns: dict[str, Numbers] = {}
        for place, names in counted:
            dictionary = blocks[0].dictionaries[place]
            if dictionary not in self._coded:
                self._coded[dictionary] = CodedFields(names, dictionary.most, self._loader, self._number)
            columns |= self._coded[dictionary].columns(dictionary, codes[place])
        return columns

    def _of_values(self, counted: _Counted, blocks: Sequence[Piece[Any]]) -> dict[str, Numbers]:
        columns: dict[str, Numbers] = {}
        for place, names in counted:
            fields = list(chain.from_iterable(block.groups[place] for block in blocks))
            columns |= self._at_once(names, fields) or self._one_by_one(names, fields)
        return columns

    @staticmethod
    def _at_once(names: tuple[str, ...], fields: Sequence[Any]) -> dict[str, Numbers]:
        """Return columns of fixed width, of which no value is NULL."""
        found = fixed.read(names, fields, len(fields))
        if found is None:
            return {}
        return {name: convert(found[name]) for name, convert in _AT_ONCE.items() if name in names}

    def _one_by_one(self, names: tuple[str, ...], fields: Sequence[Any]) -> dict[str, Numbers]:
        """Return columns of any width, each distinct field converted once."""
        if names not in self._fields:
            self._fields[names] = Fields(names, self._loader, self._number)
        return self._fields[names].columns(fields, len(fields))

    @staticmethod
    def joined(parts: Iterable[bytes]) -> bytes:
        """Return the tally of parts that `count` returned."""
        tally: bytes = msgpack.packb([TALLY_VERSION, *(part for part in parts if part)])
        return tally

    def _names(self, shape: Shape, blocks: Sequence[Piece[Any]]) -> Iterator[tuple[str, ...]]:
        """Yield the names of the columns of each group."""
        names = iter(shape.columns)
        for value in next(block.first for block in blocks if block.record_count):
            yield tuple(islice(names, self._loader.width(value)))

    def _section(self, columns: dict[str, Numbers], count: int) -> dict[str, Any]:
        none = np.zeros(count, np.int64)
        minute, size = columns["timestamp"], columns.get("size_bytes", none)
        day = (None, minute // 1440)
        status = columns.get("status", none + NO_STATUS)
        method, host = columns.get("rest_method", none), _first(columns, none, "server_name", "host")
        rows, of_line = numbered([minute, status, first_lines(method), first_lines(host)])
        group = minutely.groups(rows)[of_line]
        told_by = (rows[0], rows[1], method[rows[2]], host[rows[3]])
        told = self._told(zip((None, None, "method", "host"), told_by, strict=True))
        section = {
            "minutes": [*told, *map(packed, added(of_line, [size]))],
            "visitors": self._visitors(group, _first(columns, none, "ip", "client_host", "user_name")),
        }
        for kind, name in VALUES.items():
            if name in columns:
                keys, sums = [day, (POOLS[name], columns[name])], [size]
                took = columns.get("duration_seconds") if kind == "path" else None
                keys += [(None, status)] if kind == "path" else []
                sums += [] if took is None else [(took >= 0).astype(np.int64), np.maximum(took, 0)]
                section[kind] = self._rows(keys, sums, columns[name] > 0)
        for part in PARTS:
            took = columns.get(f"{part}_seconds")
            if took is not None:
                section[part] = minutely.durations(group, took)
        return {kind: rows for kind, rows in section.items() if rows}

    def _rows(self, keys: Sequence[_Key], sums: Sequence[Numbers], where: Any = None) -> list[Any]:
        """Return the distinct keys column by column, then how many lines each has, then their sums."""
        if where is not None and not where.all():
            keys = [(pool, column[where]) for pool, column in keys]
            sums = [column[where] for column in sums]
        if not len(keys[0][1]):
            return []
        numbers = [column if pool is None else first_lines(column) for pool, column in keys]
        found, hits, total = grouped(numbers, sums)
        told = self._told(
            (pool, each if pool is None else column[each])
            for (pool, column), each in zip(keys, found, strict=True)
        )
        return [*told, *map(packed, (hits, *total))]

    def _told(self, keys: Iterable[_Key]) -> list[Any]:
        return [
            packed(column) if pool is None else self._pools[pool].values_of(column) for pool, column in keys
        ]

    def _visitors(self, group: Numbers, who: Numbers) -> list[bytes]:
        places = np.frombuffer(self._who.places, np.int64)
        return minutely.visitors(group, who, places) if who.any() else []


def _first(columns: Mapping[str, Numbers], none: Numbers, *names: str) -> Numbers:
    """Return for each line the first of some columns of one pool that is not NULL."""
    found = none
    for name in names:
        if name in columns:
            found = np.where(found == 0, columns[name], found)
    return found
