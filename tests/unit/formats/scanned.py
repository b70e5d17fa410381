"""Scans broken lines by a library that checks its memory: `-m tests.unit.formats.scanned LIBRARY BLOCKS`."""

import random
import sys
from itertools import islice
from pathlib import Path

from pipeline import scanner
from pipeline.formats import dictionary
from pipeline.formats.base import Format
from pipeline.formats.parse import BlockParser
from tests.unit.formats.coded import PROGRAMS, as_bytes, parser_of, together
from tests.unit.formats.mutations import mutated

#: Lines of a block; so few that many end at the end of their memory.
MOST_LINES = 9


def main(library: str, blocks: int) -> None:
    """Read blocks of broken lines, whose memory ends where they end, with dictionaries that are soon full."""
    scanner.place = lambda: Path(library)
    assert scanner.library() is not None
    chance = random.Random(5)
    for limits in ({}, {"MOST_ENTRIES": 3}):
        for name, value in limits.items():
            setattr(dictionary, name, value)
        lines = mutated(blocks * MOST_LINES, 7)
        parsers = [(format_, parser_of(format_), BlockParser(format_, as_bytes)) for format_ in PROGRAMS]
        for number in range(blocks):
            some = [line for _, line in islice(lines, chance.randrange(1, MOST_LINES))]
            block = b"\n".join(some) + chance.choice([b"", b"\n"])
            _compare(*parsers[number % len(parsers)], block)
            plain = block.rstrip(b"\n") + b"\n"
            rows = scanner.line_rows(plain, number, b"head")
            assert rows is not None
            assert len(rows) == len(plain) + 15 * scanner.newlines(plain)


def _compare(format_: Format, coded: object, parser: BlockParser[bytes], block: bytes) -> None:
    found, expected = together(coded.pieces(block)), parser.parse(block)
    assert (found.starts, found.rejected) == (expected.starts, expected.rejected), (format_.name, block)
    assert not found.starts or found.groups == expected.groups, (format_.name, block)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
