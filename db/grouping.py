"""Equal keys of many lines made one by numpy, with their number and their sums."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

#: How many combinations of keys there may be for each line: so few are counted in a table, more are sorted.
SPARSEST = 8
#: The largest number that several keys are joined to, and the least sum that a double may round.
_LARGEST, _EXACT = 1 << 62, 1 << 53


def grouped(keys: Sequence[Numbers], sums: Sequence[Numbers]) -> tuple[list[Numbers], Numbers, list[Numbers]]:
    """Return the distinct combinations of keys, column by column, how often each comes, and its sums.

    Sums are of what is not negative, and below 2**63.
    """
    lows, spans = _ranges(keys)
    if prod(spans) > SPARSEST * len(keys[0]) or not all(map(_is_exact, sums)):
        return _sorted(keys, sums, lows, spans)
    joined = _joined(keys, lows, spans)
    counts = np.bincount(joined)
    found = np.flatnonzero(counts)
    total = [np.bincount(joined, column)[found].astype(np.int64) for column in sums]
    return _parted(found, lows, spans), counts[found], total


def numbered(keys: Sequence[Numbers]) -> tuple[list[Numbers], Numbers]:
    """Return the distinct combinations of keys in order, column by column, and the number of each line's."""
    lows, spans = _ranges(keys)
    if prod(spans) > SPARSEST * len(keys[0]):
        order, ordered, changes = _ordered(keys, lows, spans)
        of_line = np.empty(len(order), np.int64)
        of_line[order] = np.cumsum(changes) - 1
        return [column[changes] for column in ordered], of_line
    joined = _joined(keys, lows, spans)
    numbers = np.zeros(prod(spans), np.int64)
    numbers[joined] = 1
    found = np.flatnonzero(numbers)
    numbers[found] = np.arange(len(found))
    return _parted(found, lows, spans), numbers[joined]


def added(numbers: Numbers, columns: Sequence[Numbers]) -> list[Numbers]:
    """Return how many lines each number from 0 on has, and its sums of columns, as for `grouped`."""
    return [np.bincount(numbers), *(_added(numbers, column) for column in columns)]


def _added(numbers: Numbers, column: Numbers) -> Numbers:
    if _is_exact(column):
        return np.bincount(numbers, column).astype(np.int64)
    sums = np.zeros(int(numbers.max()) + 1, np.int64)
    np.add.at(sums, numbers, column)
    return sums


def _is_exact(column: Numbers) -> bool:
    """Return whether doubles add a column up without an error."""
    return int(column.sum()) < _EXACT


def _ranges(keys: Sequence[Numbers]) -> tuple[list[int], list[int]]:
    """Return the least of each key, and how far it reaches."""
    lows = [int(column.min()) for column in keys]
    return lows, [int(column.max()) - low + 1 for column, low in zip(keys, lows, strict=True)]


def first_lines(column: Numbers) -> Numbers:
    """Return for each line the first one that has its value, as a number for that value.

    So the same lines are grouped in the same order, whatever numbered their values before.
    """
    first = np.empty(int(column.max()) + 1, np.int64)
    # Of several lines with one value the last written stays: the first line.
    first[column[::-1]] = np.arange(len(column) - 1, -1, -1)
    own: Numbers = first[column]
    return own


def _sorted(
    keys: Sequence[Numbers], sums: Sequence[Numbers], lows: Sequence[int], spans: Sequence[int]
) -> tuple[list[Numbers], Numbers, list[Numbers]]:
    order, ordered, changes = _ordered(keys, lows, spans)
    begins = np.flatnonzero(changes)
    total = [np.add.reduceat(column[order], begins, dtype=np.int64) for column in sums]
    return [column[begins] for column in ordered], np.diff(begins, append=len(order)), total


def _ordered(
    keys: Sequence[Numbers], lows: Sequence[int], spans: Sequence[int]
) -> tuple[Numbers, list[Numbers], NDArray[np.bool_]]:
    """Return the lines in the order of their keys, the keys in it, and which of them differ from the last."""
    # One number of all keys sorts much faster, where it has room.
    order = np.argsort(_joined(keys, lows, spans)) if prod(spans) <= _LARGEST else np.lexsort(keys[::-1])
    ordered = [column[order] for column in keys]
    changes = [np.diff(column, prepend=column[0] - 1) != 0 for column in ordered]
    return order, ordered, np.logical_or.reduce(changes)


def _joined(keys: Sequence[Numbers], lows: Sequence[int], spans: Sequence[int]) -> Numbers:
    """Return each line's keys as one number."""
    joined = keys[0] - lows[0]
    for column, low, span in zip(keys[1:], lows[1:], spans[1:], strict=True):
        joined = joined * span + (column - low)
    return joined


def _parted(joined: Numbers, lows: Sequence[int], spans: Sequence[int]) -> list[Numbers]:
    """Return the keys that `_joined` made numbers of, column by column."""
    keys = []
    for low, span in zip(reversed(lows), reversed(spans), strict=True):
        joined, key = np.divmod(joined, span)
        keys.append(key + low)
    return keys[::-1]
