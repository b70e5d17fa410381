"""How long requests took, in counts: a histogram whose buckets widen with the duration.

Each power of two of microseconds is cut into 32 buckets of one width, so the middle of a bucket is at most
1/64 (1.6 %) away from any duration in it. Such histograms are sketches: they merge by adding counts, their
quantiles keep that error, and unlike other sketches a part can be taken away again. Integers throughout, so
that both databases and the clean stage (tally.py) count each duration in the same bucket.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, type_coerce

from db.models import CleanRecord

#: What is timed, with its column of the records.
PARTS = {"duration": CleanRecord.duration_seconds, "upstream": CleanRecord.upstream_seconds}
#: A longer one, in seconds, is not counted: no request takes eleven days, and sums of it would overflow.
LONGEST_SECONDS = 1e6
#: Microseconds below which each has a bucket of its own.
FINEST = 64
#: Width of the buckets of each power of two from FINEST on, by the microseconds at which the power ends.
WIDTHS = {2 * FINEST << power: 2 << power for power in range(34)}
#: The lower ends of the buckets, in microseconds, by their numbers; and the numbers by the lower ends.
LOWER_ENDS: list[int] = [
    *range(FINEST),
    *(lower for end, width in WIDTHS.items() for lower in range(end // 2, end, width)),
]
NUMBERS = {lower: number for number, lower in enumerate(LOWER_ENDS)}


def microseconds(seconds: Any, dialect: str) -> ColumnElement[Any]:
    """Return seconds as whole microseconds, NULL for what does not count, as an expression."""
    rounded = seconds * 1e6 + 0.5
    if dialect == "postgresql":
        rounded = func.trunc(rounded)
    return case((seconds.between(0, LONGEST_SECONDS), cast(rounded, BigInteger)))


def duration_sums(dialect: str) -> list[Any]:
    """Return how many records say how long they took, and the sum of that; NULL where none does."""
    took = microseconds(CleanRecord.duration_seconds, dialect)
    timed = func.nullif(func.count(took), 0)
    return [timed.label("timed"), cast(func.sum(took), BigInteger).label("microseconds")]


def bucket(duration: Any) -> ColumnElement[Any]:
    """Return the lower end of the bucket of some microseconds as an expression."""
    wider = [(duration < end, duration - duration % width) for end, width in WIDTHS.items()]
    return type_coerce(case((duration < FINEST, duration), *wider), BigInteger())


def middle_of(number: int) -> float:
    """Return the middle of a bucket, in seconds, by its number."""
    width = 0 if number < FINEST else 2 << (number - FINEST) // (FINEST // 2)
    return (LOWER_ENDS[number] + width // 2) / 1e6


def middle(lower: Any) -> ColumnElement[Any]:
    """Return the middle of a bucket, in seconds, by its lower end as an expression."""
    wider = [(lower < end, lower + width // 2) for end, width in WIDTHS.items()]
    return case((lower < FINEST, lower), *wider) / 1e6
