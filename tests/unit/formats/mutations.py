"""Lines of every format, broken in many ways, the same for the same seed."""

import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.formats import FORMATS
from pipeline.formats.line import LogFormat, alone, parser_of
from pipeline.formats.rest import RestReader
from tests.unit.formats.lines import PIECES, typed

#: Lines that are read as one block.
BLOCK_LINES = 200
#: What a mutation puts in, beside bytes and parts of other lines.
HOSTILE = (
    *(piece.replace(b"\n", b"") for piece in PIECES),
    *(b"\x16\x03\x01", b"\x80", b"\xe2\x80\xa8", b"%00", b"${jndi:x}", b"9" * 30, b"-1", b"1e9", b"::", b"#"),
    *(b'", client: ', b" [31/Feb/2015:99:99:99 +9999] ", b"{" * 9, b"\t", b"\r", b"NaN", b"rt=", b"/-1"),
)
#: Longest repetition that a mutation makes, in bytes.
LONGEST_BYTES = 20_000


def mutated(count: int, seed: int) -> Iterator[tuple[LogFormat, bytes]]:
    """Yield so many lines without newline, each with the format that it was of."""
    chance = random.Random(seed)
    formats = list(FORMATS.values())
    for _ in range(count):
        format_ = chance.choice(formats)
        line = format_.example
        for _ in range(chance.randrange(1, 5)):
            line = _mutated(line, chance, formats)
        yield format_, line.replace(b"\n", b"")


def _mutated(line: bytes, chance: random.Random, formats: list[LogFormat]) -> bytes:  # noqa: PLR0911 - one a kind
    low, high = sorted((chance.randrange(len(line) + 1), chance.randrange(len(line) + 1)))
    short = min(high, low + chance.randrange(1, 9))
    part = line[low:high]
    kind = chance.randrange(8)
    if kind == 0:
        return line[:low]
    if kind == 1:
        return line[:low] + line[short:]
    if kind == 2:
        return line[:low] + chance.choice(HOSTILE) + line[short:]
    if kind == 3:
        return line[:low] + chance.randbytes(chance.randrange(1, 5)) + line[short:]
    if kind == 4:
        return line[:high] + part + line[high:]
    if kind == 5:
        return line[:low] + part[::-1] + line[high:]
    if kind == 6:
        other = chance.choice(formats).example
        return line[:low] + other[chance.randrange(len(other)) :]
    times = chance.randrange(1, 1 + LONGEST_BYTES // (short - low + 1)) if chance.random() < 0.1 else 2
    return line[:low] + line[low:short] * times + line[short:]


def read_all(count: int, seed: int) -> tuple[int, int, float]:
    """Read mutated lines as mixed sources do; return records, rejected lines, and the slowest one in seconds.

    Each line is read by itself, for its time, and in a block with others, for equal counts.

    Raises:
        AssertionError: a line is neither a record nor rejected, or is something else in a block.
    """
    lines: dict[LogFormat, list[bytes]] = {format_: [] for format_ in FORMATS.values()}
    records = rejected = 0
    slowest = 0.0
    reader = _Reader()
    for format_ in FORMATS.values():  # patterns are compiled when they are used first
        reader.read(format_, [b"x", format_.example[: len(format_.example) // 2]])
    for format_, line in mutated(count, seed):
        began = time.thread_time()
        by_itself = reader.read(format_, [line])
        taken = time.thread_time() - began
        if taken > slowest:  # the clock of a busy machine is noisy: the best of three counts
            slowest = max(slowest, min(taken, *(reader.seconds(format_, line) for _ in range(2))))
        records += by_itself[0]
        rejected += by_itself[1]
        lines[format_].append(line)
    in_blocks = [
        reader.read(format_, block) for format_, of_format in lines.items() for block in _blocks(of_format)
    ]
    assert (records, rejected) == tuple(map(sum, zip(*in_blocks, strict=True)))
    return records, rejected, slowest


def _blocks(lines: list[bytes]) -> Iterator[list[bytes]]:
    rest = iter(lines)
    while block := list(islice(rest, BLOCK_LINES)):
        yield block


class _Reader:
    """A parser for each format, and one reader of what they reject."""

    def __init__(self) -> None:
        self._parsers = {format_: parser_of(alone(format_), typed) for format_ in FORMATS.values()}
        self._rest: RestReader[dict[str, Any]] = RestReader(typed, FORMATS.values)

    def read(self, format_: LogFormat, lines: list[bytes]) -> tuple[int, int]:
        parsed = self._parsers[format_].parse(b"\n".join(lines) + b"\n")
        rest = self._rest.read(format_, parsed.rejected, mixed=True)
        recovered = [start for found in rest.recovered for start in found.lines.starts]
        starts = [*parsed.starts, *recovered, *(line.start for line in rest.rejected)]
        assert len(starts) == len(set(starts)) == len(lines)
        return len(parsed.starts) + len(recovered), len(rest.rejected)

    def seconds(self, format_: LogFormat, line: bytes) -> float:
        began = time.thread_time()
        self.read(format_, [line])
        return time.thread_time() - began
