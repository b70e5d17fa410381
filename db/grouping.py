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
    lows = [int(column.min()) for column in keys]
    spans = [int(column.max()) - low + 1 for column, low in zip(keys, lows, strict=True)]
    if prod(spans) > SPARSEST * len(keys[0]) or any(int(column.sum()) >= _EXACT for column in sums):
        return _sorted(keys, sums, lows, spans)
    joined = _joined(keys, lows, spans)
    counts = np.bincount(joined)
    found = np.flatnonzero(counts)
    added = [np.bincount(joined, column)[found].astype(np.int64) for column in sums]
    return _parted(found, lows, spans), counts[found], added


def _sorted(
    keys: Sequence[Numbers], sums: Sequence[Numbers], lows: Sequence[int], spans: Sequence[int]
) -> tuple[list[Numbers], Numbers, list[Numbers]]:
    # One number of all keys sorts much faster, where it has room.
    order = np.argsort(_joined(keys, lows, spans)) if prod(spans) <= _LARGEST else np.lexsort(keys[::-1])
    ordered = [column[order] for column in keys]
    changes = [np.diff(column, prepend=column[0] - 1) != 0 for column in ordered]
    begins = np.flatnonzero(np.logical_or.reduce(changes))
    added = [np.add.reduceat(column[order], begins, dtype=np.int64) for column in sums]
    return [column[begins] for column in ordered], np.diff(begins, append=len(order)), added


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
