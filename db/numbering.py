"""What is counted, as numbers: each distinct text has one; times, sizes and durations are numbers themselves.

PostgreSQL's fields are bytes of several columns, and a field is looked up as a whole (`Fields`). For SQLite
the values stand column by column already, and are looked up as they are (`Values`).
"""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, repeat
from typing import Any

import numpy as np

from db import sketches
from db.durations import LONGEST_SECONDS
from db.grouping import Numbers
from db.load import Loader
from db.traffic import EPOCH, LARGEST_SIZE, NO_STATUS
from pipeline.formats.dictionary import Dictionary

#: What stands for a value.
Number = Callable[[Any], int]

#: Bytes of fields that are remembered, with what each costs beside itself; then all is forgotten.
KEPT_BYTES, FIELD_BYTES = 16 << 20, 250

#: Columns whose values are numbered, by the pool that numbers them: columns of one pool can be coalesced.
POOLS = {
    "rest_method": "method", "path": "path", "user_agent": "agent", "country": "country",
    "browser": "browser", "server_name": "host", "host": "host", "ip": "who", "client_host": "who",
    "user_name": "who",
}  # fmt: skip


def _minutes(moment: datetime) -> int:
    return int((moment - EPOCH).total_seconds() // 60)


def _size(size: int | None) -> int:
    return size if size is not None and 0 <= size <= LARGEST_SIZE else 0


def _microseconds(seconds: float | None) -> int:
    """Return whole microseconds, -1 for what does not count; as durations.microseconds."""
    return int(seconds * 1e6 + 0.5) if seconds is not None and 0 <= seconds <= LONGEST_SECONDS else -1


#: Columns that are numbers themselves, and what stands for a value.
NUMBERS: dict[str, Number] = {
    "timestamp": _minutes,
    "status": lambda status: NO_STATUS if status is None else status,
    "size_bytes": _size,
    "duration_seconds": _microseconds,
    "upstream_seconds": _microseconds,
}


class Pool(dict[Any, int]):
    """Numbers of values, and the values by their numbers; NULL is number 0."""

    def __init__(self) -> None:
        super().__init__({None: 0})
        self.names: list[Any] = [None]
        self.bytes_ = 0

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self.names)
        self.names.append(value)
        self.bytes_ += len(value) + FIELD_BYTES
        return number

    def values_of(self, numbers: Numbers) -> list[Any]:
        """Return the values of some numbers."""
        return list(map(self.names.__getitem__, numbers.tolist()))


class Visitors(Pool):
    """A pool of visitors, with the register and run of each in a sketch, as one number."""

    def __init__(self) -> None:
        super().__init__()
        self.places = array("q", [0])

    def __missing__(self, value: Any) -> int:
        register, run = sketches.place(value)
        self.places.append(register << sketches.RUN_BITS | run)
        return super().__missing__(value)


class Fields(dict[Any, int]):
    """Encoded fields of one group of columns, numbered; for each its values as numbers, column by column."""

    def __init__(self, columns: tuple[str, ...], loader: Loader, number: Mapping[str, Number]) -> None:
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


class CodedFields:
    """Values of one group of columns as numbers, column by column, by the codes of a dictionary.

    Only codes that lines have are looked at: all of a large dictionary would be too many for what is kept.
    """

    def __init__(
        self, columns: tuple[str, ...], most: int, loader: Loader, number: Mapping[str, Number]
    ) -> None:
        """Know none yet of `most` codes."""
        self._loader = loader
        self._columns = columns
        self._wanted = {name: number[name] for name in columns if name in number}
        self._is_known = np.zeros(most, np.bool_)
        self._of_code = [np.empty(most, np.int64) for _ in self._wanted]

    def columns(self, dictionary: Dictionary, codes: Any) -> dict[str, Numbers]:
        """Return the numbers of some codes, column by column; it must be the same dictionary each time."""
        is_known = self._is_known[codes]
        if not is_known.all():
            new = np.unique(codes[~is_known])
            self._learn(new, dictionary.values(new))
        return {name: column[codes] for name, column in zip(self._wanted, self._of_code, strict=True)}

    def _learn(self, codes: Any, encoded: Iterable[bytes]) -> None:
        names = frozenset(self._wanted)
        values = zip(*(self._loader.decode(self._columns, names, each) for each in encoded), strict=True)
        for column, number, own in zip(self._of_code, self._wanted.values(), values, strict=True):
            column[codes] = np.fromiter(map(number, own), np.int64, len(codes))
        self._is_known[codes] = True


class _Numbered(dict[Any, int]):
    """Values of a column that is numbers itself, and what stands for them."""

    def __init__(self, number: Number) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, value: Any) -> int:
        number = self[value] = self._number(value)
        return number


class Values:
    """Values as they are, numbered column by column."""

    def __init__(self, loader: Loader, pools: Mapping[str, Pool]) -> None:
        def numbered(name: str) -> _Numbered:
            def number(value: Any) -> int:
                return NUMBERS[name](*loader.decode((name,), frozenset((name,)), (value,)))

            return _Numbered(number)

        self._pools = pools
        self._numbered = {name: numbered(name) for name in NUMBERS}
        self._known: dict[str, dict[Any, int]] = {**pools, **self._numbered}

    @property
    def bytes_(self) -> int:
        """Return about how many bytes are kept."""
        texts = sum(pool.bytes_ for pool in {id(pool): pool for pool in self._pools.values()}.values())
        return texts + FIELD_BYTES * sum(map(len, self._numbered.values()))

    def columns(self, pieces: Sequence[Mapping[str, Sequence[Any]]], count: int) -> dict[str, Numbers]:
        """Return the numbers of `count` records, given piece by piece; a column without any is left out."""
        return {
            name: np.fromiter(map(known.__getitem__, _values(name, pieces)), np.int64, count)
            for name, known in self._known.items()
            if any(name in piece for piece in pieces)
        }


def _values(name: str, pieces: Sequence[Mapping[str, Sequence[Any]]]) -> Iterable[Any]:
    return chain.from_iterable(
        piece[name] if name in piece else repeat(None, len(piece["timestamp"])) for piece in pieces
    )
