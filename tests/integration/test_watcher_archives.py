"""The watcher on compressed files: archives, and logs that were compressed while it did not look."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.integration.shipper import Shipper, lines

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda block: b"".join(gzip.compress(block[at : at + 5000]) for at in range(0, len(block), 5000)),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("pattern", ["*", "a.log"])
def test_compressed_while_stopped(tmp_path: Path, ending: str, pattern: str) -> None:
    """The rest of a file that was rotated and compressed while stopped comes from the archive."""
    shipper = Shipper(tmp_path, pattern)
    path = shipper.append("a.log", lines(0, 500))
    shipper.work()

    def rotate() -> None:
        shipper.append("a.log", lines(500, 900))
        (shipper.logs / f"a.log.1{ending}").write_bytes(COMPRESS[ending](path.read_bytes()))
        path.unlink()
        shipper.append("a.log", lines(2000, 2010))

    shipper.restart(rotate)
    shipper.work(10)
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 900), lines(2000, 2010)]
    assert shipper.lost_bytes() == 0
    shipper.kill()


@pytest.mark.parametrize("ending", COMPRESS)
def test_archives_are_read_once(shipper: Shipper, ending: str) -> None:
    """Read once, archives and plain files are sources like others, and a second time nothing is new."""
    shipper.append("b.log", lines(0, 10) + b"no newline")
    (shipper.logs / f"a.log.1{ending}").write_bytes(COMPRESS[ending](lines(100, 9000)))
    counts = []
    for _ in range(2):
        shipper.kill()
        shipper.start(once=True)
        while not shipper.loop.done or not shipper.sources.tails:
            shipper.loop.step(shipper.clock)
        shipper.store.sync()
        counts.append(len(shipper.publisher.batches))
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 10) + b"no newline", lines(100, 9000)]
    assert counts[0] == counts[1]


def test_a_damaged_archive_gives_what_it_has(shipper: Shipper, caplog: pytest.LogCaptureFixture) -> None:
    """An archive that ends in its middle is read up to there and named in the log."""
    packed = gzip.compress(lines(0, 9000))
    (shipper.logs / "a.gz").write_bytes(packed[: len(packed) // 2])
    shipper.kill()
    shipper.start(once=True)
    shipper.loop.step(shipper.clock)
    while not shipper.loop.done:
        shipper.loop.step(shipper.clock)
    found = shipper.publisher.text()
    assert len(found) > 1000
    assert lines(0, 9000).startswith(found)
    assert "ends in the middle" in caplog.text
