"""What a tally holds by the minute: registers of visitors' sketches, and buckets of durations; by numpy.

Each belongs to a group: a minute, a class of statuses, a method and a host. Its number is that of the first
row of hits in the tally that has them.
"""

from collections.abc import Sequence

import numpy as np

from db.durations import FINEST, LOWER_ENDS, WIDTHS
from db.grouping import Numbers, numbered
from db.sketches import PLACE_BITS, RUN_BITS
from db.traffic import NO_STATUS

_ENDS, _WIDTHS = (np.array(list(each), np.int64) for each in (WIDTHS, WIDTHS.values()))
_BUCKET_BITS = len(LOWER_ENDS).bit_length()
#: What stands for the class of no status: as that, no smallint.
_NO_CLASS = NO_STATUS


def packed(column: Numbers) -> bytes:
    """Return whole numbers in as few bytes each as the widest needs, behind the type of array for that."""
    code = next(
        (c for c in "bhi" if np.iinfo(c).min <= column.min() and column.max() <= np.iinfo(c).max), "q"
    )
    return code.encode() + column.astype(code).tobytes()


def groups(rows: Sequence[Numbers]) -> Numbers:
    """Return for rows of minute, status, method and host the first that has its class of statuses instead."""
    minute, status, method, host = rows
    classes = np.where(status == NO_STATUS, _NO_CLASS, np.fix(status / 100).astype(np.int64))
    _, numbers = numbered([minute, classes, method, host])
    first: Numbers = np.unique(numbers, return_index=True)[1]
    return first[numbers]


def visitors(group: Numbers, who: Numbers, places: Numbers) -> list[bytes]:
    """Return groups, how many registers of each have a visitor, the steps between those, and their runs.

    `places` holds for the number of each visitor its register and run, as one number; no visitor is 0.
    """
    codes = (group << (PLACE_BITS + RUN_BITS)) | places[who]
    codes = np.sort(codes[who > 0])
    # Of one register the longest run stands last.
    codes = codes[np.diff(codes >> RUN_BITS, append=-1) != 0]
    own, registers = codes >> (PLACE_BITS + RUN_BITS), (codes >> RUN_BITS) % (1 << PLACE_BITS)
    return [*_bunched(own, registers), packed(codes % (1 << RUN_BITS))]


def durations(group: Numbers, took: Numbers) -> list[bytes]:
    """Return groups, how many buckets each has, the steps between those, and their hits.

    What took less than 0 microseconds does not count.
    """
    group, took = (column[took >= 0] for column in (group, took))
    if not len(took):
        return []
    codes, hits = np.unique((group << _BUCKET_BITS) | buckets(took), return_counts=True)
    return [*_bunched(codes >> _BUCKET_BITS, codes % (1 << _BUCKET_BITS)), packed(hits)]


def _bunched(own: Numbers, values: Numbers) -> list[bytes]:
    """Return the steps between groups, how many values each has, and the steps between those; from 0 on."""
    begins = np.flatnonzero(np.diff(own, prepend=-1))
    steps = np.diff(values, prepend=0)
    steps[begins] = values[begins]
    return [
        packed(each) for each in (np.diff(own[begins], prepend=0), np.diff(begins, append=len(own)), steps)
    ]


def buckets(took: Numbers) -> Numbers:
    """Return the numbers of the buckets of microseconds, which are not negative; as durations.bucket."""
    power = np.searchsorted(_ENDS, took, side="right").clip(max=len(_ENDS) - 1)
    wider = FINEST + FINEST // 2 * power + (took - _ENDS[power] // 2) // _WIDTHS[power]
    return np.where(took < FINEST, took, wider)
