"""A million broken lines of every format."""

import pytest

from tests.unit.formats.mutations import read_all

COUNT, STEP = 1_000_000, 50_000
LONGEST_SECONDS = 0.010


@pytest.mark.soak
def test_a_million_broken_lines_are_records_or_rejected() -> None:
    """Every one of a million mutated lines is a record or rejected, alone as in a block, within 10 ms."""
    results = [read_all(STEP, seed) for seed in range(100, 100 + COUNT // STEP)]

    assert sum(records + rejected for records, rejected, _ in results) == COUNT
    assert max(slowest for _, _, slowest in results) < LONGEST_SECONDS
