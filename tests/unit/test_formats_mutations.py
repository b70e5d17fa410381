"""Thousands of broken lines of every format: none is lost, none crashes a parser, none takes long."""

from pipeline.formats import FORMATS
from tests.unit.formats.mutations import mutated, read_all

#: `make soak` reads a million.
COUNT = 4_000
#: Processor time of one line, in all formats: `make soak` asks for 10 ms, where nothing else runs.
LONGEST_SECONDS = 0.050


def test_broken_lines_are_records_or_rejected() -> None:
    """Every mutated line is a record or a rejected line, alone as in a block, at once."""
    records, rejected, slowest = read_all(COUNT, seed=1)

    assert records + rejected == COUNT
    assert min(records, rejected) > COUNT / 10
    assert slowest < LONGEST_SECONDS


def test_mutations_are_the_same_for_the_same_seed() -> None:
    """A failure can be repeated: the lines follow from the seed, and every format is among them."""
    lines = list(mutated(500, seed=3))

    assert lines == list(mutated(500, seed=3))
    assert {format_.name for format_, _ in lines} == set(FORMATS)
