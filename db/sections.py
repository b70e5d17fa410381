"""A tally, which tally.py puts together, taken apart: its sections, the rows and bunches of their columns."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard

from db.traffic import NO_STATUS, TALLY_VERSION

#: Columns by what they count.
Section = dict[str, list[Any]]
#: Bytes of a tally that tell its version.
HEAD_BYTES = 16


def is_current(tally: bytes) -> bool:
    """Return whether this version adds such a tally up; its first `HEAD_BYTES` tell."""
    head = msgpack.Unpacker()
    head.feed(tally[:HEAD_BYTES])
    return bool(head.read_array_header() and head.unpack() == TALLY_VERSION)


def parts(tally: bytes) -> Iterator[Section]:
    """Return the sections of a tally of this version, one for each format of its records."""
    _, *packed = msgpack.unpackb(tally)
    return (msgpack.unpackb(zstandard.decompress(part)) for part in packed)


def rows(columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Return the rows of columns, packed numbers or lists of values."""
    told = (unpacked(column) if isinstance(column, bytes) else column for column in columns)
    return zip(*told, strict=True)


def bunches(
    groups: Iterable[int], counts: Iterable[int], steps: "array[int]", values: "array[int]"
) -> Iterator[tuple[int, Iterator[tuple[int, int]]]]:
    """Yield each group with its pairs of numbers and values; groups and numbers stand as steps."""
    at = 0
    for group, count in zip(accumulate(groups), counts, strict=True):
        numbers = accumulate(steps[at : at + count])
        yield group, zip(numbers, values[at : at + count], strict=True)
        at += count


def status(told: int) -> int | None:
    """Return a status as it was, None where there was none."""
    return None if told == NO_STATUS else told


def unpacked(column: bytes) -> "array[int]":
    """Return the whole numbers that `minutely.packed` packed."""
    return array(chr(column[0]), column[1:])
