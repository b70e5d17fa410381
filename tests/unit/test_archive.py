"""Compressed logs: a bomb is refused, an ordinary archive is not, and both need little memory."""

import bz2
import gzip
import lzma
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from pipeline.archive import BOMB_RATIO, STEP_BYTES, Archive, DamagedArchive, read_range
from pipeline.content import PlainFile

#: From so many unfolded bytes on the tests' archives are measured.
BOMB_BYTES = 4 << 20
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive with a limit that tests can reach."""
    content = Archive(str(path), PlainFile(str(path)), bomb_bytes=BOMB_BYTES)
    try:
        yield content
    finally:
        content.close()


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_bomb_is_refused(tmp_path: Path, ending: str) -> None:
    """An archive of 64 MiB of NULs is read for a step or so and named a bomb; memory stays small."""
    path = tmp_path / f"bomb{ending}"
    path.write_bytes(COMPRESS[ending](bytes(64 << 20)))
    assert path.stat().st_size * BOMB_RATIO < 64 << 20
    tracemalloc.start()
    with opened(path) as content:
        size = content.size()
        damage = content.damage
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "decompression bomb" in str(damage)
    assert BOMB_BYTES < size <= BOMB_RATIO * STEP_BYTES + (1 << 20)
    assert peak < 32 << 20


@pytest.mark.parametrize("ending", COMPRESS)
def test_lines_that_compress_well_are_no_bomb(tmp_path: Path, ending: str) -> None:
    """An archive far over the limit, of lines that differ, is read whole."""
    block = b"".join(b'1.2.3.4 - - "GET /%d HTTP/1.1" 200 17\n' % number for number in range(150_000))
    path = tmp_path / f"a.log{ending}"
    path.write_bytes(COMPRESS[ending](block))
    with opened(path) as content:
        assert content.size() == len(block) > BOMB_BYTES
        assert content.damage is None
        assert content.read(1000, 500_000) == block[500_000:501_000]


def test_a_range_behind_the_end_is_an_error(tmp_path: Path) -> None:
    """A range that an archive does not hold is named, not returned short."""
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert read_range(str(path), 4, 8) == b"two\n"
    with pytest.raises(DamagedArchive, match=r"\[8, 9\)"):
        read_range(str(path), 4, 9)
