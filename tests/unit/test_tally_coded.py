"""Tallies by the codes of dictionaries: those of the way of Python, whatever was counted before."""

from typing import Any

import pytest
from hypothesis import example, given

from db import tally
from db.copy import encode_group
from db.load import PostgresqlLoader, Shape
from db.tally import Counter
from pipeline.formats import get_format
from pipeline.formats.coded import coded_parser
from pipeline.formats.parse import BlockParser
from tests.unit.formats.coded import distinct
from tests.unit.formats.lines import BLOCKS, COMBINED_LINE

COMBINED = get_format("combined")
pytestmark = pytest.mark.usefixtures("compiled")


@given(BLOCKS)
@example(distinct(50))
def test_tallies_are_those_of_python(block: bytes) -> None:
    """Counted by codes or by values, a block adds the same to the counts, byte for byte."""
    loader = PostgresqlLoader()
    parser = coded_parser(COMBINED, encode_group)
    assert parser is not None
    blocks = [block, COMBINED_LINE + b"\n", block]

    shape, own, other = Shape(1, COMBINED.columns), Counter(loader), Counter(loader)
    for each in blocks:
        pieces = [piece for piece in parser.pieces(each) if piece.record_count]
        parsed = [piece for piece in BlockParser(COMBINED, encode_group).pieces(each) if piece.starts]
        assert other.count(shape, parsed, parsed) == own.count(shape, pieces, pieces)


def test_blocks_of_both_kinds_are_counted_together() -> None:
    """Also where dictionaries were replaced between them."""
    loader, shape, block = PostgresqlLoader(), Shape(1, COMBINED.columns), distinct(100)
    first, second = coded_parser(COMBINED, encode_group), coded_parser(COMBINED, encode_group)
    assert first is not None
    assert second is not None
    mixed = [*first.pieces(block), *BlockParser(COMBINED, encode_group).pieces(block), *second.pieces(block)]

    expected = list(BlockParser(COMBINED, encode_group).pieces(3 * block))

    assert Counter(loader).count(shape, expected, expected) == Counter(loader).count(shape, mixed, mixed)


class Decoding(PostgresqlLoader):
    """Counts the fields that are decoded; the last value of number `fails_at` is none that can be counted."""

    count = 0
    fails_at = 0

    def decode(self, columns: tuple[str, ...], wanted: frozenset[str], encoded: bytes) -> list[Any]:
        """Return the values of the wanted columns of one group."""
        self.count += 1
        values = super().decode(columns, wanted, encoded)
        return [*values[:-1], object()] if self.count == self.fails_at else values


def test_formats_that_take_turns_are_decoded_once() -> None:
    """Each has dictionaries of its own, with the same columns."""
    loader, shape, block = Decoding(), Shape(1, COMBINED.columns), distinct(100)
    counter = Counter(loader)
    parsers = [coded_parser(COMBINED, encode_group) for _ in range(2)]
    counts = []

    for _ in range(3):
        for parser in parsers:
            assert parser is not None
            pieces = list(parser.pieces(block))
            counter.count(shape, pieces, pieces)
        counts.append(loader.count)

    assert 0 < counts[0] == counts[1] == counts[2]


def test_a_counter_that_forgot_decodes_what_lines_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all that a dictionary holds: that may be more than is kept, and would be forgotten each time."""
    monkeypatch.setattr(tally, "KEPT_BYTES", 0)
    loader, shape = Decoding(), Shape(1, COMBINED.columns)
    counter, parser = Counter(loader), coded_parser(COMBINED, encode_group)
    assert parser is not None
    for block in (distinct(500), COMBINED_LINE + b"\n"):
        loader.count = 0
        pieces = list(parser.pieces(block))
        counter.count(shape, pieces, pieces)

    assert 0 < loader.count < 10


def test_a_count_that_was_broken_off_leaves_nothing_behind() -> None:
    """Whatever field it was at, the next one is right: the task is tried again in the same process."""
    shape, block = Shape(1, COMBINED.columns), distinct(20)
    for parser in (coded_parser(COMBINED, encode_group), BlockParser(COMBINED, encode_group)):
        assert parser is not None
        pieces = list(parser.pieces(block))
        loader = Decoding()
        expected = Counter(loader).count(shape, pieces, pieces)
        for fails_at in range(1, loader.count + 1):
            loader = Decoding()
            loader.fails_at = fails_at
            counter = Counter(loader)
            with pytest.raises((TypeError, AttributeError)):
                counter.count(shape, pieces, pieces)
            assert expected == counter.count(shape, pieces, pieces)
