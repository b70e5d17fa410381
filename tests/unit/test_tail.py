"""Blocks and tails on real files: whole lines, long lines, NULs, any bytes."""

import tracemalloc
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pipeline.blocks import NUL_RUN, Cutter, Limits, nth_newline
from pipeline.content import PlainFile

SMALL = Limits(line_count=3, byte_size=64, line_bytes=32)


class Bytes(PlainFile):
    """Content in memory."""

    def __init__(self, block: bytes) -> None:
        self.block = block

    def read(self, size: int, offset: int) -> bytes:
        """Return a slice."""
        return self.block[offset : offset + size]

    def next_written(self, offset: int) -> int:
        """Return the offset: there are no holes."""
        return offset


def blocks_of(block: bytes, limits: Limits = SMALL, *, flush: bool = True) -> list[bytes]:
    """Return every block that is cut out of some bytes."""
    cutter, content, offset, found = Cutter(limits), Bytes(block), 0, []
    while piece := cutter.next(content, offset, flush=flush):
        found.append(piece)
        offset += len(piece)
    return found


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.data())
def test_nth_newline_agrees_with_counting(lengths: list[int], data: st.DataObject) -> None:
    """The guess for the n-th newline ends at the same place as a walk over the lines."""
    block = b"".join(b"x" * length + b"\n" for length in lengths)
    count = data.draw(st.integers(1, len(lengths)))
    assert nth_newline(block, count, len(lengths)) == sum(lengths[:count]) + count


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\0", b"\xff", NUL_RUN, b"x" * 31, b"y" * 40])))
def test_blocks_are_the_file(pieces: list[bytes]) -> None:
    """Whatever the bytes are, the blocks are the file, none is over the limits, none is empty."""
    block = b"".join(pieces)
    found = blocks_of(block)
    assert b"".join(found) == block
    assert all(
        0 < len(piece) <= SMALL.byte_size and piece.count(b"\n") <= SMALL.line_count for piece in found
    )


@given(st.lists(st.sampled_from([b"a", b"\n", b"bb\n", b"x" * 31, b"y" * 40])))
def test_an_unfinished_line_waits(pieces: list[bytes]) -> None:
    """Without flush, what stays behind is the part of a last line that is not over the limit yet."""
    block = b"".join(pieces)
    rest = block[len(b"".join(blocks_of(block, flush=False))) :]
    assert b"\n" not in rest
    assert len(rest) < SMALL.line_bytes


@pytest.mark.parametrize("length", [31, 32, 33, 500])
def test_a_line_at_the_limit(length: int) -> None:
    """A line of the limit is whole, a longer one comes in parts of the limit, and the next line follows."""
    found = blocks_of(b"x" * (length - 1) + b"\nnext\n")
    assert found[0] == (b"x" * (length - 1) + b"\n")[:32] or found[0].startswith(b"x" * (length - 1) + b"\n")
    assert b"".join(found) == b"x" * (length - 1) + b"\nnext\n"


def test_a_growing_line_is_searched_once() -> None:
    """A line that grows byte by byte is not read from its start again for every byte."""
    reads: list[int] = []

    class Counting(Bytes):
        def read(self, size: int, offset: int) -> bytes:
            piece = super().read(size, offset)
            reads.append(len(piece))
            return piece

    content, cutter = Counting(b""), Cutter(Limits(5000, 1 << 20, 1 << 20))
    for _ in range(2000):
        content.block += b"x"
        assert cutter.next(content, 0) == b""
    assert sum(reads) < 10_000


def test_nuls_before_a_line_are_a_block_of_their_own(tmp_path: Path) -> None:
    """A hole of 64 MiB before ten lines is passed quickly, and the lines come whole."""
    path = tmp_path / "hole.log"
    lines = b"".join(b"line %d\n" % number for number in range(10))
    with path.open("wb") as file:
        file.seek(64 << 20)
        file.write(lines)
    cutter, content, offset, found = Cutter(Limits(5000, 1 << 20, 1 << 20)), PlainFile(str(path)), 0, []
    while piece := cutter.next(content, offset):
        found.append(piece)
        offset += len(piece)
    content.close()
    assert found[-1] == lines
    assert sum(map(len, found[:-1])) == 64 << 20


def test_nuls_at_the_end_wait(tmp_path: Path) -> None:
    """NULs that nothing follows may still be written over, so they are not published."""
    path = tmp_path / "allocated.log"
    path.write_bytes(b"one\n" + bytes(4096))
    content, cutter = PlainFile(str(path)), Cutter(Limits(5000, 1 << 20, 1 << 20))
    assert cutter.next(content, 0) == b"one\n"
    assert cutter.next(content, 4) == b""
    with path.open("r+b") as file:
        file.seek(4)
        file.write(b"two\n")
    assert cutter.next(content, 4) == b"two\n"
    content.close()


def test_a_line_of_100_mebibytes_needs_little_memory(tmp_path: Path) -> None:
    """A line without an end comes in parts; memory holds a few of them."""
    path = tmp_path / "endless.log"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    content, cutter, offset = PlainFile(str(path)), Cutter(Limits(5000, 1 << 20, 1 << 20)), 0
    tracemalloc.start()
    while piece := cutter.next(content, offset):
        offset += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    content.close()
    assert offset == 100 << 20
    assert peak < 8 << 20
