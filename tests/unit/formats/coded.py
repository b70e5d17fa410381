"""What the tests of the compiled loops share: formats that have a program, parsers, blocks."""

import random
from collections.abc import Iterable
from typing import Any

from pipeline.formats.base import Format
from pipeline.formats.coded import CodedBlock, CodedParser, coded_parser
from pipeline.formats.nginx import from_nginx
from pipeline.formats.parse import ParsedBlock
from pipeline.formats.program import program_of
from tests.unit.formats.lines import COMBINED_LINE, PATTERNS

#: A group of three captures, two of them side by side.
JOINED = from_nginx(
    "joined", '$remote_addr [$time_local] "$request" $connection $connection_requests "$http_x_a"'
)
PROGRAMS = [format_ for format_ in (*PATTERNS, JOINED) if program_of(format_)]


def as_bytes(columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    """Encode a group as text that tells all values and columns apart."""
    return repr((columns, values)).encode()


def parser_of(format_: Format) -> CodedParser:
    """Return a fresh parser that uses the compiled loops."""
    parser = coded_parser(format_, as_bytes)
    assert parser is not None
    return parser


def together(pieces: Iterable[CodedBlock]) -> ParsedBlock[bytes]:
    """Return the pieces of a block as one."""
    found = list(pieces)
    rows = [row for piece in found for row in zip(*piece.groups, strict=True)]
    starts = [start for piece in found for start in piece.starts]
    groups = list(map(list, zip(*rows, strict=True)))
    return ParsedBlock(starts, groups, [line for piece in found for line in piece.rejected])


def distinct(count: int) -> bytes:
    """Return lines of sizes that all differ, from clients that come again; each seventh is read exactly."""
    rng = random.Random(3)
    lines = [COMBINED_LINE.replace(b" 1386 ", b" %d " % number) for number in range(count)]
    lines = [line.replace(b"203.0.113.9", b"203.0.113.%d" % rng.randrange(9)) for line in lines]
    lines = [line.replace(b"example.org", b"%d.example" % number * 99) for number, line in enumerate(lines)]
    return b"".join(
        line.replace(b"X11", rb"X\"11" if n % 7 == 0 else b"X11") + b"\n" for n, line in enumerate(lines)
    )
