"""What a tally holds by the minute: registers of visitors' sketches, and buckets of durations; by numpy."""

import numpy as np

from db.durations import FINEST, LOWER_ENDS, WIDTHS
from db.grouping import Numbers
from db.sketches import PLACE_BITS, RUN_BITS

_ENDS, _WIDTHS = (np.array(list(each), np.int64) for each in (WIDTHS, WIDTHS.values()))
_BUCKET_BITS = len(LOWER_ENDS).bit_length()


def packed(column: Numbers) -> bytes:
    """Return whole numbers in as few bytes each as the widest needs, behind the type of array for that."""
    code = next(
        (c for c in "bhi" if np.iinfo(c).min <= column.min() and column.max() <= np.iinfo(c).max), "q"
    )
    return code.encode() + column.astype(code).tobytes()


def visitors(minute: Numbers, who: Numbers, places: Numbers) -> list[bytes]:
    """Return minutes, how many registers of each have a visitor, the steps between those, and their runs.

    `places` holds for the number of each visitor its register and run, as one number; no visitor is 0.
    """
    low = int(minute.min())
    codes = ((minute - low) << (PLACE_BITS + RUN_BITS)) | places[who]
    codes = np.sort(codes[who > 0])
    # Of one register the longest run stands last.
    codes = codes[np.diff(codes >> RUN_BITS, append=-1) != 0]
    minutes, registers = codes >> (PLACE_BITS + RUN_BITS), (codes >> RUN_BITS) % (1 << PLACE_BITS)
    begins, columns = _bunched(minutes, registers)
    return [packed(minutes[begins] + low), *columns, packed(codes % (1 << RUN_BITS))]


def durations(minute: Numbers, host: Numbers, took: Numbers) -> tuple[Numbers, list[bytes]]:
    """Return hosts; and to each a minute, how many buckets it has, the steps between those, and their hits.

    What took less than 0 microseconds does not count.
    """
    minute, host, took = (column[took >= 0] for column in (minute, host, took))
    if not len(took):
        return took, []
    low, hosts = int(minute.min()), int(host.max()) + 1
    groups = (minute - low) * hosts + host
    codes, hits = np.unique((groups << _BUCKET_BITS) | buckets(took), return_counts=True)
    groups = codes >> _BUCKET_BITS
    begins, columns = _bunched(groups, codes % (1 << _BUCKET_BITS))
    return groups[begins] % hosts, [packed(groups[begins] // hosts + low), *columns, packed(hits)]


def _bunched(groups: Numbers, values: Numbers) -> tuple[Numbers, list[bytes]]:
    """Return where groups begin; how many values each has, and the steps between those, first from 0."""
    begins = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    steps = np.diff(values, prepend=0)
    steps[begins] = values[begins]
    return begins, [packed(np.diff(begins, append=len(groups))), packed(steps)]


def buckets(took: Numbers) -> Numbers:
    """Return the numbers of the buckets of microseconds, which are not negative; as durations.bucket."""
    power = np.searchsorted(_ENDS, took, side="right").clip(max=len(_ENDS) - 1)
    wider = FINEST + FINEST // 2 * power + (took - _ENDS[power] // 2) // _WIDTHS[power]
    return np.where(took < FINEST, took, wider)
