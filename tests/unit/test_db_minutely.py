"""What a tally holds by the minute: the same as counting lines one by one, however many hosts there are."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.durations import LOWER_ENDS
from db.grouping import numbered
from db.minutely import durations, groups, visitors
from db.sketches import RUN_BITS
from db.traffic import NO_STATUS

#: Minutes, statuses, methods, hosts, microseconds and visitors at the ends of what there may be.
LINE = st.tuples(
    st.sampled_from([-(1 << 40), 4_200_000_000]),
    st.sampled_from([NO_STATUS, -(1 << 15), -100, -99, 0, 99, 200, 299, 300, (1 << 15) - 1]),
    st.integers(0, 1),
    st.sampled_from([0, 1 << 31]),
    st.sampled_from([-1, 0, 63, 64, 127, 128, 10**12]),
    st.integers(0, 6),
)
#: Registers and runs of visitors; the first is nobody.
PLACES = [(0, 0), (0, 1), (0, 53), (4095, 1), (4095, 53), (7, 9), (7, 8)]


def class_of(status: int) -> int | None:
    """Return the class of a status, that of a negative one as if it were positive."""
    return None if status == NO_STATUS else abs(status) // 100 * (-1 if status < 0 else 1)


def bunches(columns: Sequence[bytes]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield groups with their numbers and values."""
    if not columns:
        return
    own, counts, steps, values = (array(chr(each[0]), each[1:]) for each in columns)
    at = 0
    for group, count in zip(accumulate(own), counts, strict=True):
        yield group, list(zip(accumulate(steps[at : at + count]), values[at : at + count], strict=True))
        at += count
    assert at == len(steps) == len(values)


def columns_of(lines: Sequence[Sequence[int]]) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return lines column by column."""
    return [np.array(column, np.int64) for column in zip(*lines, strict=True)]


@given(lines=st.lists(LINE, min_size=1, max_size=60))
def test_groups_are_those_of_the_lines(lines: list[tuple[int, ...]]) -> None:
    """Each group is a minute, a class, a method and a host, and stands for all rows that have them."""
    minute, status, method, host, took, who = columns_of(lines)
    rows, of_line = numbered([minute, status, method, host])
    group = groups(rows)[of_line]
    places = np.array([register << RUN_BITS | run for register, run in PLACES], np.int64)

    def key(number: int) -> tuple[object, ...]:
        at, told, by, on = (int(column[number]) for column in rows)
        return at, class_of(told), by, on

    timed: Counter[object] = Counter()
    came: Counter[object] = Counter()
    for at, told, by, on, microseconds, visitor in lines:
        own = at, class_of(told), by, on
        if microseconds >= 0:
            timed[own, bisect_right(LOWER_ENDS, microseconds) - 1] += 1
        if visitor:
            register, run = PLACES[visitor]
            came[own, register] = max(came[own, register], run)
    found = durations(group, took)
    seen = visitors(group, who, places) if who.any() else []

    assert Counter(pairs(found, key)) == timed
    assert Counter(pairs(seen, key)) == came


def pairs(columns: Sequence[bytes], key: Callable[[int], object]) -> dict[object, int]:
    """Return values by the key of their group and their number; none comes twice."""
    told = [((key(group), number), value) for group, found in bunches(columns) for number, value in found]
    assert len(dict(told)) == len(told)
    return dict(told)


@pytest.mark.parametrize("spread", [1, 1 << 40])
def test_a_hundred_thousand_hosts(spread: int) -> None:
    """In one batch, each in a minute of its own: no number overflows, and nothing grows beyond the lines."""
    count = 100_000
    number = np.arange(count)
    rows, of_line = numbered([number * spread - (1 << 60), number % 3 + 200, number % 2, number])
    group = groups(rows)[of_line]
    places = np.full(2, 4095 << RUN_BITS | 53, np.int64)

    found = dict(bunches(visitors(group, np.ones(count, np.int64), places)))

    assert (len(found), list(found.values()).count([(4095, 53)])) == (count, count)
    assert dict(bunches(durations(group, number))).keys() == found.keys()
