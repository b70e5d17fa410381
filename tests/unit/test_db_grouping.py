"""Equal keys of many lines made one: by a table, by sorting one number, by sorting several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.grouping import added, grouped, numbered

#: Few keys are counted in a table, others sorted: where they fit as one number, else column by column.
KEYS = {
    "few": st.integers(-3, 3),
    "many": st.integers(0, 1 << 20),
    "any": st.integers(-(1 << 62), 1 << 62),
}
#: What a double holds, and what it would round.
SIZES = {"small": st.integers(0, 1 << 40), "large": st.integers(1 << 53, 1 << 54)}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_equal_keys_are_one(data: st.DataObject, kind: str, sizes: str) -> None:
    """Each combination of keys comes once, with its number of lines and its exact sum."""
    line = st.tuples(KEYS[kind], KEYS[kind], SIZES[sizes])
    rows = data.draw(st.lists(line, min_size=1, max_size=40))
    wanted: dict[tuple[int, int], list[int]] = {}
    for first, second, size in rows:
        entry = wanted.setdefault((first, second), [0, 0])
        entry[0] += 1
        entry[1] += size
    first, second, size = (np.array(column, np.int64) for column in zip(*rows, strict=True))

    keys, hits, (sums,) = grouped([first, second], [size])
    again, numbers = numbered([first, second])
    counts = added(numbers, [size])

    told = sorted((*key, *entry) for key, entry in wanted.items())
    for columns in ([*keys, hits, sums], [*again, *counts]):
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == told
    assert [column[numbers].tolist() for column in again] == [first.tolist(), second.tolist()]
