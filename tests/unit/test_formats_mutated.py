"""Lines of the corpus, mutated without end: nothing breaks, nothing takes long, every line is accounted for.

MUTATED_LINES=1000000 python -m pytest tests/unit/test_formats_mutated.py
"""

import os
import random
import time
from collections.abc import Iterator

import pytest

from db.copy import encode_group
from pipeline.formats import FORMATS, detect, get_format
from pipeline.formats.line import parser_of
from tests.unit.test_formats_conformance import corpus, line_of

#: Lines of all formats together.
COUNT = int(os.environ.get("MUTATED_LINES", "6000"))
BLOCK_LINES = 200
#: Most seconds for a line, by the clock of the processor.
LONGEST_SECONDS = 0.01
#: What is put into lines.
PIECES = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b"=", b":", b" ", b"\0", b"\xff", b"-", b".", b",", b"\t", b"\r"),
    *(b"\\u0000", b"\\ud800", b"\\x00", b"9" * 30, b"1e999", b"NaN", b"+99:99", b"null", b"true", b"%", b"T"),
    *(b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"'", b"&", b"/" * 40, b"\x16\x03\x01", b" - "),
)


def mutated(seeds: list[bytes], choose: random.Random) -> bytes:
    """Return one of the lines after some insertions, deletions, repetitions and crossings."""
    line = bytearray(choose.choice(seeds))
    for _ in range(choose.randint(1, 4)):
        place, length = choose.randint(0, len(line)), choose.randint(1, 20)
        match choose.randrange(5):
            case 0:
                line[place:place] = choose.choice(PIECES)
            case 1:
                del line[place : place + length]
            case 2:
                line[place:place] = line[place : place + length] * choose.randint(1, 9)
            case 3:
                line[place : place + 1] = bytes([choose.randrange(256)])
            case _:
                other = choose.choice(seeds)
                line[place:] = other[choose.randint(0, len(other)) :]
    return bytes(line).replace(b"\n", b" ")


def blocks(name: str, count: int) -> Iterator[list[bytes]]:
    """Yield so many mutated lines of a format, the same each time, a block at a time."""
    choose = random.Random(name)
    seeds = [line_of(entry) for entry in corpus()[name]]
    for first in range(0, count, BLOCK_LINES):
        yield [mutated(seeds, choose) for _ in range(min(BLOCK_LINES, count - first))]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", sorted(corpus()))
def test_mutated_lines_are_accepted_or_rejected(name: str) -> None:
    """Records and rejected lines are all lines, in a form that databases take, each in ten milliseconds."""
    parser = parser_of(get_format(name), encode_group)
    for lines in blocks(name, -(-COUNT // len(corpus()))):
        began = time.thread_time()
        parsed = parser.parse(b"\n".join(lines) + b"\n")
        taken = time.thread_time() - began

        assert len(parsed.starts) + len(parsed.rejected) == len(lines)
        if taken > LONGEST_SECONDS:  # a block may be slow where no line of it is
            assert not [line for line in lines if seconds(name, line) > LONGEST_SECONDS]


def seconds(name: str, line: bytes) -> float:
    """Return what a line takes by itself, the best of three."""
    parser = parser_of(get_format(name), encode_group)
    times = []
    for _ in range(3):
        began = time.thread_time()
        parser.parse(line + b"\n")
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.parametrize("name", sorted(corpus()))
def test_twenty_lines_tell_the_format(name: str) -> None:
    """A block of lines that a format accepts, whatever else is possible, is recognised as its own."""
    accepted = [line_of(entry) for entry in corpus()[name] if "record" in entry and "after" not in entry]

    for first in range(0, len(accepted), 5):
        lines = (accepted[first:] + accepted)[:20]
        assert detect(b"\n".join(lines)) is FORMATS[name]


@pytest.mark.parametrize(
    "block",
    [
        b"hello world\n" * 20,
        b"a,b,c\n1,2,3\n" * 10,
        b"<?xml version='1.0'?>\n<a b='c'/>\n" * 10,
        b"Traceback (most recent call last):\nKeyError: 1\n" * 10,
        b"\x16\x03\x01\x02\x00\x01\n" * 20,
        b'{"message": "no time"}\n' * 20,
        b"level=info msg=hello\n" * 20,
        b"12:00:00 INFO no date\n" * 20,
        b"CREATE TABLE a (b int);\n" * 20,
        b"\n" * 20,
    ],
)
def test_what_is_of_no_format_is_not_recognised(block: bytes) -> None:
    """Text, tables, markup, bytes, and lines without a time have no format."""
    assert detect(block) is None
