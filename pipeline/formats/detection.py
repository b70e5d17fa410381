"""Which format lines are of, from a sample of them, and how sure that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import not_

from pipeline.formats import w3c
from pipeline.formats.base import LONGEST_LINE_BYTES, Format
from pipeline.formats.line import LogFormat
from pipeline.formats.parse import BlockParser

#: Lines of a block that are looked at.
SAMPLE_LINES = 200
#: Share of the sample that a format must have to be the source's.
ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Recognised:
    """The format of a sample of lines.

    Attributes:
        format: the one.
        share: of the sample that it reads, 0 to 1.
        margin: how much larger its share is than the next one's, 0 to 1.
    """

    format: LogFormat
    share: float
    margin: float


def shares_of(block: bytes, formats: Iterable[LogFormat]) -> dict[LogFormat, float]:
    """Return for each format the share, 0 to 1, of a sample of the lines that it is the first to read.

    A line counts for the first format that reads it whole, values included: put special ones before general
    ones. What a Fields line of W3C declares comes first of all.
    Header lines do not count, but alone they are enough.
    """
    declared = w3c.declared(block)
    candidates: dict[LogFormat, None] = dict.fromkeys(([declared] if declared else []) + list(formats))
    # Indented lines are those of stack traces: they say nothing of the format.
    lines = [line for line in block.split(b"\n") if line[:1].strip() and not line.startswith(w3c.HEADER)]
    rest = [line[: LONGEST_LINE_BYTES + 1] for line in lines[:: -(-len(lines) // SAMPLE_LINES) or 1]]
    whole = len(rest) or 1
    shares: dict[LogFormat, float] = {}
    for format_ in candidates:
        before = len(rest)
        rest = _not_read(format_, rest)
        shares[format_] = (before - len(rest)) / whole
    if declared and not lines:
        shares[declared] = 1.0
    return shares


def _not_read(format_: LogFormat, lines: list[bytes]) -> list[bytes]:
    fits = [bool(format_.match(line)) for line in lines]
    if not any(fits):
        return lines
    if not isinstance(format_, Format):
        return list(compress(lines, map(not_, fits)))
    # Values count too: a pattern that fits a day which does not exist is no sign of the format.
    parser = BlockParser(format_, lambda _columns, values: values)
    refused = parser.parse(b"".join(line + b"\n" for line in compress(lines, fits))).rejected
    return [*compress(lines, map(not_, fits)), *(each.line for each in refused)]


def recognised(shares: Mapping[LogFormat, float]) -> Recognised | None:
    """Return the format with the largest of these shares, None where none has ENOUGH."""
    best, *others = sorted(shares, key=lambda format_: -shares[format_])
    if shares[best] < ENOUGH:
        return None
    return Recognised(best, shares[best], shares[best] - max((shares[each] for each in others), default=0.0))
