"""The watcher on real files through rotation, truncation, archives and restarts, by a false clock."""

import bz2
import gzip
import logging
import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from pipeline.blocks import Limits
from pipeline.checkpoint import CheckpointStore, SourceStatus, read_status
from pipeline.format_choice import FormatChoice
from pipeline.rules import Rules
from pipeline.sources import Sources
from pipeline.watch import Finder
from pipeline.watcher import Loop
from tests.doubles import FakePublisher

LIMITS = Limits(line_count=1000, byte_size=1 << 16, line_bytes=1 << 16)


class Shipper:
    """A watcher over a folder of logs that is started, stepped and killed by hand."""

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.state = folder / "state"
        self.pattern = str(self.logs / pattern)
        self.publisher = FakePublisher()
        self.clock = 1000.0
        self.open_count = 512
        self.start()

    def start(self, *, once: bool = False, newest_first: bool = False) -> None:
        """Start on the state that the last one left."""
        rules = Rules("host", FormatChoice(), LIMITS, once, newest_first, self.open_count)
        self.store = CheckpointStore(self.state / "checkpoint")
        self.sources = Sources(Finder([self.pattern]), self.store, rules)
        self.loop = Loop(
            self.sources,
            self.store,
            self.publisher,
            sweep_seconds=1.0,
            period_seconds=0.0,
            sweep_share=float("inf"),
        )

    def kill(self) -> None:
        """End without a last word."""
        self.sources.close()
        self.store.close()

    def work(self, seconds: float = 2.0) -> None:
        """Let sweeps pass until everything is read."""
        until = self.clock + seconds
        while self.clock < until or not (self.loop.done or self.loop.blocked):
            self.clock += 1.0 if self.loop.done or self.loop.blocked else 0.0
            self.loop.step(self.clock)
        self.store.sync()

    def restart(self, change: Callable[[], object]) -> None:
        """Change files while no watcher runs."""
        self.kill()
        change()
        self.start()
        self.work()

    def append(self, name: str, block: bytes) -> Path:
        """Write at the end of a log."""
        path = self.logs / name
        with path.open("ab") as file:
            file.write(block)
        return path

    def status(self) -> dict[str, SourceStatus]:
        """Return the status by file name, of sources that still have a file."""
        return {Path(s.path).name: s for s in read_status(self.state)}

    def lost_bytes(self) -> int:
        """Return what all sources lost."""
        return sum(status.lost_bytes for status in read_status(self.state))


@pytest.fixture
def shipper(tmp_path: Path) -> Iterator[Shipper]:
    """A watcher over every file of a folder."""
    made = Shipper(tmp_path)
    yield made
    made.kill()


def lines(first: int, last: int) -> bytes:
    """Return numbered lines."""
    return b"".join(b"line %06d of the log\n" % number for number in range(first, last))


def copytruncate(path: Path, copy: Path) -> None:
    """Rotate as logrotate does with copytruncate."""
    shutil.copyfile(path, copy)
    os.truncate(path, 0)


def test_inode_reuse(shipper: Shipper) -> None:
    """A file that takes the inode of a deleted one is read from its start (1,000 generations)."""
    path = shipper.logs / "a.log"
    expected = []
    for number in range(1000):
        expected.append(b"generation %06d\n" % number)
        path.unlink(missing_ok=True)
        path.write_bytes(expected[-1])
        shipper.loop.step(shipper.clock)
        shipper.clock += 1.1
    shipper.work()
    assert sorted(shipper.publisher.sources().values()) == expected
    assert shipper.lost_bytes() == 0


@pytest.mark.parametrize("count", [5, 300])
def test_truncated_while_stopped(shipper: Shipper, count: int) -> None:
    """A file truncated while nobody looked, smaller or regrown past the offset, is read once from 0."""
    path = shipper.append("a.log", lines(0, 100))
    shipper.work()
    shipper.restart(lambda: path.write_bytes(lines(1000, 1000 + count)))
    shipper.restart(lambda: None)
    assert list(shipper.publisher.sources().values()) == [lines(0, 100), lines(1000, 1000 + count)]


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("pattern", ["*", "a.log"])
def test_copytruncate(tmp_path: Path, pattern: str, *, stopped: bool) -> None:
    """What was written before a copytruncate and not read yet is read from the copy, as the same source."""
    shipper = Shipper(tmp_path, pattern)
    path = shipper.append("a.log", lines(0, 100))
    shipper.work()

    def rotate() -> None:
        shipper.append("a.log", lines(100, 150))
        copytruncate(path, shipper.logs / "a.log.1")
        shipper.append("a.log", lines(150, 400))

    if stopped:
        shipper.restart(rotate)
    else:
        rotate()
    shipper.work(10)
    assert list(shipper.publisher.sources().values()) == [lines(0, 150), lines(150, 400)]
    assert shipper.lost_bytes() == 0
    shipper.kill()


def test_a_truncation_without_a_copy_is_counted(shipper: Shipper) -> None:
    """Bytes that were seen, not confirmed and cut off are counted, and named lost in the status."""
    path = shipper.append("a.log", lines(0, 1))
    shipper.work()
    shipper.publisher.refuse_count = 1000
    shipper.append("a.log", lines(1, 3000))
    shipper.work()
    assert shipper.status()["a.log"].state == "blocked"
    size = path.stat().st_size
    os.truncate(path, 0)
    shipper.work()
    shipper.publisher.refuse_count = 0
    shipper.work(20)
    stored = len(shipper.publisher.text())
    assert shipper.lost_bytes() == size - stored > 0


def test_rename_three_times_while_stopped(shipper: Shipper) -> None:
    """Files that moved on by several rotations are not read again, and new ones from their start."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()

    def rotate() -> None:
        for number in range(3):
            for old in (2, 1):
                if (shipper.logs / f"a.log.{old}").exists():
                    (shipper.logs / f"a.log.{old}").rename(shipper.logs / f"a.log.{old + 1}")
            shipper.append("a.log", lines(100 + number * 10, 103 + number * 10))
            (shipper.logs / "a.log").rename(shipper.logs / "a.log.1")
        shipper.append("a.log", lines(900, 901))

    shipper.restart(rotate)
    found = sorted(shipper.publisher.sources().values())
    assert found == [lines(0, 10) + lines(100, 103), lines(110, 113), lines(120, 123), lines(900, 901)]


def test_moved_into_another_folder(tmp_path: Path) -> None:
    """A file rotated into another folder of the file system is read to its end, also after a restart."""
    shipper = Shipper(tmp_path, "a.log")
    path = shipper.append("a.log", lines(0, 10))
    shipper.work()

    def rotate() -> None:
        shipper.append("a.log", lines(10, 20))
        (tmp_path / "old").mkdir()
        path.rename(tmp_path / "old" / "a-20260101.log")
        shipper.append("a.log", lines(50, 60))

    shipper.restart(rotate)
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 20), lines(50, 60)]
    shipper.kill()


def test_a_missing_path_is_not_the_end(shipper: Shipper) -> None:
    """Between the rename and the new file nothing ends: the new file is found when it comes."""
    for number in range(20):
        shipper.append("a.log", lines(number, number + 1))
        shipper.work(1)
        (shipper.logs / "a.log").rename(shipper.logs / f"a.log.{number}")
        shipper.work(number % 4)
    shipper.work()
    assert b"".join(sorted(shipper.publisher.sources().values())) == lines(0, 20)


@pytest.mark.parametrize("head", [b"#Fields: date time\n" * 110, b"h\n", b"no newline yet"])
def test_files_with_the_same_head_stay_apart(shipper: Shipper, head: bytes) -> None:
    """50 files that begin alike, longer or shorter than the prefix, are 50 sources."""
    for number in range(50):
        shipper.append(f"{number:02}.log", head)
    shipper.work(8)
    for number in range(50):
        shipper.append(f"{number:02}.log", b" \nline %d\n" % number)
    shipper.work(8)
    expected = sorted(head + b" \nline %d\n" % number for number in range(50))
    assert sorted(shipper.publisher.sources().values()) == expected


def test_the_last_line_waits_for_its_end(shipper: Shipper) -> None:
    """A line without its newline is published when its file has ended, and never while it lives."""
    shipper.append("a.log", b"one\ntw")
    shipper.work(20)
    assert shipper.publisher.text() == b"one\n"
    (shipper.logs / "a.log").rename(shipper.logs / "a.log.1")
    shipper.work(20)
    assert shipper.publisher.text() == b"one\ntw"


def test_deleted_while_unread(shipper: Shipper) -> None:
    """A deleted file is read to its end, last line included, and then its disk space is given back."""
    path = shipper.append("a.log", lines(0, 5000))
    shipper.loop.step(shipper.clock)
    path.unlink()
    shipper.work(20)
    assert shipper.publisher.text() == lines(0, 5000)
    assert shipper.sources.tails == {}
    assert shipper.status()["a.log"].state == "deleted"


def test_an_editor_replaces_the_file(shipper: Shipper) -> None:
    """A file that another one took the place of is another source."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()
    shipper.append("a.new", lines(20, 30)).rename(shipper.logs / "a.log")
    shipper.work(10)
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 10), lines(20, 30)]


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


def test_newest_first(shipper: Shipper) -> None:
    """A backfill begins with the file written last when it is told so."""
    for number in range(3):
        path = shipper.append(f"{number}.log", lines(number, number + 1))
        os.utime(path, (1000 + number, 1000 + number))
    shipper.kill()
    shipper.start(once=True, newest_first=True)
    shipper.work()
    assert shipper.publisher.text() == lines(2, 3) + lines(1, 2) + lines(0, 1)


def test_hard_links_are_one_source(shipper: Shipper) -> None:
    """Two names of one file are one source."""
    path = shipper.append("a.log", lines(0, 10))
    (shipper.logs / "b.log").hardlink_to(path)
    shipper.work(10)
    assert shipper.publisher.text() == lines(0, 10)


def test_more_files_than_descriptors(tmp_path: Path) -> None:
    """With few descriptors many growing files are all read; no more than the limit are open."""
    shipper = Shipper(tmp_path)
    shipper.kill()
    shipper.open_count = 8
    shipper.start()
    for turn in range(3):
        for number in range(100):
            shipper.append(f"{number:03}.log", b"file %d turn %d\n" % (number, turn))
        shipper.work()
        assert sum(tail.content is not None for tail in shipper.sources.tails.values()) <= 8
    assert len(shipper.publisher.sources()) == 100
    assert len(shipper.publisher.text().splitlines()) == 300
    shipper.kill()


def test_a_lost_checkpoint_gives_the_same_keys(shipper: Shipper) -> None:
    """Without its checkpoint the watcher reads again under the same keys, which a ledger drops."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()
    shipper.restart(lambda: shutil.rmtree(shipper.state))
    assert list(shipper.publisher.sources().values()) == [lines(0, 10)]
    assert len(shipper.publisher.batches) == 2


def test_a_blocked_broker_stops_the_reading(shipper: Shipper) -> None:
    """While the broker refuses nothing more is read; afterwards nothing is missing and the order is kept."""
    shipper.publisher.refuse_count = 5
    shipper.append("a.log", lines(0, 20_000))
    shipper.work(1)
    assert shipper.status()["a.log"].state == "blocked"
    assert shipper.status()["a.log"].lag_bytes == len(lines(0, 20_000))
    shipper.work(60)
    assert shipper.publisher.text() == lines(0, 20_000)
    assert shipper.status()["a.log"].state == "idle"


def test_a_run_of_nuls_is_said_once(shipper: Shipper, caplog: pytest.LogCaptureFixture) -> None:
    """Each run of NULs comes through as it is, with one warning that names path, length and offset."""
    holes = (3 << 16, 100_000)
    block = lines(0, 10) + bytes(holes[0]) + lines(10, 20) + bytes(holes[1]) + lines(20, 30)
    with caplog.at_level(logging.WARNING):
        path = shipper.append("a.log", block)
        shipper.work()
        shipper.append("a.log", lines(30, 40))
        shipper.work()
        shipper.restart(lambda: None)
    said = [record.getMessage() for record in caplog.records]
    starts = (block.index(b"\0"), block.rindex(b"\0") + 1 - holes[1])
    assert [
        f"{str(path)!r}: {n} NUL bytes at offset {at} " in line
        for n, at, line in zip(holes, starts, said, strict=True)
    ] == [True, True]
    assert shipper.publisher.text() == block + lines(30, 40)
